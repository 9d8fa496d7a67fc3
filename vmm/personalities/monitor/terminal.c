// SPDX-License-Identifier: Apache-2.0
#include "terminal.h"

#include "personality.h"

enum { INPUT_SIZE = 128 };

static char input[INPUT_SIZE];
static size_t input_next, input_end;

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
        const int64_t events = pv_event_wait(PV_EVENT_CONSOLE_INPUT | PV_EVENT_CONSOLE_REDRAW, PV_NO_DEADLINE);
        if (events < 0)
            return TERMINAL_FAILED;
        if (events & PV_EVENT_CONSOLE_REDRAW)
            return TERMINAL_REDRAW;
    }
}

void terminal_wait_for_return(void)
{
    pv_event_wait(PV_EVENT_CONSOLE_REDRAW, PV_NO_DEADLINE);
}
