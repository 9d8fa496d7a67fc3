// SPDX-License-Identifier: Apache-2.0
/// The terminal on the serial line, as the monitor's virtual console shows it.
#ifndef POLYVISOR_MONITOR_TERMINAL_H
#define POLYVISOR_MONITOR_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// What terminal_read returns besides a byte.
enum { TERMINAL_REDRAW = -1, TERMINAL_FAILED = -2, TERMINAL_TIMEOUT = -3 };

/// Waits for the next byte of input. TERMINAL_REDRAW: the row of the cursor was overwritten, draw it again.
int terminal_read(void);
/// The same until the TSC reaches a deadline: TERMINAL_TIMEOUT. Never TERMINAL_REDRAW: for who draws everything again anyway.
int terminal_read_until(uint64_t deadline);
/// Forgets input that has arrived: the rest of an escape sequence.
void terminal_discard(void);
/// Whether input has arrived that was not read yet.
bool terminal_has_input(void);
/// What is done, while one of these functions waits, when there is something to do for a debugger (PV_EVENT_DEBUGGER).
void terminal_serve_debugger(void (*serve)(void));
/// Waits until the terminal is the shell's again, after it was attached to another console.
void terminal_wait_for_return(void);

#endif
