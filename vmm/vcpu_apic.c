// SPDX-License-Identifier: Apache-2.0
/// The virtual APIC of a vcpu: whose pages it is, and which of its controls are on (docs/vmx.md).
#include "arch/x86/core.h"
#include "arch/x86/layout.h"
#include "arch/x86/paging.h"
#include "arch/x86/vmx/apic_policy.h"
#include "arch/x86/vmx/bitmaps.h"
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmx.h"
#include "vmm/personality.h"
#include "vmm/space.h"
#include "vmm/vcpu.h"
#include "vmm/vcpu_state.h"

_Static_assert((int)VMX_APIC_TPR == (int)PV_APIC_TPR && (int)VMX_APIC_X2APIC == (int)PV_APIC_X2APIC &&
                   (int)VMX_APIC_ACCESSES == (int)PV_APIC_ACCESSES &&
                   (int)VMX_APIC_REGISTERS == (int)PV_APIC_REGISTERS &&
                   (int)VMX_APIC_INTERRUPTS == (int)PV_APIC_INTERRUPTS,
               "enum vmx_apic");

static bool is_page(const struct personality *p, uint64_t offset)
{
    return offset % PAGE_SIZE == 0 && offset < p->pool_size && p->pool_size - offset >= PAGE_SIZE;
}

/// What the processor reads and writes of the fields when the controls are on. The pages stay the personality's for as long as it
/// has its pool, and that is longer than its vcpus.
static void write_fields(struct vcpu *vcpu, uint64_t features, uint64_t page, uint64_t access)
{
    uint64_t memory = vcpu->owner->memory;
    if (features & VMX_APIC_TPR) {
        vmcs_write(VMCS_VIRTUAL_APIC_ADDRESS, memory + page);
        vmcs_write(VMCS_TPR_THRESHOLD, 0);
    }
    if (features & VMX_APIC_ACCESSES) {
        vmcs_write(VMCS_APIC_ACCESS_ADDRESS, memory + access);
    }
    if (features & VMX_APIC_INTERRUPTS) {
        vcpu_write_interrupt_status(vcpu, 0);
        vmcs_write(VMCS_EOI_EXIT_BITMAP_0, 0);
        vmcs_write(VMCS_EOI_EXIT_BITMAP_1, 0);
        vmcs_write(VMCS_EOI_EXIT_BITMAP_2, 0);
        vmcs_write(VMCS_EOI_EXIT_BITMAP_3, 0);
    }
}

/// Translations that the core keeps know whether a page is the APIC-access page (SDM Vol. 3C 29.4.4).
static void forget_translations(struct vcpu *vcpu)
{
    vmx_invept(ept_pointer(&vcpu->space->ept));
    vcpu->flush_vpid = true;
}

int64_t vcpu_apic(struct regs *regs, uint64_t number, uint64_t features, uint64_t page, uint64_t access, uint64_t a4)
{
    (void)a4;
    struct agent *agent = agent_of(regs);
    struct vcpu *vcpu = vcpu_of(agent, number);
    if (!vcpu) {
        return vcpu_why_not(agent, number);
    }
    if (!vmx_apic_valid(features) || ((features & VMX_APIC_TPR) && !is_page(vcpu->owner, page)) ||
        ((features & VMX_APIC_ACCESSES) && !is_page(vcpu->owner, access))) {
        return PV_ERR_INVALID;
    }
    if (!vmx_apic_supported(&vmx_caps, features)) {
        return PV_ERR_UNSUPPORTED;
    }
    // First of all no MSR of the core's APIC is open: msr_allow opens those that the new controls take.
    if (vcpu->has_msr_bitmap) {
        msr_bitmap_set(phys_to_virt(vcpu->msr_bitmap), X2APIC_FIRST_MSR, X2APIC_MSRS, BITMAP_NONE);
    }
    vcpu_open_vmcs(vcpu->core, vcpu);
    write_fields(vcpu, features, page, access);
    vcpu->primary = vmx_apic_primary(features, vcpu->primary);
    vcpu->secondary = vmx_apic_secondary(features, vcpu->secondary);
    vmcs_write(VMCS_PRIMARY_CONTROLS, vcpu->primary);
    vmcs_write(VMCS_SECONDARY_CONTROLS, vcpu->secondary);
    if ((features | vcpu->apic) & VMX_APIC_ACCESSES) {
        forget_translations(vcpu);
    }
    vcpu->apic = (uint32_t)features;
    return PV_OK;
}
