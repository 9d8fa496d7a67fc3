// SPDX-License-Identifier: Apache-2.0
/// Writes JSON piece by piece into a sink: commas, quotes and escapes are its work, nesting is the caller's. The result is one
/// line of plain ASCII.
#ifndef POLYVISOR_MONITOR_JSON_H
#define POLYVISOR_MONITOR_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <polyvisor/format.h>

struct json {
    pv_sink *sink;
    void *context;
    bool needs_comma; ///< a value was written at this level
};

void json_init(struct json *json, pv_sink *sink, void *context);

/// Opens an object or array, '{' or '['. In all functions, key is the name inside an object, NULL inside an array and at the top.
void json_open(struct json *json, const char *key, char bracket);
/// Closes it: '}' or ']'.
void json_close(struct json *json, char bracket);

void json_string(struct json *json, const char *key, const char *text);
void json_number(struct json *json, const char *key, uint64_t value);
void json_signed(struct json *json, const char *key, int64_t value);
void json_bool(struct json *json, const char *key, bool value);
/// A string like "0xfee00000": for registers and MSRs, whose values many readers would round to 53 bits.
void json_hex(struct json *json, const char *key, uint64_t value);

/// A string made of pieces: begin, any number of json_text, end.
void json_begin_text(struct json *json, const char *key);
/// Bytes that are not ASCII are written as the characters U+0080 to U+00FF, so that the bytes can be had back whatever they are.
void json_text(struct json *json, const char *text, size_t size);
void json_end_text(struct json *json);

#endif
