// SPDX-License-Identifier: Apache-2.0
// Extended page tables: page sizes, entries, refusals, splitting.
// links: arch/x86/vmx/ept.c arch/x86/vmx/ept_map.c arch/x86/vmx/ept_unmap.c
#include "ept_model.h"

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
        assert_int_equal(map_pages(gpa, hpa, cases[i].size, EPT_READ, EPT_TYPE_WB), EPT_OK);
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
            assert_int_equal(map_pages(gpa, GIB1, KIB4, accesses[a], type), EPT_OK);
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
        assert_int_equal(map_pages(0, 0, KIB4, bad[i].access, bad[i].type), EPT_INVALID);
    start_again(CAPS_ALL & ~UINT64_C(1)); // no execute-only pages
    assert_int_equal(map_pages(0, 0, KIB4, EPT_EXECUTE, EPT_TYPE_WB), EPT_INVALID);
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
        assert_int_equal(map_pages(bad[i].gpa, bad[i].hpa, bad[i].size, EPT_READ, EPT_TYPE_WB), EPT_INVALID);
        if (bad[i].hpa == 0) {
            assert_int_equal(unmap_pages(bad[i].gpa, bad[i].size, &garbage, &changed), EPT_INVALID);
            assert_false(changed);
        }
    }
    uint64_t entry, size;
    assert_false(ept_lookup(&ept, &pages, limit, &entry, &size));
    assert_false(ept_lookup(&ept, &pages, UINT64_MAX, &entry, &size));
    assert_int_equal(map_pages(limit - KIB4, limit - KIB4, KIB4, EPT_READ, EPT_TYPE_WB), EPT_OK);
    assert_int_equal(tables_used, 4);
    destroy();

    // With more than 48 physical bits 4 levels are the limit for guest-physical addresses.
    assert_int_equal(ept_init(&ept, &pages, CAPS_ALL, 31), EPT_INVALID);
    assert_int_equal(ept_init(&ept, &pages, CAPS_ALL, 53), EPT_INVALID);
    assert_int_equal(ept_init(&ept, &pages, CAPS_ALL, 52), EPT_OK);
    uint64_t end = UINT64_C(1) << 48, far = (UINT64_C(1) << 52) - KIB4;
    assert_int_equal(map_pages(end - KIB4, far, KIB4, EPT_READ, EPT_TYPE_WB), EPT_OK);
    assert_true(ept_lookup(&ept, &pages, end - 1, &entry, &size));
    assert_int_equal(ept_entry_address(entry), far);
    assert_int_equal(map_pages(end, 0, KIB4, EPT_READ, EPT_TYPE_WB), EPT_INVALID);
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
    destroy();
    tables_allowed = 0;
    assert_int_equal(ept_init(&ept, &pages, CAPS_ALL, MAXPHYADDR), EPT_NO_MEMORY);
    destroy(); // harmless
}

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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
