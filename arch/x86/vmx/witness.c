// SPDX-License-Identifier: Apache-2.0
#include "arch/x86/vmx/witness.h"

#include <polyvisor/string.h>

#include "arch/x86/core.h"
#include "arch/x86/paging.h"
#include "arch/x86/registers.h"
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmcs_setup.h"

#define NO_VMCS UINT64_MAX

static uint64_t sum_of_caps(void)
{
    uint64_t sum = 0;
    for (uint32_t msr = MSR_VMX_BASIC; msr <= MSR_VMX_VMFUNC; msr++) {
        uint64_t value = 0;
        sum = (sum << 1 | sum >> 63) + (msr_read_safe(msr, &value) ? value : 0);
    }
    return sum;
}

void vmx_witness_look(struct vmx_witness *witness)
{
    struct cpuid features = cpu_cpuid(1, 0);
    memset(witness, 0, sizeof(*witness));
    witness->cr0 = cpu_read_cr0();
    witness->cr4 = cpu_read_cr4();
    witness->efer = cpu_rdmsr(MSR_EFER);
    witness->feature_control = cpu_rdmsr(MSR_FEATURE_CONTROL);
    witness->caps = sum_of_caps();
    witness->features = features.ecx | (uint64_t)features.edx << 32;
    witness->in_vmx = vmx_try_vmptrst(&witness->vmcs);
    if (witness->in_vmx && witness->vmcs != NO_VMCS) {
        witness->reads_vmcs = vmcs_try_read(VMCS_GUEST_RIP, &witness->vmcs_value);
    }
}

void vmx_witness_load(uint64_t vmcs, uint64_t value)
{
    vmcs_format(phys_to_virt(vmcs));
    vmx_vmclear(vmcs);
    vmx_vmptrld(&vmcs);
    vmcs_write(VMCS_GUEST_RIP, value);
}

void vmx_witness_clear(uint64_t vmcs)
{
    vmx_vmclear(vmcs);
}
