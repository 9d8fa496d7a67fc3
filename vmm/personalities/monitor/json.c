// SPDX-License-Identifier: Apache-2.0
#include "json.h"

#include <polyvisor/string.h>

static void put(struct json *json, const char *text, size_t size)
{
    json->sink(json->context, text, size);
}

static void put_char(struct json *json, char c)
{
    put(json, &c, 1);
}

/// What goes before every value: a comma if it is not the first, and its name.
static void begin_value(struct json *json, const char *key)
{
    if (json->needs_comma)
        put_char(json, ',');
    json->needs_comma = true;
    if (key == NULL)
        return;
    put_char(json, '"');
    json_text(json, key, strlen(key));
    put(json, "\":", 2);
}

void json_init(struct json *json, pv_sink *sink, void *context)
{
    *json = (struct json){.sink = sink, .context = context};
}

void json_open(struct json *json, const char *key, char bracket)
{
    begin_value(json, key);
    put_char(json, bracket);
    json->needs_comma = false;
}

void json_close(struct json *json, char bracket)
{
    put_char(json, bracket);
    json->needs_comma = true;
}

void json_string(struct json *json, const char *key, const char *text)
{
    json_begin_text(json, key);
    json_text(json, text, strlen(text));
    json_end_text(json);
}

void json_number(struct json *json, const char *key, uint64_t value)
{
    begin_value(json, key);
    pv_format(json->sink, json->context, "%lu", value);
}

void json_signed(struct json *json, const char *key, int64_t value)
{
    begin_value(json, key);
    pv_format(json->sink, json->context, "%ld", value);
}

void json_bool(struct json *json, const char *key, bool value)
{
    begin_value(json, key);
    pv_format(json->sink, json->context, "%s", value ? "true" : "false");
}

void json_hex(struct json *json, const char *key, uint64_t value)
{
    begin_value(json, key);
    pv_format(json->sink, json->context, "\"0x%lx\"", value);
}

void json_begin_text(struct json *json, const char *key)
{
    begin_value(json, key);
    put_char(json, '"');
}

void json_end_text(struct json *json)
{
    put_char(json, '"');
}

static void put_escaped(struct json *json, char c)
{
    switch (c) {
    case '"':
        put(json, "\\\"", 2);
        break;
    case '\\':
        put(json, "\\\\", 2);
        break;
    case '\n':
        put(json, "\\n", 2);
        break;
    case '\r':
        put(json, "\\r", 2);
        break;
    case '\t':
        put(json, "\\t", 2);
        break;
    default:
        pv_format(json->sink, json->context, "\\u%04x", (unsigned)(unsigned char)c);
        break;
    }
}

static bool is_plain(char c)
{
    return c >= ' ' && c <= '~' && c != '"' && c != '\\';
}

void json_text(struct json *json, const char *text, size_t size)
{
    size_t start = 0;
    for (size_t i = 0; i < size; i++) {
        if (is_plain(text[i]))
            continue;
        put(json, text + start, i - start);
        put_escaped(json, text[i]);
        start = i + 1;
    }
    put(json, text + start, size - start);
}
