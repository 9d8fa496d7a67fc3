// SPDX-License-Identifier: Apache-2.0
#include "arch/x86/vmx/ept_tables.h"

/// IA32_VMX_EPT_VPID_CAP (SDM Vol. 3D A.10).
enum { CAP_EXECUTE_ONLY = 1 << 0, CAP_2M = 1 << 16, CAP_1G = 1 << 17, CAP_ACCESSED_DIRTY = 1 << 21 };

/// EPTP (SDM Vol. 3C table 25-9).
enum { EPTP_LEVELS_SHIFT = 3, EPTP_ACCESSED_DIRTY = 1 << 6 };

/* ---- table pages ---- */

static uint64_t pop_page(const struct ept_pages *pages, uint64_t *chain)
{
    uint64_t page = *chain;
    // A processor that was just using the entry may still have set its accessed bit.
    *chain = get_entry(view(pages, page)) & ENTRY_ADDRESS;
    return page;
}

uint64_t ept_take_table(struct ept_step *s, bool zeroed)
{
    s->budget -= COST_TABLE;
    s->job->reserved--;
    s->ept->tables++;
    return s->pages->take(s->pages->ctx, zeroed);
}

bool ept_reserve(struct ept_step *s, uint64_t count)
{
    if (!s->pages->reserve(s->pages->ctx, count)) {
        return false;
    }
    s->job->reserved = count;
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

/* ---- jobs ---- */

void ept_begin_destroy(const struct ept *ept, const struct ept_pages *pages, struct ept_job *job)
{
    struct ept_garbage garbage = job->garbage; // of a job that is given up: nobody walks it any more
    ept_give_up(pages, job);
    *job = (struct ept_job){.phase = EPT_JOB_DESTROY, .end = gpa_limit(ept), .garbage = garbage};
}

/// All tables become garbage; then they are released, the root last.
static enum ept_result destroy(struct ept_step *s)
{
    if ((s->job->at < s->job->end || s->job->rising) && ept_clear(s) == EPT_MORE) {
        return EPT_MORE;
    }
    while (s->budget > 0) {
        s->budget -= COST_RELEASE;
        if (ept_garbage_release(&s->job->garbage, s->pages, 1)) {
            s->pages->free(s->pages->ctx, s->ept->root);
            s->ept->root = 0;
            s->ept->tables = 0;
            return EPT_OK;
        }
    }
    return EPT_MORE;
}

static enum ept_result advance(struct ept_step *s)
{
    switch (s->job->phase) {
    case EPT_JOB_CHECK:
        return ept_check_map(s);
    case EPT_JOB_FILL:
        return ept_fill(s);
    case EPT_JOB_COUNT:
        return ept_count_splits(s);
    case EPT_JOB_SPLIT:
        return ept_split_ends(s);
    case EPT_JOB_CLEAR:
        return ept_clear(s);
    case EPT_JOB_DESTROY:
        return destroy(s);
    case EPT_JOB_NONE:
        break;
    }
    return EPT_OK;
}

enum ept_result ept_step(struct ept *ept, const struct ept_pages *pages, struct ept_job *job, uint32_t budget)
{
    struct ept_step step = {.ept = ept, .pages = pages, .job = job, .whole = budget, .budget = budget};
    enum ept_result result;
    do {
        result = advance(&step);
    } while (result == EPT_MORE && step.budget > 0);
    if (result != EPT_MORE) {
        ept_give_up(pages, job);
    }
    return result;
}

void ept_give_up(const struct ept_pages *pages, struct ept_job *job)
{
    if (job->reserved > 0) {
        pages->unreserve(pages->ctx, job->reserved);
        job->reserved = 0;
    }
    job->phase = EPT_JOB_NONE;
}

bool ept_may_give_up(const struct ept_job *job)
{
    return job->phase == EPT_JOB_NONE || job->phase == EPT_JOB_CHECK || job->phase == EPT_JOB_COUNT;
}

bool ept_garbage_release(struct ept_garbage *garbage, const struct ept_pages *pages, uint32_t count)
{
    for (; garbage->first && count > 0; count--) {
        pages->free(pages->ctx, pop_page(pages, &garbage->first));
    }
    return garbage->first == 0;
}

/* ---- questions ---- */

int ept_walk(const struct ept_step *s, uint64_t at, uint64_t *path[TOP + 1])
{
    uint64_t *entries = view(s->pages, s->ept->root);
    for (int level = TOP;; level--) {
        path[level] = &entries[index_of(at, level)];
        uint64_t entry = get_entry(path[level]);
        if (!(entry & ENTRY_ACCESS) || is_leaf(entry, level)) {
            return level;
        }
        entries = view(s->pages, entry & ENTRY_ADDRESS);
    }
}

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
