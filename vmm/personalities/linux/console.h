// SPDX-License-Identifier: Apache-2.0
/// The personality's console behind the guest's UART: output is gathered to lines, so that several personalities' do not mix.
#ifndef POLYVISOR_LINUX_CONSOLE_H
#define POLYVISOR_LINUX_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

enum { CONSOLE_OUTPUT = 256, CONSOLE_INPUT = 64 };

struct console {
    char output[CONSOLE_OUTPUT];
    size_t used;
    uint64_t patience; ///< ticks that output may wait for the rest of its line
    uint64_t flush_at; ///< when what waits has waited so long; UINT64_MAX: nothing waits
    char input[CONSOLE_INPUT];
    uint32_t input_next, input_end;
};

/// Empty, with a patience.
void console_init(struct console *console, uint64_t patience);
/// A byte of output.
void console_put(struct console *console, char byte);
/// Hands over what waits.
void console_flush(struct console *console);
/// The next byte of input, or -1.
int console_get(struct console *console);

#endif
