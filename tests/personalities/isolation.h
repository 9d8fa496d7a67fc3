// SPDX-License-Identifier: Apache-2.0
/*
 * What the isolation tests share: each tries what must not work, prints a line 'refused: ...' for everything that was
 * refused and 'NOT refused: ...' for the rest, and exits with code 0 only when all was refused.
 */
#ifndef POLYVISOR_TESTS_ISOLATION_H
#define POLYVISOR_TESTS_ISOLATION_H

#include "vcpu.h"

static uint32_t isolation_failures;

/// Notes whether an attempt was refused.
static inline void isolation_check(bool refused, const char *what, int64_t detail)
{
    isolation_failures += !refused;
    pv_printf("%s: %s (%ld)\n", refused ? "refused" : "NOT refused", what, detail);
}

/// An attempt by system call, which must answer with an error.
static inline void isolation_call(const char *what, int64_t result)
{
    isolation_failures += result >= 0;
    pv_printf("%s: %s (%s)\n", result < 0 ? "refused" : "NOT refused", what,
              result < 0 ? pv_error_name(result) : "accepted");
}

/// What main returns in the end.
static inline int isolation_verdict(void)
{
    pv_printf("%u not refused\n", isolation_failures);
    return isolation_failures != 0;
}

/* ---- a guest to try things with ---- */

/// Code of a guest, `bits` wide, in the syntax of the GNU assembler; it runs at GUEST_CODE_AT. NAME and NAME_end are its ends.
#define GUEST_CODE(name, bits, text)                                                                                   \
    __asm__(".pushsection .rodata\n.code" #bits "\n.globl " #name ", " #name "_end\n" #name ":\n" text "\n" #name      \
            "_end:\n.code64\n.popsection\n");                                                                          \
    extern const char name[], name##_end[]

enum { GUEST_SIZE = 2 << 20, GUEST_TABLES = 0x1000, GUEST_STACK = 0x8000, GUEST_CODE_AT = 0x8000, BUDGET = 2000000 };

struct guest {
    struct pv_guest_memory memory;
    struct pv_vcpu vcpu;
};

enum guest_mode { GUEST_REAL, GUEST_PAGED32, GUEST_LONG };

/// Makes an empty guest. Without one there is nothing to test: false, with a message.
static inline bool guest_open(struct guest *guest)
{
    int64_t result = pv_guest_memory_create(&guest->memory, GUEST_SIZE);
    if (result >= 0)
        result = pv_vcpu_open(&guest->vcpu, guest->memory.space);
    if (result < 0)
        pv_printf("cannot make a guest: %s\n", pv_error_name(result));
    else
        guest->vcpu.state->fill = PV_GROUP_ALL;
    return result >= 0;
}

/// Has the guest start at a piece of code.
static inline void guest_start(struct guest *guest, enum guest_mode mode, const char *code, const char *end)
{
    struct pv_vcpu_state *state = guest->vcpu.state;
    pv_guest_load_image(&guest->memory, GUEST_CODE_AT, code, end);
    if (mode == GUEST_REAL)
        pv_start_real(state, 0, GUEST_CODE_AT, GUEST_STACK);
    else if (mode == GUEST_PAGED32)
        pv_start_paged32(state, &guest->memory, GUEST_TABLES, GUEST_CODE_AT, GUEST_STACK);
    else
        pv_start_long(state, &guest->memory, GUEST_TABLES, GUEST_CODE_AT, GUEST_STACK);
}

/// Runs it to the next delivered exit; its basic reason, or a negative error, or -100 for the end of the budget.
static inline int64_t guest_run(struct guest *guest)
{
    const int64_t result = pv_vcpu_run(guest->vcpu.id, BUDGET);
    if (result == PV_RUN_EXIT)
        return pv_exit_reason(guest->vcpu.state);
    return result < 0 ? result : -100;
}

#endif
