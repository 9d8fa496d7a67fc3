// SPDX-License-Identifier: Apache-2.0
// Configurations and command lines of any content: what is accepted keeps the promises of config.h, what is refused gets a
// printable message, and a refused command line changes nothing. The input is the text, then after a byte 0x1e the command line.
// links: vmm/config*.c
// links: vmm/lib/format.c vmm/lib/string.c
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <polyvisor/vcpu.h>

#include "vmm/config.h"

enum { SEPARATOR = 0x1e, CMDLINE_SIZE = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct config config, before;
static struct config_error error;

static void check(bool good)
{
    if (!good)
        abort();
}

static void check_message(const char *file)
{
    check(memchr(error.message, '\0', sizeof(error.message)) != NULL);
    check(strncmp(error.message, file, strlen(file)) == 0);
    check(strstr(error.message, "found ") != NULL && strstr(error.message, "expected ") != NULL);
    for (const char *c = error.message; *c != '\0'; c++)
        check(*c >= 0x20 && *c < 0x7f);
}

/// A string that stands in the configuration itself and is neither empty (unless it may be) nor too long.
static void check_string(const char *text, size_t min, size_t max)
{
    const char *end = memchr(text, '\0', max + 1);
    size_t length = end != NULL ? (size_t)(end - text) : SIZE_MAX;

    check(length >= min && length <= max);
    check(*text == '\0' || (text >= config.strings && text + length < config.strings + config.strings_used));
}

static void check_listed(const char *file)
{
    bool listed = false;

    check_string(file, 1, PV_FILE_SIZE - 1);
    for (uint32_t i = 0; i < config.file_count; i++)
        listed = listed || strcmp(config.files[i], file) == 0;
    check(listed);
}

/// No two overlap, and all lie in what the bitmaps reach.
static void check_grants(const struct config_grant *grants, uint32_t count, bool msrs)
{
    check(count <= CONFIG_MAX_GRANTS);
    for (uint32_t i = 0; i < count; i++) {
        const struct config_grant *g = &grants[i];
        check(g->first <= g->last);
        check(g->how != PV_GRANT_NONE && g->how <= (PV_GRANT_READ | PV_GRANT_WRITE));
        if (msrs) {
            check(g->last <= 0x1fff || (g->first >= 0xc0000000 && g->last <= 0xc0001fff));
            check(g->first > 0x6e0 || g->last < 0x6e0);                          // IA32_TSC_DEADLINE
            check(g->first > 0x8ff || g->last < 0x800);                          // the local APIC
            check(g->how == PV_GRANT_READ || g->first > 0x10 || g->last < 0x10); // the TSC
        } else {
            check(g->how == (PV_GRANT_READ | PV_GRANT_WRITE) && g->last <= 0xffff);
            check(g->first > 0x3ff || g->last < 0x3f8); // COM1
            check(g->first > 0xcff || g->last < 0xcf8); // PCI configuration
        }
        for (uint32_t other = 0; other < i; other++)
            check(grants[other].first > g->last || grants[other].last < g->first);
    }
}

static void check_frame(void)
{
    check(config.slot_count <= CONFIG_MAX_SLOTS);
    check(config.policy == PV_POLICY_WEIGHTED || (config.policy == PV_POLICY_FRAME && config.slot_count != 0));
    for (uint32_t i = 0; i < config.slot_count; i++) {
        const struct config_slot *slot = &config.slots[i];
        check(slot->personality < config.personality_count || slot->personality == CONFIG_IDLE);
        check(slot->us >= 10 && slot->us <= 1000000);
        check(slot->place.line >= 1 && slot->place.column >= 1);
    }
}

static void check_config(void)
{
    unsigned debug = 0;

    check(config.personality_count >= 1 && config.personality_count <= CONFIG_MAX_PERSONALITIES);
    check(config.file_count >= 1 && config.file_count <= CONFIG_MAX_FILES);
    check(config.strings_used <= sizeof(config.strings));
    check(config.slice_us >= 100 && config.slice_us <= 1000000);
    for (uint32_t i = 0; i < config.personality_count; i++) {
        const struct config_personality *p = &config.personalities[i];
        check_string(p->name, 1, PV_NAME_SIZE - 1);
        check_string(p->args, 0, PV_ARGS_SIZE - 1);
        check_listed(p->image);
        check(p->cores != 0 && (!p->all_cores || p->cores == UINT64_MAX));
        check(p->weight >= 1 && p->weight <= CONFIG_WEIGHT_MAX);
        check(p->memory != 0 && p->memory % 4096 == 0 && config_quota(p) != 0 && config_quota(p) % 4096 == 0);
        check(p->module_count <= PV_MAX_MODULES);
        for (uint32_t m = 0; m < p->module_count; m++) {
            check_string(p->modules[m].name, 1, PV_NAME_SIZE - 1);
            check_listed(p->modules[m].file);
        }
        check_grants(p->msr_grants, p->msr_grant_count, true);
        check_grants(p->io_grants, p->io_grant_count, false);
        for (uint32_t other = 0; other < i; other++)
            check(strcmp(config.personalities[other].name, p->name) != 0);
        debug += p->debug;
        check(p->debug || !p->baseline);
    }
    check(debug <= 1);
    check_frame();
}

/// Compares all but what stands behind the used part of the tables.
static void check_unchanged(void)
{
    check(config.slice_us == before.slice_us && config.personality_count == before.personality_count);
    check(config.policy == before.policy && config.slot_count == before.slot_count);
    check(memcmp(config.slots, before.slots, before.slot_count * sizeof(before.slots[0])) == 0);
    check(config.file_count == before.file_count && config.strings_used == before.strings_used);
    check(memcmp(config.strings, before.strings, before.strings_used) == 0);
    check(memcmp(config.files, before.files, before.file_count * sizeof(before.files[0])) == 0);
    check(memcmp(config.personalities, before.personalities,
                 before.personality_count * sizeof(before.personalities[0])) == 0);
}

static void try_override(const uint8_t *data, size_t size)
{
    char cmdline[CMDLINE_SIZE] = "";
    char value[16];

    if (size >= sizeof(cmdline))
        return;
    memcpy(cmdline, data, size);
    config_option(cmdline, "config", value, sizeof(value));
    memcpy(&before, &config, sizeof(config));
    if (config_override(&config, cmdline, &error))
        return;
    check_message("command line:1:");
    check_unchanged();
}

static bool file_exists(void *context, const char *name, char *why, size_t why_size)
{
    (void)context;
    memcpy(why, "gone", why_size < 5 ? why_size : 5);
    return name[0] != 'n';
}

static void try_check(void)
{
    struct config_machine machine = {.cores = 0x2f, .memory = UINT64_C(1) << 32, .file_exists = file_exists};

    if (!config_check(&config, "fuzz.cfg", &machine, &error))
        check_message(error.place.line == 0 ? "command line:1:" : "fuzz.cfg:");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *separator = size != 0 ? memchr(data, SEPARATOR, size) : NULL;
    size_t text = separator != NULL ? (size_t)(separator - data) : size;

    if (!config_parse(&config, "fuzz.cfg", (const char *)data, text, &error)) {
        check_message("fuzz.cfg:");
        return 0;
    }
    check_config();
    if (separator != NULL) {
        try_override(separator + 1, size - text - 1);
        check_config();
    }
    try_check();
    return 0;
}
