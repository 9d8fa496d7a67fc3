// SPDX-License-Identifier: Apache-2.0
/// Extended processor state (x87, SSE, AVX, AVX-512, PKRU): always a guest's, swapped whole when another register file
/// is loaded.
#ifndef POLYVISOR_ARCH_FPU_H
#define POLYVISOR_ARCH_FPU_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/cpu.h"

enum { FPU_AREA_SIZE = 4096 }; ///< a page a register file

/// What this machine has.
extern struct fpu {
    uint64_t features; ///< fpu_features()
    bool optimised;    ///< XSAVEOPT
} fpu;

/// On each core: allows XSAVE and puts XCR0 to fpu_features(). The bootstrap processor also finds out what there is.
void fpu_enable(void);
/// Feature bits that guests may set in XCR0; 0: no XSAVE on this machine.
uint64_t fpu_features(void);
/// Whether a value may be written to XCR0 (SDM Vol. 1 13.3); one that is not faults with #GP.
int fpu_xcr0_valid(uint64_t xcr0);
/// Makes a zeroed page the state after power-up (SDM Vol. 1 13.6: an all-zero header loads initial values).
void fpu_init_area(void *area);
static inline void fpu_write_xcr0(uint64_t value)
{
    __asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static inline void fpu_save(void *area)
{
    if (fpu.optimised) {
        __asm__ volatile("xsaveopt64 (%0)" : : "r"(area), "a"(UINT32_MAX), "d"(UINT32_MAX) : "memory");
    } else if (fpu.features) {
        __asm__ volatile("xsave64 (%0)" : : "r"(area), "a"(UINT32_MAX), "d"(UINT32_MAX) : "memory");
    } else {
        __asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
    }
}

static inline void fpu_load(const void *area)
{
    if (fpu.features) {
        __asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"(UINT32_MAX), "d"(UINT32_MAX) : "memory");
    } else {
        __asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
    }
}

/// Saves the loaded state to one area (NULL: nowhere), then loads another's. *xcr0: what XCR0 holds, updated to
/// new_xcr0.
///
/// Saves and loads with all features on: a feature that the loaded guest has not switched on must neither keep another
/// guest's state in the registers nor lose its own.
static inline void fpu_swap(void *save, const void *load, uint64_t *xcr0, uint64_t new_xcr0)
{
    __asm__ volatile("clts"); // a VM entry or core_hide_fpu sets CR0.TS again
    if (fpu.features && *xcr0 != fpu.features) {
        fpu_write_xcr0(fpu.features);
    }
    if (save) {
        fpu_save(save);
    }
    fpu_load(load);
    if (fpu.features && new_xcr0 != fpu.features) {
        fpu_write_xcr0(new_xcr0);
    }
    *xcr0 = new_xcr0;
}

#endif
