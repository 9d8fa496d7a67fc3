// SPDX-License-Identifier: Apache-2.0
/// A vcpu's answers to CPUID and RDMSR that its personality gave beforehand, as hash tables in pages of its quota.
#ifndef POLYVISOR_VCPU_TABLE_H
#define POLYVISOR_VCPU_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <polyvisor/vcpu.h>

#include "vmm/vcpu.h"

enum { VCPU_TABLE_SLOTS = 128, VCPU_TABLE_SLOT_MASK = VCPU_TABLE_SLOTS - 1 };

/*
 * Open addressing in a page. Tables are at most three quarters full, so a search ends at a free slot. The leaf of a free
 * slot is one whose search begins behind it, and ends before it comes round: no search takes it for an answer, and only
 * one that has not found its leaf needs to look at `used`.
 */
struct cpuid_slot {
    struct pv_cpuid_entry entry;
    uint32_t used;
    uint32_t subleaf_mask; ///< which bits of the subleaf count: none where the leaf has none
};

enum { CPUID_FEATURES = 1, CPUID_OSXSAVE = 1 << 27 }; ///< leaf 1, in ECX; 0 in a table, as it mirrors the guest's CR4

/// Basic and extended leaves, and hypervisor leaves (0x40000000), differ in their low bits or in the top ones.
static inline uint32_t cpuid_hash(uint32_t leaf)
{
    return (leaf ^ leaf >> 26) & VCPU_TABLE_SLOT_MASK;
}

static inline bool cpuid_answers(const struct cpuid_slot *slot, uint32_t leaf, uint32_t subleaf)
{
    return slot->entry.leaf == leaf && !((slot->entry.subleaf ^ subleaf) & slot->subleaf_mask);
}

/// The table of a vcpu without one.
extern struct cpuid_slot vcpu_table_empty[VCPU_TABLE_SLOTS];
/// At boot.
void vcpu_table_init(void);

/// NULL: not in the table.
static inline const struct pv_cpuid_entry *vcpu_table_cpuid(const struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf)
{
    const struct cpuid_slot *slots = vcpu->cpuid_table;
    uint32_t i = cpuid_hash(leaf);
    while (!cpuid_answers(&slots[i], leaf, subleaf)) {
        if (!slots[i].used) {
            return NULL;
        }
        i = (i + 1) & VCPU_TABLE_SLOT_MASK;
    }
    return &slots[i].entry;
}

/// The components of XCR0 whose features leaves 1 and 7 do not hide: AVX, AVX-512, PKRU. A leaf that is not in the table hides nothing.
uint64_t vcpu_table_xcr0(const struct vcpu *vcpu);

bool vcpu_table_msr(const struct vcpu *vcpu, uint32_t msr, uint64_t *value);

#endif
