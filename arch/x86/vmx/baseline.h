// SPDX-License-Identifier: Apache-2.0
/*
 * The baseline that Polyvisor is measured against: one hypervisor leaves VMX operation so that the next can enter it, at every
 * slice. Nothing but the measurement (vmm/baseline.h) may call this: besides power-off it is the one place with a VMXOFF.
 */
#ifndef POLYVISOR_VMX_BASELINE_H
#define POLYVISOR_VMX_BASELINE_H

#include <stdbool.h>
#include <stdint.h>

struct core;
struct vcpu;

/// Leaves VMX operation on this core and enters it again, as two hypervisors would that do not know of each other: VMXOFF, CR4.VMXE
/// off; CR4.VMXE on, VMXON. No VMCS may be active on the core: the processor may keep an active one's data to itself, and VMXOFF may
/// lose them (SDM Vol. 3C 25.11.1). Panics when VMXON fails.
void baseline_vmx_off_and_on(struct core *core);

/// Guests entered from a loop, not by core_resume. baseline.asm knows the offsets.
struct baseline_entry {
    struct core *core;
    struct vcpu *vcpu; ///< to enter next
    uint64_t *gprs;    ///< its
    uint64_t refused;  ///< entry failed: 1 VMfailInvalid, 2 VMfailValid
};

/// Enters the guest whose VMCS is current, and again after each exit for which baseline_exit returns true. HOST_RIP and HOST_RSP of
/// all VMCSs that become current meanwhile must be baseline_exit_entry and what baseline_begin is told.
void baseline_run(struct baseline_entry *entry);
extern void baseline_exit_entry(void);

/* called by it */
void baseline_begin(struct baseline_entry *entry, uint64_t host_rsp);
bool baseline_exit(struct baseline_entry *entry);

#endif
