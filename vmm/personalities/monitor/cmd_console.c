// SPDX-License-Identifier: Apache-2.0
// attach, console: other personalities' consoles.
#include "commands.h"
#include "out.h"
#include "personality.h"
#include "query.h"
#include "terminal.h"

static void run_attach(const struct call *call)
{
    const struct pv_personality_info *personality = call_personality(call, 0);
    if (personality == NULL)
        return;
    const uint32_t id = personality->id;
    if (id == call->info->id) {
        call_fail(call, "this is the console of %s already", call->arguments[0]);
        return;
    }
    out("attached to %s; Ctrl-] returns to the shell\n", call->arguments[0]);
    out_end();                                 // before the terminal is somebody else's
    pv_event_wait(PV_EVENT_CONSOLE_REDRAW, 0); // an old one would look like the return
    const int64_t result = pv_debug(PV_DEBUG_ATTACH, id, 0, NULL, 0);
    if (result < 0)
        call_fail_error(call, call->arguments[0], result);
    else
        terminal_wait_for_return();
}

/// Kept output without what could act on the terminal: it may make the terminal answer, which would be typed into the shell.
static void out_harmless(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const unsigned char byte = (unsigned char)text[i];
        const bool control = (byte < ' ' && byte != '\n' && byte != '\t') || (byte >= 0x7f && byte < 0xa0);
        if (byte != '\r')
            out_sink(NULL, control ? "." : text + i, 1);
    }
}

static void run_console(const struct call *call)
{
    const struct pv_personality_info *personality = call_personality(call, 0);
    if (personality == NULL)
        return;
    const uint64_t dropped = personality->console_dropped, overwritten = personality->console_overwritten;
    const char *text;
    const size_t size = query_text(PV_DEBUG_CONSOLE, personality->id, &text);
    if (!call->json) {
        if (overwritten > 0)
            out("(%lu bytes before this are overwritten)\n", (unsigned long)overwritten);
        out_harmless(text, size);
        if (size > 0 && text[size - 1] != '\n')
            out("\n");
        return;
    }
    struct json json;
    call_json_begin(&json);
    json_string(&json, "personality", call->arguments[0]);
    json_number(&json, "dropped", dropped);
    json_number(&json, "overwritten", overwritten);
    json_begin_text(&json, "text");
    json_text(&json, text, size);
    json_end_text(&json);
    call_json_end(&json);
}

const struct command command_attach = {
    .name = "attach",
    .arguments = "NAME",
    .summary = "make the terminal the console of a personality",
    .details = "What is typed goes there until Ctrl-] returns to the shell.\n",
    .least = 1,
    .most = 1,
    .run = run_attach,
    .candidate = candidate_personality,
};

const struct command command_console = {
    .name = "console",
    .arguments = "NAME [--json]",
    .summary = "show the output of a personality that was kept",
    .details = "The newest 32 KiB are kept, also of a personality that has ended; what was before is counted.\n",
    .least = 1,
    .most = 1,
    .json = true,
    .run = run_console,
    .candidate = candidate_personality,
};
