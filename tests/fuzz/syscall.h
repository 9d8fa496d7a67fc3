// SPDX-License-Identifier: Apache-2.0
/// The parts of fuzz_syscall.c.
#ifndef POLYVISOR_TESTS_SYSCALL_H
#define POLYVISOR_TESTS_SYSCALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine.h"

struct personality;

/* ---- syscall_input.c: bytes into things worth trying ---- */

struct input {
    const uint8_t *data;
    size_t size;
};
/// 0 at the end.
uint8_t input_byte(struct input *in);
uint64_t input_bytes(struct input *in, unsigned bytes);
/// Mostly below a limit, sometimes anything.
uint64_t input_number(struct input *in, uint64_t limit);
/// Any value; those at which something changes are likely.
uint64_t input_value(struct input *in);
/// Multiples of a page, mostly, of a few pages or in the neighbourhood of a limit.
uint64_t input_pages(struct input *in, uint64_t limit);
/// A pointer of ring 3's, good or bad, to `bytes` bytes.
uint64_t input_pointer(struct input *in, const struct personality *p, uint64_t bytes);

/* ---- syscall_calls.c ---- */

/// The current agent of a core, which is in ring 3, does something.
void do_call(uint32_t core, struct input *in);
/// At the beginning of an input.
void forget_unfinished(void);

/* ---- syscall_exits.c ---- */

/// The guest that a core is in does something.
void do_exit(uint32_t core, struct input *in);

/* ---- syscall_check.c ---- */

/// The objects of one personality are its own, paid for, and as the design wants them.
void check_personality(const struct personality *p);
/// All, and what they have in common.
void check_all(void);
/// The guests that run at this moment may go on.
void check_cores(void);
/// A number that stands for everything that a failed call of a personality must not change.
uint64_t state_of(const struct personality *p);

#endif
