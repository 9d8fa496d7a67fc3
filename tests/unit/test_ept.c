// SPDX-License-Identifier: Apache-2.0
// Extended page tables against a model that knows of pages only.
// links: arch/x86/vmx/ept.c
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
    TABLES = 4096, // pages that the allocator may have in use
    STEPS = 1500,
    PAGES_2M = 512, // 4-KiB pages
    PAGES_1G = 512 * 512,
    FULL_CHECK_EVERY = 250,
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
static unsigned tables_allowed; // allocations until the next one fails

static uint64_t page_alloc(void *ctx)
{
    assert_ptr_equal(ctx, table_page);
    if (tables_allowed == 0)
        return 0;
    tables_allowed--;
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

static void **slot_of(uint64_t page)
{
    assert_true(page % KIB4 == 0 && page >= TABLES_BASE && page < TABLES_BASE + TABLES * KIB4);
    void **slot = &table_page[(page - TABLES_BASE) / KIB4];
    assert_non_null(*slot);
    return slot;
}

static void page_free(void *ctx, uint64_t page)
{
    assert_ptr_equal(ctx, table_page);
    void **slot = slot_of(page);
    free(*slot);
    *slot = NULL;
    tables_used--;
}

static void *page_view(void *ctx, uint64_t page)
{
    assert_ptr_equal(ctx, table_page);
    return *slot_of(page);
}

static const struct ept_pages pages = {page_alloc, page_free, page_view, table_page};

/* ---- the model: what each 4-KiB page of a window maps to ---- */

/// The window lies across a boundary of the top level (512 GiB).
#define WINDOW UINT64_C(0x7f80000000)
enum { WINDOW_PAGES = 4 * PAGES_1G };

/// hpa | 1 << 11 | access << 4 | memory type; 0: not mapped.
static uint64_t *model;
static struct ept ept;

static uint64_t model_value(uint64_t hpa, uint32_t access, uint32_t type)
{
    return hpa | 1 << 11 | access << 4 | type;
}

static int setup(void **state)
{
    (void)state;
    tables_allowed = TABLES;
    model = calloc(WINDOW_PAGES, sizeof(*model));
    assert_int_equal(ept_init(&ept, &pages, CAPS_ALL, MAXPHYADDR), EPT_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ept_destroy(&ept, &pages);
    assert_int_equal(tables_used, 0);
    free(model);
    return 0;
}

static void start_again(uint64_t caps)
{
    ept_destroy(&ept, &pages);
    assert_int_equal(tables_used, 0);
    memset(model, 0, WINDOW_PAGES * sizeof(*model));
    assert_int_equal(ept_init(&ept, &pages, caps, MAXPHYADDR), EPT_OK);
}

/* ---- a walk of the raw tables, by the letter of SDM Vol. 3C 29.3.2 and 29.3.3.1 ---- */

static bool present(uint64_t entry)
{
    return entry & 7;
}

static bool level_may_be_large(int level)
{
    return (level == 1 && ept.have_2m) || (level == 2 && ept.have_1g);
}

static void check_leaf(uint64_t entry, int level)
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
static uint64_t check_table(uint64_t table, int level)
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

static void check_tables(void)
{
    uint64_t count = check_table(ept.root, 3);
    assert_int_equal(ept_count_pages(&ept), count);
    assert_int_equal(tables_used, count);
}

/// Compares the tables with the model in pages [first, end) of the window.
static void check_model(uint64_t first, uint64_t end)
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
static enum ept_result map(uint64_t first, uint64_t count, uint64_t hpa, uint32_t access, uint32_t type)
{
    bool overlap = false;
    for (uint64_t i = first; i < first + count; i++)
        overlap = overlap || model[i];
    uint64_t generation = ept_generation(&ept);
    enum ept_result result = ept_map(&ept, &pages, WINDOW + first * KIB4, hpa, count * KIB4, access, type);
    if (overlap)
        assert_int_equal(result, EPT_OVERLAP);
    else
        assert_true(result == EPT_OK || result == EPT_NO_MEMORY);
    for (uint64_t i = 0; result == EPT_OK && i < count; i++)
        model[first + i] = model_value(hpa + i * KIB4, access, type);
    assert_int_equal(ept_generation(&ept), generation); // nothing was removed
    return result;
}

/// The same for unmap. Garbage pages must still be there, with no present entries, until they are released.
static enum ept_result unmap(uint64_t first, uint64_t count)
{
    bool mapped = false, changed;
    uint64_t generation = ept_generation(&ept);
    struct ept_garbage garbage = {0};
    for (uint64_t i = first; i < first + count; i++)
        mapped = mapped || model[i];
    enum ept_result result = ept_unmap(&ept, &pages, WINDOW + first * KIB4, count * KIB4, &garbage, &changed);
    assert_true(result == EPT_OK || result == EPT_NO_MEMORY);
    assert_int_equal(changed, result == EPT_OK && mapped);
    assert_int_equal(ept_generation(&ept) != generation, changed);
    if (result == EPT_OK)
        memset(&model[first], 0, count * sizeof(*model));
    unsigned in_garbage = 0;
    for (uint64_t page = garbage.first; page;) {
        const uint64_t *entries = page_view(table_page, page);
        for (int i = 0; i < 512; i++)
            assert_false(present(entries[i]));
        in_garbage++;
        page = entries[0];
    }
    assert_int_equal(tables_used, ept_count_pages(&ept) + in_garbage);
    ept_garbage_release(&garbage, &pages);
    assert_true(garbage.first == 0);
    assert_int_equal(tables_used, ept_count_pages(&ept));
    return result;
}

/* ---- tests ---- */

static void page_sizes_follow_alignment(void **state)
{
    static const struct {
        uint64_t caps, gpa, hpa, size, page;
    } cases[] = {
        {CAPS_ALL, 0, 0, KIB4, KIB4},
        {CAPS_ALL, 0, 0, MIB2, MIB2},
        {CAPS_ALL, 0, 0, GIB1, GIB1},
        {CAPS_ALL, 0, 0, MIB2 - KIB4, KIB4},
        {CAPS_ALL, 0, 0, GIB1 - MIB2, MIB2},
        {CAPS_ALL, GIB1, MIB2, GIB1, MIB2}, // source and target must both be aligned
        {CAPS_ALL, MIB2, GIB1, GIB1, MIB2},
        {CAPS_ALL, GIB1, KIB4, GIB1, KIB4},
        {CAPS_NO_1G, GIB1, GIB1, GIB1, MIB2},
        {CAPS_4K, GIB1, GIB1, GIB1, KIB4},
        {CAPS_4K | 1 << 17, GIB1, GIB1, GIB1, KIB4}, // such a 1-GiB page could not be split
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        start_again(cases[i].caps);
        uint64_t entry, size, gpa = cases[i].gpa, hpa = cases[i].hpa;
        assert_int_equal(ept_map(&ept, &pages, gpa, hpa, cases[i].size, EPT_READ, EPT_TYPE_WB), EPT_OK);
        assert_true(ept_lookup(&ept, &pages, gpa, &entry, &size));
        assert_int_equal(size, cases[i].page);
        assert_int_equal(ept_entry_address(entry), hpa);
        assert_true(ept_lookup(&ept, &pages, gpa + cases[i].size - 1, &entry, &size));
        assert_int_equal(size, cases[i].page);
        assert_false(ept_lookup(&ept, &pages, gpa + cases[i].size, &entry, &size));
        assert_int_equal(entry, 0);
        check_tables();
    }
}

/// A range with crooked ends: 4-KiB pages, 2-MiB pages, a 1-GiB page, and the same back.
static void mixes_page_sizes_in_one_range(void **state)
{
    uint64_t first = PAGES_1G - PAGES_2M - 3, count = 3 + PAGES_2M + PAGES_1G + 2 * PAGES_2M + 5, entry, size;

    (void)state;
    assert_int_equal(map(first, count, GIB1 - MIB2 - 3 * KIB4, EPT_READ | EPT_WRITE, EPT_TYPE_WB), EPT_OK);
    check_model(0, WINDOW_PAGES);
    check_tables();
    static const struct {
        uint64_t page, size;
    } expected[] = {
        {PAGES_1G - PAGES_2M - 3, KIB4}, {PAGES_1G - PAGES_2M, MIB2},        {PAGES_1G, GIB1}, {2 * PAGES_1G, MIB2},
        {2 * PAGES_1G + PAGES_2M, MIB2}, {2 * PAGES_1G + 2 * PAGES_2M, KIB4}};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_true(ept_lookup(&ept, &pages, WINDOW + expected[i].page * KIB4, &entry, &size));
        assert_int_equal(size, expected[i].size);
    }
    // root; two PDPTs, as the range crosses a 512-GiB boundary at 2 * PAGES_1G; two PDs; two PTs
    assert_int_equal(ept_count_pages(&ept), 7);
}

static void entries_hold_what_was_asked_for(void **state)
{
    static const uint32_t accesses[] = {EPT_READ, EPT_READ | EPT_WRITE, EPT_READ | EPT_EXECUTE,
                                        EPT_READ | EPT_WRITE | EPT_EXECUTE, EPT_EXECUTE};
    static const uint32_t types[] = {EPT_TYPE_UC, EPT_TYPE_WC, EPT_TYPE_WT, EPT_TYPE_WP, EPT_TYPE_WB};
    uint64_t gpa = 0, entry, size;

    (void)state;
    for (unsigned a = 0; a < 5; a++) {
        for (unsigned t = 0; t < 10; t++, gpa += KIB4) {
            uint32_t type = types[t / 2] | (t % 2 ? EPT_IGNORE_PAT : 0);
            assert_int_equal(ept_map(&ept, &pages, gpa, GIB1, KIB4, accesses[a], type), EPT_OK);
            assert_true(ept_lookup(&ept, &pages, gpa, &entry, &size));
            assert_int_equal(entry, GIB1 | accesses[a] | type << 3);
            assert_int_equal(ept_entry_access(entry), accesses[a]);
            assert_int_equal(ept_entry_memory_type(entry), type);
        }
    }
    check_tables();
}

static void refuses_misconfigurations(void **state)
{
    static const struct {
        uint32_t access, type;
    } bad[] = {
        {0, EPT_TYPE_WB},
        {EPT_WRITE, EPT_TYPE_WB},
        {EPT_WRITE | EPT_EXECUTE, EPT_TYPE_WB},
        {8 | EPT_READ, EPT_TYPE_WB},
        {UINT32_C(1) << 31 | EPT_READ, EPT_TYPE_WB},
        {EPT_READ, 2},
        {EPT_READ, 3},
        {EPT_READ, 7},
        {EPT_READ, 2 | EPT_IGNORE_PAT},
        {EPT_READ, 16 | EPT_TYPE_WB},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(ept_map(&ept, &pages, 0, 0, KIB4, bad[i].access, bad[i].type), EPT_INVALID);
    start_again(CAPS_ALL & ~UINT64_C(1)); // no execute-only pages
    assert_int_equal(ept_map(&ept, &pages, 0, 0, KIB4, EPT_EXECUTE, EPT_TYPE_WB), EPT_INVALID);
    assert_int_equal(ept_count_pages(&ept), 1);
}

static void refuses_bad_ranges(void **state)
{
    const uint64_t limit = UINT64_C(1) << MAXPHYADDR, top = ~(KIB4 - 1);
    const struct {
        uint64_t gpa, hpa, size;
    } bad[] = {
        {0, 0, 0},        {1, 0, KIB4},         {0, 0x800, KIB4},        {0, 0, KIB4 + 1},
        {limit, 0, KIB4}, {0, limit, KIB4},     {limit - KIB4, 0, MIB2}, {0, limit - KIB4, MIB2},
        {top, 0, KIB4},   {top, 0, 2 * KIB4},   {KIB4, 0, top},          {0, KIB4, top},
        {0, top, KIB4},   {0, 0, limit + KIB4},
    };
    struct ept_garbage garbage = {0};
    bool changed = true;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(ept_map(&ept, &pages, bad[i].gpa, bad[i].hpa, bad[i].size, EPT_READ, EPT_TYPE_WB),
                         EPT_INVALID);
        if (bad[i].hpa == 0) {
            assert_int_equal(ept_unmap(&ept, &pages, bad[i].gpa, bad[i].size, &garbage, &changed), EPT_INVALID);
            assert_false(changed);
        }
    }
    uint64_t entry, size;
    assert_false(ept_lookup(&ept, &pages, limit, &entry, &size));
    assert_false(ept_lookup(&ept, &pages, UINT64_MAX, &entry, &size));
    assert_int_equal(ept_map(&ept, &pages, limit - KIB4, limit - KIB4, KIB4, EPT_READ, EPT_TYPE_WB), EPT_OK);
    assert_int_equal(tables_used, 4);
    ept_destroy(&ept, &pages);

    // With more than 48 physical bits 4 levels are the limit for guest-physical addresses.
    assert_int_equal(ept_init(&ept, &pages, CAPS_ALL, 31), EPT_INVALID);
    assert_int_equal(ept_init(&ept, &pages, CAPS_ALL, 53), EPT_INVALID);
    assert_int_equal(ept_init(&ept, &pages, CAPS_ALL, 52), EPT_OK);
    uint64_t end = UINT64_C(1) << 48, far = (UINT64_C(1) << 52) - KIB4;
    assert_int_equal(ept_map(&ept, &pages, end - KIB4, far, KIB4, EPT_READ, EPT_TYPE_WB), EPT_OK);
    assert_true(ept_lookup(&ept, &pages, end - 1, &entry, &size));
    assert_int_equal(ept_entry_address(entry), far);
    assert_int_equal(ept_map(&ept, &pages, end, 0, KIB4, EPT_READ, EPT_TYPE_WB), EPT_INVALID);
}

static void overlap_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(map(PAGES_2M + 7, 1, GIB1, EPT_READ, EPT_TYPE_WB), EPT_OK);
    assert_int_equal(map(PAGES_1G, PAGES_1G, 2 * GIB1, EPT_READ, EPT_TYPE_WB), EPT_OK);
    uint64_t before = ept_count_pages(&ept);
    assert_int_equal(map(0, PAGES_1G, 0, EPT_READ, EPT_TYPE_WB), EPT_OVERLAP);
    assert_int_equal(map(PAGES_2M, 8, 0, EPT_READ, EPT_TYPE_WB), EPT_OVERLAP);
    assert_int_equal(map(PAGES_1G - 1, 2, 0, EPT_READ, EPT_TYPE_WB), EPT_OVERLAP);
    assert_int_equal(map(2 * PAGES_1G - 1, 2, 0, EPT_READ, EPT_TYPE_WB), EPT_OVERLAP);
    assert_int_equal(map(PAGES_1G + 300, 1, 0, EPT_READ, EPT_TYPE_WB), EPT_OVERLAP);
    assert_int_equal(ept_count_pages(&ept), before);
    check_model(0, WINDOW_PAGES);
    check_tables();
}

/// One page out of the middle of a 1-GiB page: 511 2-MiB pages and 511 4-KiB pages remain.
static void splits_down_to_small_pages(void **state)
{
    uint64_t entry, size, hole = PAGES_1G + 77 * PAGES_2M + 13;

    (void)state;
    assert_int_equal(map(PAGES_1G, PAGES_1G, 5 * GIB1, EPT_READ | EPT_EXECUTE, EPT_TYPE_WT | EPT_IGNORE_PAT), EPT_OK);
    assert_int_equal(ept_count_pages(&ept), 2);
    assert_int_equal(unmap(hole, 1), EPT_OK);
    assert_int_equal(ept_count_pages(&ept), 4);
    assert_true(ept_lookup(&ept, &pages, WINDOW + (hole + 1) * KIB4, &entry, &size) && size == KIB4);
    assert_true(ept_lookup(&ept, &pages, WINDOW + (hole + PAGES_2M) * KIB4, &entry, &size) && size == MIB2);
    check_model(0, WINDOW_PAGES);
    check_tables();
    assert_int_equal(unmap(0, WINDOW_PAGES), EPT_OK);
    assert_int_equal(ept_count_pages(&ept), 1);
    check_tables();
}

/// A range that begins and ends in two different 1-GiB pages needs four tables, two at each end.
static void splits_at_both_ends(void **state)
{
    (void)state;
    assert_int_equal(map(0, 3 * PAGES_1G, 0, EPT_READ, EPT_TYPE_WB), EPT_OK);
    uint64_t before = ept_count_pages(&ept);
    for (unsigned k = 0; k < 4; k++) {
        tables_allowed = k;
        assert_int_equal(unmap(5, 3 * PAGES_1G - 11), EPT_NO_MEMORY);
        assert_int_equal(ept_count_pages(&ept), before);
        check_model(0, WINDOW_PAGES);
        check_tables();
    }
    tables_allowed = 4;
    assert_int_equal(unmap(5, 3 * PAGES_1G - 11), EPT_OK);
    assert_int_equal(tables_allowed, 0);
    check_model(0, WINDOW_PAGES);
    check_tables();
}

static void split_keeps_accessed_and_dirty(void **state)
{
    enum { ACCESSED = 1 << 8, DIRTY = 1 << 9 };
    uint64_t entry, size;

    (void)state;
    assert_int_equal(map(0, PAGES_2M, 0, EPT_READ | EPT_WRITE, EPT_TYPE_WB), EPT_OK);
    uint64_t table = ept.root;
    for (int level = 3; level > 1; level--) {
        uint64_t *entries = page_view(table_page, table);
        table = entries[WINDOW >> (12 + 9 * level) & 511] & ~UINT64_C(0xfff);
    }
    uint64_t *large = (uint64_t *)page_view(table_page, table) + (WINDOW >> 21 & 511);
    *large |= ACCESSED | DIRTY; // as a processor does
    assert_int_equal(unmap(3, 1), EPT_OK);
    assert_int_equal(*large & (ACCESSED | DIRTY), ACCESSED); // a table is never dirty
    assert_true(ept_lookup(&ept, &pages, WINDOW + 4 * KIB4, &entry, &size));
    assert_int_equal(entry & (ACCESSED | DIRTY), ACCESSED | DIRTY);
    check_model(0, PAGES_2M);
    assert_false(present(*((uint64_t *)page_view(table_page, *large & UINT64_C(0xffffffffff000)) + 3)));
}

static void unmapping_holes_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(map(100, 1, 0, EPT_READ, EPT_TYPE_WB), EPT_OK);
    tables_allowed = 0;
    assert_int_equal(unmap(0, 100), EPT_OK);
    assert_int_equal(unmap(101, WINDOW_PAGES - 101), EPT_OK);
    check_model(0, WINDOW_PAGES);
    assert_int_equal(unmap(0, WINDOW_PAGES), EPT_OK); // needs no memory, as it splits nothing
    assert_int_equal(ept_count_pages(&ept), 1);
}

/// Where a guest could raise a machine check, nothing executable is large.
static void executable_pages_stay_small_where_they_must(void **state)
{
    uint64_t entry, size;

    (void)state;
    ept.large_exec = false;
    assert_int_equal(map(0, PAGES_2M, 0, EPT_READ | EPT_EXECUTE, EPT_TYPE_WB), EPT_OK);
    assert_int_equal(map(PAGES_2M, PAGES_2M, 0, EPT_READ | EPT_WRITE, EPT_TYPE_WB), EPT_OK);
    assert_true(ept_lookup(&ept, &pages, WINDOW, &entry, &size) && size == KIB4);
    assert_true(ept_lookup(&ept, &pages, WINDOW + MIB2, &entry, &size) && size == MIB2);
    check_tables();
}

static void pointer_tells_the_walk(void **state)
{
    (void)state;
    assert_int_equal(ept_pointer(&ept), ept.root | 0x5e); // write-back (6), 4 levels (3 << 3), A/D (1 << 6)
    start_again(CAPS_ALL & ~(UINT64_C(1) << 21));
    assert_int_equal(ept_pointer(&ept), ept.root | 0x1e);
}

static void init_without_memory(void **state)
{
    (void)state;
    ept_destroy(&ept, &pages);
    tables_allowed = 0;
    assert_int_equal(ept_init(&ept, &pages, CAPS_ALL, MAXPHYADDR), EPT_NO_MEMORY);
    ept_destroy(&ept, &pages); // harmless
}

/// Maps of every shape, with the allocator giving out at every possible point.
static void exhaustion_leaves_everything_as_it_was(void **state)
{
    static const struct {
        uint64_t first, count, hpa;
        unsigned tables; // that it takes
    } shapes[] = {
        {0, 1, 0, 3},
        {PAGES_1G, PAGES_1G, GIB1, 1},
        {PAGES_2M - 1, PAGES_2M + 2, MIB2 - KIB4, 4},                       // PT, 2-MiB page, PT
        {PAGES_1G - PAGES_2M - 1, 2 * PAGES_1G, 3 * GIB1 - MIB2 - KIB4, 6}, // all sizes, two PDPTs
        {2 * PAGES_1G - 1, 2, GIB1, 6},                                     // nothing in common but the root
        {5, 4 * PAGES_2M, KIB4, 7},                                         // small pages in five PTs
        {PAGES_1G - 1, PAGES_1G + 2, GIB1 - KIB4, 6},                       // PT, 1-GiB page, PT
    };

    (void)state;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        for (unsigned k = 0;; k++) {
            start_again(CAPS_ALL);
            tables_allowed = k;
            enum ept_result result = map(shapes[i].first, shapes[i].count, shapes[i].hpa, EPT_READ, EPT_TYPE_WB);
            check_model(0, WINDOW_PAGES);
            check_tables();
            tables_allowed = TABLES;
            if (result == EPT_OK) {
                assert_int_equal(k, shapes[i].tables);
                break;
            }
            assert_int_equal(result, EPT_NO_MEMORY);
            assert_int_equal(tables_used, 1);
        }
    }
}

/// A page count in the spirit of the size classes: few pages, some 2-MiB pages, up to a gigabyte and more.
static uint64_t random_count(uint64_t *seed)
{
    switch (random_below(seed, 4)) {
    case 0:
        return 1 + random_below(seed, 20);
    case 1:
        return 1 + random_below(seed, 3 * PAGES_2M);
    case 2:
        return PAGES_2M * (1 + random_below(seed, 16));
    default:
        return random_below(seed, 2) ? PAGES_1G : 1 + random_below(seed, PAGES_1G + PAGES_1G / 2);
    }
}

static uint64_t random_first(uint64_t *seed, uint64_t count)
{
    static const uint64_t align[] = {1, 1, PAGES_2M, PAGES_2M, PAGES_1G};
    uint64_t first = random_below(seed, WINDOW_PAGES - count + 1);
    return first - first % align[random_below(seed, 5)];
}

static void random_step(uint64_t *seed)
{
    static const uint32_t accesses[] = {EPT_READ, EPT_READ | EPT_WRITE, 7};
    static const uint64_t offsets[] = {0, 0, 0, MIB2, KIB4};
    uint64_t count = random_count(seed), first = random_first(seed, count);
    if (random_below(seed, 3) == 0) {
        uint64_t hpa = first * KIB4 + offsets[random_below(seed, 5)] + random_below(seed, 64) * GIB1;
        map(first, count, hpa, accesses[random_below(seed, 3)], EPT_TYPE_WB);
    } else if (random_below(seed, 8) == 0) {
        unmap(first, count);
    } else {
        // Not much at once, so that the window fills up.
        unmap(first, count < 2 * PAGES_2M ? count : 2 * PAGES_2M);
    }
    uint64_t from = first > 2 * PAGES_2M ? first - 2 * PAGES_2M : 0, to = first + count + 2 * PAGES_2M;
    check_model(from, to < WINDOW_PAGES ? to : WINDOW_PAGES);
}

static void random_steps(uint64_t seed, bool scarce)
{
    for (unsigned step = 1; step <= STEPS; step++) {
        tables_allowed = scarce ? (unsigned)random_below(&seed, 6) : TABLES;
        random_step(&seed);
        if (step % FULL_CHECK_EVERY == 0) {
            check_model(0, WINDOW_PAGES);
            check_tables();
        }
    }
    tables_allowed = TABLES;
    assert_int_equal(unmap(0, WINDOW_PAGES), EPT_OK);
    assert_int_equal(tables_used, 1);
}

static void agrees_with_the_model(void **state)
{
    (void)state;
    random_steps(1, false);
    start_again(CAPS_NO_1G);
    random_steps(2, false);
}

static void agrees_with_the_model_when_memory_is_scarce(void **state)
{
    (void)state;
    random_steps(3, true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(page_sizes_follow_alignment),
        TEST(mixes_page_sizes_in_one_range),
        TEST(entries_hold_what_was_asked_for),
        TEST(refuses_misconfigurations),
        TEST(refuses_bad_ranges),
        TEST(overlap_changes_nothing),
        TEST(splits_down_to_small_pages),
        TEST(splits_at_both_ends),
        TEST(split_keeps_accessed_and_dirty),
        TEST(unmapping_holes_changes_nothing),
        TEST(executable_pages_stay_small_where_they_must),
        TEST(pointer_tells_the_walk),
        TEST(init_without_memory),
        TEST(exhaustion_leaves_everything_as_it_was),
        TEST(agrees_with_the_model),
        TEST(agrees_with_the_model_when_memory_is_scarce),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
