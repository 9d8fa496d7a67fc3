// SPDX-License-Identifier: Apache-2.0
/// Instructions that C has no words for, as the small guests use them, in 16, 32 and 64 bits.
#ifndef POLYVISOR_GUESTS_PROCESSOR_H
#define POLYVISOR_GUESTS_PROCESSOR_H

#include <stdint.h>

static inline void out32(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint32_t in32(uint16_t port)
{
    uint32_t value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline uint64_t rdtsc(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

static inline uint32_t cpuid_ecx(uint32_t leaf)
{
    uint32_t a = leaf, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return c;
}

/// Base and limit of GDTR or IDTR.
struct table_register {
    uint16_t limit;
    uintptr_t base;
} __attribute__((packed));

static inline struct table_register read_gdtr(void)
{
    struct table_register table = {0};
    __asm__ volatile("sgdt %0" : "=m"(table));
    return table;
}

static inline struct table_register read_idtr(void)
{
    struct table_register table = {0};
    __asm__ volatile("sidt %0" : "=m"(table));
    return table;
}

static inline void load_gdtr(const struct table_register *table)
{
    __asm__ volatile("lgdt %0" : : "m"(*table) : "memory");
}

static inline void load_idtr(const struct table_register *table)
{
    __asm__ volatile("lidt %0" : : "m"(*table) : "memory");
}

#define CONTROL_REGISTER(number)                                                                                       \
    static inline uintptr_t read_cr##number(void)                                                                      \
    {                                                                                                                  \
        uintptr_t value;                                                                                               \
        __asm__ volatile("mov %%cr" #number ", %0" : "=r"(value));                                                     \
        return value;                                                                                                  \
    }                                                                                                                  \
    static inline void write_cr##number(uintptr_t value)                                                               \
    {                                                                                                                  \
        __asm__ volatile("mov %0, %%cr" #number : : "r"(value) : "memory");                                            \
    }
CONTROL_REGISTER(0)
CONTROL_REGISTER(3)
CONTROL_REGISTER(4)

/// Only with CR4.OSXSAVE set. As bytes, because in 16 bits assemblers know neither.
static inline uint64_t read_xcr0(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static inline void write_xcr0(uint64_t value)
{
    __asm__ volatile("xsetbv" : : "a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "c"(0) : "memory");
}

static inline void interrupts_on(void)
{
    __asm__ volatile("sti" : : : "memory");
}

static inline void interrupts_off(void)
{
    __asm__ volatile("cli" : : : "memory");
}

/// Waits for an interrupt, which may have come since interrupts were switched off.
static inline void wait_for_interrupt(void)
{
    __asm__ volatile("sti; hlt" : : : "memory");
}

/// The 4 bytes at the base of FS or GS.
static inline uint32_t read_at_fs(void)
{
    uint32_t value;
    __asm__ volatile("movl %%fs:0, %0" : "=r"(value));
    return value;
}

static inline uint32_t read_at_gs(void)
{
    uint32_t value;
    __asm__ volatile("movl %%gs:0, %0" : "=r"(value));
    return value;
}

static inline void load_fs(uint16_t selector)
{
    __asm__ volatile("mov %0, %%fs" : : "r"(selector));
}

static inline void load_gs(uint16_t selector)
{
    __asm__ volatile("mov %0, %%gs" : : "r"(selector));
}

static inline uint16_t read_fs(void)
{
    uint16_t selector;
    __asm__ volatile("mov %%fs, %0" : "=r"(selector));
    return selector;
}

static inline uint16_t read_gs(void)
{
    uint16_t selector;
    __asm__ volatile("mov %%gs, %0" : "=r"(selector));
    return selector;
}

#endif
