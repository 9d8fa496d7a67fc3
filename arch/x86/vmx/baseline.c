// SPDX-License-Identifier: Apache-2.0
#include "arch/x86/vmx/baseline.h"

#include <stddef.h>

#include "arch/x86/core.h"
#include "arch/x86/registers.h"
#include "arch/x86/vmx/vmcs.h"
#include "vmm/panic.h"

_Static_assert(offsetof(struct baseline_entry, core) == 0 && offsetof(struct baseline_entry, vcpu) == 8 &&
                   offsetof(struct baseline_entry, gprs) == 16 && offsetof(struct baseline_entry, refused) == 24,
               "baseline.asm");

__attribute__((noinline)) void baseline_vmx_off_and_on(struct core *core)
{
    bool failed;
    uint64_t cr4 = cpu_read_cr4();
    vmx_count(2);
    __asm__ volatile("vmxoff" : : : "memory", "cc");
    core->state = PV_CORE_NO_VMX; // the other cores' shells are told the truth at every moment
    core->vmxoff_count++;
    cpu_write_cr4(cr4 & ~CR4_VMXE);
    cpu_write_cr4(cr4);
    __asm__ volatile("vmxon %1" : "=@ccbe"(failed) : "m"(core->vmxon_region) : "memory");
    if (failed) {
        panic("baseline: VMXON failed after VMXOFF on core %u", core->id);
    }
    core->state = PV_CORE_VMX;
    core->vmxon_count++;
}
