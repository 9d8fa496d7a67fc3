// SPDX-License-Identifier: Apache-2.0
/// Whether a text is valid JSON (RFC 8259), by descending through it.
#ifndef POLYVISOR_TESTS_JSON_CHECK_H
#define POLYVISOR_TESTS_JSON_CHECK_H

#include <stdbool.h>
#include <string.h>

static inline const char *json_check_value(const char *at);

static inline const char *json_check_string(const char *at)
{
    if (*at++ != '"')
        return NULL;
    for (; *at != '"'; at++) {
        if ((unsigned char)*at < ' ')
            return NULL;
        if (*at != '\\')
            continue;
        at++;
        if (*at == 'u') {
            if (strspn(at + 1, "0123456789abcdefABCDEF") < 4)
                return NULL;
            at += 4;
        } else if (*at == '\0' || strchr("\"\\/bfnrt", *at) == NULL) {
            return NULL;
        }
    }
    return at + 1;
}

static inline const char *json_check_number(const char *at)
{
    if (*at == '-')
        at++;
    const size_t digits = strspn(at, "0123456789");
    return digits == 0 || (digits > 1 && *at == '0') ? NULL : at + digits;
}

/// What stands between brackets: values, or names and values, with commas between them.
static inline const char *json_check_members(const char *at, char close, bool named)
{
    at++;
    if (*at == close)
        return at + 1;
    for (;;) {
        if (named) {
            at = json_check_string(at);
            if (at == NULL || *at++ != ':')
                return NULL;
        }
        at = json_check_value(at);
        if (at == NULL)
            return NULL;
        if (*at == close)
            return at + 1;
        if (*at++ != ',')
            return NULL;
    }
}

/// The end of the value that begins here, or NULL.
static inline const char *json_check_value(const char *at)
{
    if (*at == '{')
        return json_check_members(at, '}', true);
    if (*at == '[')
        return json_check_members(at, ']', false);
    if (*at == '"')
        return json_check_string(at);
    if (strncmp(at, "true", 4) == 0)
        return at + 4;
    if (strncmp(at, "false", 5) == 0)
        return at + 5;
    return json_check_number(at);
}

static inline bool json_check(const char *text)
{
    const char *end = json_check_value(text);
    return end != NULL && *end == '\0';
}

#endif
