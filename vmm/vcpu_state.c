// SPDX-License-Identifier: Apache-2.0
#include "vmm/vcpu_state.h"

#include "arch/x86/core.h"
#include "arch/x86/registers.h"
#include "arch/x86/vmx/apic_policy.h"
#include "arch/x86/vmx/controls.h"
#include "arch/x86/vmx/event.h"
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmx.h"
#include "vmm/trace.h"
#include "vmm/vcpu.h"

/// Selector, base, limit and access rights of segment register i stand at the same place in their groups of encodings.
static enum vmcs_field segment_field(enum vmcs_field es, uint32_t i)
{
    return (enum vmcs_field)(es + 2 * i);
}

/* ---- to the VMCS ---- */

void vcpu_write_mode(uint64_t cr0, uint64_t efer)
{
    uint32_t entry = (uint32_t)vmcs_read(VMCS_ENTRY_CONTROLS); // exits change it, SDM Vol. 3D A.6
    struct vmx_mode mode = {.cr0 = cr0, .efer = efer, .entry = entry};
    vmx_settle_mode(&mode);
    vmcs_write(VMCS_GUEST_IA32_EFER, mode.efer);
    if (mode.entry != entry) {
        vmcs_write(VMCS_ENTRY_CONTROLS, mode.entry);
    }
}

/// A MOV to CR0 or CR4 that changes one of these empties the TLB (SDM Vol. 3A 4.10.4.1), and does so, too, when a personality executes
/// it for its guest: VM entry keeps what has the guest's VPID.
static bool empties_tlb(uint64_t cr0, uint64_t cr4)
{
    uint64_t flushing = CR4_PSE | CR4_PAE | CR4_PGE | CR4_LA57 | CR4_PCIDE | CR4_SMEP;
    return ((vmcs_read(VMCS_GUEST_CR0) ^ cr0) & CR0_PG) || ((vmcs_read(VMCS_GUEST_CR4) ^ cr4) & flushing);
}

static void take_control(const struct vcpu *vcpu)
{
    const struct pv_vcpu_state *s = vcpu->state;
    // Read once: another agent may change the page meanwhile.
    uint64_t cr0 = __atomic_load_n(&s->cr0, __ATOMIC_RELAXED), cr4 = __atomic_load_n(&s->cr4, __ATOMIC_RELAXED);
    if (empties_tlb(cr0, cr4)) {
        vmx_invvpid(vcpu->vpid);
    }
    vmcs_write(VMCS_GUEST_CR0, vmx_guest_cr0(&vmx_caps, cr0));
    vmcs_write(VMCS_CR0_READ_SHADOW, cr0 | CR0_NE);
    vmcs_write(VMCS_GUEST_CR3, s->cr3);
    vmcs_write(VMCS_GUEST_CR4, vmx_guest_cr4(&vmx_caps, cr4));
    vmcs_write(VMCS_CR4_READ_SHADOW, cr4 & ~CR4_VMXE);
    vcpu_write_mode(cr0, s->efer);
}

static void take_segments(const struct pv_vcpu_state *s)
{
    for (uint32_t i = 0; i < PV_SEGMENTS; i++) {
        const struct pv_segment *g = &s->segment[i];
        vmcs_write(segment_field(VMCS_GUEST_ES_SELECTOR, i), g->selector);
        vmcs_write(segment_field(VMCS_GUEST_ES_BASE, i), g->base);
        vmcs_write(segment_field(VMCS_GUEST_ES_LIMIT, i), g->limit);
        vmcs_write(segment_field(VMCS_GUEST_ES_ACCESS_RIGHTS, i), g->access);
    }
    vmcs_write(VMCS_GUEST_GDTR_BASE, s->gdtr.base);
    vmcs_write(VMCS_GUEST_GDTR_LIMIT, s->gdtr.limit);
    vmcs_write(VMCS_GUEST_IDTR_BASE, s->idtr.base);
    vmcs_write(VMCS_GUEST_IDTR_LIMIT, s->idtr.limit);
}

/// A guest in wait-for-SIPI would keep the core: its preemption timer stands still (design, errata). HLT and shutdown
/// are left by the timer, but cost the slice; personalities model all three in software.
static uint32_t allowed_activity(uint32_t activity)
{
    return activity == ACTIVITY_HLT ? ACTIVITY_HLT : ACTIVITY_ACTIVE;
}

/// The register file is loaded. A value that WRMSR would refuse (not canonical, reserved bits) is left out.
static void take_registers(struct vcpu *vcpu, const struct pv_vcpu_state *s)
{
    vcpu_write_msr(vcpu, MSR_STAR, s->star);
    vcpu_write_msr(vcpu, MSR_LSTAR, s->lstar);
    vcpu_write_msr(vcpu, MSR_SFMASK, s->sfmask);
    vcpu_write_msr(vcpu, MSR_TSC_AUX, s->tsc_aux);
    msr_write_safe(MSR_KERNEL_GS_BASE, s->kernel_gs_base);
}

/// The guest interrupt status: the highest vector that is requested (RVI), and above it the one in service (SDM Vol. 3C 25.4.2).
enum { REQUESTED_VECTOR = 0xff };

void vcpu_write_interrupt_status(struct vcpu *vcpu, uint64_t status)
{
    bool hold = vcpu->steps && vmcs_read(VMCS_GUEST_ACTIVITY) == ACTIVITY_ACTIVE;
    vcpu->held_vector = hold ? status & REQUESTED_VECTOR : 0;
    vmcs_write(VMCS_GUEST_INTERRUPT_STATUS, status - vcpu->held_vector);
}

uint64_t vcpu_read_interrupt_status(const struct vcpu *vcpu)
{
    uint64_t status = vmcs_read(VMCS_GUEST_INTERRUPT_STATUS), vector = status & REQUESTED_VECTOR;
    return status - vector + (vector > vcpu->held_vector ? vector : vcpu->held_vector);
}

void vcpu_take_state(struct vcpu *vcpu)
{
    struct pv_vcpu_state *s = vcpu->state;
    uint32_t dirty = __atomic_load_n(&s->dirty, __ATOMIC_RELAXED);
    if (dirty) {
        if (dirty & PV_GROUP_RIP) {
            vmcs_write(VMCS_GUEST_RIP, s->rip);
        }
        if (dirty & PV_GROUP_FLAGS) {
            vmcs_write(VMCS_GUEST_RSP, s->rsp);
            vmcs_write(VMCS_GUEST_RFLAGS, s->rflags);
            vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, s->interruptibility);
        }
        if (dirty & PV_GROUP_CONTROL) {
            take_control(vcpu);
        }
        if (dirty & PV_GROUP_SEGMENTS) {
            take_segments(s);
        }
        if (dirty & PV_GROUP_STATE) {
            vmcs_write(VMCS_GUEST_ACTIVITY, allowed_activity(s->activity));
        }
        if (dirty & PV_GROUP_SYSENTER) {
            vmcs_write(VMCS_GUEST_SYSENTER_CS, s->sysenter_cs);
            vmcs_write(VMCS_GUEST_SYSENTER_ESP, s->sysenter_esp);
            vmcs_write(VMCS_GUEST_SYSENTER_EIP, s->sysenter_eip);
        }
        if (dirty & PV_GROUP_MSRS) {
            take_registers(vcpu, s);
        }
        if (dirty & PV_GROUP_CR2) {
            vcpu->registers->cr2 = __atomic_load_n(&s->cr2, __ATOMIC_RELAXED);
            cpu_write_cr2(vcpu->registers->cr2);
        }
        if (dirty & PV_GROUP_APIC && vcpu->apic & VMX_APIC_INTERRUPTS) {
            vcpu_write_interrupt_status(vcpu, s->apic_status & UINT16_MAX);
        }
        s->dirty = 0;
    }
    if (__atomic_load_n(&s->inject, __ATOMIC_RELAXED) & VCPU_INJECT_MASK) {
        vcpu_take_event(vcpu);
    }
}

/// Sets or clears a window-exiting control; VMWRITE only when it changes, because it makes the next entry check
/// everything.
static void set_primary(struct vcpu *vcpu, uint32_t controls)
{
    if (vcpu->primary != controls) {
        vcpu->primary = controls;
        vmcs_write(VMCS_PRIMARY_CONTROLS, controls);
    }
}

static void write_event(const struct vmx_event *event)
{
    vmcs_write(VMCS_ENTRY_INTERRUPTION_INFO, event->info);
    vmcs_write(VMCS_ENTRY_EXCEPTION_ERROR_CODE, event->error);
    vmcs_write(VMCS_ENTRY_INSTRUCTION_LENGTH, event->length);
}

enum { WINDOWS = PRIMARY_INTERRUPT_WINDOW | PRIMARY_NMI_WINDOW };

/// Window exiting that the personality wants by requests in `inject`.
static uint32_t requested_windows(uint32_t inject)
{
    return (inject & PV_INJECT_WINDOW ? PRIMARY_INTERRUPT_WINDOW : 0) |
           (inject & PV_INJECT_NMI_WINDOW ? PRIMARY_NMI_WINDOW : 0);
}

/// An interrupt or NMI, which a step does without: what interrupts the guest while a debugger looks at it would be all that it ever
/// steps into. A guest that halts needs it.
static bool can_wait(uint32_t inject, uint64_t activity)
{
    uint32_t type = vmx_event_type(inject);
    return activity == ACTIVITY_ACTIVE && (type == EVENT_EXTERNAL_INTERRUPT || type == EVENT_NMI);
}

/// The event in `inject`: taken or dropped when that can be decided now (true), otherwise *windows says when. hold: not now.
static bool settle_event(const struct vcpu *vcpu, uint32_t inject, bool hold, uint32_t *windows)
{
    const struct pv_vcpu_state *s = vcpu->state;
    struct vmx_event event = {
        .info = inject & ~(uint32_t)PV_INJECT_REQUESTS,
        .error = __atomic_load_n(&s->inject_error, __ATOMIC_RELAXED),
        .length = __atomic_load_n(&s->inject_length, __ATOMIC_RELAXED),
    };
    struct vmx_event_context context = {
        .caps = &vmx_caps,
        .cr0 = vmcs_read(VMCS_GUEST_CR0),
        .rflags = vmcs_read(VMCS_GUEST_RFLAGS),
        .secondary = vcpu->secondary,
        .interruptibility = (uint32_t)vmcs_read(VMCS_GUEST_INTERRUPTIBILITY),
        .activity = (uint32_t)vmcs_read(VMCS_GUEST_ACTIVITY),
    };
    bool occupied = vmcs_read(VMCS_ENTRY_INTERRUPTION_INFO) & INTERRUPTION_VALID; // the interrupted one goes first
    hold |= vcpu->steps && can_wait(event.info, context.activity);
    struct vmx_event_plan plan = vmx_plan_event(&context, &event, occupied || hold);
    if (plan.inject) {
        write_event(&event);
        trace_inject(vcpu->core, event.info);
    }
    *windows |= plan.windows;
    return plan.inject || plan.forget;
}

static void settle(struct vcpu *vcpu, bool hold)
{
    struct pv_vcpu_state *s = vcpu->state;
    uint32_t inject = __atomic_load_n(&s->inject, __ATOMIC_RELAXED), left = inject & ~(uint32_t)PV_INJECT_CANCEL;
    uint32_t windows = vcpu->wanted_windows | requested_windows(inject);
    if (inject & PV_INJECT_CANCEL) {
        vmcs_write(VMCS_ENTRY_INTERRUPTION_INFO, 0);
    }
    if (inject & PV_INJECT_VALID && settle_event(vcpu, inject, hold, &windows)) {
        left &= PV_INJECT_REQUESTS;
    }
    if (left != inject) {
        s->inject = left;
    }
    set_primary(vcpu, (vcpu->primary & ~(uint32_t)WINDOWS) | (vcpu->steps ? 0 : windows));
}

void vcpu_take_event(struct vcpu *vcpu)
{
    settle(vcpu, false);
}

void vcpu_await_event(struct vcpu *vcpu)
{
    settle(vcpu, true);
}

bool vcpu_grant_window(struct vcpu *vcpu, uint32_t reason)
{
    bool nmi = reason == EXIT_REASON_NMI_WINDOW;
    uint32_t control = nmi ? PRIMARY_NMI_WINDOW : PRIMARY_INTERRUPT_WINDOW;
    uint32_t request = nmi ? PV_INJECT_NMI_WINDOW : PV_INJECT_WINDOW;
    uint32_t inject = __atomic_load_n(&vcpu->state->inject, __ATOMIC_RELAXED);
    if (vcpu->wanted_windows & control) {
        return true;
    }
    if ((inject & PV_INJECT_VALID) || !(inject & request)) {
        vcpu_take_event(vcpu);
        return false;
    }
    vcpu->state->inject = inject & ~request;
    set_primary(vcpu, vcpu->primary & ~control);
    return true;
}

void vcpu_read_events(struct vmx_exit_events *exit, uint32_t reason)
{
    *exit = (struct vmx_exit_events){
        .reason = reason,
        .qualification = vmcs_read(VMCS_EXIT_QUALIFICATION),
        .interruption_info = (uint32_t)vmcs_read(VMCS_EXIT_INTERRUPTION_INFO),
        .interruption_error = (uint32_t)vmcs_read(VMCS_EXIT_INTERRUPTION_ERROR_CODE),
        .vectoring_info = (uint32_t)vmcs_read(VMCS_IDT_VECTORING_INFO),
        .vectoring_error = (uint32_t)vmcs_read(VMCS_IDT_VECTORING_ERROR_CODE),
        .instruction_length = (uint32_t)vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH),
    };
}

void vcpu_reinject(uint32_t reason)
{
    struct vmx_exit_events exit;
    struct vmx_event event;
    uint32_t before = (uint32_t)vmcs_read(VMCS_GUEST_INTERRUPTIBILITY), interruptibility = before;
    vcpu_read_events(&exit, reason);
    if (vmx_reinject(&exit, &event, &interruptibility)) {
        write_event(&event);
        trace_inject(core_self(), event.info);
        if (interruptibility != before) {
            vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, interruptibility);
        }
    }
}

/* ---- from the VMCS ---- */

static void give_control(struct pv_vcpu_state *s)
{
    // As the guest sees them: bits of the guest/host mask come from the shadows.
    uint64_t mask0 = vmcs_read(VMCS_CR0_GUEST_HOST_MASK), mask4 = vmcs_read(VMCS_CR4_GUEST_HOST_MASK);
    s->cr0 = (vmcs_read(VMCS_GUEST_CR0) & ~mask0) | (vmcs_read(VMCS_CR0_READ_SHADOW) & mask0);
    s->cr3 = vmcs_read(VMCS_GUEST_CR3);
    s->cr4 = (vmcs_read(VMCS_GUEST_CR4) & ~mask4) | (vmcs_read(VMCS_CR4_READ_SHADOW) & mask4);
    s->efer = vmcs_read(VMCS_GUEST_IA32_EFER);
}

static void give_segments(struct pv_vcpu_state *s)
{
    for (uint32_t i = 0; i < PV_SEGMENTS; i++) {
        struct pv_segment *g = &s->segment[i];
        g->selector = (uint16_t)vmcs_read(segment_field(VMCS_GUEST_ES_SELECTOR, i));
        g->base = vmcs_read(segment_field(VMCS_GUEST_ES_BASE, i));
        g->limit = (uint32_t)vmcs_read(segment_field(VMCS_GUEST_ES_LIMIT, i));
        g->access = (uint32_t)vmcs_read(segment_field(VMCS_GUEST_ES_ACCESS_RIGHTS, i));
    }
    s->gdtr.base = vmcs_read(VMCS_GUEST_GDTR_BASE);
    s->gdtr.limit = (uint32_t)vmcs_read(VMCS_GUEST_GDTR_LIMIT);
    s->idtr.base = vmcs_read(VMCS_GUEST_IDTR_BASE);
    s->idtr.limit = (uint32_t)vmcs_read(VMCS_GUEST_IDTR_LIMIT);
}

void vcpu_give_groups(struct pv_vcpu_state *s, uint32_t groups)
{
    if (groups & PV_GROUP_CONTROL) {
        give_control(s);
    }
    if (groups & PV_GROUP_SEGMENTS) {
        give_segments(s);
    }
    if (groups & PV_GROUP_STATE) {
        s->activity = (uint32_t)vmcs_read(VMCS_GUEST_ACTIVITY);
    }
    if (groups & PV_GROUP_CR2) {
        s->cr2 = cpu_read_cr2(); // ring 0 had no page fault since the exit
    }
    if (groups & PV_GROUP_SYSENTER) {
        s->sysenter_cs = vmcs_read(VMCS_GUEST_SYSENTER_CS);
        s->sysenter_esp = vmcs_read(VMCS_GUEST_SYSENTER_ESP);
        s->sysenter_eip = vmcs_read(VMCS_GUEST_SYSENTER_EIP);
    }
    if (groups & PV_GROUP_MSRS) {
        const struct guest_msrs *msrs = &core_self()->msrs; // the register file is loaded
        s->star = msrs->star;
        s->lstar = msrs->lstar;
        s->sfmask = msrs->sfmask;
        s->tsc_aux = msrs->tsc_aux;
        s->kernel_gs_base = cpu_rdmsr(MSR_KERNEL_GS_BASE);
    }
}

void vcpu_give_instruction(struct pv_vcpu_state *s)
{
    s->exit_instruction_info = (uint32_t)vmcs_read(VMCS_EXIT_INSTRUCTION_INFO);
    s->guest_linear_address = vmcs_read(VMCS_GUEST_LINEAR_ADDRESS);
}

/// Exits whose handlers need more than every exit gives.
static void give_details(struct pv_vcpu_state *s, uint32_t reason)
{
    switch (reason) {
    case EXIT_REASON_EPT_VIOLATION:
    case EXIT_REASON_EPT_MISCONFIGURATION:
        vcpu_give_address(s);
        break;
    case EXIT_REASON_EXCEPTION_NMI:
        s->exit_interruption_info = (uint32_t)vmcs_read(VMCS_EXIT_INTERRUPTION_INFO);
        s->exit_interruption_error = (uint32_t)vmcs_read(VMCS_EXIT_INTERRUPTION_ERROR_CODE);
        break;
    case EXIT_REASON_CPUID:
    case EXIT_REASON_RDMSR:
    case EXIT_REASON_WRMSR:
        break; // no memory operand
    default:
        vcpu_give_instruction(s);
        break;
    }
}

void vcpu_give_state(struct vcpu *vcpu, uint32_t reason)
{
    struct pv_vcpu_state *s = vcpu->state;
    uint32_t fill = __atomic_load_n(&s->fill, __ATOMIC_RELAXED) & PV_GROUP_ALL;
    vcpu_give_exit(s, reason);
    give_details(s, reason);
    uint32_t vectoring = (uint32_t)vmcs_read(VMCS_IDT_VECTORING_INFO);
    s->vectoring_info = vectoring & INTERRUPTION_VALID ? vectoring : 0;
    if (vectoring & INTERRUPTION_VALID) {
        s->vectoring_error = (uint32_t)vmcs_read(VMCS_IDT_VECTORING_ERROR_CODE);
    }
    vcpu_give_groups(s, fill);
    s->valid = fill | PV_GROUP_ALWAYS;
}
