// SPDX-License-Identifier: Apache-2.0
#include "arch/x86/vmx/vmcs_setup.h"

#include <polyvisor/string.h>

#include "arch/x86/core.h"
#include "arch/x86/paging.h"
#include "arch/x86/registers.h"
#include "arch/x86/vmx/bitmaps.h"
#include "arch/x86/vmx/caps.h"
#include "arch/x86/vmx/controls.h"
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmx.h"

uint64_t vmcs_default_msr_bitmap, vmcs_default_io_bitmap;

extern void vmx_exit_entry(void);
extern void sysenter_entry(void);

void vmcs_setup_init(uint64_t msr_bitmap, uint64_t io_bitmap)
{
    msr_bitmap_init(phys_to_virt(msr_bitmap));
    memset(phys_to_virt(io_bitmap), 0xff, PAGE_SIZE);
    vmcs_default_msr_bitmap = msr_bitmap;
    vmcs_default_io_bitmap = io_bitmap;
}

void vmcs_format(void *page)
{
    memset(page, 0, VMX_REGION_SIZE);
    *(uint32_t *)page = (uint32_t)(vmx_caps.basic & VMX_BASIC_REVISION);
}

static void write_controls(struct vmcs_controls *c)
{
    c->pin = vmx_control_default(&vmx_caps, VMCS_PIN_CONTROLS);
    // The first MOV to or from a debug register shows that they have to be swapped (vmm/vcpu_exit.c).
    c->primary = vmx_control_sanitise(&vmx_caps, VMCS_PRIMARY_CONTROLS,
                                      vmx_control_default(&vmx_caps, VMCS_PRIMARY_CONTROLS) | PRIMARY_MOV_DR);
    c->secondary = vmx_control_default(&vmx_caps, VMCS_SECONDARY_CONTROLS);
    c->exit = vmx_control_default(&vmx_caps, VMCS_EXIT_CONTROLS);
    c->entry = vmx_control_default(&vmx_caps, VMCS_ENTRY_CONTROLS);
    vmcs_write(VMCS_PIN_CONTROLS, c->pin);
    vmcs_write(VMCS_PRIMARY_CONTROLS, c->primary);
    vmcs_write(VMCS_SECONDARY_CONTROLS, c->secondary);
    vmcs_write(VMCS_EXIT_CONTROLS, c->exit);
    vmcs_write(VMCS_ENTRY_CONTROLS, c->entry);
    vmcs_write(VMCS_EXCEPTION_BITMAP, vmx_exception_bitmap(0));
    vmcs_write(VMCS_PAGE_FAULT_ERROR_CODE_MASK, 0);
    vmcs_write(VMCS_PAGE_FAULT_ERROR_CODE_MATCH, 0);
    vmcs_write(VMCS_CR3_TARGET_COUNT, 0);
    vmcs_write(VMCS_EXIT_MSR_STORE_COUNT, 0);
    vmcs_write(VMCS_EXIT_MSR_LOAD_COUNT, 0);
    vmcs_write(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
    vmcs_write(VMCS_ENTRY_INTERRUPTION_INFO, 0);
}

static void write_segment(uint32_t index, uint16_t selector, uint64_t base, uint32_t limit, uint32_t access)
{
    // Encodings go up by 2 from ES to TR in each group (SDM Vol. 3D appendix B).
    vmcs_write(VMCS_GUEST_ES_SELECTOR + 2 * index, selector);
    vmcs_write(VMCS_GUEST_ES_BASE + 2 * index, base);
    vmcs_write(VMCS_GUEST_ES_LIMIT + 2 * index, limit);
    vmcs_write(VMCS_GUEST_ES_ACCESS_RIGHTS + 2 * index, access);
}

/// SDM Vol. 3A table 9-1; CR0 and CR4 with the bits that VMX operation fixes, hidden by the read shadows.
static void write_guest_after_init(void)
{
    enum { DATA = 0x93, CODE = 0x9b, LDT = 0x82, BUSY_TSS = 0x8b, ES = 0, CS = 1, LDTR = 6, TR = 7 };
    const uint64_t cr0 = BIT(4); // ET. INIT leaves CD and NW as they are; caches are on
    for (uint32_t i = 0; i <= 5; i++) {
        write_segment(i, 0, 0, 0xffff, DATA);
    }
    write_segment(CS, 0xf000, 0xffff0000, 0xffff, CODE);
    write_segment(LDTR, 0, 0, 0xffff, LDT);
    write_segment(TR, 0, 0, 0xffff, BUSY_TSS);
    vmcs_write(VMCS_GUEST_GDTR_BASE, 0);
    vmcs_write(VMCS_GUEST_GDTR_LIMIT, 0xffff);
    vmcs_write(VMCS_GUEST_IDTR_BASE, 0);
    vmcs_write(VMCS_GUEST_IDTR_LIMIT, 0xffff);
    vmcs_write(VMCS_GUEST_CR0, vmx_guest_cr0(&vmx_caps, cr0));
    vmcs_write(VMCS_CR0_GUEST_HOST_MASK, vmx_cr0_mask(0));
    vmcs_write(VMCS_CR0_READ_SHADOW, cr0 | CR0_NE);
    vmcs_write(VMCS_GUEST_CR3, 0);
    vmcs_write(VMCS_GUEST_CR4, vmx_guest_cr4(&vmx_caps, 0));
    vmcs_write(VMCS_CR4_GUEST_HOST_MASK, vmx_cr4_mask(0));
    vmcs_write(VMCS_CR4_READ_SHADOW, 0);
    vmcs_write(VMCS_GUEST_IA32_EFER, 0);
    vmcs_write(VMCS_GUEST_IA32_PAT, PAT_RESET); // a power-up's; INIT would leave it as it is
    vmcs_write(VMCS_GUEST_DR7, 0x400);
    vmcs_write(VMCS_GUEST_IA32_DEBUGCTL, 0);
    vmcs_write(VMCS_GUEST_RIP, 0xfff0);
    vmcs_write(VMCS_GUEST_RSP, 0);
    vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_FIXED);
    vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, 0);
    vmcs_write(VMCS_GUEST_ACTIVITY, 0);
    vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
    vmcs_write(VMCS_GUEST_SYSENTER_CS, 0);
    vmcs_write(VMCS_GUEST_SYSENTER_ESP, 0);
    vmcs_write(VMCS_GUEST_SYSENTER_EIP, 0);
    vmcs_write(VMCS_LINK_POINTER, UINT64_MAX);
}

void vmcs_setup_guest(const struct vmcs_parts *parts, struct vmcs_controls *controls)
{
    write_controls(controls);
    write_guest_after_init();
    vmcs_write(VMCS_EPT_POINTER, parts->eptp);
    vmcs_write(VMCS_VPID, parts->vpid);
    vmcs_write(VMCS_MSR_BITMAP, parts->msr_bitmap);
    vmcs_write(VMCS_IO_BITMAP_A, parts->io_bitmap_a);
    vmcs_write(VMCS_IO_BITMAP_B, parts->io_bitmap_b);
    vmcs_write(VMCS_TSC_OFFSET, 0);
}

void vmcs_setup_host(const struct core *core, uint64_t root)
{
    vmcs_write(VMCS_HOST_CR0, cpu_read_cr0() | CR0_TS); // ring 3 must not see the guest's FPU state
    vmcs_write(VMCS_HOST_CR3, root);
    vmcs_write(VMCS_HOST_CR4, cpu_read_cr4());
    vmcs_write(VMCS_HOST_CS_SELECTOR, SELECTOR_KERNEL_CODE);
    vmcs_write(VMCS_HOST_SS_SELECTOR, SELECTOR_KERNEL_DATA);
    vmcs_write(VMCS_HOST_DS_SELECTOR, 0);
    vmcs_write(VMCS_HOST_ES_SELECTOR, 0);
    vmcs_write(VMCS_HOST_FS_SELECTOR, 0);
    vmcs_write(VMCS_HOST_GS_SELECTOR, 0);
    vmcs_write(VMCS_HOST_TR_SELECTOR, SELECTOR_TSS);
    vmcs_write(VMCS_HOST_FS_BASE, 0);
    vmcs_write(VMCS_HOST_GS_BASE, 0);
    vmcs_write(VMCS_HOST_TR_BASE, (uint64_t)&core->tss);
    vmcs_write(VMCS_HOST_GDTR_BASE, (uint64_t)core->gdt);
    vmcs_write(VMCS_HOST_IDTR_BASE, core_idt_base());
    vmcs_write(VMCS_HOST_SYSENTER_CS, SELECTOR_KERNEL_CODE);
    vmcs_write(VMCS_HOST_SYSENTER_ESP, (uint64_t)core->main_stack);
    vmcs_write(VMCS_HOST_SYSENTER_EIP, (uint64_t)sysenter_entry);
    vmcs_write(VMCS_HOST_IA32_EFER, cpu_rdmsr(MSR_EFER));
    vmcs_write(VMCS_HOST_IA32_PAT, PAT_RESET);
    vmcs_write(VMCS_HOST_RSP, (uint64_t)core->main_stack);
    vmcs_write(VMCS_HOST_RIP, (uint64_t)vmx_exit_entry);
}
