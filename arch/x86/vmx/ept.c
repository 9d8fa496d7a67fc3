// SPDX-License-Identifier: Apache-2.0
/*
 * Every change is made in two passes over the tables: the first finds out whether it is possible and how many table
 * pages it takes, which are then reserved all together; the second cannot fail. So a change that is refused was never
 * visible to a processor, and there is nothing to undo, which would need an INVEPT.
 */
#include "arch/x86/vmx/ept.h"

#include <stddef.h>

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

/// IA32_VMX_EPT_VPID_CAP (SDM Vol. 3D A.10).
enum { CAP_EXECUTE_ONLY = 1 << 0, CAP_2M = 1 << 16, CAP_1G = 1 << 17, CAP_ACCESSED_DIRTY = 1 << 21 };

/// EPTP (SDM Vol. 3C table 25-9).
enum { EPTP_LEVELS_SHIFT = 3, EPTP_ACCESSED_DIRTY = 1 << 6 };

#define SPAN(level) (UINT64_C(1) << (PAGE_BITS + INDEX_BITS * (level)))

/// One call's work.
struct job {
    struct ept *ept;
    const struct ept_pages *pages;
    uint64_t needed;  ///< table pages, by the first pass
    uint64_t reserve; ///< that many, chained through their first entries
    uint64_t offset;  ///< map: hpa - gpa, modulo 2^64
    uint64_t bits;    ///< map: a leaf entry's rights and memory type
    struct ept_garbage *garbage;
    bool changed; ///< unmap: something was mapped
};

static uint64_t *view(const struct ept_pages *pages, uint64_t page)
{
    return pages->view(pages->ctx, page);
}

/// Processors walk the tables meanwhile: an entry changes in one store, after what it refers to.
static void set_entry(uint64_t *entry, uint64_t value)
{
    __atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

static uint64_t get_entry(const uint64_t *entry)
{
    return __atomic_load_n(entry, __ATOMIC_RELAXED);
}

static unsigned index_of(uint64_t gpa, int level)
{
    return (unsigned)(gpa >> (PAGE_BITS + INDEX_BITS * level)) % ENTRIES;
}

static bool is_leaf(uint64_t entry, int level)
{
    return level == 0 || (entry & ENTRY_LARGE);
}

/// Where the part of [at, end) that one level-n entry covers ends.
static uint64_t part_end(uint64_t at, uint64_t end, int level)
{
    uint64_t boundary = (at | (SPAN(level) - 1)) + 1;
    return boundary < end ? boundary : end;
}

/* ---- table pages ---- */

static void push_page(const struct ept_pages *pages, uint64_t *chain, uint64_t page)
{
    // The link has no access bits: for a processor that still walks this page it is an entry that is not present.
    set_entry(view(pages, page), *chain);
    *chain = page;
}

static uint64_t pop_page(const struct ept_pages *pages, uint64_t *chain)
{
    uint64_t page = *chain;
    uint64_t *link = view(pages, page);
    *chain = *link;
    *link = 0;
    return page;
}

static void release_chain(const struct ept_pages *pages, uint64_t *chain)
{
    while (*chain) {
        pages->free(pages->ctx, pop_page(pages, chain));
    }
}

/// Allocates what the first pass asked for. False: there is not enough, and nothing is taken.
static bool reserve(struct job *job)
{
    for (uint64_t i = 0; i < job->needed; i++) {
        uint64_t page = job->pages->alloc(job->pages->ctx);
        if (!page) {
            release_chain(job->pages, &job->reserve);
            return false;
        }
        push_page(job->pages, &job->reserve, page);
    }
    job->ept->tables += job->needed;
    return true;
}

/* ---- whole hierarchies ---- */

enum ept_result ept_init(struct ept *ept, const struct ept_pages *pages, uint64_t ept_vpid, unsigned physical_bits)
{
    if (physical_bits < MIN_PHYSICAL_BITS || physical_bits > MAX_PHYSICAL_BITS) {
        return EPT_INVALID;
    }
    *ept = (struct ept){
        .root = pages->alloc(pages->ctx),
        .limit = UINT64_C(1) << physical_bits,
        .tables = 1,
        .have_2m = (ept_vpid & CAP_2M) != 0,
        // A 1-GiB page can only be split where there are 2-MiB pages.
        .have_1g = (ept_vpid & CAP_2M) && (ept_vpid & CAP_1G),
        .have_ad = (ept_vpid & CAP_ACCESSED_DIRTY) != 0,
        .exec_only = (ept_vpid & CAP_EXECUTE_ONLY) != 0,
        .large_exec = true,
    };
    return ept->root ? EPT_OK : EPT_NO_MEMORY;
}

static void free_tables(const struct ept_pages *pages, uint64_t table, int level)
{
    const uint64_t *entries = view(pages, table);
    for (unsigned i = 0; level > 0 && i < ENTRIES; i++) {
        if ((entries[i] & ENTRY_ACCESS) && !is_leaf(entries[i], level)) {
            free_tables(pages, entries[i] & ENTRY_ADDRESS, level - 1);
        }
    }
    pages->free(pages->ctx, table);
}

void ept_destroy(struct ept *ept, const struct ept_pages *pages)
{
    if (ept->root) {
        free_tables(pages, ept->root, TOP);
    }
    ept->root = 0;
    ept->tables = 0;
}

static bool range_valid(uint64_t start, uint64_t size, uint64_t limit)
{
    return (start | size) % SPAN(0) == 0 && size > 0 && start < limit && size <= limit - start;
}

/// A guest cannot form an address above MAXPHYADDR, nor can 4 levels translate more than 48 bits.
static uint64_t gpa_limit(const struct ept *ept)
{
    uint64_t levels = UINT64_C(1) << GPA_BITS;
    return ept->limit < levels ? ept->limit : levels;
}

/* ---- mapping ---- */

/// Rights and types that are no EPT misconfiguration (SDM Vol. 3C 29.3.3.1), and map something.
static bool bits_valid(const struct ept *ept, uint32_t access, uint32_t memory_type)
{
    if (access & ~(uint32_t)ENTRY_ACCESS || memory_type & ~(uint32_t)ENTRY_TYPE_MASK) {
        return false;
    }
    switch (memory_type & ~(uint32_t)EPT_IGNORE_PAT) {
    case EPT_TYPE_UC:
    case EPT_TYPE_WC:
    case EPT_TYPE_WT:
    case EPT_TYPE_WP:
    case EPT_TYPE_WB:
        return access & EPT_READ || (access == EPT_EXECUTE && ept->exec_only);
    default:
        return false;
    }
}

/// Whether one level-n entry can map [at, end).
static bool leaf_fits(const struct job *job, uint64_t at, uint64_t end, int level)
{
    const struct ept *ept = job->ept;
    if (level == 0) {
        return true;
    }
    bool have = level == 1 ? ept->have_2m : level == 2 && ept->have_1g;
    bool may = ept->large_exec || !(job->bits & EPT_EXECUTE);
    return have && may && end - at == SPAN(level) && (at + job->offset) % SPAN(level) == 0;
}

/// First pass: counts missing tables. entries: the level-n table over [at, end), NULL: not there yet. False: overlap.
static bool plan_map(struct job *job, const uint64_t *entries, uint64_t at, uint64_t end, int level)
{
    if (!entries && level == 0) {
        return true;
    }
    for (uint64_t next; at < end; at = next) {
        next = part_end(at, end, level);
        uint64_t entry = entries ? get_entry(&entries[index_of(at, level)]) : 0;
        const uint64_t *child = NULL;
        if (entry & ENTRY_ACCESS) {
            if (is_leaf(entry, level)) {
                return false;
            }
            child = view(job->pages, entry & ENTRY_ADDRESS);
        } else if (leaf_fits(job, at, next, level)) {
            continue;
        } else {
            job->needed++;
        }
        if (!plan_map(job, child, at, next, level - 1)) {
            return false;
        }
    }
    return true;
}

/// Second pass: writes the entries.
static void commit_map(struct job *job, uint64_t *entries, uint64_t at, uint64_t end, int level)
{
    for (uint64_t next; at < end; at = next) {
        next = part_end(at, end, level);
        uint64_t *entry = &entries[index_of(at, level)];
        if (!(*entry & ENTRY_ACCESS)) {
            if (leaf_fits(job, at, next, level)) {
                set_entry(entry, (at + job->offset) | job->bits | (level ? ENTRY_LARGE : 0));
                continue;
            }
            set_entry(entry, pop_page(job->pages, &job->reserve) | ENTRY_ACCESS); // the leaf restricts
        }
        commit_map(job, view(job->pages, *entry & ENTRY_ADDRESS), at, next, level - 1);
    }
}

enum ept_result ept_map(struct ept *ept, const struct ept_pages *pages, uint64_t gpa, uint64_t hpa, uint64_t size,
                        uint32_t access, uint32_t memory_type)
{
    if (!range_valid(gpa, size, gpa_limit(ept)) || !range_valid(hpa, size, ept->limit) ||
        !bits_valid(ept, access, memory_type)) {
        return EPT_INVALID;
    }
    struct job job = {
        .ept = ept,
        .pages = pages,
        .offset = hpa - gpa,
        .bits = access | (uint64_t)memory_type << ENTRY_TYPE_SHIFT,
    };
    uint64_t *root = view(pages, ept->root);
    if (!plan_map(&job, root, gpa, gpa + size, TOP)) {
        return EPT_OVERLAP;
    }
    if (!reserve(&job)) {
        return EPT_NO_MEMORY;
    }
    commit_map(&job, root, gpa, gpa + size, TOP);
    return EPT_OK;
}

/* ---- unmapping ---- */

/// First pass: counts large pages to split. entries: the level-n table over [at, end), NULL: one that a split will
/// fill.
static void plan_unmap(struct job *job, const uint64_t *entries, uint64_t at, uint64_t end, int level)
{
    for (uint64_t next; at < end; at = next) {
        next = part_end(at, end, level);
        uint64_t entry = entries ? get_entry(&entries[index_of(at, level)]) : ENTRY_LARGE | ENTRY_ACCESS;
        if (!(entry & ENTRY_ACCESS)) {
            continue;
        }
        if (!is_leaf(entry, level)) {
            plan_unmap(job, view(job->pages, entry & ENTRY_ADDRESS), at, next, level - 1);
        } else if (next - at < SPAN(level)) {
            job->needed++;
            plan_unmap(job, NULL, at, next, level - 1);
        }
    }
}

/// Replaces a large page by a table that maps the same.
static void split(struct job *job, uint64_t *entry, int level)
{
    uint64_t table = pop_page(job->pages, &job->reserve);
    uint64_t *entries = view(job->pages, table);
    uint64_t old = get_entry(entry);
    for (uint64_t i = 0; i < ENTRIES; i++) {
        // Address bits below the large page's size are 0, so the large bit is all that may have to go.
        entries[i] = (level > 1 ? old : old & ~(uint64_t)ENTRY_LARGE) + i * SPAN(level - 1);
    }
    // A processor may have set the accessed or dirty bit since; what it did to the page it did to some of the parts.
    uint64_t late = __atomic_exchange_n(entry, table | ENTRY_ACCESS | (old & ENTRY_ACCESSED), __ATOMIC_ACQ_REL) & ~old;
    for (unsigned i = 0; late && i < ENTRIES; i++) {
        __atomic_fetch_or(&entries[i], late & (ENTRY_ACCESSED | ENTRY_DIRTY), __ATOMIC_RELAXED);
    }
}

static bool is_empty(const uint64_t *entries)
{
    for (unsigned i = 0; i < ENTRIES; i++) {
        if (get_entry(&entries[i]) & ENTRY_ACCESS) {
            return false;
        }
    }
    return true;
}

/// Second pass: clears the entries, and takes out the tables that become empty.
static void commit_unmap(struct job *job, uint64_t *entries, uint64_t at, uint64_t end, int level)
{
    for (uint64_t next; at < end; at = next) {
        next = part_end(at, end, level);
        uint64_t *entry = &entries[index_of(at, level)];
        if (!(get_entry(entry) & ENTRY_ACCESS)) {
            continue;
        }
        if (is_leaf(get_entry(entry), level)) {
            job->changed = true;
            if (next - at == SPAN(level)) {
                set_entry(entry, 0);
                continue;
            }
            split(job, entry, level);
        }
        uint64_t table = get_entry(entry) & ENTRY_ADDRESS;
        commit_unmap(job, view(job->pages, table), at, next, level - 1);
        if (is_empty(view(job->pages, table))) {
            set_entry(entry, 0);
            push_page(job->pages, &job->garbage->first, table);
            job->ept->tables--;
        }
    }
}

enum ept_result ept_unmap(struct ept *ept, const struct ept_pages *pages, uint64_t gpa, uint64_t size,
                          struct ept_garbage *garbage, bool *changed)
{
    *changed = false;
    if (!range_valid(gpa, size, gpa_limit(ept))) {
        return EPT_INVALID;
    }
    struct job job = {.ept = ept, .pages = pages, .garbage = garbage};
    uint64_t *root = view(pages, ept->root);
    plan_unmap(&job, root, gpa, gpa + size, TOP);
    if (!reserve(&job)) {
        return EPT_NO_MEMORY;
    }
    commit_unmap(&job, root, gpa, gpa + size, TOP);
    if (job.changed) {
        __atomic_store_n(&ept->generation, ept->generation + 1, __ATOMIC_RELEASE);
    }
    *changed = job.changed;
    return EPT_OK;
}

void ept_garbage_release(struct ept_garbage *garbage, const struct ept_pages *pages)
{
    release_chain(pages, &garbage->first);
}

/* ---- questions ---- */

bool ept_lookup(const struct ept *ept, const struct ept_pages *pages, uint64_t gpa, uint64_t *entry, uint64_t *size)
{
    uint64_t table = ept->root;
    *entry = 0;
    *size = SPAN(TOP);
    if (gpa >= gpa_limit(ept)) {
        return false;
    }
    for (int level = TOP; level >= 0; level--) {
        const uint64_t *entries = view(pages, table);
        uint64_t found = get_entry(&entries[index_of(gpa, level)]);
        *size = SPAN(level);
        if (!(found & ENTRY_ACCESS)) {
            return false;
        }
        if (is_leaf(found, level)) {
            *entry = found;
            return true;
        }
        table = found & ENTRY_ADDRESS;
    }
    return false;
}

uint64_t ept_entry_address(uint64_t entry)
{
    return entry & ENTRY_ADDRESS;
}

uint32_t ept_entry_access(uint64_t entry)
{
    return (uint32_t)(entry & ENTRY_ACCESS);
}

uint32_t ept_entry_memory_type(uint64_t entry)
{
    return (uint32_t)(entry >> ENTRY_TYPE_SHIFT & ENTRY_TYPE_MASK);
}

uint64_t ept_pointer(const struct ept *ept)
{
    return ept->root | EPT_TYPE_WB | TOP << EPTP_LEVELS_SHIFT | (ept->have_ad ? EPTP_ACCESSED_DIRTY : 0);
}

uint64_t ept_count_pages(const struct ept *ept)
{
    return ept->tables;
}

uint64_t ept_generation(const struct ept *ept)
{
    return __atomic_load_n(&ept->generation, __ATOMIC_ACQUIRE);
}
