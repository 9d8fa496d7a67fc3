// SPDX-License-Identifier: Apache-2.0
/*
 * What one vcpu of a small guest fills its registers with, and what it found in them afterwards. The assembly reads and
 * writes it by the offsets in context.inc, so the layout is the same in 16, 32 and 64 bits.
 */
#ifndef POLYVISOR_GUESTS_CONTEXT_H
#define POLYVISOR_GUESTS_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

enum { GPRS = 16, DRS = 4, VECTORS = 16, FX_SIZE = 512 };

/// The memory image of FXSAVE (SDM Vol. 1 table 10-2).
struct fx {
    uint16_t fcw, fsw;
    uint8_t ftw, reserved;
    uint16_t fop;
    uint32_t fip[2], fdp[2];
    uint32_t mxcsr, mxcsr_mask;
    uint8_t st[8][16]; ///< 10 bytes each
    uint64_t xmm[VECTORS][2];
    uint8_t unused[96];
};

struct context {
    uint64_t gpr[GPRS]; ///< 0x000
    uint64_t gpr_found[GPRS];
    uint64_t dr[DRS]; ///< 0x100
    uint64_t dr_found[DRS];
    uint64_t cr2, cr2_found; ///< 0x140
    uint64_t spins;          ///< 0x150: how long the stretches without exits are
    uint64_t spins_left;
    uint64_t halt; ///< 0x160: nonzero: wait for an interrupt as well
    uint64_t leaf; ///< 0x168: what to ask CPUID
    uint64_t port, port_value;
    uint64_t msr; ///< 0x180: what to ask RDMSR
    uint32_t cpuid_found[4];
    uint32_t msr_found[2];
    uint64_t stack;              ///< 0x1a0
    uint64_t flags, flags_found; ///< 0x1a8
    uint64_t avx;                ///< 0x1b8: whether the upper halves can be used
    uint64_t self;               ///< 0x1c0: where this structure is
    uint64_t reserved[7];
    struct fx fx; ///< 0x200
    struct fx fx_found;
    uint64_t ymm[VECTORS][2]; ///< 0x600: upper halves
    uint64_t ymm_found[VECTORS][2];

    /* from here on only for C */
    uint32_t seed;
    uint32_t cpu, cpus;
    uint64_t round;
    uint64_t tsc;
    volatile uint32_t ticks; ///< timer interrupts taken
    volatile uint32_t ipis;  ///< interrupts from other vcpus taken
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct fx) == FX_SIZE, "FXSAVE writes 512 bytes");
_Static_assert(offsetof(struct context, dr) == 0x100, "context.inc");
_Static_assert(offsetof(struct context, cr2) == 0x140, "context.inc");
_Static_assert(offsetof(struct context, leaf) == 0x168, "context.inc");
_Static_assert(offsetof(struct context, msr) == 0x180, "context.inc");
_Static_assert(offsetof(struct context, cpuid_found) == 0x188, "context.inc");
_Static_assert(offsetof(struct context, msr_found) == 0x198, "context.inc");
_Static_assert(offsetof(struct context, flags) == 0x1a8, "context.inc");
_Static_assert(offsetof(struct context, self) == 0x1c0, "context.inc");
_Static_assert(offsetof(struct context, fx) == 0x200, "context.inc");
_Static_assert(offsetof(struct context, ymm_found) == 0x700, "context.inc");

/* ---- assembly: exercise32.asm, exercise64.asm ---- */

/// Loads FPU, vector and debug registers and CR2 from the context of this vcpu; they stay loaded while C code runs.
void load_state(void);
/// Stores them into its *_found members.
void store_state(void);
/// Fills the general registers, spins, writes a port, executes CPUID, RDMSR and perhaps HLT, and stores what the
/// registers hold in the end.
void exercise(void);

#endif
