// SPDX-License-Identifier: Apache-2.0
/// Configuration: numbers: sizes, times, registers.
#include "config_reader.h"

#include <polyvisor/format.h>
#include <polyvisor/string.h>

#define PAGE_SIZE UINT64_C(4096)
/// No processor addresses more; small enough that sums of all personalities do not overflow.
#define SIZE_LIMIT (UINT64_C(1) << 52)

enum { DECIMAL = 10, HEXADECIMAL = 16 };

bool config_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

const char *config_size_text(char text[CONFIG_SIZE_TEXT], uint64_t bytes)
{
    static const char units[] = {'K', 'M', 'G'};
    char unit = '\0';

    for (size_t i = 0; i < sizeof(units) && bytes != 0 && bytes % 1024 == 0; i++) {
        bytes /= 1024;
        unit = units[i];
    }
    pv_snprintf(text, CONFIG_SIZE_TEXT, unit ? "%llu%c" : "%llu", (unsigned long long)bytes, unit);
    return text;
}

/// Value of a digit; HEXADECIMAL when it is none.
static unsigned digit_value(char c)
{
    if (config_is_digit(c))
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + DECIMAL;
    return c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + DECIMAL : HEXADECIMAL;
}

/// Reads digits of a base from token->text[*at] on. False when there are none or the number is greater than `limit`.
static bool scan_digits(const struct config_token *token, size_t *at, unsigned base, uint64_t limit, uint64_t *value)
{
    size_t start = *at;

    *value = 0;
    for (; *at < token->size && digit_value(token->text[*at]) < base; ++*at) {
        uint64_t digit = digit_value(token->text[*at]);
        if (digit > limit || *value > (limit - digit) / base)
            return false;
        *value = *value * base + digit;
    }
    return *at > start;
}

bool config_scan_number(const struct config_token *token, size_t *at, uint64_t limit, uint64_t *value)
{
    return scan_digits(token, at, DECIMAL, limit, value);
}

bool config_scan_register(const struct config_token *token, size_t *at, uint32_t limit, uint32_t *value)
{
    bool hex = token->size - *at >= 2 && memcmp(token->text + *at, "0x", 2) == 0;
    uint64_t number;

    *at += hex ? 2 : 0;
    if (!scan_digits(token, at, hex ? HEXADECIMAL : DECIMAL, limit, &number))
        return false;
    *value = (uint32_t)number;
    return true;
}

/// Whether a word is digits and then one of the units, which are separated by blanks in `units` ("us ms s").
/// *unit becomes the unit's number, counted from 1; 0: no unit.
static bool scan_unit(const struct config_token *token, const char *units, unsigned *unit)
{
    size_t digits = 0;

    while (digits < token->size && config_is_digit(token->text[digits]))
        digits++;
    *unit = 0;
    if (token->kind != CONFIG_TOKEN_WORD || digits == 0)
        return false;
    if (digits == token->size)
        return true;
    for (const char *name = units; *name != '\0';) {
        size_t size = 0;
        while (name[size] != '\0' && name[size] != ' ')
            size++;
        ++*unit;
        if (size == token->size - digits && memcmp(name, token->text + digits, size) == 0)
            return true;
        name += size + (name[size] == ' ' ? 1 : 0);
    }
    return false;
}

bool config_read_size(struct config_reader *reader, uint64_t *bytes)
{
    struct config_token token = reader->token;
    unsigned unit;
    size_t at = 0;

    if (!scan_unit(&token, "K M G", &unit))
        return config_fail(reader, &token, "a size such as 64M (K, M or G)");
    if (!config_scan_number(&token, &at, SIZE_LIMIT >> (unit * 10), bytes))
        return config_fail(reader, &token, "a size of at most %lluG", (unsigned long long)(SIZE_LIMIT >> 30));
    *bytes <<= unit * 10;
    if (*bytes == 0)
        return config_fail(reader, &token, "a size of at least 4K");
    if (*bytes % PAGE_SIZE != 0)
        return config_fail(reader, &token, "a size that is a multiple of 4K");
    return config_next(reader);
}

bool config_read_time(struct config_reader *reader, uint32_t min_us, uint32_t *microseconds)
{
    static const uint32_t factors[] = {0, 1, 1000, 1000000};
    struct config_token token = reader->token;
    uint64_t value;
    unsigned unit;
    size_t at = 0;

    if (!scan_unit(&token, "us ms s", &unit) || unit == 0)
        return config_fail(reader, &token, "a time such as 1ms (us, ms or s)");
    if (!config_scan_number(&token, &at, CONFIG_TIME_MAX_US / factors[unit], &value) || value * factors[unit] < min_us)
        return config_fail(reader, &token, "a time from %uus to 1s", min_us);
    *microseconds = (uint32_t)value * factors[unit];
    return config_next(reader);
}
