// SPDX-License-Identifier: Apache-2.0
/// A vcpu's answers to CPUID and RDMSR that its personality gave beforehand, as hash tables in pages of its quota.
#ifndef POLYVISOR_VCPU_TABLE_H
#define POLYVISOR_VCPU_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <polyvisor/vcpu.h>

#include "vmm/vcpu.h"

struct vcpu;

enum { VCPU_TABLE_SLOTS = 128, VCPU_TABLE_SLOT_MASK = VCPU_TABLE_SLOTS - 1 };

struct cpuid_slot {
    struct pv_cpuid_entry entry;
    uint32_t used;
    uint32_t reserved;
};
/// Basic and extended leaves, and hypervisor leaves (0x40000000), differ in their low bits or in the top ones.
static inline uint32_t cpuid_hash(uint32_t leaf)
{
    return (leaf ^ leaf >> 26) & VCPU_TABLE_SLOT_MASK;
}

/// NULL: not in the table.
static inline const struct pv_cpuid_entry *vcpu_table_cpuid(const struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf)
{
    const struct cpuid_slot *slots = (const void *)vcpu->cpuid_table;
    if (!slots) {
        return NULL;
    }
    for (uint32_t i = cpuid_hash(leaf); slots[i].used; i = (i + 1) & VCPU_TABLE_SLOT_MASK) {
        const struct pv_cpuid_entry *e = &slots[i].entry;
        if (e->leaf == leaf && (e->subleaf == subleaf || e->subleaf == PV_CPUID_ANY)) {
            return e;
        }
    }
    return NULL;
}

bool vcpu_table_msr(const struct vcpu *vcpu, uint32_t msr, uint64_t *value);

#endif
