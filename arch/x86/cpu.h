// SPDX-License-Identifier: Apache-2.0
/// The processor's instructions that C cannot express, one inline function each.
#ifndef POLYVISOR_ARCH_CPU_H
#define POLYVISOR_ARCH_CPU_H

#include <stdbool.h>
#include <stdint.h>

struct cpuid {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpu_cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid r;
    __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}

static inline uint64_t cpu_rdmsr(uint32_t msr)
{
    uint64_t low, high; // the processor clears their upper halves
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return high << 32 | low;
}

static inline void cpu_wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

/// Time-stamp counter, after all earlier instructions (LFENCE orders RDTSC, SDM Vol. 2B RDTSC).
static inline uint64_t cpu_rdtsc_ordered(void)
{
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

static inline uint64_t cpu_rdtsc(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/// value * numerator / denominator through 128 bits; UINT64_MAX when the result does not fit.
static inline uint64_t cpu_scale(uint64_t value, uint64_t numerator, uint64_t denominator)
{
    uint64_t low, high;
    __asm__("mulq %3" : "=a"(low), "=d"(high) : "a"(value), "r"(numerator) : "cc");
    if (high >= denominator) { // DIV would fault
        return UINT64_MAX;
    }
    __asm__("divq %2" : "+a"(low), "+d"(high) : "r"(denominator) : "cc");
    return low;
}

static inline void cpu_out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void cpu_out16(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline void cpu_out32(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t cpu_in8(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint16_t cpu_in16(uint16_t port)
{
    uint16_t value;
    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint32_t cpu_in32(uint16_t port)
{
    uint32_t value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

#define CPU_CONTROL_REGISTER(n)                                                                                        \
    static inline uint64_t cpu_read_cr##n(void)                                                                        \
    {                                                                                                                  \
        uint64_t value;                                                                                                \
        __asm__ volatile("mov %%cr" #n ", %0" : "=r"(value));                                                          \
        return value;                                                                                                  \
    }                                                                                                                  \
    static inline void cpu_write_cr##n(uint64_t value)                                                                 \
    {                                                                                                                  \
        __asm__ volatile("mov %0, %%cr" #n : : "r"(value) : "memory");                                                 \
    }
CPU_CONTROL_REGISTER(0)
CPU_CONTROL_REGISTER(2)
CPU_CONTROL_REGISTER(3)
CPU_CONTROL_REGISTER(4)
#undef CPU_CONTROL_REGISTER

/// The operand of LGDT and LIDT (SDM Vol. 3A 3.5.1).
struct __attribute__((packed)) table_pointer {
    uint16_t limit;
    uint64_t base;
};

static inline void cpu_load_gdt(const struct table_pointer *gdt)
{
    __asm__ volatile("lgdt %0" : : "m"(*gdt));
}

static inline void cpu_pause(void)
{
    __asm__ volatile("pause" : : : "memory");
}

static inline void cpu_halt(void)
{
    __asm__ volatile("hlt" : : : "memory");
}

static inline void cpu_interrupts_off(void)
{
    __asm__ volatile("cli" : : : "memory");
}

static inline uint64_t cpu_stack_pointer(void)
{
    uint64_t value;
    __asm__ volatile("mov %%rsp, %0" : "=r"(value));
    return value;
}

static inline uint64_t cpu_frame_pointer(void)
{
    return (uint64_t)__builtin_frame_address(0);
}

#endif
