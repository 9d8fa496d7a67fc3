// SPDX-License-Identifier: Apache-2.0
/// What a personality may read and change of its vcpus' VMCSs, and the MSRs and ports that its guests may use
/// themselves.
#include <polyvisor/string.h>

#include "arch/x86/core.h"
#include "arch/x86/layout.h"
#include "arch/x86/paging.h"
#include "arch/x86/registers.h"
#include "arch/x86/vmx/controls.h"
#include "arch/x86/vmx/field_policy.h"
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmx.h"
#include "vmm/personality.h"
#include "vmm/user.h"
#include "vmm/vcpu.h"

enum {
    MSR_LOW_END = 0x2000, // the MSR bitmap's two ranges, SDM Vol. 3C 25.6.9
    MSR_HIGH_START = 0xc0000000,
    MSR_HIGH_END = 0xc0002000,
    MSR_HIGH_OFFSET = 1024,
    MSR_WRITE_OFFSET = 2048,
    IO_PORTS = 65536,
    IO_BITMAP_PORTS = 32768,
};

/// The caller's vcpu, on this core and not running. NULL: *error tells.
static struct vcpu *own_vcpu(struct regs *regs, uint64_t number, int64_t *error)
{
    struct agent *agent = agent_of(regs);
    struct vcpu *vcpu = vcpu_find(agent->personality, number);
    *error = !vcpu ? PV_ERR_NOT_FOUND : vcpu->core != agent->core || vcpu->running ? PV_ERR_STATE : PV_OK;
    return *error ? NULL : vcpu;
}

/* ---- VMCS fields ---- */

static int32_t read_field(uint32_t field, uint64_t *value)
{
    switch (field_policy(&vmx_caps, field)) {
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
    case VMCS_PIN_CONTROLS:
        vcpu->pin = value;
        break;
    case VMCS_PRIMARY_CONTROLS:
        vcpu->wanted_windows = value & windows;
        vcpu->wants_mov_dr = value & PRIMARY_MOV_DR;
        value |= vcpu->registers->uses_debug ? 0 : PRIMARY_MOV_DR; // to see the first use
        vcpu->primary = value;
        break;
    case VMCS_SECONDARY_CONTROLS:
        vcpu->secondary = value;
        break;
    case VMCS_EXIT_CONTROLS:
        vcpu->exit_controls = value;
        break;
    case VMCS_ENTRY_CONTROLS:
        vcpu->entry_controls = value;
        break;
    default:
        break;
    }
    vmcs_write((enum vmcs_field)field, value);
}

static int32_t write_field(struct vcpu *vcpu, uint32_t field, uint64_t value)
{
    switch (field_policy(&vmx_caps, field)) {
    case FIELD_ABSENT:
        return PV_ERR_NOT_FOUND;
    case FIELD_DENIED:
    case FIELD_READ_ONLY:
        return PV_ERR_DENIED;
    case FIELD_CONTROL:
        write_control(vcpu, field, (uint32_t)value);
        return PV_OK;
    case FIELD_PLAIN:
        break;
    }
    if (field == VMCS_EXCEPTION_BITMAP) {
        vcpu->wanted_exceptions = (uint32_t)value;
    }
    if (field == VMCS_GUEST_DR7 && (value & DR7_ENABLES)) {
        vcpu_use_debug_registers(vcpu);
    }
    return field_policy_adjust(&vmx_caps, field, &value) && vmcs_try_write(field, value) ? PV_OK : PV_ERR_INVALID;
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
    vcpu_make_current(vcpu->core, vcpu);
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

static bool granted(const struct config_grant *grants, uint32_t count, uint64_t first, uint64_t last, uint64_t how)
{
    for (uint32_t i = 0; i < count; i++) {
        if (first >= grants[i].first && last <= grants[i].last && (how & ~(uint64_t)grants[i].how) == 0) {
            return true;
        }
    }
    return false;
}

static void set_bit(uint8_t *bitmap, uint64_t bit, bool intercept)
{
    uint8_t mask = (uint8_t)(1u << bit % 8);
    bitmap[bit / 8] = (uint8_t)(intercept ? bitmap[bit / 8] | mask : bitmap[bit / 8] & ~mask);
}

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
        vcpu_make_current(vcpu->core, vcpu);
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
    uint64_t end = first + count;
    bool low = end <= MSR_LOW_END, high = first >= MSR_HIGH_START && end <= MSR_HIGH_END;
    if (how > (PV_GRANT_READ | PV_GRANT_WRITE) || count == 0 || end < first || (!low && !high)) {
        return PV_ERR_INVALID;
    }
    const struct config_personality *config = vcpu->owner->config;
    if (how && !granted(config->msr_grants, config->msr_grant_count, first, end - 1, how)) {
        return PV_ERR_DENIED;
    }
    if (!own_msr_bitmap(vcpu)) {
        return PV_ERR_QUOTA;
    }
    uint8_t *bitmap = (uint8_t *)phys_to_virt(vcpu->msr_bitmap) + (high ? MSR_HIGH_OFFSET : 0);
    for (uint64_t msr = first; msr < end; msr++) {
        set_bit(bitmap, msr & (MSR_LOW_END - 1), !(how & PV_GRANT_READ));
        set_bit(bitmap + MSR_WRITE_OFFSET, msr & (MSR_LOW_END - 1), !(how & PV_GRANT_WRITE));
    }
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
        vcpu_make_current(vcpu->core, vcpu);
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
    const struct config_personality *config = vcpu->owner->config;
    if (how && !granted(config->io_grants, config->io_grant_count, first, first + count - 1, how)) {
        return PV_ERR_DENIED;
    }
    if (!own_io_bitmaps(vcpu)) {
        return PV_ERR_QUOTA;
    }
    for (uint64_t port = first; port < first + count; port++) {
        set_bit(phys_to_virt(vcpu->io_bitmaps[port / IO_BITMAP_PORTS]), port % IO_BITMAP_PORTS, how == PV_GRANT_NONE);
    }
    return PV_OK;
}
