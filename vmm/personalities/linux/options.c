// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <polyvisor/format.h>
#include <polyvisor/string.h>

static const char prefix[] = "polyvisor.";

/// A number, and K, M or G.
static bool parse_size(const char *text, size_t length, uint64_t *size)
{
    uint64_t value = 0;
    size_t i = 0;
    for (; i < length && text[i] >= '0' && text[i] <= '9'; i++) {
        if (value > (UINT64_C(1) << 52) / 10)
            return false;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    const char unit = i < length ? text[i] : '\0';
    const uint32_t shift = unit == 'K' ? 10 : unit == 'M' ? 20 : unit == 'G' ? 30 : 0;
    if (i == 0 || i + (shift != 0) != length || value > UINT64_C(1) << 52 >> shift)
        return false;
    *size = value << shift;
    return true;
}

static bool parse_cpus(const char *text, size_t length, uint32_t *cpus)
{
    uint64_t value;
    if (length == 0 || text[length - 1] > '9' || !parse_size(text, length, &value) || value == 0 ||
        value > OPTIONS_CPUS_MAX)
        return false;
    *cpus = (uint32_t)value;
    return true;
}

/// Whether the word is a key, of those that end with '=', and a value; *value is where that begins.
static bool has_key(const char *word, size_t length, const char *key, size_t *value)
{
    *value = strlen(key);
    return length >= *value && strncmp(word, key, *value) == 0;
}

static bool is(const char *text, size_t length, const char *expected)
{
    return length == strlen(expected) && strncmp(text, expected, length) == 0;
}

static bool parse_apic(const char *text, size_t length, enum options_apic *apic)
{
    static const char *const names[] = {
        [OPTIONS_APIC_SOFTWARE] = "off", [OPTIONS_APIC_REGISTERS] = "registers", [OPTIONS_APIC_DELIVERY] = "delivery"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (is(text, length, names[i])) {
            *apic = (enum options_apic)i;
            return true;
        }
    return false;
}

/// How the kernel shall be booted.
static bool parse_protocol(const char *text, size_t length, enum image_protocol *protocol)
{
    for (*protocol = IMAGE_LINUX; *protocol < IMAGE_PROTOCOLS; (*protocol)++)
        if (is(text, length, image_protocol_word(*protocol)))
            return true;
    return false;
}

/// One word, without the prefix. NULL, or what was expected.
static const char *take(const char *word, size_t length, struct options *options)
{
    size_t at;
    if (has_key(word, length, "overlay=", &at))
        return parse_size(word + at, length - at, &options->overlay) ? NULL : "a size such as 16M";
    if (has_key(word, length, "console=", &at)) {
        options->console = is(word + at, length - at, "virtio");
        return options->console ? NULL : "virtio";
    }
    if (has_key(word, length, "entropy=", &at)) {
        options->entropy = is(word + at, length - at, "timing");
        return options->entropy ? NULL : "timing";
    }
    if (has_key(word, length, "x2apic=", &at)) {
        options->no_x2apic = is(word + at, length - at, "off");
        return options->no_x2apic ? NULL : "off";
    }
    if (has_key(word, length, "cpus=", &at))
        return parse_cpus(word + at, length - at, &options->cpus) ? NULL : "a number from 1 to 16";
    if (has_key(word, length, "boot=", &at))
        return parse_protocol(word + at, length - at, &options->boot) ? NULL : "linux, pvh, multiboot2 or multiboot1";
    if (has_key(word, length, "apicv=", &at)) {
        return parse_apic(word + at, length - at, &options->apic) ? NULL : "delivery, registers or off";
    }
    return "polyvisor.overlay=SIZE, polyvisor.console=virtio, polyvisor.entropy=timing, polyvisor.x2apic=off, "
           "polyvisor.apicv=off, polyvisor.cpus=NUMBER or polyvisor.boot=PROTOCOL";
}

bool options_parse(const char *args, struct options *options, char *why)
{
    *options = (struct options){.overlay = OPTIONS_DEFAULT, .apic = OPTIONS_APIC_DELIVERY};
    for (const char *at = args; *at != '\0';) {
        size_t length = 0;
        while (at[length] != '\0' && at[length] != ' ')
            length++;
        if (length >= strlen(prefix) && strncmp(at, prefix, strlen(prefix)) == 0) {
            const char *expected = take(at + strlen(prefix), length - strlen(prefix), options);
            if (expected != NULL) {
                pv_snprintf(why, OPTIONS_WHY, "args: found '%.*s', expected %s", (int)(length < 40 ? length : 40), at,
                            expected);
                return false;
            }
        }
        at += at[length] == ' ' ? length + 1 : length;
    }
    return true;
}
