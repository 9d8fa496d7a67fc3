// SPDX-License-Identifier: Apache-2.0
#include "arch/x86/vmx/ept_tables.h"

static void push_page(const struct ept_pages *pages, uint64_t *chain, uint64_t page)
{
    // The link has no access bits: for a processor that still walks this page it is an entry that is not present.
    set_entry(view(pages, page), *chain);
    *chain = page;
}

/// Whether an address lies inside a large page: not at its beginning.
static bool is_cut(const struct ept_step *s, uint64_t at, uint64_t **entry, int *level)
{
    uint64_t *path[TOP + 1];
    if (at >= gpa_limit(s->ept)) {
        return false;
    }
    *level = ept_walk(s, at, path);
    *entry = path[*level];
    return *level > 0 && (get_entry(*entry) & ENTRY_ACCESS) && at % SPAN(*level) != 0;
}

/// How many large pages, one inside the other, have to be split so that one ends at an address.
static uint64_t splits_for(uint64_t at, int level)
{
    uint64_t count = 0;
    for (; level > 0 && at % SPAN(level) != 0; level--) {
        count++;
    }
    return count;
}

/// How many large pages the ends of the range cut.
static uint64_t splits_needed(const struct ept_step *s)
{
    const struct ept_job *job = s->job;
    uint64_t *first = NULL, *last = NULL;
    int first_level = 0, last_level = 0;
    bool cut_first = is_cut(s, job->start, &first, &first_level), cut_last = is_cut(s, job->end, &last, &last_level);
    uint64_t count = cut_first ? splits_for(job->start, first_level) : 0;
    count += cut_last ? splits_for(job->end, last_level) : 0;
    // What is split for one end is split for the other.
    for (int level = first_level; cut_first && cut_last && first == last && level > 0; level--) {
        bool same = job->start / SPAN(level) == job->end / SPAN(level);
        count -= same && job->start % SPAN(level) != 0 && job->end % SPAN(level) != 0;
    }
    return count;
}

/// Replaces a large page by a table that maps the same.
static void split(struct ept_step *s, uint64_t *entry, int level)
{
    uint64_t table = ept_take_table(s, false);
    uint64_t *entries = view(s->pages, table);
    uint64_t old = get_entry(entry), span = SPAN(level - 1);
    // Address bits below the large page's size are 0, so the large bit is all that may have to go.
    uint64_t part = level > 1 ? old : old & ~(uint64_t)ENTRY_LARGE;
    for (unsigned i = 0; i < ENTRIES; i += 8) {
        uint64_t *e = &entries[i];
        e[0] = part, part += span;
        e[1] = part, part += span;
        e[2] = part, part += span;
        e[3] = part, part += span;
        e[4] = part, part += span;
        e[5] = part, part += span;
        e[6] = part, part += span;
        e[7] = part, part += span;
    }
    // A processor may have set the accessed or dirty bit since; what it did to the page it did to some of the parts.
    uint64_t late = __atomic_exchange_n(entry, table | ENTRY_ACCESS | (old & ENTRY_ACCESSED), __ATOMIC_ACQ_REL) & ~old;
    for (unsigned i = 0; late && i < ENTRIES; i++) {
        __atomic_fetch_or(&entries[i], late & (ENTRY_ACCESSED | ENTRY_DIRTY), __ATOMIC_RELAXED);
    }
    s->budget -= COST_SPLIT;
}

/// Splits the large pages that the ends of the range cut, so that only whole pages remain to be cleared. It changes no translation.
enum ept_result ept_split_ends(struct ept_step *s)
{
    struct ept_job *job = s->job;
    uint64_t *entry;
    int level;
    while (is_cut(s, job->start, &entry, &level) || is_cut(s, job->end, &entry, &level)) {
        if (!affords(s, COST_SPLIT)) {
            return EPT_MORE;
        }
        split(s, entry, level);
        s->budget -= 2 * COST_WALK;
    }
    job->phase = EPT_JOB_CLEAR;
    s->budget -= 2 * COST_WALK;
    return EPT_MORE;
}

enum ept_result ept_count_splits(struct ept_step *s)
{
    s->budget -= 2 * COST_WALK;
    if (!ept_reserve(s, splits_needed(s))) {
        return EPT_NO_MEMORY;
    }
    s->job->phase = EPT_JOB_SPLIT;
    return EPT_MORE;
}

/// Processors only set accessed and dirty bits meanwhile.
static bool is_empty(const uint64_t *entries)
{
    for (unsigned i = 0; i < ENTRIES; i += 8) {
        const uint64_t *e = &entries[i];
        if ((e[0] | e[1] | e[2] | e[3] | e[4] | e[5] | e[6] | e[7]) & ENTRY_ACCESS) {
            return false;
        }
    }
    return true;
}

/// Takes a table out of the entry that refers to it. Processors that have not done their INVEPT may still walk it.
static void unlink_table(struct ept_step *s, uint64_t *parent)
{
    uint64_t table = get_entry(parent) & ENTRY_ADDRESS;
    set_entry(parent, 0);
    push_page(s->pages, &s->job->garbage.first, table);
    s->ept->tables--;
    s->job->changed = true;
    s->budget -= COST_RELEASE;
}

/// Takes out the tables that the job has passed and that are empty now, from the lowest up. EPT_MORE: not all has been looked at.
static enum ept_result rise(struct ept_step *s)
{
    struct ept_job *job = s->job;
    uint64_t *path[TOP + 1];
    ept_walk(s, job->passed, path);
    for (; job->level < TOP; job->level++) {
        uint64_t base = job->passed & ~(SPAN(job->level + 1) - 1), end = base + SPAN(job->level + 1);
        uint64_t *parent = path[job->level + 1];
        if (job->at < end && job->at < job->end) {
            break; // has not passed it yet
        }
        if (s->budget <= 0) {
            return EPT_MORE;
        }
        bool covered = base >= job->start && end <= job->end; // then nothing can be left in it
        if (!covered && !affords(s, COST_EMPTY)) {
            return EPT_MORE;
        }
        if (!covered) {
            s->budget -= COST_EMPTY;
            if (!is_empty(view(s->pages, get_entry(parent) & ENTRY_ADDRESS))) {
                break;
            }
        }
        unlink_table(s, parent);
    }
    job->rising = false;
    s->budget -= COST_WALK;
    return EPT_OK;
}

/// Entries of a page table: all of them. Whether one was present.
static bool clear_pages(uint64_t *entries, uint64_t count)
{
    uint64_t all = 0;
    for (uint64_t i = 0; i < count; i++) {
        all |= get_entry(&entries[i]);
        set_entry(&entries[i], 0);
    }
    return all & ENTRY_ACCESS;
}

/// Entries of a higher table: up to one that refers to a table. How many.
static uint64_t clear_large(uint64_t *entries, uint64_t count, bool *changed)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t entry = get_entry(&entries[i]);
        if (!(entry & ENTRY_ACCESS)) {
            continue;
        }
        if (!(entry & ENTRY_LARGE)) {
            return i;
        }
        set_entry(&entries[i], 0);
        *changed = true;
    }
    return count;
}

/// Clears entries of one table, which do not refer to tables, from `at` on.
static void clear_run(struct ept_step *s, uint64_t *entries, int level)
{
    struct ept_job *job = s->job;
    uint64_t count = run_length(s, job->at, job->end, level);
    if (level == 0) {
        job->changed |= clear_pages(entries, count);
    } else {
        count = clear_large(entries, count, &job->changed);
    }
    uint64_t next = (job->at & ~(SPAN(level) - 1)) + count * SPAN(level);
    job->at = next < job->end ? next : job->end;
    s->budget -= (int64_t)count * (level ? 2 : 1);
}

/// Clears the entries, and takes out the tables that become empty.
enum ept_result ept_clear(struct ept_step *s)
{
    struct ept_job *job = s->job;
    while (job->at < job->end || job->rising) {
        if (s->budget <= 0) {
            return EPT_MORE;
        }
        if (job->rising) {
            if (rise(s) == EPT_MORE) {
                return EPT_MORE;
            }
            continue;
        }
        uint64_t *path[TOP + 1], before = job->at;
        int level = ept_walk(s, before, path);
        s->budget -= COST_WALK;
        if (level == 0 && before % SPAN(1) == 0 && job->end - before >= SPAN(1)) {
            job->at += SPAN(1); // a page table as a whole: is taken out with what it holds
        } else {
            clear_run(s, path[level], level);
        }
        uint64_t table_end = part_end(before, job->end, level + 1);
        job->rising = level < TOP && job->at >= table_end;
        job->passed = before;
        job->level = level;
    }
    if (s->budget <= 0) {
        return EPT_MORE; // what the caller does next takes its time, too
    }
    if (job->changed) {
        __atomic_store_n(&s->ept->generation, s->ept->generation + 1, __ATOMIC_RELEASE);
    }
    return EPT_OK;
}

enum ept_result ept_begin_unmap(const struct ept *ept, struct ept_job *job, uint64_t gpa, uint64_t size)
{
    if (!range_valid(gpa, size, gpa_limit(ept))) {
        return EPT_INVALID;
    }
    *job = (struct ept_job){.phase = EPT_JOB_COUNT, .start = gpa, .at = gpa, .end = gpa + size};
    return EPT_OK;
}
