// SPDX-License-Identifier: Apache-2.0
/// The end of the multiplexer: says why, stops the other cores, stays in a small console on the serial line.
#ifndef POLYVISOR_PANIC_H
#define POLYVISOR_PANIC_H

#include <stdbool.h>

struct ring0_frame;

/// For what must not happen. Prints the reason, registers and a backtrace of every core, then takes commands.
_Noreturn void panic(const char *format, ...) __attribute__((format(printf, 1, 2)));
/// The same for an exception in ring 0, with its registers.
_Noreturn void panic_with_frame(struct ring0_frame *frame, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/// Whether a panic runs on some core.
bool panic_running(void);
/// Called by the NMI that a panic sends: keeps the registers for `regs` and parks the core.
_Noreturn void panic_park(struct ring0_frame *frame);

#define ASSERT(condition)                                                                                              \
    ((condition) ? (void)0 : panic("assertion failed: %s (%s:%d)", #condition, __FILE__, __LINE__))

#endif
