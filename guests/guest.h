// SPDX-License-Identifier: Apache-2.0
/*
 * A small guest: plays rounds without end. Every round fills all that it can reach of its processor and some memory with
 * values made from its seed, works a while, with and without exits, and then looks whether everything is still there.
 * guest.c is the part that is the same in all modes.
 */
#ifndef POLYVISOR_GUESTS_GUEST_H
#define POLYVISOR_GUESTS_GUEST_H

#include <stdint.h>

#include "context.h"
#include "protocol.h"

/// Entry from assembly, on the stack that the personality gave.
_Noreturn void guest_main(void);
/// Entry from assembly for every interrupt and exception, with interrupts off; returns to where it came from.
void on_interrupt(uint32_t vector, uintptr_t address);

/// The seed's number `index` of a kind, in the present round.
uint64_t guest_value(const struct context *context, enum guest_error kind, uint32_t index);
/// Tells the personality when a value is not what it should be.
void expect(enum guest_error kind, uint32_t index, uint64_t found, uint64_t expected);

/// Pieces of memory that segment bases point to, to see where a base points.
enum { SLOTS = 32 };
struct slot {
    uint32_t value;
    uint32_t filler[3];
};
extern struct slot slots[SLOTS];

/* ---- what each mode has of its own ---- */

extern uint8_t interrupt_stubs[];

/// Sets up interrupt tables and the like; returns this vcpu's context.
struct context *mode_init(uint32_t cpu);
/// This vcpu's context.
struct context *mode_context(void);
/// Fills segment registers and MSRs, and looks at them when the round is over.
void mode_prepare(struct context *context);
void mode_check(const struct context *context);
/// What the vcpus of a guest do together, once a round.
void mode_meet(struct context *context);

#endif
