// SPDX-License-Identifier: Apache-2.0
/// VM exits: what the multiplexer handles itself (absorbs), and the way of the others to ring 3 (delivery).
#include <polyvisor/string.h>

#include "arch/x86/core.h"
#include "arch/x86/debug_registers.h"
#include "arch/x86/fpu.h"
#include "arch/x86/registers.h"
#include "arch/x86/upcalls.h"
#include "arch/x86/vmx/controls.h"
#include "arch/x86/vmx/entry_check.h"
#include "arch/x86/vmx/event.h"
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmx.h"
#include "vmm/panic.h"
#include "vmm/personality.h"
#include "vmm/trace.h"
#include "vmm/vcpu.h"
#include "vmm/vcpu_absorb.h"
#include "vmm/vcpu_debug.h"
#include "vmm/vcpu_state.h"
#include "vmm/vcpu_table.h"

enum { ERROR_INVALID_CONTROLS = 7 };

static void deliver(struct agent *agent, struct vcpu *vcpu, uint32_t reason)
{
    vcpu->delivered[reason < EXIT_REASONS ? reason : EXIT_REASONS - 1]++;
    vcpu_give_state(vcpu, reason);
    vcpu_finish_run(agent, PV_RUN_EXIT);
}

static void inject_gp(const struct vcpu *vcpu)
{
    bool error_code = vmx_event_error_codes(vmcs_read(VMCS_GUEST_CR0), vcpu->secondary);
    uint32_t info = INTERRUPTION_VALID | (error_code ? INTERRUPTION_ERROR_CODE : 0) |
                    EVENT_HARDWARE_EXCEPTION << INTERRUPTION_TYPE_SHIFT | VECTOR_GP;
    vmcs_write(VMCS_ENTRY_INTERRUPTION_INFO, info);
    vmcs_write(VMCS_ENTRY_EXCEPTION_ERROR_CODE, 0);
    trace_inject(core_self(), info);
}

static bool absorb_rdmsr(struct vcpu *vcpu)
{
    uint64_t value;
    if (!vcpu_table_msr(vcpu, (uint32_t)vcpu->gprs[PV_RCX], &value)) {
        return false;
    }
    vcpu->gprs[PV_RAX] = (uint32_t)value;
    vcpu->gprs[PV_RDX] = value >> 32;
    skip_instruction();
    return true;
}

/// SYSCALL's MSRs and TSC_AUX, of which the multiplexer keeps copies. Others are delivered.
static bool absorb_wrmsr(struct vcpu *vcpu)
{
    uint32_t msr = (uint32_t)vcpu->gprs[PV_RCX];
    uint64_t value = (uint32_t)vcpu->gprs[PV_RAX] | vcpu->gprs[PV_RDX] << 32;
    if (!is_syscall_msr(msr)) {
        return false;
    }
    if (vcpu_write_msr(vcpu, msr, value)) {
        skip_instruction();
    } else {
        inject_gp(vcpu);
    }
    return true;
}

/// Exit qualification of control-register accesses, SDM Vol. 3C table 28-3. The guest turns CR4.MCE on or off: it has it on anyway.
static bool absorb_cr_access(const struct vcpu *vcpu)
{
    enum { NUMBER_AND_TYPE = 0x3f, MOV_TO_CR4 = 4, GPR_SHIFT = 8, GPR = 15 };
    uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION), gpr = qualification >> GPR_SHIFT & GPR;
    uint64_t shadow = vmcs_read(VMCS_CR4_READ_SHADOW), value;
    if ((qualification & NUMBER_AND_TYPE) != MOV_TO_CR4) {
        return false;
    }
    value = gpr == PV_RSP ? vmcs_read(VMCS_GUEST_RSP) : vcpu->gprs[gpr];
    if (!vmx_absorb_cr4(value, vcpu->wanted_cr4_mask, &shadow)) {
        return false;
    }
    vmcs_write(VMCS_CR4_READ_SHADOW, shadow);
    return true; // the instruction runs again
}

/// XSETBV exits whatever the controls say (SDM Vol. 3C 26.1.2), after its CPL check. What CPUID hides from the guest does not exist.
static void absorb_xsetbv(struct core *core, struct vcpu *vcpu)
{
    uint64_t value = (uint32_t)vcpu->gprs[PV_RAX] | vcpu->gprs[PV_RDX] << 32;
    if ((uint32_t)vcpu->gprs[PV_RCX] != 0 || !fpu_xcr0_valid(value) || (value & ~vcpu_table_xcr0(vcpu))) {
        inject_gp(vcpu);
        return;
    }
    fpu_write_xcr0(value);
    core->xcr0 = vcpu->registers->xcr0 = value;
    vcpu->state->xcr0 = value;
    skip_instruction();
}

/// The first use of debug registers: from now on this register file's are swapped, and its guest uses them without
/// exits. Unless the personality itself wants to see them.
static bool absorb_mov_dr(struct vcpu *vcpu)
{
    if (vcpu->wants_mov_dr) {
        return false;
    }
    vcpu_use_debug_registers(vcpu);
    vcpu->primary &= ~PRIMARY_MOV_DR;
    vmcs_write(VMCS_PRIMARY_CONTROLS, vcpu->primary);
    return true; // the instruction runs again
}

/// #DB as the processor delivers it: the causes go to DR6, and DR7.GD ends (SDM Vol. 3C 28.1: an exit does neither). The guest's
/// DR6 has to be loaded for that: single-stepping needs no MOV DR before.
static void finish_debug_exception(struct vcpu *vcpu)
{
    vcpu_use_debug_registers(vcpu);
    debug_registers_raise(vmcs_read(VMCS_EXIT_QUALIFICATION));
    vmcs_write(VMCS_GUEST_DR7, vmcs_read(VMCS_GUEST_DR7) & ~DR7_GD);
}

/// Exceptions that exit only so that their delivery cannot keep the core (vmx_exception_bitmap): the guest gets them
/// after all.
static bool absorb_exception(struct vcpu *vcpu, uint32_t info)
{
    uint32_t vector = info & INTERRUPTION_VECTOR;
    struct vmx_exit_events exit;
    struct vmx_event event;
    bool forced = vector == VECTOR_DB || vector == VECTOR_AC;
    if (vector == VECTOR_MC) {
        panic("#MC machine check in a guest of %s", vcpu->owner->config->name);
    }
    if (!forced || (vcpu->wanted_exceptions & 1u << vector)) {
        return false;
    }
    vcpu_read_events(&exit, EXIT_REASON_EXCEPTION_NMI);
    if (vector == VECTOR_DB) {
        finish_debug_exception(vcpu);
    }
    bool error_codes = vmx_event_error_codes(vmcs_read(VMCS_GUEST_CR0), vcpu->secondary);
    if (!vmx_reflect(&exit, &event) || !vmx_combine(exit.vectoring_info, error_codes, &event)) {
        return false; // a triple fault: its personality decides
    }
    vmcs_write(VMCS_ENTRY_INTERRUPTION_INFO, event.info);
    vmcs_write(VMCS_ENTRY_EXCEPTION_ERROR_CODE, event.error);
    vmcs_write(VMCS_ENTRY_INSTRUCTION_LENGTH, event.length);
    trace_inject(vcpu->core, event.info);
    return true;
}

void vcpu_take_nmi(void)
{
    core_self()->nmis++;
    if (panic_running()) {
        panic_park(NULL);
    }
    vmx_unblock_nmi();
}

/// NMIs are ours; exceptions that the personality asked for in the exception bitmap are its own.
static bool absorb_exception_or_nmi(struct vcpu *vcpu)
{
    uint32_t info = (uint32_t)vmcs_read(VMCS_EXIT_INTERRUPTION_INFO);
    if ((info & INTERRUPTION_TYPE) >> INTERRUPTION_TYPE_SHIFT != EVENT_NMI) {
        return absorb_exception(vcpu, info);
    }
    vcpu_take_nmi();
    return true;
}

static void external_interrupt(struct agent *agent)
{
    struct core *core = core_self();
    uint32_t vector = (uint32_t)vmcs_read(VMCS_EXIT_INTERRUPTION_INFO) & INTERRUPTION_VECTOR;
    trace_event(core, PV_TRACE_INTERRUPT, agent->regs.guest->vpid, vector, 0);
    mux_handle_interrupt(vector);
    // The agent may have been stopped, killed, or switched away: only the scheduler knows.
    agent = sched_current();
    vcpu_check_kick(agent);
    if (agent && agent->regs.kind == REGS_GUEST && core->stamp >= agent->regs.guest->timer_end) {
        vcpu_timer(core, agent->regs.guest); // the local APIC's timer may stand for the preemption timer
    } else {
        sched_settle();
    }
    trace_settle(core); // tracing may just have begun
}

/// True: absorbed, and the guest (or whoever is current now) may go on.
static bool absorb(struct core *core, struct agent *agent, struct vcpu *vcpu, uint32_t reason)
{
    switch (reason) {
    case EXIT_REASON_CPUID:
        return absorb_cpuid(vcpu);
    case EXIT_REASON_RDMSR:
        return absorb_rdmsr(vcpu);
    case EXIT_REASON_WRMSR:
        return absorb_wrmsr(vcpu);
    case EXIT_REASON_EXCEPTION_NMI:
        return absorb_exception_or_nmi(vcpu);
    case EXIT_REASON_XSETBV:
        absorb_xsetbv(core, vcpu);
        return true;
    case EXIT_REASON_INTERRUPT_WINDOW:
    case EXIT_REASON_NMI_WINDOW:
        return !vcpu_grant_window(vcpu, reason);
    case EXIT_REASON_MOV_DR:
        return absorb_mov_dr(vcpu);
    case EXIT_REASON_CR_ACCESS:
        return absorb_cr_access(vcpu);
    case EXIT_REASON_INIT: // the core is not reset by it (SDM Vol. 3C 26.2); guests' INIT is modelled in software
    case EXIT_REASON_SIPI:
        return true;
    default:
        (void)agent;
        return false;
    }
}

/// Why the processor refused the current VMCS, in the SDM's words, for the personality.
static void tell_rule(struct vcpu *vcpu)
{
    struct vmx_entry_state state = {.caps = &vmx_caps, .processor = vmx_processor()};
    struct vmx_violation violation;
    char text[PV_WHY_SIZE] = "";
    vmx_entry_snapshot(&state, vmx_read_any);
    if (!vmx_entry_check(&state, &violation)) {
        vmx_violation_text(&violation, text, sizeof(text));
    }
    memcpy(vcpu->state->entry_rule, text, sizeof(text));
}

/// The processor looked at the guest state and refused (SDM Vol. 3C 27.8): nothing of the guest has run. The launch state is as it
/// was then, clear after VMLAUNCH, launched after VMRESUME; entry.asm notes the former as launched. VMCLEAR makes it known again.
static void refused(struct core *core, struct agent *agent, struct vcpu *vcpu, uint32_t reason)
{
    vcpu_give_state(vcpu, reason & EXIT_REASON_BASIC);
    tell_rule(vcpu);
    vcpu->state->entry_error = EXIT_REASON_ENTRY_FAILURE | (uint32_t)vmcs_read(VMCS_EXIT_QUALIFICATION);
    vcpu_clear_vmcs(core, vcpu);
    vcpu_finish_run(agent, PV_ERR_ENTRY);
}

/// What is left to do when the same guest may go on: its time may be over (a storm of exits never lets the timer fire), it
/// may have been kicked, and ring 0 may have taken page faults of its own meanwhile.
static void go_on(struct core *core, struct agent *agent, struct vcpu *vcpu)
{
    if (vcpu->steps && vcpu_debug_stepped(agent, vcpu)) {
        return;
    }
    vcpu_check_kick(agent);
    if (agent->regs.kind == REGS_GUEST && core->stamp >= vcpu->timer_end) {
        vcpu_timer(core, vcpu);
    }
}

/// A step goes on: its next exit is to come the long way, too.
static void restore_step(const struct core *core)
{
    const struct regs *current = core->main_stack->current;
    if (current && current->kind == REGS_GUEST && current->guest->steps) {
        current->guest->timer_end = 0;
    }
}

/// CR2 is switched neither by VM entry and exit nor, as it changes without a WRMSR, worth a copy at exits that are just answered.
static void restore_cr2(const struct core *core)
{
    const struct regs *current = core->main_stack->current;
    if (current && current->kind == REGS_GUEST && cpu_read_cr2() != current->guest->registers->cr2) {
        cpu_write_cr2(current->guest->registers->cr2);
    }
}

static void handle(struct core *core, struct agent *agent, struct vcpu *vcpu, uint32_t reason)
{
    if (vmcs_read(VMCS_IDT_VECTORING_INFO) & INTERRUPTION_VALID) {
        vcpu_reinject(reason);
    }
    if (reason == EXIT_REASON_PREEMPTION_TIMER) {
        vcpu->absorbed[reason]++;
        vcpu_timer(core, vcpu);
    } else if (reason == EXIT_REASON_EXTERNAL_INTERRUPT) {
        vcpu->absorbed[reason]++;
        external_interrupt(agent);
    } else if (vcpu->armed && vcpu_debug_exit(agent, vcpu, reason)) {
        vcpu->absorbed[reason]++;
    } else if (absorb(core, agent, vcpu, reason)) {
        vcpu->absorbed[reason]++;
        go_on(core, agent, vcpu);
    } else {
        deliver(agent, vcpu, reason);
    }
}

/// Every exit but the ones that vcpu_hot.c handles at once.
enum vcpu_exit_to vcpu_other_exit(struct vcpu *vcpu, struct core *core, uint32_t reason)
{
    struct agent *agent = agent_of(core->main_stack->current);
    vcpu->registers->cr2 = cpu_read_cr2();
    if (reason & EXIT_REASON_ENTRY_FAILURE) {
        refused(core, agent, vcpu, reason);
    } else {
        handle(core, agent, vcpu, reason & EXIT_REASON_BASIC);
    }
    restore_cr2(core);
    restore_step(core);
    return EXIT_TO_CURRENT;
}

void vcpu_no_exit_reason(void)
{
    vmx_failed("VMREAD", VMCS_EXIT_REASON, 0);
}

void vcpu_entry_failed(struct vcpu *vcpu, bool invalid)
{
    struct core *core = core_self();
    uint64_t error = invalid ? 0 : vmcs_read(VMCS_VM_INSTRUCTION_ERROR);
    core_hide_fpu(); // no VM exit has set CR0.TS
    if (error != ERROR_INVALID_CONTROLS) {
        vmx_failed("VM entry", vcpu->id, error); // a VMCS that is not ours, or the wrong launch state: a bug
    }
    trace_event(core, PV_TRACE_FAILED, vcpu->vpid, 0, (uint32_t)error);
    tell_rule(vcpu);
    vcpu->state->entry_error = (uint32_t)error;
    vcpu_finish_run(agent_of(core->main_stack->current), PV_ERR_ENTRY);
}

enum vcpu_exit_to vcpu_timer_slowly(struct vcpu *vcpu, struct core *core)
{
    vcpu->registers->cr2 = cpu_read_cr2();
    vcpu_timer(core, vcpu);
    restore_cr2(core);
    restore_step(core);
    return EXIT_TO_CURRENT;
}
