// SPDX-License-Identifier: Apache-2.0
/// The local APIC by the processor's APIC virtualization, where it has that: then only accesses that need the model exit.
#ifndef POLYVISOR_LINUX_VIRTUAL_APIC_H
#define POLYVISOR_LINUX_VIRTUAL_APIC_H

#include <stdbool.h>
#include <stdint.h>

#include "options.h"

struct cpu;

/// A virtual processor's.
struct virtual_apic {
    uint64_t page;       ///< pool offset
    uint32_t *registers; ///< the page; NULL: none yet
    uint32_t features;   ///< enum pv_apic bits that are on
    bool changed;        ///< the page's registers are not the model's
    uint32_t level[8];   ///< vectors that are level-triggered, as far as the page and the VMCS know
    uint32_t threshold;  ///< of the task priority, in the VMCS
};

/// What is wanted, before there are vcpus.
void virtual_apic_plan(enum options_apic wanted);
/// For a new vcpu: nothing is on. The first processor's finds out what there is. An error: no memory.
int64_t virtual_apic_create(struct cpu *cpu);
/// Before a run: has the processor do what suits the mode that the local APIC is in now.
void virtual_apic_choose(struct cpu *cpu);
/// Whether the processor delivers the local APIC's interrupts.
bool virtual_apic_delivers(const struct cpu *cpu);
/// Whether an interrupt cannot be chosen yet: until the guest can take it, it may change the task priority without an exit.
bool virtual_apic_must_wait(const struct cpu *cpu);
/// The model has changed, by an access of the guest or by INIT.
void virtual_apic_changed(struct cpu *cpu);
/// Around a run: the state is the page's in between.
void virtual_apic_enter(struct cpu *cpu);
void virtual_apic_leave(struct cpu *cpu);
/// TPR-below-threshold, APIC-access, APIC-write and EOI-induced exits.
void virtual_apic_handle_exit(struct cpu *cpu, uint32_t reason);

#endif
