// SPDX-License-Identifier: Apache-2.0
#include "vmm/vcpu_debug.h"

#include "arch/x86/registers.h"
#include "arch/x86/vmx/apic_policy.h"
#include "arch/x86/vmx/controls.h"
#include "arch/x86/vmx/event.h"
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmx.h"
#include "vmm/personality.h"
#include "vmm/trace.h"
#include "vmm/vcpu.h"
#include "vmm/vcpu_state.h"

/// Runs of other vcpus that are held in a step. A personality that still does not turn to the vcpu that is stepped has its reasons,
/// such as ticks that it wants to see used up.
enum { HELD_RUNS = 1000 };

void vcpu_debug_arm(struct vcpu *vcpu)
{
    bool watched = vcpu->owner->debugger;
    vcpu->armed = watched;
    vcpu->long_way = watched || vcpu->registers->uses_debug || !vmx_guest_timer;
    vmcs_write(VMCS_EXCEPTION_BITMAP,
               vmx_exception_bitmap(vcpu->wanted_exceptions | (watched ? UINT32_C(1) << VECTOR_BP : 0)));
    if (!watched) {
        vcpu_debug_end_step(vcpu);
        vcpu->stop = PV_STOP_NONE;
    }
}

/// Begins or ends a step, with what it does to interrupts that the processor delivers by itself.
static void set_steps(struct vcpu *vcpu, bool steps)
{
    bool delivers = vcpu->apic & VMX_APIC_INTERRUPTS;
    uint64_t status = delivers ? vcpu_read_interrupt_status(vcpu) : 0;
    vcpu->steps = steps;
    if (delivers) {
        vcpu_write_interrupt_status(vcpu, status);
    }
}

void vcpu_debug_end_step(struct vcpu *vcpu)
{
    if (vcpu->steps) {
        set_steps(vcpu, false);
        vcpu->primary &= ~(vcpu->wants_step ? 0 : PRIMARY_MONITOR_TRAP);
        vcpu->primary |= vcpu->wanted_windows;
        vmcs_write(VMCS_PRIMARY_CONTROLS, vcpu->primary);
        if (vcpu->agent->regs.guest == vcpu) {
            vcpu_await_event(vcpu); // an interrupt has waited for the end of the step
        } // else the state page is the personality's, which may be in the middle of writing to it: its vcpu_run looks
    }
}

bool vcpu_debug_holds(const struct vcpu *vcpu)
{
    struct personality *p = vcpu->owner;
    return p->only && !vcpu->steps && p->held_runs++ < HELD_RUNS; // by one agent alone: nobody else counts
}

/// The agent is held where it is: in its guest.
static void stop(struct agent *agent, struct vcpu *vcpu, enum pv_stop why)
{
    struct personality *p = agent->personality, *debugger = p->debugger;
    vcpu_debug_end_step(vcpu);
    vcpu->stop = why;
    personality_pause(p, true);
    if (debugger) {
        personality_signal(debugger, PV_EVENT_DEBUGGER);
    }
    sched_settle();
}

bool vcpu_debug_exit(struct agent *agent, struct vcpu *vcpu, uint32_t reason)
{
    if (reason == EXIT_REASON_MONITOR_TRAP && vcpu->steps) {
        stop(agent, vcpu, PV_STOP_STEP);
        return true;
    }
    if (reason != EXIT_REASON_EXCEPTION_NMI) {
        return false;
    }
    uint32_t info = (uint32_t)vmcs_read(VMCS_EXIT_INTERRUPTION_INFO);
    if (vmx_event_type(info) != EVENT_SOFTWARE_EXCEPTION || (info & INTERRUPTION_VECTOR) != VECTOR_BP) {
        return false;
    }
    stop(agent, vcpu, PV_STOP_BREAKPOINT);
    return true;
}

bool vcpu_debug_stepped(struct agent *agent, struct vcpu *vcpu)
{
    if (vmcs_read(VMCS_GUEST_RIP) == vcpu->step_from) {
        return false;
    }
    stop(agent, vcpu, PV_STOP_STEP);
    return true;
}

void vcpu_debug_step(struct vcpu *vcpu, uint64_t rip)
{
    vcpu->owner->held_runs = 0;
    set_steps(vcpu, true);
    vcpu->step_from = rip;
    vcpu->primary |= PRIMARY_MONITOR_TRAP;
    vcpu->primary &= ~(PRIMARY_INTERRUPT_WINDOW | PRIMARY_NMI_WINDOW); // the step goes first
    vmcs_write(VMCS_PRIMARY_CONTROLS, vcpu->primary);
}

bool vcpu_debug_pass(struct vcpu *vcpu)
{
    struct vmx_exit_events exit;
    struct vmx_event event;
    vcpu_read_events(&exit, EXIT_REASON_EXCEPTION_NMI); // still those of that exit: the guest has not run since
    bool error_codes = vmx_event_error_codes(vmcs_read(VMCS_GUEST_CR0), vcpu->secondary);
    if (vcpu->stop != PV_STOP_BREAKPOINT || (vcpu->wanted_exceptions & 1u << VECTOR_BP) ||
        !vmx_reflect(&exit, &event) || !vmx_combine(exit.vectoring_info, error_codes, &event)) {
        return false;
    }
    vmcs_write(VMCS_ENTRY_INTERRUPTION_INFO, event.info);
    vmcs_write(VMCS_ENTRY_EXCEPTION_ERROR_CODE, event.error);
    vmcs_write(VMCS_ENTRY_INSTRUCTION_LENGTH, event.length);
    trace_inject(vcpu->core, event.info);
    vcpu->stop = PV_STOP_NONE;
    return true;
}
