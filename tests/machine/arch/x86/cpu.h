// SPDX-License-Identifier: Apache-2.0
/// Stand-in for arch/x86/cpu.h: the same functions, on a machine made of variables (tests/machine/machine.h).
#ifndef POLYVISOR_ARCH_CPU_H
#define POLYVISOR_ARCH_CPU_H

#include <stdbool.h>
#include <stdint.h>

struct cpuid {
    uint32_t eax, ebx, ecx, edx;
};

struct cpuid cpu_cpuid(uint32_t leaf, uint32_t subleaf);
uint64_t cpu_rdmsr(uint32_t msr);
void cpu_wrmsr(uint32_t msr, uint64_t value);
/// Each call takes a few ticks.
uint64_t cpu_rdtsc(void);
uint64_t cpu_read_cr0(void);
void cpu_write_cr0(uint64_t value);
uint64_t cpu_read_cr2(void);
void cpu_write_cr2(uint64_t value);
uint64_t cpu_read_cr3(void);
void cpu_write_cr3(uint64_t value);
uint64_t cpu_read_cr4(void);
void cpu_write_cr4(uint64_t value);
struct __attribute__((packed)) table_pointer {
    uint16_t limit;
    uint64_t base;
};
void cpu_load_gdt(const struct table_pointer *gdt);
/// Somebody waits for another core, which will never come: everything here runs on one thread.
void cpu_pause(void);
/// On the main stack of the core that executes.
uint64_t cpu_stack_pointer(void);

static inline uint64_t cpu_rdtsc_ordered(void)
{
    return cpu_rdtsc();
}

/// value * numerator / denominator through 128 bits; UINT64_MAX when the result does not fit.
static inline uint64_t cpu_scale(uint64_t value, uint64_t numerator, uint64_t denominator)
{
    unsigned __int128 result = (unsigned __int128)value * numerator / denominator;
    return result > UINT64_MAX ? UINT64_MAX : (uint64_t)result;
}

#endif
