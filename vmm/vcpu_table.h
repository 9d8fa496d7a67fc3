// SPDX-License-Identifier: Apache-2.0
/// A vcpu's answers to CPUID and RDMSR that its personality gave beforehand, as hash tables in pages of its quota.
#ifndef POLYVISOR_VCPU_TABLE_H
#define POLYVISOR_VCPU_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <polyvisor/vcpu.h>

#include "vmm/vcpu.h"

/*
 * Open addressing in a page. A slot is free when its `used` is 0; tables are at most three quarters full, so a search
 * ends. Entries are made by the multiplexer from a copy, so a table can be searched without checking it.
 */
enum { VCPU_SLOTS = 128, VCPU_SLOT_MASK = VCPU_SLOTS - 1 };

struct vcpu_cpuid_slot {
    struct pv_cpuid_entry entry;
    uint32_t used;
    uint32_t reserved;
};
/// Basic and extended leaves, and hypervisor leaves (0x40000000), differ in their low bits or in the top ones.
static inline uint32_t vcpu_cpuid_hash(uint32_t leaf)
{
    return (leaf ^ leaf >> 26) & VCPU_SLOT_MASK;
}

/// NULL: not in the table.
static inline const struct pv_cpuid_entry *vcpu_table_cpuid(const struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf)
{
    const struct vcpu_cpuid_slot *slots = (const void *)vcpu->cpuid_table;
    if (!slots) {
        return NULL;
    }
    for (uint32_t i = vcpu_cpuid_hash(leaf); slots[i].used; i = (i + 1) & VCPU_SLOT_MASK) {
        const struct pv_cpuid_entry *e = &slots[i].entry;
        if (e->leaf != leaf) {
            continue;
        }
        if (e->subleaf == PV_CPUID_ANY || e->subleaf == subleaf) {
            return e;
        }
    }
    return NULL;
}
bool vcpu_table_msr(const struct vcpu *vcpu, uint32_t msr, uint64_t *value);

#endif
