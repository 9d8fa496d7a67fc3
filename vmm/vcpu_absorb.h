// SPDX-License-Identifier: Apache-2.0
#ifndef POLYVISOR_VMM_VCPU_ABSORB_H
#define POLYVISOR_VMM_VCPU_ABSORB_H

#include "arch/x86/registers.h"
#include "arch/x86/vmx/event.h"
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmx.h"
#include "vmm/vcpu.h"
#include "vmm/vcpu_table.h"

/// Goes on behind an instruction that the multiplexer has carried out, as the processor would: blocking by STI and MOV
/// SS ends, and single-stepping traps (SDM Vol. 3C 25.4.2, 33.2).
static inline void skip_instruction(void)
{
    vmcs_write(VMCS_GUEST_RIP, vmcs_read(VMCS_GUEST_RIP) + vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH));
    uint64_t blocking = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);
    if (blocking & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)) {
        vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, blocking & ~(uint64_t)(INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS));
    }
    if (vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_TF) {
        vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, vmcs_read(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS) | BIT(14)); // BS
    }
}

enum { OSXSAVE_SHIFT = 9 }; ///< from CR4 to CPUID
_Static_assert(CR4_OSXSAVE << OSXSAVE_SHIFT == (uint64_t)CPUID_OSXSAVE, "SDM Vol. 2A CPUID");

/// MSRs that the multiplexer keeps copies of, and so writes itself.
static inline bool is_syscall_msr(uint32_t msr)
{
    return (msr >= MSR_STAR && msr <= MSR_SFMASK && msr != MSR_CSTAR) || msr == MSR_TSC_AUX;
}

static inline bool absorb_cpuid(struct vcpu *vcpu)
{
    uint64_t *gpr = vcpu->gprs;
    uint32_t leaf = (uint32_t)gpr[PV_RAX], subleaf = (uint32_t)gpr[PV_RCX];
    const struct pv_cpuid_entry *e = vcpu_table_cpuid(vcpu, leaf, subleaf);
    if (!e) {
        return false;
    }
    uint32_t ecx = e->ecx;
    if (leaf == CPUID_FEATURES) {
        ecx |= ((uint32_t)vmcs_read(VMCS_GUEST_CR4) & (uint32_t)CR4_OSXSAVE) << OSXSAVE_SHIFT;
    }
    gpr[PV_RAX] = e->eax;
    gpr[PV_RBX] = e->ebx;
    gpr[PV_RCX] = ecx;
    gpr[PV_RDX] = e->edx;
    skip_instruction();
    return true;
}

#endif
