// SPDX-License-Identifier: Apache-2.0
/// Loading a vcpu on its core: the part of a switch that is compiled into its users.
#ifndef POLYVISOR_VMM_VCPU_SWITCH_H
#define POLYVISOR_VMM_VCPU_SWITCH_H

#include "arch/x86/core.h"
#include "arch/x86/fpu.h"
#include "arch/x86/registers.h"
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmx.h"
#include "vmm/panic.h"
#include "vmm/sched.h"
#include "vmm/space.h"
#include "vmm/vcpu.h"

/// The local APIC's timer runs already on the way into the guest: a rest of a budget that is shorter than the way would be armed
/// for again and again without ever being used up.
#define LAPIC_MIN_TICKS UINT64_C(1000)

/* ---- the register file ---- */

/// Loads the incoming register file's value of an MSR where the hardware holds another.
static inline void vcpu_load_msr(uint32_t msr, uint64_t *now, uint64_t value)
{
    if (__builtin_expect(*now != value, 0)) { // rare: guests of one kernel have the same ones
        *now = value;
        cpu_wrmsr(msr, value);
    }
}

void vcpu_swap_debug_registers(struct register_file *out, const struct register_file *in);

static inline void vcpu_swap_msrs(struct core *core, struct register_file *out, const struct register_file *in)
{
    vcpu_load_msr(MSR_STAR, &core->msrs.star, in->msrs.star);
    vcpu_load_msr(MSR_LSTAR, &core->msrs.lstar, in->msrs.lstar);
    vcpu_load_msr(MSR_SFMASK, &core->msrs.sfmask, in->msrs.sfmask);
    vcpu_load_msr(MSR_TSC_AUX, &core->msrs.tsc_aux, in->msrs.tsc_aux); // stays 0 where there is none
    uint64_t gs = cpu_rdmsr(MSR_KERNEL_GS_BASE);
    if (out) {
        out->kernel_gs_base = gs;
    }
    if (gs != in->kernel_gs_base) {
        cpu_wrmsr(MSR_KERNEL_GS_BASE, in->kernel_gs_base);
    }
}

static inline void vcpu_swap_registers(struct core *core, struct register_file *in)
{
    struct register_file *out = core->loaded_registers;
    fpu_swap(out ? out->fpu : NULL, in->fpu, &core->xcr0, in->xcr0);
    vcpu_swap_msrs(core, out, in);
    if ((out && out->uses_debug) || in->uses_debug) {
        vcpu_swap_debug_registers(out, in);
    }
    core->loaded_registers = in;
}

/// Arms the VMX-preemption timer of the current VMCS. short: ticks are known to be within its range.
static inline void vcpu_arm_timer_short(struct vcpu *vcpu, uint64_t now, uint64_t ticks)
{
    vcpu->timer_end = now + ticks;
    vmcs_write(VMCS_GUEST_PREEMPTION_TIMER, ticks >> vmx_timer_shift);
}
static inline void vcpu_arm_timer_in(struct vcpu *vcpu, uint64_t now, uint64_t ticks)
{
    vcpu->timer_end = now + ticks;
    uint64_t value = ticks >> vmx_timer_shift;
    vmcs_write(VMCS_GUEST_PREEMPTION_TIMER, value < VMX_TIMER_MAX ? value : VMX_TIMER_MAX);
}

/// How long a vcpu may run: until the core's horizon, its deadline, or the end of its budget. False: no longer, which on the way from one
/// guest to another matters more than what it is that has come.
static inline bool vcpu_ticks_left(const struct vcpu *vcpu, uint64_t now, uint64_t horizon, uint64_t *ticks)
{
    uint64_t until = horizon < vcpu->run_until ? horizon : vcpu->run_until, left, budget;
    if (__builtin_sub_overflow(until, now, &left) ||
        __builtin_sub_overflow(vcpu->budget_end, vcpu->run_time, &budget)) { // one instruction and its flag each
        return false;
    }
    *ticks = left < budget ? left : budget;
    return true;
}

/// Arms it for whatever comes first.
static inline void vcpu_arm_timer(const struct core *core, struct vcpu *vcpu)
{
    uint64_t ticks;
    if (!vcpu_ticks_left(vcpu, core->stamp, core->horizon, &ticks)) {
        ticks = 0;
    }
    if (vmx_guest_timer) {
        vcpu_arm_timer_in(vcpu, core->stamp, ticks);
    } else {
        vcpu->timer_end = core->stamp + (ticks > LAPIC_MIN_TICKS ? ticks : LAPIC_MIN_TICKS);
        sched_time_guest(vcpu->timer_end);
    }
}

/// vcpu_run is over: the agent goes on behind its system call.
static inline void vcpu_leave_run(struct agent *agent, struct core *core, struct vcpu *vcpu, int64_t result)
{
    vcpu->state->run_time = vcpu->run_time;
    agent->regs.guest = NULL;
    agent->regs.kind = REGS_SYSEXIT;
    agent->regs.rax = (uint64_t)result;
    core->tss.rsp[0] = (uint64_t)(&agent->regs + 1);
}

/// VMCS, register file, timer of a vcpu that nothing else is to be done for.
static inline void vcpu_load(struct core *core, struct vcpu *vcpu)
{
    vcpu_make_current(core, vcpu);
    if (core->loaded_registers != vcpu->registers) {
        vcpu_swap_registers(core, vcpu->registers);
    }
    space_catch_up(vcpu->space, core);
    vcpu_arm_timer(core, vcpu);
}

/// The short way of vcpu_load, where there is XSAVEOPT: a vcpu and its register file come in for another that is loaded. What else
/// may have to be done first: see needs_more in vcpu_hot.c.
static inline void vcpu_load_other(struct core *core, struct vcpu *in, struct register_file *out)
{
    struct register_file *registers = in->registers;
    cpu_write_cr2(registers->cr2);
    vmx_vmptrld(&in->vmcs);
    core->current_vcpu = in;
    fpu_swap_optimised(&out->fpu, &registers->fpu, &core->xcr0, registers->xcr0);
    vcpu_swap_msrs(core, out, registers);
    core->loaded_registers = registers;
}

#endif
