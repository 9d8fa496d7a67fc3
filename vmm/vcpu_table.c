// SPDX-License-Identifier: Apache-2.0
#include "vmm/vcpu_table.h"

#include <polyvisor/string.h>

#include "arch/x86/paging.h"
#include "vmm/personality.h"
#include "vmm/user.h"
#include "vmm/vcpu.h"

/* Entries are made by the multiplexer from a copy, so a table can be searched without checking it. */
struct cpuid_slot vcpu_table_empty[VCPU_TABLE_SLOTS];

struct msr_slot {
    uint32_t msr;
    uint32_t used;
    uint64_t value;
};
_Static_assert(sizeof(struct cpuid_slot) * VCPU_TABLE_SLOTS <= 4096 && PV_MAX_CPUID <= VCPU_TABLE_SLOTS * 3 / 4,
               "a page");
_Static_assert(sizeof(struct msr_slot) * VCPU_TABLE_SLOTS <= 4096 && PV_MAX_MSRS <= VCPU_TABLE_SLOTS * 3 / 4, "a page");

static uint32_t msr_hash(uint32_t msr)
{
    return (msr ^ msr >> 25) & VCPU_TABLE_SLOT_MASK;
}

bool vcpu_table_msr(const struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    const struct msr_slot *slots = (const void *)vcpu->msr_table;
    if (!slots) {
        return false;
    }
    for (uint32_t i = msr_hash(msr); slots[i].used; i = (i + 1) & VCPU_TABLE_SLOT_MASK) {
        if (slots[i].msr == msr) {
            *value = slots[i].value;
            return true;
        }
    }
    return false;
}

uint64_t vcpu_table_xcr0(const struct vcpu *vcpu)
{
    enum { STRUCTURED = 7, AVX = 1 << 28, AVX512F = 1 << 16, PKU = 1 << 3 };
    enum { XCR0_AVX = 1 << 2, XCR0_AVX512 = 7 << 5, XCR0_PKRU = 1 << 9 };
    const struct pv_cpuid_entry *features = vcpu_table_cpuid(vcpu, CPUID_FEATURES, 0);
    const struct pv_cpuid_entry *structured = vcpu_table_cpuid(vcpu, STRUCTURED, 0);
    uint64_t hidden = 0;
    if (features && !(features->ecx & AVX)) {
        hidden |= XCR0_AVX | XCR0_AVX512;
    }
    if (structured && !(structured->ebx & AVX512F)) {
        hidden |= XCR0_AVX512;
    }
    if (structured && !(structured->ecx & PKU)) {
        hidden |= XCR0_PKRU;
    }
    return ~hidden;
}

static void clear_cpuid(struct cpuid_slot *slots)
{
    for (uint32_t i = 0; i < VCPU_TABLE_SLOTS; i++) {
        slots[i] = (struct cpuid_slot){.entry.leaf = (i + 1) & VCPU_TABLE_SLOT_MASK};
    }
}

void vcpu_table_init(void)
{
    clear_cpuid(vcpu_table_empty);
}

static void insert_cpuid(struct cpuid_slot *slots, const struct pv_cpuid_entry *entry)
{
    uint32_t i = cpuid_hash(entry->leaf);
    while (slots[i].used) {
        i = (i + 1) & VCPU_TABLE_SLOT_MASK;
    }
    slots[i] = (struct cpuid_slot){
        .entry = *entry, .used = 1, .subleaf_mask = entry->subleaf == PV_CPUID_ANY ? 0 : UINT32_MAX};
    if (entry->leaf == CPUID_FEATURES) {
        slots[i].entry.ecx &= ~(uint32_t)CPUID_OSXSAVE;
    }
}

static void insert_msr(struct msr_slot *slots, const struct pv_msr_entry *entry)
{
    uint32_t i = msr_hash(entry->msr);
    while (slots[i].used && slots[i].msr != entry->msr) {
        i = (i + 1) & VCPU_TABLE_SLOT_MASK;
    }
    slots[i] = (struct msr_slot){.msr = entry->msr, .used = 1, .value = entry->value};
}

/// A page of the quota for a table, kept for the vcpu's life. NULL: none left.
static void *table_page(struct vcpu *vcpu, uint64_t *physical)
{
    if (!*physical) {
        lock_take(&vcpu->owner->lock);
        *physical = quota_alloc(&vcpu->owner->quota);
        lock_drop(&vcpu->owner->lock);
    }
    return *physical ? phys_to_virt(*physical) : NULL;
}

/// The caller's vcpu, which does not run: its tables are not being searched.
static struct vcpu *own_vcpu(struct regs *regs, uint64_t number, int64_t *error)
{
    struct agent *agent = agent_of(regs);
    struct vcpu *vcpu = vcpu_of(agent, number);
    *error = vcpu ? PV_OK : vcpu_why_not(agent, number);
    return vcpu;
}

int64_t vcpu_set_cpuid(struct regs *regs, uint64_t number, uint64_t entries, uint64_t count, uint64_t a3, uint64_t a4)
{
    (void)a3, (void)a4;
    struct pv_cpuid_entry copy[PV_MAX_CPUID];
    int64_t error;
    struct vcpu *vcpu = own_vcpu(regs, number, &error);
    if (error) {
        return error;
    }
    if (count > PV_MAX_CPUID) {
        return PV_ERR_INVALID;
    }
    if (!user_read(copy, entries, count * sizeof(copy[0]))) {
        return PV_ERR_FAULT;
    }
    struct cpuid_slot *slots = table_page(vcpu, &vcpu->cpuid_page);
    if (!slots) {
        return PV_ERR_QUOTA;
    }
    clear_cpuid(slots);
    for (uint64_t i = 0; i < count; i++) {
        insert_cpuid(slots, &copy[i]);
    }
    vcpu->cpuid_table = slots;
    return PV_OK;
}

int64_t vcpu_set_msrs(struct regs *regs, uint64_t number, uint64_t entries, uint64_t count, uint64_t a3, uint64_t a4)
{
    (void)a3, (void)a4;
    struct pv_msr_entry copy[PV_MAX_MSRS];
    int64_t error;
    struct vcpu *vcpu = own_vcpu(regs, number, &error);
    if (error) {
        return error;
    }
    if (count > PV_MAX_MSRS) {
        return PV_ERR_INVALID;
    }
    if (!user_read(copy, entries, count * sizeof(copy[0]))) {
        return PV_ERR_FAULT;
    }
    struct msr_slot *slots = table_page(vcpu, &vcpu->msr_page);
    if (!slots) {
        return PV_ERR_QUOTA;
    }
    memset(slots, 0, VCPU_TABLE_SLOTS * sizeof(slots[0]));
    for (uint64_t i = 0; i < count; i++) {
        insert_msr(slots, &copy[i]);
    }
    vcpu->msr_table = slots;
    return PV_OK;
}
