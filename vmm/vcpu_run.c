// SPDX-License-Identifier: Apache-2.0
/// Running vcpus: into the guest, when a slice begins and ends, and back to ring 3. Exits are in vcpu_exit.c.
#include "vmm/vcpu.h"

#include "arch/x86/core.h"
#include "arch/x86/debug_registers.h"
#include "arch/x86/fpu.h"
#include "arch/x86/registers.h"
#include "arch/x86/vmx/apic_policy.h"
#include "arch/x86/vmx/caps.h"
#include "arch/x86/vmx/event.h"
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmcs_setup.h"
#include "arch/x86/vmx/vmx.h"
#include "vmm/panic.h"
#include "vmm/personality.h"
#include "vmm/space.h"
#include "vmm/trace.h"
#include "vmm/vcpu_debug.h"
#include "vmm/vcpu_state.h"
#include "vmm/vcpu_switch.h"

void vcpu_swap_debug_registers(struct register_file *out, const struct register_file *in)
{
    if (out && out->uses_debug) {
        debug_registers_save(out->debug, &out->dr6);
    }
    if (in->uses_debug) {
        debug_registers_load(in->debug, in->dr6);
    }
}

bool vcpu_write_msr(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    struct core *core = core_self();
    struct guest_msrs *file = &vcpu->registers->msrs;
    ASSERT(core->loaded_registers == vcpu->registers);
    const struct {
        uint32_t msr;
        uint64_t *hardware, *kept;
    } known[] = {
        {MSR_STAR, &core->msrs.star, &file->star},
        {MSR_LSTAR, &core->msrs.lstar, &file->lstar},
        {MSR_SFMASK, &core->msrs.sfmask, &file->sfmask},
        {MSR_TSC_AUX, &core->msrs.tsc_aux, &file->tsc_aux},
    };
    for (uint32_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].msr == msr) {
            bool written = msr_write_safe(msr, value);
            if (written) {
                *known[i].hardware = *known[i].kept = value;
            }
            return written;
        }
    }
    return false;
}

void vcpu_use_debug_registers(struct vcpu *vcpu)
{
    struct register_file *r = vcpu->registers;
    if (!r->uses_debug && vcpu->core->loaded_registers == r) {
        debug_registers_load(r->debug, r->dr6);
    }
    r->uses_debug = true;
    for (uint32_t i = 0; i < PV_MAX_VCPUS; i++) {
        struct vcpu *sharer = vcpu->agent->vcpus[i];
        if (sharer && sharer->registers == r) {
            sharer->long_way = true;
        }
    }
}

void vcpu_unload_registers(struct core *core)
{
    struct register_file *out = core->loaded_registers;
    if (!out) {
        return;
    }
    fpu_swap(out->fpu, out->fpu, &core->xcr0, core->xcr0);
    core_hide_fpu();
    out->kernel_gs_base = cpu_rdmsr(MSR_KERNEL_GS_BASE);
    if (out->uses_debug) {
        debug_registers_save(out->debug, &out->dr6);
    }
    core->loaded_registers = NULL;
}

/* ---- the VMCS ---- */

void vcpu_make_current(struct core *core, struct vcpu *vcpu)
{
    ASSERT(vcpu->core == core); // a VMCS is current on one core at most (SDM Vol. 3C 25.1)
    if (core->current_vcpu != vcpu) {
        vmx_vmptrld(&vcpu->vmcs);
        core->current_vcpu = vcpu;
        core_set_guest(core, vcpu, vcpu->gprs); // vcpu_run of the current vcpu need not do it again
        if (trace_is_on(core)) {
            trace_vmptrld(core, vcpu);
        }
        if (vcpu->host_core != core) { // it has moved
            ASSERT(!vcpu->host_core);  // and was cleared before
            vmcs_setup_host(core, vcpu->owner->root);
            vcpu->host_core = core;
            vcpu->cleared = false;
            // This core may know the APIC-access page as memory (SDM Vol. 3C 29.4.4).
            if (vcpu->apic & VMX_APIC_ACCESSES) {
                vmx_invept(ept_pointer(&vcpu->space->ept));
            }
        }
    }
}

void vcpu_open_vmcs(struct core *core, struct vcpu *vcpu)
{
    if (core->current_vcpu != vcpu) {
        vcpu_make_current(core, vcpu);
        core->current_vcpu = NULL;
    }
}

void vcpu_clear_vmcs(struct core *core, struct vcpu *vcpu)
{
    ASSERT(vcpu->core == core);
    vmx_vmclear(vcpu->vmcs);
    vcpu->launched = 0;
    vcpu->host_core = NULL; // the next one may be another
    vcpu->cleared = true;
    if (core->current_vcpu == vcpu) {
        core->current_vcpu = NULL;
    }
    if (trace_is_on(core)) {
        trace_vmclear(core, vcpu);
    }
}

/// Ends the run of an agent inside its guest for whatever has come meanwhile. While another of its vcpus is stepped alone, there is no
/// time for this one: its personality will turn to the other.
static bool finish_if_over(struct agent *agent, const struct core *core, const struct vcpu *vcpu)
{
    bool kicked = vcpu->kicked || agent->events & agent->run_mask;
    bool held = vcpu->armed && vcpu_debug_holds(vcpu);
    if (!kicked && !held && !vcpu_time_is_over(vcpu, core->stamp)) {
        return false;
    }
    vcpu_finish_run(agent, kicked ? PV_RUN_KICKED : PV_RUN_BUDGET);
    return true;
}

void vcpu_switch_in(struct agent *agent)
{
    struct core *core = agent->core;
    struct vcpu *vcpu = agent->regs.guest;
    if (finish_if_over(agent, core, vcpu)) {
        return;
    }
    cpu_write_cr2(vcpu->registers->cr2);
    if (vcpu->flush_vpid) {
        vcpu_make_current(core, vcpu);
        vmx_invvpid(vcpu->vpid);
        vcpu->flush_vpid = false;
    }
    vcpu_load(core, vcpu);
    if (vcpu->steps) {
        vcpu->timer_end = 0; // CPUID is not to be answered on the short way
    }
}

void vcpu_finish_run(struct agent *agent, int64_t result)
{
    struct vcpu *vcpu = agent->regs.guest;
    core_narrow_gdt(agent->core);
    if (result == PV_RUN_KICKED) {
        __atomic_store_n(&vcpu->kicked, false, __ATOMIC_RELEASE);
    }
    if (result > PV_RUN_EXIT) {
        vcpu->state->vectoring_info = 0; // the last exit's is over
    }
    vcpu_leave_run(agent, agent->core, vcpu, result);
    if (sched_current() == agent) {
        sched_enter_ring3();
    }
}

/// A message that has come just now is not to wait until the guest has been entered and left again. False: somebody else is current
/// now, or the run has ended.
static bool goes_on_after_messages(struct agent *agent)
{
    if (message_waits()) {
        message_receive();
        vcpu_check_kick(sched_current());
        sched_settle();
    }
    return sched_current() == agent && agent->regs.kind == REGS_GUEST;
}

void vcpu_timer(struct core *core, struct vcpu *vcpu)
{
    struct agent *agent = agent_of(core->main_stack->current);
    if (!goes_on_after_messages(agent)) {
        return;
    }
    if (core->stamp < vcpu->timer_end) { // too early: cut at TIMER_MAX, the rounding of its rate, or an erratum
        vcpu_arm_timer(core, vcpu);
        return;
    }
    sched_guest_timer();
    if (!finish_if_over(agent, core, vcpu)) {
        vcpu->timer_end = 0; // fired: has to be armed again if the agent stays
    }
    sched_settle();
    if (sched_current() == agent && agent->regs.kind == REGS_GUEST && agent->regs.guest->timer_end == 0) {
        vcpu_arm_timer(core, vcpu);
    }
}

void vcpu_rearm(struct agent *agent)
{
    vcpu_arm_timer(agent->core, agent->regs.guest);
}

/* ---- the system calls ---- */

int64_t vcpu_run_slowly(struct agent *agent, struct vcpu *vcpu)
{
    vcpu_switch_in(agent);
    if (agent->regs.kind == REGS_GUEST) {
        vcpu_take_state(vcpu);
        if (vcpu->steps) {
            vcpu_debug_stepped(agent, vcpu); // the exit that the step led to has been dealt with
        }
    }
    return (int64_t)agent->regs.rax;
}

int64_t vcpu_run_for_events(struct regs *regs, uint64_t number, uint64_t budget, uint64_t deadline, uint64_t events,
                            uint64_t a4)
{
    if (events >> 31) { // as for event_wait
        return PV_ERR_INVALID;
    }
    // First the mask, then vcpu_run's look at the events; sched_signal does it the other way round. So one of the two sees the other.
    // With the mask of the last run there is nothing to store: whoever signals sees it already.
    __atomic_store_n(&agent_of(regs)->run_mask, events, __ATOMIC_SEQ_CST);
    return vcpu_run(regs, number, budget, deadline, events, a4);
}

void vcpu_kick_if_due(struct agent *agent)
{
    bool runs = agent->state == AGENT_RUNNING || agent->state == AGENT_READY;
    if (runs && agent->regs.kind == REGS_GUEST && agent->events & agent->run_mask) {
        __atomic_store_n(&agent->regs.guest->kicked, true, __ATOMIC_RELEASE); // all ways into a guest look at that
    }
}

/// One for each core, whoever kicks there: a message is about nothing that could go away.
static struct message kicks[PV_MAX_CORES];

static void run_kick(struct message *message)
{
    (void)message; // the interrupt that brought it has taken the core out of the guest: vcpu_check_kick sees the rest
}

int64_t vcpu_kick(struct regs *regs, uint64_t number, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
    (void)a1, (void)a2, (void)a3, (void)a4;
    struct agent *agent = agent_of(regs);
    struct core *core = NULL;
    lock_take(&agent->personality->lock);
    struct vcpu *vcpu = vcpu_find(agent->personality, number);
    // One that was kicked and has not seen it yet needs no second interrupt. If it is entered on another core than the one that is
    // read here, it has moved meanwhile, and that entry sees the kick: this exchange and the message that moved it are barriers.
    if (vcpu && !__atomic_exchange_n(&vcpu->kicked, true, __ATOMIC_SEQ_CST)) {
        core = vcpu->core;
    }
    lock_drop(&agent->personality->lock);
    if (core && core != agent->core) {
        kicks[core->id].run = run_kick;
        message_post(core, &kicks[core->id]);
    }
    return vcpu ? PV_OK : PV_ERR_NOT_FOUND;
}

void vcpu_check_kick(struct agent *agent)
{
    if (agent && agent->regs.kind == REGS_GUEST && agent->regs.guest->kicked) {
        vcpu_finish_run(agent, PV_RUN_KICKED);
    }
}
