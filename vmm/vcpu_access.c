// SPDX-License-Identifier: Apache-2.0
/// What a personality may read and change of its vcpus' VMCSs, and the MSRs and ports that its guests may use
/// themselves.
#include <polyvisor/string.h>

#include "arch/x86/core.h"
#include "arch/x86/layout.h"
#include "arch/x86/paging.h"
#include "arch/x86/registers.h"
#include "arch/x86/vmx/apic_policy.h"
#include "arch/x86/vmx/bitmaps.h"
#include "arch/x86/vmx/controls.h"
#include "arch/x86/vmx/field_policy.h"
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmx.h"
#include "vmm/grants.h"
#include "vmm/personality.h"
#include "vmm/user.h"
#include "vmm/vcpu.h"
#include "vmm/vcpu_debug.h"
#include "vmm/vcpu_state.h"

_Static_assert((int)BITMAP_READ == (int)PV_GRANT_READ && (int)BITMAP_WRITE == (int)PV_GRANT_WRITE,
               "enum bitmap_access");

/// The caller's vcpu. NULL: *error tells.
static struct vcpu *own_vcpu(struct regs *regs, uint64_t number, int64_t *error)
{
    struct agent *agent = agent_of(regs);
    struct vcpu *vcpu = vcpu_of(agent, number);
    *error = vcpu ? PV_OK : vcpu_why_not(agent, number);
    return vcpu;
}

/* ---- VMCS fields ---- */

static int32_t read_field(uint32_t field, uint64_t *value)
{
    switch (field_table_get(&vmx_fields, field)) {
    case FIELD_ABSENT:
        return PV_ERR_NOT_FOUND;
    case FIELD_DENIED:
        return PV_ERR_DENIED;
    case FIELD_READ_ONLY:
    case FIELD_PLAIN:
    case FIELD_CONTROL:
        break;
    }
    return vmcs_try_read(field, value) ? PV_OK : PV_ERR_NOT_FOUND;
}

/// The multiplexer keeps copies of the controls, and what of them is the personality's own wish.
static void write_control(struct vcpu *vcpu, uint32_t field, uint32_t wanted)
{
    uint32_t value = vmx_control_sanitise(&vmx_caps, field, wanted);
    uint32_t windows = PRIMARY_INTERRUPT_WINDOW | PRIMARY_NMI_WINDOW;
    switch (field) {
    case VMCS_PRIMARY_CONTROLS:
        vcpu->wanted_windows = value & windows;
        vcpu->wants_mov_dr = value & PRIMARY_MOV_DR;
        vcpu->wants_step = value & PRIMARY_MONITOR_TRAP;
        if (vcpu->steps) {
            value = (value | PRIMARY_MONITOR_TRAP) & ~windows; // they come when the step is over
        }
        value |= vcpu->registers->uses_debug ? 0 : PRIMARY_MOV_DR; // to see the first use
        value = vmx_apic_primary(vcpu->apic, value);
        vcpu->primary = value;
        break;
    case VMCS_SECONDARY_CONTROLS:
        value = vmx_apic_secondary(vcpu->apic, value);
        vcpu->secondary = value;
        break;
    default:
        break;
    }
    vmcs_write((enum vmcs_field)field, value);
}

/// A field was written that takes part in deciding whether the guest is in IA-32e mode.
static void settle_mode(void)
{
    vcpu_write_mode(vmcs_read(VMCS_GUEST_CR0), vmcs_read(VMCS_GUEST_IA32_EFER));
}

static int32_t write_field(struct vcpu *vcpu, uint32_t field, uint64_t value)
{
    switch (field_table_get(&vmx_fields, field)) {
    case FIELD_ABSENT:
        return PV_ERR_NOT_FOUND;
    case FIELD_DENIED:
    case FIELD_READ_ONLY:
        return PV_ERR_DENIED;
    case FIELD_CONTROL:
        write_control(vcpu, field, (uint32_t)value);
        if (field == VMCS_ENTRY_CONTROLS) {
            settle_mode();
        }
        return PV_OK;
    case FIELD_PLAIN:
        break;
    }
    if (field == VMCS_EXCEPTION_BITMAP) {
        vcpu->wanted_exceptions = (uint32_t)value;
    }
    if (field == VMCS_CR4_GUEST_HOST_MASK) {
        vcpu->wanted_cr4_mask = value;
    }
    if (field == VMCS_GUEST_DR7 && (value & DR7_ENABLES)) {
        vcpu_use_debug_registers(vcpu);
    }
    if (!field_policy_adjust(&vmx_caps, field, &value) || !vmcs_try_write(field, value)) {
        return PV_ERR_INVALID;
    }
    if (field == VMCS_EXCEPTION_BITMAP && vcpu->armed) {
        vcpu_debug_arm(vcpu); // #BP stays the debugger's
    }
    if (field == VMCS_GUEST_CR0 || field == VMCS_GUEST_IA32_EFER) {
        settle_mode();
    }
    return PV_OK;
}

/// One entry after another: each is copied in, done, and copied back.
static int64_t batch(struct regs *regs, uint64_t number, uint64_t entries, uint64_t count, bool write)
{
    int64_t error;
    struct vcpu *vcpu = own_vcpu(regs, number, &error);
    if (!vcpu) {
        return error;
    }
    if (count > PV_MAX_VMCS_BATCH) {
        return PV_ERR_INVALID;
    }
    vcpu_open_vmcs(vcpu->core, vcpu);
    int64_t succeeded = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct pv_vmcs_entry e;
        uint64_t at = entries + i * sizeof(e);
        if (!user_read(&e, at, sizeof(e))) {
            return PV_ERR_FAULT;
        }
        e.status = write ? write_field(vcpu, e.field, e.value) : read_field(e.field, &e.value);
        succeeded += e.status == PV_OK;
        if (!user_write(at, &e, sizeof(e))) {
            return PV_ERR_FAULT;
        }
    }
    return succeeded;
}

int64_t vcpu_vmcs_read(struct regs *regs, uint64_t number, uint64_t entries, uint64_t count, uint64_t a3, uint64_t a4)
{
    (void)a3, (void)a4;
    return batch(regs, number, entries, count, false);
}

int64_t vcpu_vmcs_write(struct regs *regs, uint64_t number, uint64_t entries, uint64_t count, uint64_t a3, uint64_t a4)
{
    (void)a3, (void)a4;
    return batch(regs, number, entries, count, true);
}

/* ---- MSRs and ports ---- */

/// A bitmap of the vcpu's own, as a copy of the common one. 0: no page left.
static uint64_t copy_bitmap(struct vcpu *vcpu, uint64_t common)
{
    lock_take(&vcpu->owner->lock);
    uint64_t page = quota_alloc(&vcpu->owner->quota);
    lock_drop(&vcpu->owner->lock);
    if (page) {
        memcpy(phys_to_virt(page), phys_to_virt(common), PAGE_SIZE);
    }
    return page;
}

static bool own_msr_bitmap(struct vcpu *vcpu)
{
    if (!vcpu->has_msr_bitmap) {
        uint64_t page = copy_bitmap(vcpu, vcpu->msr_bitmap);
        if (!page) {
            return false;
        }
        vcpu->msr_bitmap = page;
        vcpu->has_msr_bitmap = true;
        vcpu_open_vmcs(vcpu->core, vcpu);
        vmcs_write(VMCS_MSR_BITMAP, page);
    }
    return true;
}

int64_t vcpu_msr_allow(struct regs *regs, uint64_t number, uint64_t first, uint64_t count, uint64_t how, uint64_t a4)
{
    (void)a4;
    int64_t error;
    struct vcpu *vcpu = own_vcpu(regs, number, &error);
    if (!vcpu) {
        return error;
    }
    if (how > (PV_GRANT_READ | PV_GRANT_WRITE) || !msr_bitmap_covers(first, count)) {
        return PV_ERR_INVALID;
    }
    if (!grants_allow_msrs(vcpu->owner->config, first, count, (uint32_t)how) &&
        !vmx_apic_takes_msrs(vcpu->apic, first, count, (uint32_t)how)) {
        return PV_ERR_DENIED;
    }
    if (!own_msr_bitmap(vcpu)) {
        return PV_ERR_QUOTA;
    }
    msr_bitmap_set(phys_to_virt(vcpu->msr_bitmap), first, count, (uint32_t)how);
    return PV_OK;
}

static bool own_io_bitmaps(struct vcpu *vcpu)
{
    if (!vcpu->has_io_bitmaps) {
        uint64_t a = copy_bitmap(vcpu, vcpu->io_bitmaps[0]);
        uint64_t b = a ? copy_bitmap(vcpu, vcpu->io_bitmaps[1]) : 0;
        if (!b) {
            lock_take(&vcpu->owner->lock);
            if (a) {
                quota_free(&vcpu->owner->quota, a);
            }
            lock_drop(&vcpu->owner->lock);
            return false;
        }
        vcpu->io_bitmaps[0] = a;
        vcpu->io_bitmaps[1] = b;
        vcpu->has_io_bitmaps = true;
        vcpu_open_vmcs(vcpu->core, vcpu);
        vmcs_write(VMCS_IO_BITMAP_A, a);
        vmcs_write(VMCS_IO_BITMAP_B, b);
    }
    return true;
}

int64_t vcpu_io_allow(struct regs *regs, uint64_t number, uint64_t first, uint64_t count, uint64_t how, uint64_t a4)
{
    (void)a4;
    int64_t error;
    struct vcpu *vcpu = own_vcpu(regs, number, &error);
    if (!vcpu) {
        return error;
    }
    uint64_t both = PV_GRANT_READ | PV_GRANT_WRITE; // the bitmaps know no direction
    if ((how != PV_GRANT_NONE && how != both) || count == 0 || first >= IO_PORTS || count > IO_PORTS - first) {
        return PV_ERR_INVALID;
    }
    bool open = how != PV_GRANT_NONE;
    if (open && !grants_allow_ports(vcpu->owner->config, first, count)) {
        return PV_ERR_DENIED;
    }
    if (!own_io_bitmaps(vcpu)) {
        return PV_ERR_QUOTA;
    }
    io_bitmap_set(phys_to_virt(vcpu->io_bitmaps[0]), phys_to_virt(vcpu->io_bitmaps[1]), (uint32_t)first,
                  (uint32_t)count, open);
    return PV_OK;
}
