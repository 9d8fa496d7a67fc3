// SPDX-License-Identifier: Apache-2.0
/// Extended page tables beside a model that knows of pages only; table pages that a test can count and run out of.
#ifndef POLYVISOR_TESTS_EPT_MODEL_H
#define POLYVISOR_TESTS_EPT_MODEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/vmx/ept.h"
#include "random.h"

#define KIB4 UINT64_C(0x1000)
#define MIB2 UINT64_C(0x200000)
#define GIB1 UINT64_C(0x40000000)

enum {
    MAXPHYADDR = 42,
    TABLES = 4096,  // pages that the allocator may have in use
    PAGES_2M = 512, // 4-KiB pages
    PAGES_1G = 512 * 512,
};

/// IA32_VMX_EPT_VPID_CAP of a machine with everything, and parts of it.
#define CAPS_ALL (UINT64_C(1) | 1 << 6 | 1 << 14 | 1 << 16 | 1 << 17 | 1 << 20 | 1 << 21 | 1 << 25 | 1 << 26)
#define CAPS_NO_1G (CAPS_ALL & ~(UINT64_C(1) << 17))
#define CAPS_4K (CAPS_ALL & ~(UINT64_C(3) << 16))

/* ---- table pages: each from malloc, so that the address sanitizer sees a use of one that was freed ---- */

/// Where table pages seem to be: above all mapped memory, to tell the two apart.
#define TABLES_BASE UINT64_C(0x3ff00000000)

static void *table_page[TABLES];
static unsigned tables_used;
static unsigned tables_allowed;  // allocations until the next one fails
static unsigned tables_reserved; // set aside for the job that is in progress
static unsigned tables_unneeded; // set aside and given back by jobs that were done
static unsigned pages_touched;   // views, allocations, frees

static inline uint64_t any_page(void)
{
    pages_touched++;
    for (unsigned i = 0; i < TABLES; i++) {
        if (table_page[i] == NULL) {
            table_page[i] = aligned_alloc(KIB4, KIB4);
            memset(table_page[i], 0, KIB4);
            tables_used++;
            return TABLES_BASE + i * KIB4;
        }
    }
    fail_msg("the test's own pages are used up");
    return 0;
}

static inline uint64_t page_alloc(void *ctx)
{
    assert_ptr_equal(ctx, table_page);
    if (tables_allowed == 0)
        return 0;
    tables_allowed--;
    return any_page();
}

static inline bool pages_reserve(void *ctx, uint64_t count)
{
    assert_ptr_equal(ctx, table_page);
    assert_int_equal(tables_reserved, 0);
    if (count > tables_allowed)
        return false;
    tables_allowed -= (unsigned)count;
    tables_reserved = (unsigned)count;
    return true;
}

static inline uint64_t page_take(void *ctx, bool zeroed)
{
    assert_ptr_equal(ctx, table_page);
    assert_true(tables_reserved > 0);
    tables_reserved--;
    const uint64_t page = any_page();
    if (!zeroed)
        memset(table_page[(page - TABLES_BASE) / KIB4], 0xa5, KIB4);
    return page;
}

static inline void pages_unreserve(void *ctx, uint64_t count)
{
    assert_ptr_equal(ctx, table_page);
    assert_true(count <= tables_reserved);
    tables_reserved -= (unsigned)count;
    tables_allowed += (unsigned)count;
    tables_unneeded += (unsigned)count;
}

static inline void **slot_of(uint64_t page)
{
    assert_true(page % KIB4 == 0 && page >= TABLES_BASE && page < TABLES_BASE + TABLES * KIB4);
    void **slot = &table_page[(page - TABLES_BASE) / KIB4];
    assert_non_null(*slot);
    return slot;
}

static inline void page_free(void *ctx, uint64_t page)
{
    assert_ptr_equal(ctx, table_page);
    void **slot = slot_of(page);
    pages_touched++;
    free(*slot);
    *slot = NULL;
    tables_used--;
}

static inline void *page_view(void *ctx, uint64_t page)
{
    assert_ptr_equal(ctx, table_page);
    pages_touched++;
    return *slot_of(page);
}

static const struct ept_pages pages = {.alloc = page_alloc,
                                       .free = page_free,
                                       .reserve = pages_reserve,
                                       .take = page_take,
                                       .unreserve = pages_unreserve,
                                       .view = page_view,
                                       .ctx = table_page};

/* ---- the model: what each 4-KiB page of a window maps to ---- */

/// The window lies across a boundary of the top level (512 GiB).
#define WINDOW UINT64_C(0x7f80000000)
enum { WINDOW_PAGES = 4 * PAGES_1G };

/// hpa | 1 << 11 | access << 4 | memory type; 0: not mapped.
static uint64_t *model;
static struct ept ept;

/* ---- jobs, in steps of any size ---- */

static uint64_t step_seed = 77;

/// Does the next step. A job that is over keeps nothing.
static inline enum ept_result step(struct ept_job *job, uint32_t budget)
{
    enum ept_result result = ept_step(&ept, &pages, job, budget);
    assert_int_equal(job->reserved, tables_reserved);
    if (result != EPT_MORE) {
        assert_int_equal(job->phase, EPT_JOB_NONE);
        assert_int_equal(tables_reserved, 0);
    }
    return result;
}

static inline enum ept_result finish(struct ept_job *job)
{
    const uint64_t most = random_below(&step_seed, 3) ? 600 : 20;
    enum ept_result result;
    tables_unneeded = 0;
    do {
        result = step(job, (uint32_t)(1 + random_below(&step_seed, most)));
    } while (result == EPT_MORE);
    assert_int_equal(tables_unneeded, 0); // jobs know exactly what they need
    return result;
}

static inline enum ept_result map_pages(uint64_t gpa, uint64_t hpa, uint64_t size, uint32_t access, uint32_t type)
{
    struct ept_job job = {0};
    enum ept_result result = ept_begin_map(&ept, &job, gpa, hpa, size, access, type);
    return result == EPT_OK ? finish(&job) : result;
}

static inline enum ept_result unmap_pages(uint64_t gpa, uint64_t size, struct ept_garbage *garbage, bool *changed)
{
    struct ept_job job = {0};
    enum ept_result result = ept_begin_unmap(&ept, &job, gpa, size);
    if (result == EPT_OK)
        result = finish(&job);
    *garbage = job.garbage;
    *changed = job.changed;
    return result;
}

static inline void destroy(void)
{
    struct ept_job job = {0};
    if (ept.root == 0)
        return;
    ept_begin_destroy(&ept, &pages, &job);
    assert_int_equal(finish(&job), EPT_OK);
    assert_int_equal(ept.root, 0);
}

static inline uint64_t model_value(uint64_t hpa, uint32_t access, uint32_t type)
{
    return hpa | 1 << 11 | access << 4 | type;
}

static inline int setup(void **state)
{
    (void)state;
    tables_allowed = TABLES;
    model = calloc(WINDOW_PAGES, sizeof(*model));
    assert_int_equal(ept_init(&ept, &pages, CAPS_ALL, MAXPHYADDR), EPT_OK);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    destroy();
    assert_int_equal(tables_used, 0);
    free(model);
    return 0;
}

static inline void start_again(uint64_t caps)
{
    destroy();
    assert_int_equal(tables_used, 0);
    memset(model, 0, WINDOW_PAGES * sizeof(*model));
    assert_int_equal(ept_init(&ept, &pages, caps, MAXPHYADDR), EPT_OK);
}

/* ---- a walk of the raw tables, by the letter of SDM Vol. 3C 29.3.2 and 29.3.3.1 ---- */

static inline bool present(uint64_t entry)
{
    return entry & 7;
}

static inline bool level_may_be_large(int level)
{
    return (level == 1 && ept.have_2m) || (level == 2 && ept.have_1g);
}

static inline void check_leaf(uint64_t entry, int level)
{
    uint64_t type = entry >> 3 & 7;
    assert_true(entry & 1 || ((entry & 7) == 4 && ept.exec_only)); // neither write-only nor write-execute
    assert_true(type == 0 || type == 1 || type == 4 || type == 5 || type == 6);
    if (level > 0) {
        assert_true(level_may_be_large(level));
        assert_int_equal(entry >> 12 & ((UINT64_C(1) << 9 * level) - 1), 0); // address bits below the page's size
        assert_true(ept.large_exec || !(entry & 4));
    } else {
        assert_false(entry & 0x80);
    }
}

/// Checks all entries below a table; returns the number of table pages, this one included.
static inline uint64_t check_table(uint64_t table, int level)
{
    const uint64_t *entries = page_view(table_page, table);
    uint64_t count = 1, used = 0;
    for (int i = 0; i < 512; i++) {
        uint64_t entry = entries[i];
        if (!present(entry)) {
            assert_true(entry == 0); // nothing is left behind
            continue;
        }
        used++;
        assert_int_equal(entry >> MAXPHYADDR, 0); // bits 51:MAXPHYADDR are reserved
        if (level == 0 || entry & 0x80) {
            check_leaf(entry, level);
        } else {
            assert_int_equal(entry & 0x78, 0); // bits 6:3 are reserved
            assert_int_equal(entry & 7, 7);
            count += check_table(entry & UINT64_C(0xffffffffff000), level - 1);
        }
    }
    assert_true(used > 0 || level == 3); // no empty tables
    return count;
}

static inline void check_tables(void)
{
    uint64_t count = check_table(ept.root, 3);
    assert_int_equal(ept_count_pages(&ept), count);
    assert_int_equal(tables_used, count);
}

/// Compares the tables with the model in pages [first, end) of the window.
static inline void check_model(uint64_t first, uint64_t end)
{
    uint64_t at = first;
    while (at < end) {
        uint64_t entry, size, gpa = WINDOW + at * KIB4;
        bool found = ept_lookup(&ept, &pages, gpa, &entry, &size);
        assert_true(size == KIB4 || size == MIB2 || size == GIB1 || (!found && size == 512 * GIB1));
        assert_int_equal(found, present(entry));
        uint64_t value =
            found ? model_value(ept_entry_address(entry), ept_entry_access(entry), ept_entry_memory_type(entry)) +
                        (gpa & (size - 1))
                  : 0;
        uint64_t stop = ((gpa & ~(size - 1)) + size - WINDOW) / KIB4;
        for (; at < end && at < stop; at++) {
            if (model[at] != value)
                fail_msg("page %lx: tables say %lx, model says %lx", at, value, model[at]);
            value += found ? KIB4 : 0;
        }
    }
}

/// Applies a map to the tables and to the model, and checks the result against what the model foretells.
static inline enum ept_result map(uint64_t first, uint64_t count, uint64_t hpa, uint32_t access, uint32_t type)
{
    bool overlap = false;
    for (uint64_t i = first; i < first + count; i++)
        overlap = overlap || model[i];
    uint64_t generation = ept_generation(&ept);
    enum ept_result result = map_pages(WINDOW + first * KIB4, hpa, count * KIB4, access, type);
    if (overlap)
        assert_int_equal(result, EPT_OVERLAP);
    else
        assert_true(result == EPT_OK || result == EPT_NO_MEMORY);
    for (uint64_t i = 0; result == EPT_OK && i < count; i++)
        model[first + i] = model_value(hpa + i * KIB4, access, type);
    assert_int_equal(ept_generation(&ept), generation); // nothing was removed
    return result;
}

/// The same for unmap. Garbage pages must still be there until they are released; a walk that comes to one may find old entries.
static inline enum ept_result unmap(uint64_t first, uint64_t count)
{
    bool mapped = false, changed;
    uint64_t generation = ept_generation(&ept);
    struct ept_garbage garbage = {0};
    for (uint64_t i = first; i < first + count; i++)
        mapped = mapped || model[i];
    enum ept_result result = unmap_pages(WINDOW + first * KIB4, count * KIB4, &garbage, &changed);
    assert_true(result == EPT_OK || result == EPT_NO_MEMORY);
    assert_int_equal(changed, result == EPT_OK && mapped);
    assert_int_equal(ept_generation(&ept) != generation, changed);
    if (result == EPT_OK)
        memset(&model[first], 0, count * sizeof(*model));
    unsigned in_garbage = 0;
    for (uint64_t page = garbage.first; page;) {
        uint64_t *link = page_view(table_page, page);
        assert_false(present(*link));
        in_garbage++;
        page = *link;
        *link |= random_below(&step_seed, 2) << 8; // a processor notes an access
    }
    assert_int_equal(tables_used, ept_count_pages(&ept) + in_garbage);
    while (!ept_garbage_release(&garbage, &pages, (uint32_t)(1 + random_below(&step_seed, 5)))) {
    }
    assert_true(garbage.first == 0);
    assert_int_equal(tables_used, ept_count_pages(&ept));
    return result;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
