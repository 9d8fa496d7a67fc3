// SPDX-License-Identifier: Apache-2.0
/// Stand-in for arch/x86/fpu.h. One number stands for all registers; it is kept in the area where XSAVE would put
/// the upper halves of YMM0.
#ifndef POLYVISOR_ARCH_FPU_H
#define POLYVISOR_ARCH_FPU_H

#include <stdbool.h>
#include <stdint.h>

enum { FPU_AREA_SIZE = 4096 };

extern uint64_t fpu_all_features;
extern bool fpu_optimised;

uint64_t fpu_features(void);
int fpu_xcr0_valid(uint64_t xcr0);
void fpu_init_area(void *area);
void fpu_write_xcr0(uint64_t value);
void fpu_swap(void *save, const void *load, uint64_t *xcr0, uint64_t new_xcr0);

static inline void fpu_swap_optimised(void *const *save, void *const *load, uint64_t *xcr0, uint64_t new_xcr0)
{
    fpu_swap(*save, *load, xcr0, new_xcr0);
}

#endif
