// SPDX-License-Identifier: Apache-2.0
/// Between a vcpu's state page and its VMCS. The VMCS must be current, for taking MSRs also the register file loaded.
#ifndef POLYVISOR_VCPU_STATE_H
#define POLYVISOR_VCPU_STATE_H

#include <stdint.h>

#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmcs_bits.h"
#include "vmm/vcpu.h"

struct vmx_exit_events;

/// Injects the state page's event if the guest can take it now, otherwise asks the processor to say when.
void vcpu_take_event(struct vcpu *vcpu);
/// At a delivered exit: exit information, and the groups that the personality wants.
void vcpu_give_state(struct vcpu *vcpu, uint32_t reason);
/// The fields of the exit that tell about events.
void vcpu_read_events(struct vmx_exit_events *exit, uint32_t reason);
/// Puts the event whose delivery this exit interrupted into the VMCS again. The IDT-vectoring information is valid.
void vcpu_reinject(uint32_t reason);

/// The groups but for PV_GROUP_RIP.
void vcpu_take_groups(struct vcpu *vcpu, uint32_t dirty);

/// Before an entry by vcpu_run: writes the groups that the personality made dirty, and its event. Inlined, as it is part
/// of every vcpu_run and most change rip at most.
static inline void vcpu_take_state(struct vcpu *vcpu)
{
    struct pv_vcpu_state *s = vcpu->state;
    uint32_t dirty = __atomic_load_n(&s->dirty, __ATOMIC_RELAXED);
    if (dirty) {
        if (dirty & PV_GROUP_RIP) {
            vmcs_write(VMCS_GUEST_RIP, s->rip);
            vmcs_write(VMCS_GUEST_RSP, s->rsp);
            vmcs_write(VMCS_GUEST_RFLAGS, s->rflags);
        }
        if (dirty & ~(uint32_t)PV_GROUP_RIP) {
            vcpu_take_groups(vcpu, dirty);
        }
        s->dirty = 0;
    }
    if (__atomic_load_n(&s->inject, __ATOMIC_RELAXED) & INTERRUPTION_VALID) {
        vcpu_take_event(vcpu);
    }
}

#endif
