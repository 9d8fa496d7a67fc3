// SPDX-License-Identifier: Apache-2.0
#include "parse.h"

#include <polyvisor/abi.h>
#include <polyvisor/string.h>

/// Reads decimal digits up to something else; returns where that stands, or NULL when there are none or too many.
static const char *take_number(const char *text, uint64_t limit, uint64_t *value)
{
    if (*text < '0' || *text > '9')
        return NULL;
    for (*value = 0; *text >= '0' && *text <= '9'; text++) {
        *value = *value * 10 + (uint64_t)(*text - '0');
        if (*value > limit)
            return NULL;
    }
    return text;
}

/// Cores first to last as a mask.
static uint64_t range(uint64_t first, uint64_t last)
{
    return UINT64_MAX >> (PV_MAX_CORES - 1 - (last - first)) << first;
}

bool parse_cores(const char *text, uint64_t *cores)
{
    uint64_t mask = 0;
    for (;; text++) {
        uint64_t first, last;
        text = take_number(text, PV_MAX_CORES - 1, &first);
        if (text == NULL)
            return false;
        last = first;
        if (*text == '-')
            text = take_number(text + 1, PV_MAX_CORES - 1, &last);
        if (text == NULL || last < first)
            return false;
        mask |= range(first, last);
        if (*text == '\0')
            break;
        if (*text != ',')
            return false;
    }
    *cores = mask;
    return true;
}

bool parse_time(const char *text, uint64_t *us)
{
    static const struct {
        const char *name;
        uint64_t us;
    } units[] = {{"us", 1}, {"ms", 1000}, {"s", 1000000}};
    uint64_t value;
    text = take_number(text, UINT32_MAX, &value);
    for (size_t i = 0; text != NULL && i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(text, units[i].name) != 0)
            continue;
        *us = value * units[i].us;
        return true;
    }
    return false;
}

bool parse_vcpu(const char *text, size_t *name_size, uint32_t *vcpu)
{
    uint64_t value;
    const char *slash = pv_strchr(text, '/');
    if (slash == NULL || slash == text)
        return false;
    const char *end = take_number(slash + 1, UINT32_MAX, &value);
    if (end == NULL || *end != '\0')
        return false;
    *name_size = (size_t)(slash - text);
    *vcpu = (uint32_t)value;
    return true;
}
