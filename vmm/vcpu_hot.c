// SPDX-License-Identifier: Apache-2.0
/*
 * The short ways: exits that are frequent and simple, and vcpu_run of the vcpu that ran last. What is rare about them
 * is left to vcpu_exit.c, vcpu_run.c and sched.c, before anything has been done, by a call in the last place: so
 * nothing here needs a stack frame, and hardly a register has to be saved. docs/performance.md counts the instructions.
 */
#include "arch/x86/core.h"
#include "arch/x86/registers.h"
#include "arch/x86/upcalls.h"
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmx.h"
#include "vmm/level1_weighted.h"
#include "vmm/personality.h"
#include "vmm/sched_state.h"
#include "vmm/vcpu.h"
#include "vmm/vcpu_absorb.h"
#include "vmm/vcpu_state.h"
#include "vmm/vcpu_switch.h"
#include "vmm/vcpu_table.h"

/// Whether more has to be done before a guest is entered than vcpu_load_other does. The flags stand side by side: one comparison.
static inline bool needs_more(const struct core *core, const struct vcpu *in)
{
    return in->kicked || in->flush_vpid || in->long_way || in->cleared || space_is_behind(in->space, core);
}

/* ---- exits ---- */

/// What an exit has done to the core; nobody looks at it while it goes from guest to guest.
static inline void note_exit(const struct vcpu *vcpu, struct core *core)
{
    core->loaded_root = vcpu->root; // HOST_CR3
    core->gdt_wide = true;
}

bool vcpu_exit_cpuid(struct vcpu *vcpu, struct core *core)
{
    // CPUID cannot interrupt the delivery of an event: no IDT-vectoring information (SDM Vol. 3C 28.2.4).
    if (core->stamp >= vcpu->timer_end || !absorb_cpuid(vcpu)) {
        return false;
    }
    vcpu->absorbed[EXIT_REASON_CPUID]++;
    return true;
}

/// A switch is done, but the time of the run that was to go on is over: its deadline has come, or its budget was used up before.
static __attribute__((noinline, cold)) enum vcpu_exit_to too_late(struct vcpu *vcpu, struct core *core)
{
    vcpu->timer_end = core->stamp;
    core->loaded_root = cpu_read_cr3();
    core->gdt_wide = true;
    return vcpu_timer_slowly(vcpu, core);
}

/// The preemption timer's exit. Nor does it interrupt a delivery: injected events are delivered before it (SDM Vol. 3C
/// 26.2, 27.7.4).
static __attribute__((noinline)) enum vcpu_exit_to slice_over(struct vcpu *vcpu, struct core *core)
{
    struct sched *s = core->sched;
    struct agent *last = s->current;
    uint64_t now = core->stamp;
    if (now < s->slice_end || now >= s->short_until) { // whether the run is over, too, matters when it goes on
        note_exit(vcpu, core);
        return vcpu_other_exit(vcpu, core, EXIT_REASON_PREEMPTION_TIMER);
    }
    vcpu->absorbed[EXIT_REASON_PREEMPTION_TIMER]++;
    struct level1_entity *entity = level1_next_turn(&s->level1, &last->entity, now - s->charged);
    s->charged = now;
    struct agent *next = (struct agent *)((uintptr_t)entity - offsetof(struct agent, entity));
    struct vcpu *in;
    if (!entity || next == last || next->regs.kind != REGS_GUEST ||
        (in = next->regs.guest, needs_more(core, in) || vcpu->long_way)) {
        s->repick = true; // level 1 has decided, and will say the same again
        note_exit(vcpu, core);
        return vcpu_timer_slowly(vcpu, core);
    }
    uint64_t ticks, end = now + (uint64_t)entity->turn;
    s->slice_end = end;
    uint64_t horizon = end < s->other ? end : s->other;
    core->horizon = horizon;
    last->state = AGENT_READY;
    next->state = AGENT_RUNNING;
    next->switches++;
    s->switches++;
    s->current = next;
    core_set_guest_agent(core, &next->regs, in, in->gprs);
    struct register_file *out = vcpu->registers; // loaded: its guest ran
    out->cr2 = cpu_read_cr2();
    vcpu_load_other(core, in, out);
    if (!vcpu_ticks_left(in, now, horizon, &ticks)) {
        return too_late(in, core);
    }
    vcpu_arm_timer_short(in, now, ticks); // no turn is longer, see update_horizon
    return EXIT_TO_GUEST;
}

/// Exits that an instruction causes (so that none interrupts the delivery of an event), and that nothing here absorbs.
#define ALWAYS_DELIVERED (BIT(EXIT_REASON_IO) | BIT(EXIT_REASON_HLT) | BIT(EXIT_REASON_VMCALL))
static inline bool is_always_delivered(uint32_t reason)
{
    return reason < 64 && ALWAYS_DELIVERED >> reason & 1;
}

/// Exits that are delivered mostly: accesses to memory and MSRs of device models.
static inline bool is_delivered_now(const struct vcpu *vcpu, uint32_t reason)
{
    switch (reason) {
    case EXIT_REASON_EPT_VIOLATION:
        return !(vmcs_read(VMCS_IDT_VECTORING_INFO) & INTERRUPTION_VALID);
    case EXIT_REASON_RDMSR:
        return !vcpu->msr_table;
    case EXIT_REASON_WRMSR:
        return !is_syscall_msr((uint32_t)vcpu->gprs[PV_RCX]);
    default:
        return false;
    }
}

static __attribute__((noinline)) enum vcpu_exit_to deliver(struct vcpu *vcpu, struct core *core, uint32_t reason)
{
    struct pv_vcpu_state *state = vcpu->state;
    struct agent *agent = agent_of(core->main_stack->current);
    core->loaded_root = vcpu->root; // HOST_CR3
    vcpu->registers->cr2 = cpu_read_cr2();
    vcpu->delivered[reason]++;
    vcpu_give_exit(state, reason);
    state->vectoring_info = 0;
    if (reason == EXIT_REASON_IO) {
        if (state->exit_qualification & BIT(4)) { // INS, OUTS
            vcpu_give_instruction(state);
        }
    } else if (reason == EXIT_REASON_EPT_VIOLATION) {
        vcpu_give_address(state);
    }
    uint32_t fill = __atomic_load_n(&state->fill, __ATOMIC_RELAXED) & PV_GROUP_ALL;
    state->valid = fill | PV_GROUP_ALWAYS;
    if (fill) {
        vcpu_give_groups(state, fill);
    }
    core_load_gdt(core);
    vcpu_leave_run(agent, core, vcpu, PV_RUN_EXIT);
    if (core->horizon < core->sched->timer) {
        sched_enter_ring3();
    }
    return EXIT_TO_RING3;
}

enum vcpu_exit_to vcpu_exit(struct vcpu *vcpu, struct core *core, uint32_t reason)
{
    if (reason == EXIT_REASON_PREEMPTION_TIMER) {
        return slice_over(vcpu, core);
    }
    if (is_always_delivered(reason) || is_delivered_now(vcpu, reason)) {
        return deliver(vcpu, core, reason);
    }
    note_exit(vcpu, core);
    return vcpu_other_exit(vcpu, core, reason);
}

/* ---- vcpu_run ---- */

/// Whether a vcpu can come in for the one that ran last by vcpu_load_other.
static inline bool can_switch(const struct core *core, const struct vcpu *in)
{
    const struct register_file *out = core->loaded_registers;
    return out && out != in->registers && fpu_optimised && !out->uses_debug;
}

int64_t vcpu_run(struct regs *regs, uint64_t number, uint64_t budget, uint64_t deadline, uint64_t events, uint64_t a4)
{
    struct agent *agent = agent_of(regs);
    struct core *core = agent->core;
    struct vcpu *vcpu = vcpu_of(agent, number);
    if (!vcpu) {
        return vcpu_why_not(agent, number);
    }
    if (events != agent->run_mask) {
        return vcpu_run_for_events(regs, number, budget, deadline, events, a4);
    }
    if (budget == 0 || __builtin_add_overflow(vcpu->run_time, budget, &vcpu->budget_end)) {
        vcpu->budget_end = UINT64_MAX;
    }
    vcpu->run_until = deadline - 1;
    regs->guest = vcpu;
    regs->kind = REGS_GUEST;
    uint64_t now = core->stamp, ticks;
    if (agent->events & events || !vcpu_ticks_left(vcpu, now, core->horizon, &ticks) || needs_more(core, vcpu)) {
        return vcpu_run_slowly(agent, vcpu);
    }
    if (core->current_vcpu == vcpu && core->loaded_registers == vcpu->registers) {
        cpu_write_cr2(vcpu->registers->cr2);
    } else if (can_switch(core, vcpu)) {
        core_set_guest(core, vcpu, vcpu->gprs);
        vcpu_load_other(core, vcpu, core->loaded_registers);
    } else {
        return vcpu_run_slowly(agent, vcpu);
    }
    vcpu_arm_timer_in(vcpu, now, ticks);
    struct pv_vcpu_state *state = vcpu->state;
    uint32_t dirty = __atomic_load_n(&state->dirty, __ATOMIC_RELAXED);
    if (dirty & ~(uint32_t)PV_GROUP_RIP || __atomic_load_n(&state->inject, __ATOMIC_RELAXED) & VCPU_INJECT_MASK) {
        vcpu_take_state(vcpu);
    } else if (dirty) {
        vmcs_write(VMCS_GUEST_RIP, state->rip);
        state->dirty = 0;
    }
    return PV_OK;
}
