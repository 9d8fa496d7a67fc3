// SPDX-License-Identifier: Apache-2.0
#include "arch/x86/fpu.h"

#include <stdbool.h>

#include "arch/x86/cpu.h"
#include "arch/x86/registers.h"

enum {
    XCR0_X87 = 1 << 0,
    XCR0_SSE = 1 << 1,
    XCR0_AVX = 1 << 2,
    XCR0_AVX512 = 7 << 5,
    XCR0_PKRU = 1 << 9,
    XCR0_KNOWN = XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512 | XCR0_PKRU, // together they fit a page
    CPUID_XSTATE = 0xd,
    MXCSR_OFFSET = 24,
    MXCSR_DEFAULT = 0x1f80,
    FCW_DEFAULT = 0x37f,
    FXSAVE_SIZE = 512,
};

uint64_t fpu_all_features;
bool fpu_optimised; // XSAVEOPT

void fpu_enable(void)
{
    if (!(cpu_cpuid(1, 0).ecx & CPUID_1_ECX_XSAVE)) {
        return;
    }
    cpu_write_cr4(cpu_read_cr4() | CR4_OSXSAVE);
    struct cpuid d = cpu_cpuid(CPUID_XSTATE, 0);
    fpu_all_features = (d.eax | (uint64_t)d.edx << 32) & XCR0_KNOWN;
    fpu_optimised = cpu_cpuid(CPUID_XSTATE, 1).eax & 1;
    fpu_write_xcr0(fpu_all_features);
}

uint64_t fpu_features(void)
{
    return fpu_all_features;
}

int fpu_xcr0_valid(uint64_t xcr0)
{
    bool avx512 = xcr0 & XCR0_AVX512;
    return (xcr0 & XCR0_X87) && !(xcr0 & ~fpu_all_features) && (!(xcr0 & XCR0_AVX) || (xcr0 & XCR0_SSE)) &&
           (!avx512 || ((xcr0 & XCR0_AVX512) == XCR0_AVX512 && (xcr0 & XCR0_AVX)));
}

void fpu_init_area(void *area)
{
    // Also right for FXRSTOR, which has no header that says 'initial values'.
    *(uint16_t *)area = FCW_DEFAULT;
    *(uint32_t *)((char *)area + MXCSR_OFFSET) = MXCSR_DEFAULT;
}

static void save_state(void *area)
{
    if (fpu_optimised) {
        __asm__ volatile("xsaveopt64 (%0)" : : "r"(area), "a"(UINT32_MAX), "d"(UINT32_MAX) : "memory");
    } else if (fpu_all_features) {
        __asm__ volatile("xsave64 (%0)" : : "r"(area), "a"(UINT32_MAX), "d"(UINT32_MAX) : "memory");
    } else {
        __asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
    }
}

static void load_state(const void *area)
{
    if (fpu_all_features) {
        __asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"(UINT32_MAX), "d"(UINT32_MAX) : "memory");
    } else {
        __asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
    }
}

void fpu_swap(void *save, const void *load, uint64_t *xcr0, uint64_t new_xcr0)
{
    __asm__ volatile("clts"); // a VM entry or core_hide_fpu sets CR0.TS again
    if (fpu_all_features && *xcr0 != fpu_all_features) {
        fpu_write_xcr0(fpu_all_features);
    }
    if (save) {
        save_state(save);
    }
    load_state(load);
    if (fpu_all_features && new_xcr0 != fpu_all_features) {
        fpu_write_xcr0(new_xcr0);
    }
    *xcr0 = new_xcr0;
}
