// SPDX-License-Identifier: Apache-2.0
/*
 * Guests of a personality that a debugger watches. An INT3, or the end of a step, pauses the personality in the middle of its
 * guest's run: its vcpu_run does not return, and it learns nothing of it. All on the vcpu's core.
 *
 * Steps are made with the monitor trap flag, which the guest cannot see. An instruction that exits makes no MTF exit (SDM Vol. 3C
 * 26.5.2): then the step ends where the exit has been dealt with, by whomever, and RIP is another. Interrupts and NMIs wait in the
 * state page until the step is over (vcpu_state.c).
 */
#ifndef POLYVISOR_VMM_VCPU_DEBUG_H
#define POLYVISOR_VMM_VCPU_DEBUG_H

#include <stdbool.h>
#include <stdint.h>

struct agent;
struct vcpu;

/// Makes the vcpu's #BP exits suit whether its personality is watched. Its VMCS is current.
void vcpu_debug_arm(struct vcpu *vcpu);
/// An exit of a vcpu that is armed. True: it was the debugger's, and the personality is paused.
bool vcpu_debug_exit(struct agent *agent, struct vcpu *vcpu, uint32_t reason);
/// A vcpu that steps is about to go on in its guest. True: the step is over, and the personality is paused.
bool vcpu_debug_stepped(struct agent *agent, struct vcpu *vcpu);
/// Whether it may not run now, since another vcpu of its personality is stepped alone. Asked at each of its runs.
bool vcpu_debug_holds(const struct vcpu *vcpu);
/// Ends a step, if there is one. Its VMCS is current.
void vcpu_debug_end_step(struct vcpu *vcpu);
/// Begins a step. Its VMCS is current.
void vcpu_debug_step(struct vcpu *vcpu, uint64_t rip);
/// Gives the guest the #BP at which it stopped. Its VMCS is current. False: there is none, or its personality wants it.
bool vcpu_debug_pass(struct vcpu *vcpu);

#endif
