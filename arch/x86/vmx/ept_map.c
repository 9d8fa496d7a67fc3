// SPDX-License-Identifier: Apache-2.0
/*
 * A change first finds out whether it is possible, and sets aside the table pages that it takes; only then does it begin to write, and it
 * cannot fail any more. So a change that is refused was never visible to a processor, and there is nothing to undo, which would need
 * an INVEPT. Both parts go through the range entry by entry from `at` on, and can stop after any entry: what has been written then is
 * a part of the result.
 */
#include "arch/x86/vmx/ept_tables.h"

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
static bool leaf_fits(const struct ept *ept, const struct ept_job *job, uint64_t at, uint64_t end, int level)
{
    if (level == 0) {
        return true;
    }
    bool have = level == 1 ? ept->have_2m : level == 2 && ept->have_1g;
    bool may = ept->large_exec || !(job->bits & EPT_EXECUTE);
    return have && may && end - at == SPAN(level) && (at + job->offset) % SPAN(level) == 0;
}

/// Tables that it takes to map [at, end), all in one level-n entry that is not present.
static uint64_t missing_tables(const struct ept *ept, const struct ept_job *job, uint64_t at, uint64_t end, int level)
{
    if (leaf_fits(ept, job, at, end, level)) {
        return 0;
    }
    // One, and what its first and last entries take, and those between, which are all alike.
    int below = level - 1;
    uint64_t middle = part_end(at, end, below), count = 1 + missing_tables(ept, job, at, middle, below);
    if (middle < end) {
        uint64_t last = (end - 1) & ~(SPAN(below) - 1);
        count += missing_tables(ept, job, last, end, below);
        if (middle < last) {
            uint64_t each = missing_tables(ept, job, middle, middle + SPAN(below), below);
            count += each * ((last - middle) / SPAN(below));
        }
    }
    return count;
}

static bool any_present(const uint64_t *entries, uint64_t count)
{
    uint64_t all = 0;
    for (uint64_t i = 0; i < count; i++) {
        all |= get_entry(&entries[i]);
    }
    return all & ENTRY_ACCESS;
}

static void fill_pages(uint64_t *entries, uint64_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++, first += SPAN(0)) {
        set_entry(&entries[i], first);
    }
}

/// Nothing may be mapped yet; counts missing tables.
enum ept_result ept_check_map(struct ept_step *s)
{
    struct ept_job *job = s->job;
    while (job->at < job->end) {
        if (s->budget <= 0) {
            return EPT_MORE;
        }
        uint64_t *path[TOP + 1];
        int level = ept_walk(s, job->at, path);
        if (get_entry(path[level]) & ENTRY_ACCESS) {
            return EPT_OVERLAP;
        }
        if (level > 0) {
            uint64_t next = part_end(job->at, job->end, level);
            job->needed += missing_tables(s->ept, job, job->at, next, level);
            job->at = next;
            s->budget -= COST_PLAN;
            continue;
        }
        uint64_t count = run_length(s, job->at, job->end, 0);
        if (any_present(path[0], count)) {
            return EPT_OVERLAP;
        }
        job->at += count * SPAN(0);
        s->budget -= (int64_t)count + COST_WALK;
    }
    if (!ept_reserve(s, job->needed)) {
        return EPT_NO_MEMORY;
    }
    job->at = job->start;
    job->phase = EPT_JOB_FILL;
    return EPT_MORE;
}

enum ept_result ept_fill(struct ept_step *s)
{
    struct ept_job *job = s->job;
    while (job->at < job->end) {
        if (s->budget <= 0) {
            return EPT_MORE;
        }
        uint64_t *path[TOP + 1];
        int level = ept_walk(s, job->at, path);
        uint64_t entry = (job->at + job->offset) | job->bits;
        if (level == 0) {
            uint64_t count = run_length(s, job->at, job->end, 0);
            fill_pages(path[0], entry, count);
            job->at += count * SPAN(0);
            s->budget -= (int64_t)count;
        } else if (leaf_fits(s->ept, job, job->at, part_end(job->at, job->end, level), level)) {
            set_entry(path[level], entry | ENTRY_LARGE);
            job->at += SPAN(level);
        } else if (affords(s, COST_TABLE)) {
            set_entry(path[level], ept_take_table(s, true) | ENTRY_ACCESS); // the leaf restricts
        }
        s->budget -= COST_WALK;
    }
    return EPT_OK;
}

enum ept_result ept_begin_map(const struct ept *ept, struct ept_job *job, uint64_t gpa, uint64_t hpa, uint64_t size,
                              uint32_t access, uint32_t memory_type)
{
    if (!range_valid(gpa, size, gpa_limit(ept)) || !range_valid(hpa, size, ept->limit) ||
        !bits_valid(ept, access, memory_type)) {
        return EPT_INVALID;
    }
    *job = (struct ept_job){
        .phase = EPT_JOB_CHECK,
        .start = gpa,
        .at = gpa,
        .end = gpa + size,
        .offset = hpa - gpa,
        .bits = access | (uint64_t)memory_type << ENTRY_TYPE_SHIFT,
    };
    return EPT_OK;
}
