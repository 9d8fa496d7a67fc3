// SPDX-License-Identifier: Apache-2.0
/// The exits that are frequent and simple, the short way: CPUID that a table answers, and the end of a slice when the next agent is in
/// its guest, too. Everything that is rare about them is left to vcpu_exit.c and sched.c. No calls on these ways: registers need
/// not be saved.
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
#include "vmm/vcpu_switch.h"
#include "vmm/vcpu_table.h"

/// Whether more has to be done before a guest is entered than switch_guests does.
static inline bool needs_more(const struct core *core, const struct vcpu *in, const struct register_file *out)
{
    return in->kicked || in->flush_vpid || in->core != core || out->uses_debug || in->registers->uses_debug ||
           space_is_behind(in->space, core);
}

/// The short way of vcpu_load.
static inline void load_guest(struct core *core, struct vcpu *in, struct register_file *out, uint64_t now)
{
    struct register_file *registers = in->registers;
    vmx_vmptrld(&in->vmcs);
    core->current_vcpu = in;
    fpu_swap_optimised(out->fpu, registers->fpu, &core->xcr0, registers->xcr0);
    vcpu_swap_msrs(core, out, registers);
    core->loaded_registers = registers;
    uint64_t ticks = core->horizon - now, budget = in->budget_end - in->run_time;
    vcpu_arm_timer_in(in, now, ticks < budget ? ticks : budget);
}

/// The preemption timer's exit.
static __attribute__((noinline)) struct vcpu *slice_over(struct vcpu *vcpu, struct core *core)
{
    struct sched *s = core->sched;
    struct agent *last = s->current;
    uint64_t now = core->stamp;
    if (now < vcpu->timer_end || now >= s->short_until || vcpu->run_time >= vcpu->budget_end) {
        return vcpu_other_exit(vcpu, core, EXIT_REASON_PREEMPTION_TIMER);
    }
    vcpu->absorbed[EXIT_REASON_PREEMPTION_TIMER]++;
    struct level1_entity *entity = level1_next_turn(&s->level1, &last->entity, now - s->charged);
    s->charged = now;
    struct agent *next = (struct agent *)((char *)entity - offsetof(struct agent, entity));
    struct vcpu *in;
    struct register_file *out =
        vcpu->registers; // loaded, as its guest ran; next is another agent, or would have no end
    if (!entity || next->regs.kind != REGS_GUEST || (in = next->regs.guest, needs_more(core, in, out))) {
        s->repick = true; // level 1 has decided, and will say the same again
        return vcpu_timer_slowly(vcpu, core);
    }
    uint64_t end = now + (uint64_t)entity->turn;
    s->slice_end = end;
    core->horizon = end < s->other ? end : s->other;
    last->state = AGENT_READY;
    next->state = AGENT_RUNNING;
    next->switches++;
    s->switches++;
    s->current = next;
    core_set_guest_agent(core, &next->regs, in, in->gprs);
    out->cr2 = cpu_read_cr2();
    cpu_write_cr2(in->registers->cr2);
    load_guest(core, in, out, now);
    return in;
}

static __attribute__((noinline)) struct vcpu *cpuid(struct vcpu *vcpu, struct core *core)
{
    if (core->stamp >= vcpu->timer_end || !absorb_cpuid(vcpu)) {
        core->loaded_root = vcpu->root;
        core->gdt_wide = true;
        return vcpu_other_exit(vcpu, core, EXIT_REASON_CPUID);
    }
    vcpu->absorbed[EXIT_REASON_CPUID]++;
    return vcpu;
}

struct vcpu *vcpu_exit(struct vcpu *vcpu, struct core *core)
{
    uint32_t reason = (uint32_t)vmcs_read(VMCS_EXIT_REASON);
    // Neither can interrupt the delivery of an event: no IDT-vectoring information (SDM Vol. 3C 28.2.4).
    if (reason == EXIT_REASON_CPUID) {
        return cpuid(vcpu, core);
    }
    core->loaded_root = vcpu->root; // HOST_CR3
    core->gdt_wide = true;
    if (reason == EXIT_REASON_PREEMPTION_TIMER) {
        return slice_over(vcpu, core);
    }
    return vcpu_other_exit(vcpu, core, reason);
}
