// SPDX-License-Identifier: Apache-2.0
/// Between a vcpu's state page and its VMCS. The VMCS must be current, for taking MSRs also the register file loaded.
#ifndef POLYVISOR_VCPU_STATE_H
#define POLYVISOR_VCPU_STATE_H

#include <stdint.h>

struct vcpu;
struct vmx_exit_events;

/// Before an entry by vcpu_run: writes the groups that the personality made dirty, and its event.
void vcpu_take_state(struct vcpu *vcpu);
/// Injects the state page's event if the guest can take it now, otherwise asks the processor to say when.
void vcpu_take_event(struct vcpu *vcpu);
/// At a delivered exit: exit information, and the groups that the personality wants.
void vcpu_give_state(struct vcpu *vcpu, uint32_t reason);
/// The fields of the exit that tell about events.
void vcpu_read_events(struct vmx_exit_events *exit, uint32_t reason);
/// Puts the event whose delivery this exit interrupted into the VMCS again. The IDT-vectoring information is valid.
void vcpu_reinject(uint32_t reason);

#endif
