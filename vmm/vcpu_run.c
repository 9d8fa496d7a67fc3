// SPDX-License-Identifier: Apache-2.0
/// Running vcpus: into the guest, when a slice begins and ends, and back to ring 3. Exits are in vcpu_exit.c.
#include "vmm/vcpu.h"

#include "arch/x86/core.h"
#include "arch/x86/debug_registers.h"
#include "arch/x86/fpu.h"
#include "arch/x86/registers.h"
#include "arch/x86/vmx/caps.h"
#include "arch/x86/vmx/event.h"
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmcs_setup.h"
#include "arch/x86/vmx/vmx.h"
#include "vmm/panic.h"
#include "vmm/personality.h"
#include "vmm/space.h"
#include "vmm/vcpu_state.h"

/// Values of the VMX-preemption timer stay below this: near the maximum it fires at once on Skylake and later server
/// parts.
#define TIMER_MAX UINT64_C(0x1000000)

/* ---- the register file ---- */

/// Saves one MSR of the outgoing register file and loads the incoming one's, where it differs.
static void swap_msr(uint32_t msr, uint64_t *save, uint64_t load)
{
    uint64_t now = cpu_rdmsr(msr);
    if (save) {
        *save = now;
    }
    if (now != load) {
        cpu_wrmsr(msr, load);
    }
}

static void swap_registers(struct core *core, struct register_file *in)
{
    struct register_file *out = core->loaded_registers;
    fpu_swap(out ? out->fpu : NULL, in->fpu, &core->xcr0, in->xcr0);
    swap_msr(MSR_STAR, out ? &out->star : NULL, in->star);
    swap_msr(MSR_LSTAR, out ? &out->lstar : NULL, in->lstar);
    swap_msr(MSR_SFMASK, out ? &out->sfmask : NULL, in->sfmask);
    swap_msr(MSR_KERNEL_GS_BASE, out ? &out->kernel_gs_base : NULL, in->kernel_gs_base);
    if (vmx_has_tsc_aux()) {
        swap_msr(MSR_TSC_AUX, out ? &out->tsc_aux : NULL, in->tsc_aux);
    }
    if (out && out->uses_debug) {
        debug_registers_save(out->debug, &out->dr6);
    }
    if (in->uses_debug) {
        debug_registers_load(in->debug, in->dr6);
    }
    core->loaded_registers = in;
}

void vcpu_use_debug_registers(struct vcpu *vcpu)
{
    struct register_file *r = vcpu->registers;
    if (!r->uses_debug && vcpu->core->loaded_registers == r) {
        debug_registers_load(r->debug, r->dr6);
    }
    r->uses_debug = true;
}

void vcpu_unload_registers(struct core *core)
{
    struct register_file *out = core->loaded_registers;
    if (!out) {
        return;
    }
    fpu_swap(out->fpu, out->fpu, &core->xcr0, core->xcr0);
    core_hide_fpu();
    out->star = cpu_rdmsr(MSR_STAR);
    out->lstar = cpu_rdmsr(MSR_LSTAR);
    out->sfmask = cpu_rdmsr(MSR_SFMASK);
    out->kernel_gs_base = cpu_rdmsr(MSR_KERNEL_GS_BASE);
    if (vmx_has_tsc_aux()) {
        out->tsc_aux = cpu_rdmsr(MSR_TSC_AUX);
    }
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
        vmx_vmptrld(vcpu->vmcs);
        core->current_vcpu = vcpu;
        if (vcpu->host_core != core) { // it has moved
            vmcs_setup_host(core, vcpu->owner->root);
            vcpu->host_core = core;
        }
    }
}

void vcpu_clear_vmcs(struct core *core, struct vcpu *vcpu)
{
    ASSERT(vcpu->core == core);
    vmx_vmclear(vcpu->vmcs);
    vcpu->launched = 0;
    if (core->current_vcpu == vcpu) {
        core->current_vcpu = NULL;
    }
}

/// Arms the VMX-preemption timer for the earliest of: end of the slice, a deadline on this core, the end of the budget.
static void arm_timer(struct core *core, struct vcpu *vcpu)
{
    uint64_t end = sched_horizon();
    if (vcpu->budget < end - core->stamp && end > core->stamp) {
        end = core->stamp + vcpu->budget;
    }
    uint64_t ticks = end > core->stamp ? end - core->stamp : 0;
    uint64_t value = ticks >> vmx_timer_shift();
    vcpu->timer_end = end;
    vmcs_write(VMCS_GUEST_PREEMPTION_TIMER, value < TIMER_MAX ? value : TIMER_MAX);
}

/// Charges the guest's time since it was charged last.
static void charge(const struct core *core, struct vcpu *vcpu)
{
    uint64_t ticks = core->clock[CLOCK_GUEST] - vcpu->guest_clock;
    vcpu->guest_clock = core->clock[CLOCK_GUEST];
    vcpu->run_time += ticks;
    if (vcpu->budget != UINT64_MAX) {
        vcpu->budget -= ticks < vcpu->budget ? ticks : vcpu->budget;
    }
}

void vcpu_switch_in(struct agent *agent)
{
    struct core *core = agent->core;
    struct vcpu *vcpu = agent->regs.guest;
    vcpu->guest_clock = core->clock[CLOCK_GUEST];
    if (vcpu->kicked || vcpu->budget == 0) {
        vcpu_finish_run(agent, vcpu->kicked ? PV_RUN_KICKED : PV_RUN_BUDGET);
        return;
    }
    vcpu_make_current(core, vcpu);
    if (core->loaded_registers != vcpu->registers) {
        swap_registers(core, vcpu->registers);
    }
    space_catch_up(vcpu->space, core);
    if (vcpu->flush_vpid) {
        vmx_invvpid(vcpu->vpid);
        vcpu->flush_vpid = false;
    }
    arm_timer(core, vcpu);
}

void vcpu_switch_out(struct agent *agent)
{
    charge(agent->core, agent->regs.guest);
    core_narrow_gdt(agent->core);
}

void vcpu_finish_run(struct agent *agent, int64_t result)
{
    struct vcpu *vcpu = agent->regs.guest;
    charge(agent->core, vcpu);
    core_narrow_gdt(agent->core);
    if (result == PV_RUN_KICKED) {
        __atomic_store_n(&vcpu->kicked, false, __ATOMIC_RELEASE);
    }
    vcpu->state->run_time = vcpu->run_time;
    vcpu->running = false;
    agent->regs.guest = NULL;
    agent->regs.kind = REGS_SYSEXIT;
    agent->regs.rax = (uint64_t)result;
    if (sched_current() == agent) {
        sched_enter_ring3();
    }
}

void vcpu_timer(struct agent *agent)
{
    struct core *core = agent->core;
    struct vcpu *vcpu = agent->regs.guest;
    if (core->stamp < vcpu->timer_end) { // too early: cut at TIMER_MAX, the rounding of its rate, or an erratum
        arm_timer(core, vcpu);
        return;
    }
    charge(core, vcpu);
    sched_guest_timer();
    if (vcpu->budget == 0) {
        vcpu_finish_run(agent, PV_RUN_BUDGET);
    } else {
        vcpu->timer_end = 0; // fired: has to be armed again if the agent stays
    }
    sched_settle();
    if (sched_current() == agent && agent->regs.kind == REGS_GUEST && agent->regs.guest->timer_end == 0) {
        arm_timer(core, vcpu);
    }
}

void vcpu_rearm(struct agent *agent)
{
    arm_timer(agent->core, agent->regs.guest);
}

/* ---- the system calls ---- */

int64_t vcpu_run(struct regs *regs, uint64_t number, uint64_t budget, uint64_t a2, uint64_t a3, uint64_t a4)
{
    (void)a2, (void)a3, (void)a4;
    struct agent *agent = agent_of(regs);
    struct vcpu *vcpu = vcpu_find(agent->personality, number);
    if (!vcpu) {
        return PV_ERR_NOT_FOUND;
    }
    if (vcpu->core != agent->core || vcpu->running) {
        return PV_ERR_STATE;
    }
    vcpu->running = true;
    vcpu->budget = budget ? budget : UINT64_MAX;
    regs->guest = vcpu;
    regs->kind = REGS_GUEST;
    vcpu_switch_in(agent);
    if (regs->kind == REGS_GUEST) {
        vcpu_take_state(vcpu);
    }
    return (int64_t)regs->rax;
}

static void run_kick(struct message *message)
{
    (void)message; // the interrupt that brought it has taken the core out of the guest: vcpu_check_kick sees the rest
}

int64_t vcpu_kick(struct regs *regs, uint64_t number, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
    (void)a1, (void)a2, (void)a3, (void)a4;
    struct agent *agent = agent_of(regs);
    struct vcpu *vcpu = vcpu_find(agent->personality, number);
    if (!vcpu) {
        return PV_ERR_NOT_FOUND;
    }
    __atomic_store_n(&vcpu->kicked, true, __ATOMIC_RELEASE);
    if (vcpu->core != agent->core) {
        vcpu->kick_message.run = run_kick;
        message_send(vcpu->core, &vcpu->kick_message);
    }
    return PV_OK;
}

void vcpu_check_kick(struct agent *agent)
{
    if (agent && agent->regs.kind == REGS_GUEST && agent->regs.guest->kicked) {
        vcpu_finish_run(agent, PV_RUN_KICKED);
    }
}
