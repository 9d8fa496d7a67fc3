// SPDX-License-Identifier: Apache-2.0
#include "terminal.h"

#include "personality.h"

enum { INPUT_SIZE = 128 };

static char input[INPUT_SIZE];
static size_t input_next, input_end;
static void (*serve_debugger)(void);

void terminal_serve_debugger(void (*serve)(void))
{
    serve_debugger = serve;
}

/// pv_event_wait, with the debugger served meanwhile.
static int64_t wait(uint64_t mask, uint64_t deadline)
{
    if (serve_debugger == NULL)
        return pv_event_wait(mask, deadline);
    for (;;) {
        const int64_t events = pv_event_wait(mask | PV_EVENT_DEBUGGER, deadline);
        if (events > 0 && (events & PV_EVENT_DEBUGGER))
            serve_debugger();
        if (events < 0 || (events & (int64_t)mask) != 0)
            return events < 0 ? events : events & (int64_t)mask;
    }
}

/// Fetches what has arrived. False when nothing has, or an error is returned for ever.
static bool fetch(void)
{
    const int64_t got = pv_console_read(input, sizeof(input));
    input_next = 0;
    input_end = got > 0 ? (size_t)got : 0;
    return input_end > 0;
}

bool terminal_has_input(void)
{
    return input_next < input_end || fetch();
}

int terminal_read(void)
{
    for (;;) {
        // First: what is typed belongs behind a prompt, also when both came at once.
        if (pv_event_wait(PV_EVENT_CONSOLE_REDRAW, 0) > 0)
            return TERMINAL_REDRAW;
        if (terminal_has_input())
            return (unsigned char)input[input_next++];
        const int64_t events = wait(PV_EVENT_CONSOLE_INPUT | PV_EVENT_CONSOLE_REDRAW, PV_NO_DEADLINE);
        if (events < 0)
            return TERMINAL_FAILED;
        if (events & PV_EVENT_CONSOLE_REDRAW)
            return TERMINAL_REDRAW;
    }
}

int terminal_read_until(uint64_t deadline)
{
    while (!terminal_has_input()) {
        const int64_t events = wait(PV_EVENT_CONSOLE_INPUT, deadline);
        if (events == PV_ERR_TIMEOUT)
            return TERMINAL_TIMEOUT;
        if (events < 0)
            return TERMINAL_FAILED;
    }
    return (unsigned char)input[input_next++];
}

void terminal_discard(void)
{
    while (terminal_has_input())
        input_next = input_end;
}

void terminal_wait_for_return(void)
{
    wait(PV_EVENT_CONSOLE_REDRAW, PV_NO_DEADLINE);
}
