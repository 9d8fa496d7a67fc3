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

struct fpu fpu;

void fpu_enable(void)
{
    if (!(cpu_cpuid(1, 0).ecx & CPUID_1_ECX_XSAVE)) {
        return;
    }
    cpu_write_cr4(cpu_read_cr4() | CR4_OSXSAVE);
    struct cpuid d = cpu_cpuid(CPUID_XSTATE, 0);
    fpu.features = (d.eax | (uint64_t)d.edx << 32) & XCR0_KNOWN;
    fpu.optimised = cpu_cpuid(CPUID_XSTATE, 1).eax & 1;
    fpu_write_xcr0(fpu.features);
}

uint64_t fpu_features(void)
{
    return fpu.features;
}

int fpu_xcr0_valid(uint64_t xcr0)
{
    bool avx512 = xcr0 & XCR0_AVX512;
    return (xcr0 & XCR0_X87) && !(xcr0 & ~fpu.features) && (!(xcr0 & XCR0_AVX) || (xcr0 & XCR0_SSE)) &&
           (!avx512 || ((xcr0 & XCR0_AVX512) == XCR0_AVX512 && (xcr0 & XCR0_AVX)));
}

void fpu_init_area(void *area)
{
    // Also right for FXRSTOR, which has no header that says 'initial values'.
    *(uint16_t *)area = FCW_DEFAULT;
    *(uint32_t *)((char *)area + MXCSR_OFFSET) = MXCSR_DEFAULT;
}
