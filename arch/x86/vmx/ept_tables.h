// SPDX-License-Identifier: Apache-2.0
/// Extended page tables from within: what ept.c, ept_map.c and ept_unmap.c share.
#ifndef POLYVISOR_VMX_EPT_TABLES_H
#define POLYVISOR_VMX_EPT_TABLES_H

#include <stddef.h>

#include "arch/x86/vmx/ept.h"

enum {
    ENTRIES = 512,
    TOP = 3,        // level of the root; a level-n entry covers SPAN(n) bytes
    PAGE_BITS = 12, // of an address in a page
    INDEX_BITS = 9, // of an address that choose an entry, in each level
    GPA_BITS = 48,
    MIN_PHYSICAL_BITS = 32,
    MAX_PHYSICAL_BITS = 52,
};

/// An entry (SDM Vol. 3C tables 29-1 to 29-6).
enum {
    ENTRY_ACCESS = EPT_READ | EPT_WRITE | EPT_EXECUTE, // none: not present
    ENTRY_TYPE_SHIFT = 3,                              // bits 5:3 memory type, bit 6 ignore PAT
    ENTRY_TYPE_MASK = 0xf,
    ENTRY_LARGE = 1 << 7,
    ENTRY_ACCESSED = 1 << 8,
    ENTRY_DIRTY = 1 << 9,
};
#define ENTRY_ADDRESS UINT64_C(0x000ffffffffff000)

#define SPAN(level) (UINT64_C(1) << (PAGE_BITS + INDEX_BITS * (level)))

/// What parts of a step cost, measured in entries that are looked at or written, one after another: about four instructions each.
enum { COST_WALK = 16, COST_PLAN = 64, COST_TABLE = 160, COST_SPLIT = 400, COST_EMPTY = 200, COST_RELEASE = 16 };

/// A step: a piece of a job.
struct ept_step {
    struct ept *ept;
    const struct ept_pages *pages;
    struct ept_job *job;
    int64_t whole, budget; ///< what it may cost, and what is left of that
};

/// Whether something that costs that much can still be done in this step; if not, the step ends. At its beginning anything can, so
/// that every step gets on.
static inline bool affords(struct ept_step *s, int64_t cost)
{
    if (s->budget >= cost || s->budget == s->whole) {
        return true;
    }
    s->budget = 0;
    return false;
}

static inline uint64_t *view(const struct ept_pages *pages, uint64_t page)
{
    return pages->view(pages->ctx, page);
}

/// Processors walk the tables meanwhile: an entry changes in one store, after what it refers to.
static inline void set_entry(uint64_t *entry, uint64_t value)
{
    __atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

static inline uint64_t get_entry(const uint64_t *entry)
{
    return __atomic_load_n(entry, __ATOMIC_RELAXED);
}

static inline unsigned index_of(uint64_t gpa, int level)
{
    return (unsigned)(gpa >> (PAGE_BITS + INDEX_BITS * level)) % ENTRIES;
}

static inline bool is_leaf(uint64_t entry, int level)
{
    return level == 0 || (entry & ENTRY_LARGE);
}

/// Where the part of [at, end) that one level-n entry covers ends.
static inline uint64_t part_end(uint64_t at, uint64_t end, int level)
{
    uint64_t boundary = (at | (SPAN(level) - 1)) + 1;
    return boundary < end ? boundary : end;
}

static inline bool range_valid(uint64_t start, uint64_t size, uint64_t limit)
{
    return (start | size) % SPAN(0) == 0 && size > 0 && start < limit && size <= limit - start;
}

/// A guest cannot form an address above MAXPHYADDR, nor can 4 levels translate more than 48 bits.
static inline uint64_t gpa_limit(const struct ept *ept)
{
    uint64_t levels = UINT64_C(1) << GPA_BITS;
    return ept->limit < levels ? ept->limit : levels;
}

/// How many of a table's entries, from the one for `at` on, lie below `end` and within the budget.
static inline uint64_t run_length(const struct ept_step *s, uint64_t at, uint64_t end, int level)
{
    unsigned shift = PAGE_BITS + INDEX_BITS * (unsigned)level;
    uint64_t entries = ENTRIES - index_of(at, level), parts = ((end - 1) >> shift) - (at >> shift) + 1;
    uint64_t count = entries < parts ? entries : parts;
    return s->budget > 0 && count > (uint64_t)s->budget ? (uint64_t)s->budget : count;
}

/// The deepest entry for an address: a leaf, or one that is not present. Returns its level; path[n]: the level-n entry on the way.
int ept_walk(const struct ept_step *s, uint64_t at, uint64_t *path[TOP + 1]);
/// One of the pages that were set aside, in use from now on.
uint64_t ept_take_table(struct ept_step *s, bool zeroed);
/// Sets aside what the job will need. False: there is not enough, and nothing is taken.
bool ept_reserve(struct ept_step *s, uint64_t count);

/* The phases of jobs. EPT_MORE: there is no budget left, or the next phase is to follow. */
enum ept_result ept_check_map(struct ept_step *s);
enum ept_result ept_fill(struct ept_step *s);
enum ept_result ept_count_splits(struct ept_step *s);
enum ept_result ept_split_ends(struct ept_step *s);
enum ept_result ept_clear(struct ept_step *s);

#endif
