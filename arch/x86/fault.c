// SPDX-License-Identifier: Apache-2.0
#include "arch/x86/fault.h"

#ifdef POLYVISOR_DEBUG
#include <stdint.h>

#include "arch/x86/apic.h"
#include "arch/x86/core.h"

void fault_page(void)
{
    *(volatile uint64_t *)0xdeadbee8 = 1;
}

void fault_divide(void)
{
    __asm__ volatile("xor %%edx, %%edx; xor %%ecx, %%ecx; div %%ecx" : : : "rax", "rcx", "rdx", "cc");
}

void fault_stack(void)
{
    __asm__ volatile("1: push %%rax; jmp 1b" : : : "memory");
}

void fault_invalid_opcode(void)
{
    __asm__ volatile("ud2");
}

void fault_nmi(void)
{
    apic_send_nmi(core_self()->apic_id);
}
#endif
