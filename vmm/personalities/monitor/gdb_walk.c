// SPDX-License-Identifier: Apache-2.0
#include "gdb_walk.h"

#define PG (UINT64_C(1) << 31)   // CR0
#define PSE (UINT64_C(1) << 4)   // CR4
#define PAE (UINT64_C(1) << 5)   // CR4
#define LA57 (UINT64_C(1) << 12) // CR4
#define LMA (UINT64_C(1) << 10)  // EFER
#define ADDRESS UINT64_C(0x000ffffffffff000)

enum { PRESENT = 1, LARGE = 0x80, PAGE_BITS = 12, INDEX_BITS = 9, ENTRY_SIZE = 8 };

/// Entries of 8 bytes: 4 or 5 levels, or PAE with 3, whose highest has entries without rights and flags, and no large pages.
static bool walk_8(uint64_t table, unsigned levels, uint64_t address, gdb_read_physical *read, void *context,
                   uint64_t *gpa)
{
    for (unsigned level = levels; level-- > 0;) {
        const unsigned shift = PAGE_BITS + INDEX_BITS * level;
        uint64_t entry;
        if (!read(context, table + (address >> shift & 511) * ENTRY_SIZE, &entry, sizeof(entry)) || !(entry & PRESENT))
            return false;
        const uint64_t offset = address & ((UINT64_C(1) << shift) - 1);
        const bool can_be_large = level == 1 || (level == 2 && levels > 3);
        if (level == 0 || (can_be_large && (entry & LARGE))) {
            *gpa = (entry & ADDRESS & ~((UINT64_C(1) << shift) - 1)) + offset;
            return true;
        }
        table = entry & ADDRESS;
    }
    return false;
}

/// Entries of 4 bytes; large pages have bits 39:32 of their address in bits 20:13 (PSE-36).
static bool walk_4(const struct pv_guest_registers *r, uint32_t address, gdb_read_physical *read, void *context,
                   uint64_t *gpa)
{
    const uint32_t page = 0xfffff000;
    uint32_t entry;
    if (!read(context, (r->cr3 & page) + (address >> 22) * 4, &entry, sizeof(entry)) || !(entry & PRESENT))
        return false;
    if ((entry & LARGE) && (r->cr4 & PSE)) {
        *gpa = (entry & 0xffc00000) | (uint64_t)(entry >> 13 & 0xff) << 32 | (address & 0x3fffff);
        return true;
    }
    if (!read(context, (entry & page) + (address >> PAGE_BITS & 1023) * 4, &entry, sizeof(entry)) || !(entry & PRESENT))
        return false;
    *gpa = (entry & page) | (address & 0xfff);
    return true;
}

bool gdb_translate(const struct pv_guest_registers *registers, uint64_t address, gdb_read_physical *read, void *context,
                   uint64_t *gpa)
{
    const struct pv_guest_registers *r = registers;
    if (r->efer & LMA) {
        const bool wide = r->cr4 & LA57;
        const unsigned spare = wide ? 7 : 16; // bits above must all be as the highest one that counts
        if ((uint64_t)((int64_t)(address << spare) >> spare) != address)
            return false;
        return walk_8(r->cr3 & ADDRESS, wide ? 5 : 4, address, read, context, gpa);
    }
    const uint32_t low = (uint32_t)address;
    if (!(r->cr0 & PG)) {
        *gpa = low;
        return true;
    }
    if (!(r->cr4 & PAE))
        return walk_4(r, low, read, context, gpa);
    return walk_8(r->cr3 & 0xffffffe0, 3, low, read, context, gpa);
}
