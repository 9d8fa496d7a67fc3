// SPDX-License-Identifier: Apache-2.0
/// Extended processor state (x87, SSE, AVX, AVX-512, PKRU): always a guest's, swapped whole when another register file
/// is loaded.
#ifndef POLYVISOR_ARCH_FPU_H
#define POLYVISOR_ARCH_FPU_H

#include <stdbool.h>
#include <stdint.h>

enum { FPU_AREA_SIZE = 4096 }; ///< a page a register file

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
    __asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)value), "d"(0)); // no feature above bit 31 is allowed
}

extern uint64_t fpu_all_features;
extern bool fpu_optimised; ///< there is XSAVEOPT

/// Saves the loaded state to one area (NULL: nowhere), then loads another's. *xcr0: what XCR0 holds, updated to new_xcr0. With all
/// features on meanwhile: one that the loaded guest has not switched on must neither keep another guest's state in the
/// registers nor lose its own.
void fpu_swap(void *save, const void *load, uint64_t *xcr0, uint64_t new_xcr0);

/// fpu_swap where there is XSAVEOPT. The areas are looked up when they are needed: so no registers have to be kept for them.
static inline void fpu_swap_optimised(void *const *save, void *const *load, uint64_t *xcr0, uint64_t new_xcr0)
{
    uint64_t all = fpu_all_features;
    __asm__ volatile("clts");
    if (*xcr0 != all) {
        fpu_write_xcr0(all);
        *xcr0 = all;
    }
    __asm__ volatile("xsaveopt64 (%0)" : : "r"(*save), "a"(UINT32_MAX), "d"(UINT32_MAX) : "memory");
    __asm__ volatile("xrstor64 (%0)" : : "r"(*load), "a"(UINT32_MAX), "d"(UINT32_MAX) : "memory");
    if (new_xcr0 != all) {
        fpu_write_xcr0(new_xcr0);
        *xcr0 = new_xcr0;
    }
}

#endif
