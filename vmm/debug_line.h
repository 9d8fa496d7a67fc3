// SPDX-License-Identifier: Apache-2.0
/// COM2 as the debugger's line: bytes for whoever has the debug capability and opened it. It is polled: nobody has it in normal
/// operation, and a debugger's bytes can wait for a millisecond.
#ifndef POLYVISOR_DEBUG_LINE_H
#define POLYVISOR_DEBUG_LINE_H

#include <stdbool.h>

/// Moves bytes both ways. False: the line is closed. Any core.
bool debug_line_poll(void);

#endif
