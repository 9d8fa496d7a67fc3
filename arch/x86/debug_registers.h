// SPDX-License-Identifier: Apache-2.0
/// DR0 to DR3 and DR6, which VM entry and exit leave alone (DR7 is in the VMCS). Ring 0 does not use them.
#ifndef POLYVISOR_ARCH_DEBUG_REGISTERS_H
#define POLYVISOR_ARCH_DEBUG_REGISTERS_H

#include <stdint.h>

static inline void debug_registers_save(uint64_t address[4], uint64_t *dr6)
{
    __asm__ volatile("mov %%dr0, %0" : "=r"(address[0]));
    __asm__ volatile("mov %%dr1, %0" : "=r"(address[1]));
    __asm__ volatile("mov %%dr2, %0" : "=r"(address[2]));
    __asm__ volatile("mov %%dr3, %0" : "=r"(address[3]));
    __asm__ volatile("mov %%dr6, %0" : "=r"(*dr6));
}

static inline void debug_registers_load(const uint64_t address[4], uint64_t dr6)
{
    __asm__ volatile("mov %0, %%dr0" : : "r"(address[0]));
    __asm__ volatile("mov %0, %%dr1" : : "r"(address[1]));
    __asm__ volatile("mov %0, %%dr2" : : "r"(address[2]));
    __asm__ volatile("mov %0, %%dr3" : : "r"(address[3]));
    __asm__ volatile("mov %0, %%dr6" : : "r"(dr6));
}

/// Adds the causes of a debug exception to DR6; bits as in the exit qualification of a #DB exit (SDM Vol. 3C table
/// 28-1).
static inline void debug_registers_raise(uint64_t causes)
{
    uint64_t dr6;
    __asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
    __asm__ volatile("mov %0, %%dr6" : : "r"(dr6 | (causes & 0x600f)));
}

#endif
