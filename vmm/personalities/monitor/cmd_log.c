// SPDX-License-Identifier: Apache-2.0
// log, config: the multiplexer's texts.
#include "commands.h"
#include "out.h"
#include "personality.h"
#include "query.h"

/// Writes a text as an array of its lines, without the line ends.
static void json_lines(struct json *json, const char *key, const char *text, size_t size)
{
    json_open(json, key, '[');
    size_t start = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] != '\n')
            continue;
        json_begin_text(json, NULL);
        json_text(json, text + start, i - start);
        json_end_text(json);
        start = i + 1;
    }
    if (start < size) {
        json_begin_text(json, NULL);
        json_text(json, text + start, size - start);
        json_end_text(json);
    }
    json_close(json, ']');
}

/// Where the last `lines` lines of a text begin.
static size_t tail(const char *text, size_t size, uint64_t lines)
{
    size_t at = size;
    while (at > 0) {
        if (text[at - 1] == '\n' && at < size && lines-- <= 1)
            return at;
        at--;
    }
    return 0;
}

static void print_text(const char *text, size_t size)
{
    out_sink(NULL, text, size);
    if (size > 0 && text[size - 1] != '\n')
        out("\n");
}

static void run_log(const struct call *call)
{
    uint64_t lines = 0;
    if (call->count == 1 && !call_number(call, 0, "number of lines", UINT32_MAX, &lines))
        return;
    const char *text;
    size_t size = query_text(PV_DEBUG_LOG, 0, &text);
    if (call->count == 1) {
        const size_t start = lines == 0 ? size : tail(text, size, lines);
        text += start;
        size -= start;
    }
    if (!call->json) {
        print_text(text, size);
        return;
    }
    struct json json;
    call_json_begin(&json);
    json_lines(&json, "log", text, size);
    call_json_end(&json);
}

static void run_config(const struct call *call)
{
    const char *text;
    size_t size = query_text(PV_DEBUG_CONFIG, 0, &text);
    if (call->json) {
        struct json json;
        call_json_begin(&json);
        json_begin_text(&json, "text");
        json_text(&json, text, size);
        json_end_text(&json);
        size = query_text(PV_DEBUG_CONFIG, 1, &text);
        json_lines(&json, "errors", text, size);
        call_json_end(&json);
        return;
    }
    print_text(text, size);
    if (size == 0)
        out("(there is no configuration)\n");
    size = query_text(PV_DEBUG_CONFIG, 1, &text);
    if (size == 0)
        return;
    out("\nWhat is wrong with it:\n");
    print_text(text, size);
}

const struct command command_log = {
    .name = "log",
    .arguments = "[LINES] [--json]",
    .summary = "show the multiplexer's log",
    .details =
        "LINES: only so many lines from the end. Each begins with the seconds since the multiplexer was entered.\n",
    .most = 1,
    .json = true,
    .run = run_log,
};

const struct command command_config = {
    .name = "config",
    .arguments = "[--json]",
    .summary = "show the configuration, and what is wrong with it",
    .details = "The text of polyvisor.cfg as it was read at boot.\n",
    .json = true,
    .run = run_config,
};
