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

/// Loads the incoming register file's value of an MSR where the hardware holds another.
static inline void load_msr(uint32_t msr, uint64_t *now, uint64_t value)
{
    if (*now != value) {
        *now = value;
        cpu_wrmsr(msr, value);
    }
}

static void swap_debug_registers(struct register_file *out, const struct register_file *in)
{
    if (out && out->uses_debug) {
        debug_registers_save(out->debug, &out->dr6);
    }
    if (in->uses_debug) {
        debug_registers_load(in->debug, in->dr6);
    }
}

static inline void swap_registers(struct core *core, struct register_file *in)
{
    struct register_file *out = core->loaded_registers;
    fpu_swap(out ? out->fpu : NULL, in->fpu, &core->xcr0, in->xcr0);
    load_msr(MSR_STAR, &core->msrs.star, in->msrs.star);
    load_msr(MSR_LSTAR, &core->msrs.lstar, in->msrs.lstar);
    load_msr(MSR_SFMASK, &core->msrs.sfmask, in->msrs.sfmask);
    load_msr(MSR_TSC_AUX, &core->msrs.tsc_aux, in->msrs.tsc_aux); // stays 0 where there is none
    uint64_t gs = cpu_rdmsr(MSR_KERNEL_GS_BASE);
    if (out) {
        out->kernel_gs_base = gs;
    }
    if (gs != in->kernel_gs_base) {
        cpu_wrmsr(MSR_KERNEL_GS_BASE, in->kernel_gs_base);
    }
    if ((out && out->uses_debug) || in->uses_debug) {
        swap_debug_registers(out, in);
    }
    core->loaded_registers = in;
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

static inline void make_current(struct core *core, struct vcpu *vcpu)
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

void vcpu_make_current(struct core *core, struct vcpu *vcpu)
{
    make_current(core, vcpu);
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

/// Arms the VMX-preemption timer for the scheduler's horizon or the end of the budget, whatever comes first.
static inline void arm_timer(const struct core *core, struct vcpu *vcpu)
{
    uint64_t ticks = core->horizon > core->stamp ? core->horizon - core->stamp : 0;
    ticks = ticks < vcpu->budget ? ticks : vcpu->budget;
    vcpu->timer_end = core->stamp + ticks;
    uint64_t value = ticks >> vmx_timer_shift;
    vmcs_write(VMCS_GUEST_PREEMPTION_TIMER, value < TIMER_MAX ? value : TIMER_MAX);
}

static inline __attribute__((always_inline)) void switch_in(struct core *core, struct agent *agent)
{
    struct vcpu *vcpu = agent->regs.guest;
    vcpu->guest_clock = core->clock[CLOCK_GUEST];
    if (vcpu->kicked || vcpu->budget == 0) {
        vcpu_finish_run(agent, vcpu->kicked ? PV_RUN_KICKED : PV_RUN_BUDGET);
        return;
    }
    make_current(core, vcpu);
    core_set_guest(core, vcpu, vcpu->gprs);
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

void vcpu_switch_in(struct core *core, struct agent *agent)
{
    switch_in(core, agent);
}

void vcpu_finish_run(struct agent *agent, int64_t result)
{
    struct vcpu *vcpu = agent->regs.guest;
    struct core *core = agent->core;
    vcpu_charge(core, vcpu);
    core_narrow_gdt(core);
    if (result == PV_RUN_KICKED) {
        __atomic_store_n(&vcpu->kicked, false, __ATOMIC_RELEASE);
    }
    vcpu->state->run_time = vcpu->run_time;
    vcpu->running = false;
    agent->regs.guest = NULL;
    agent->regs.kind = REGS_SYSEXIT;
    agent->regs.rax = (uint64_t)result;
    if (core->main_stack->current == &agent->regs) {
        sched_enter_ring3(core);
    }
}

/// The timer fired, and it is not just a turn that is over.
static __attribute__((noinline)) void timer_slow(struct core *core, struct vcpu *vcpu)
{
    struct agent *agent = agent_of(core->main_stack->current);
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

void vcpu_timer(struct core *core, struct vcpu *vcpu)
{
    if (core->stamp < vcpu->timer_end) { // too early: cut at TIMER_MAX, the rounding of its rate, or an erratum
        arm_timer(core, vcpu);
        return;
    }
    // A budget is charged first, as its end may be what the timer fired for.
    if (vcpu->budget != UINT64_MAX || !sched_guest_turn_over(core)) {
        vcpu_charge(core, vcpu);
        timer_slow(core, vcpu);
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
    switch_in(agent->core, agent);
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
