// SPDX-License-Identifier: Apache-2.0
/// Between a vcpu's state page and its VMCS. The VMCS must be current, for taking MSRs also the register file loaded.
#ifndef POLYVISOR_VCPU_STATE_H
#define POLYVISOR_VCPU_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include <polyvisor/vcpu.h>

#include "arch/x86/vmx/vmcs.h"

struct vcpu;
struct vmx_exit_events;

/// Before an entry by vcpu_run: writes the groups that the personality made dirty, and its event.
void vcpu_take_state(struct vcpu *vcpu);
/// Writes the guest's EFER, with LMA, and "IA-32e mode guest", so that they suit its CR0 (vmx_settle_mode).
void vcpu_write_mode(uint64_t cr0, uint64_t efer);
/// What in the state page's `inject` an entry has to look at.
#define VCPU_INJECT_MASK (PV_INJECT_VALID | (uint32_t)PV_INJECT_REQUESTS)
/// Injects the state page's event if the guest can take it now, otherwise asks the processor to say when. Meets or arms the
/// requests there.
void vcpu_take_event(struct vcpu *vcpu);
/// Injects nothing, but asks the processor to say when the guest can take the event, and for what the personality requests.
void vcpu_await_event(struct vcpu *vcpu);
/// The guest interrupt status, of a vcpu with virtual-interrupt delivery. In a step the processor does not see that a vector is requested.
void vcpu_write_interrupt_status(struct vcpu *vcpu, uint64_t status);
uint64_t vcpu_read_interrupt_status(const struct vcpu *vcpu);
/// A window exit. True: the personality asked for it. False: it was for an event, which has been dealt with.
bool vcpu_grant_window(struct vcpu *vcpu, uint32_t reason);
/// At a delivered exit: exit information, and the groups that the personality wants.
void vcpu_give_state(struct vcpu *vcpu, uint32_t reason);
/// What is filled at every delivered exit, and PV_GROUP_ALWAYS.
static inline void vcpu_give_exit(struct pv_vcpu_state *s, uint32_t reason)
{
    s->exit_reason = reason;
    s->exit_instruction_length = (uint32_t)vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH);
    s->exit_qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
    s->rip = vmcs_read(VMCS_GUEST_RIP);
    s->rsp = vmcs_read(VMCS_GUEST_RSP);
    s->rflags = vmcs_read(VMCS_GUEST_RFLAGS);
    s->interruptibility = (uint32_t)vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);
}
/// What instructions with a memory operand need besides.
void vcpu_give_instruction(struct pv_vcpu_state *s);
/// The addresses of an EPT violation or misconfiguration.
static inline void vcpu_give_address(struct pv_vcpu_state *s)
{
    s->guest_physical_address = vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS);
    s->guest_linear_address = vmcs_read(VMCS_GUEST_LINEAR_ADDRESS);
}
/// Groups that the personality wants besides, of the current VMCS and the loaded register file.
void vcpu_give_groups(struct pv_vcpu_state *s, uint32_t groups);
/// The fields of the exit that tell about events.
void vcpu_read_events(struct vmx_exit_events *exit, uint32_t reason);
/// Puts the event whose delivery this exit interrupted into the VMCS again. The IDT-vectoring information is valid.
void vcpu_reinject(uint32_t reason);

#endif
