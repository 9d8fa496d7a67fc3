// SPDX-License-Identifier: Apache-2.0
#include "console.h"

#include "personality.h"

void console_flush(struct console *console)
{
    if (console->used > 0)
        pv_console_write(console->output, console->used, PV_CONSOLE_RAW);
    console->used = 0;
}

void console_put(struct console *console, char byte)
{
    console->output[console->used++] = byte;
    if (byte == '\n' || console->used == CONSOLE_OUTPUT)
        console_flush(console);
}

int console_get(struct console *console)
{
    if (console->input_next == console->input_end) {
        const int64_t got = pv_console_read(console->input, sizeof(console->input));
        console->input_next = 0;
        console->input_end = got > 0 ? (uint32_t)got : 0;
        if (got <= 0)
            return -1;
    }
    return (unsigned char)console->input[console->input_next++];
}
