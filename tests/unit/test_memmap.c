// SPDX-License-Identifier: Apache-2.0
// The memory map: maps as firmware hands them out, and random changes compared with a model that keeps every page by itself.
// links: vmm/memmap.c vmm/lib/string.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "random.h"
#include "vmm/memmap.h"

enum { PAGE = 4096, NONE = MEMMAP_NO_OWNER, ROUNDS = 300, STEPS = 60, MODEL_PAGES = 96 };

#define LIMIT (UINT64_C(1) << 52)

static struct memmap map;

static int clear(void **state)
{
    (void)state;
    memset(&map, 0x5a, sizeof(map));
    memmap_init(&map);
    return 0;
}

/// What holds after every operation: ascending, disjoint, whole pages, neighbours merged.
static void check_form(void)
{
    assert_true(map.count <= MEMMAP_MAX);
    for (uint32_t i = 0; i < map.count; i++) {
        const struct memmap_region *r = &map.regions[i];
        assert_true(r->size != 0 && r->size % PAGE == 0 && r->base % PAGE == 0);
        assert_true(r->base < LIMIT && r->size <= LIMIT - r->base);
        if (i == 0)
            continue;
        assert_true(r[-1].base + r[-1].size <= r->base);
        assert_false(r[-1].base + r[-1].size == r->base && r[-1].kind == r->kind && r[-1].owner == r->owner);
    }
}

static void add(uint64_t base, uint64_t size, uint32_t kind)
{
    assert_true(memmap_add(&map, base, size, kind, NONE));
    check_form();
}

/// Compares the whole map with a list of {base, end, kind}.
static void expect(uint32_t count, const uint64_t (*regions)[3])
{
    assert_int_equal(map.count, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_true(map.regions[i].base == regions[i][0]);
        assert_true(map.regions[i].base + map.regions[i].size == regions[i][1]);
        assert_int_equal(map.regions[i].kind, regions[i][2]);
    }
}

#define EXPECT(...)                                                                                                    \
    do {                                                                                                               \
        static const uint64_t regions_[][3] = {__VA_ARGS__};                                                           \
        expect(sizeof(regions_) / sizeof(regions_[0]), regions_);                                                      \
    } while (0)

/// A PC's BIOS map (E820): unaligned ends below 1 MiB, holes, memory above 4 GiB.
static void reads_a_bios_map(void **state)
{
    (void)state;
    add(0x0, 0x9fc00, PV_MEMORY_FREE);
    add(0x9fc00, 0x400, PV_MEMORY_FIRMWARE);
    add(0xf0000, 0x10000, PV_MEMORY_FIRMWARE);
    add(0x100000, 0x3fee0000, PV_MEMORY_FREE);
    add(0x3ffe0000, 0x20000, PV_MEMORY_FIRMWARE);
    add(0xfffc0000, 0x40000, PV_MEMORY_FIRMWARE);
    add(0x100000000, 0x40000000, PV_MEMORY_FREE);
    EXPECT({0x0, 0x9f000, PV_MEMORY_FREE}, {0x9f000, 0xa0000, PV_MEMORY_FIRMWARE},
           {0xf0000, 0x100000, PV_MEMORY_FIRMWARE}, {0x100000, 0x3ffe0000, PV_MEMORY_FREE},
           {0x3ffe0000, 0x40000000, PV_MEMORY_FIRMWARE}, {0xfffc0000, 0x100000000, PV_MEMORY_FIRMWARE},
           {0x100000000, 0x140000000, PV_MEMORY_FREE});
    assert_true(memmap_total(&map, PV_MEMORY_FREE) == 0x9f000 + 0x3fee0000 + UINT64_C(0x40000000));
}

/// UEFI maps come in any order and in many adjacent pieces.
static void sorts_and_merges(void **state)
{
    (void)state;
    add(0x5000, 0x1000, PV_MEMORY_FREE);
    add(0x1000, 0x1000, PV_MEMORY_FREE);
    add(0x3000, 0x1000, PV_MEMORY_MMIO);
    add(0x2000, 0x1000, PV_MEMORY_FREE);
    add(0x4000, 0x1000, PV_MEMORY_FREE);
    EXPECT({0x1000, 0x3000, PV_MEMORY_FREE}, {0x3000, 0x4000, PV_MEMORY_MMIO}, {0x4000, 0x6000, PV_MEMORY_FREE});
}

static void resolves_overlaps_by_kind(void **state)
{
    (void)state;
    add(0x10000, 0x10000, PV_MEMORY_FREE);
    add(0x14000, 0x4000, PV_MEMORY_FIRMWARE); // beats free memory
    add(0x10000, 0x10000, PV_MEMORY_FREE);    // does not win it back
    add(0x12000, 0x4000, PV_MEMORY_MODULE);   // free memory only: the firmware was first
    add(0x17000, 0x2000, PV_MEMORY_MMIO);     // beats both
    add(0x13000, 0x1000, PV_MEMORY_BAD);
    add(0x18000, 0x1000, PV_MEMORY_BAD); // also MMIO
    add(0x17000, 0x2000, PV_MEMORY_MMIO);
    EXPECT({0x10000, 0x12000, PV_MEMORY_FREE}, {0x12000, 0x13000, PV_MEMORY_MODULE}, {0x13000, 0x14000, PV_MEMORY_BAD},
           {0x14000, 0x17000, PV_MEMORY_FIRMWARE}, {0x17000, 0x18000, PV_MEMORY_MMIO},
           {0x18000, 0x19000, PV_MEMORY_BAD}, {0x19000, 0x20000, PV_MEMORY_FREE});
}

/// The outcome of two overlapping reports of unequal rank does not depend on which came first.
static void does_not_depend_on_the_order(void **state)
{
    static const uint32_t kinds[] = {PV_MEMORY_FREE, PV_MEMORY_FIRMWARE, PV_MEMORY_MMIO, PV_MEMORY_BAD};
    struct memmap first;

    (void)state;
    for (unsigned a = 0; a < 4; a++) {
        for (unsigned b = 0; b < 4; b++) {
            clear(NULL);
            add(0x1000, 0x3000, kinds[a]);
            add(0x2000, 0x4000, kinds[b]);
            first = map;
            clear(NULL);
            add(0x2000, 0x4000, kinds[b]);
            add(0x1000, 0x3000, kinds[a]);
            assert_int_equal(first.count, map.count);
            assert_memory_equal(first.regions, map.regions, map.count * sizeof(map.regions[0]));
        }
    }
}

static void rounds_free_in_and_others_out(void **state)
{
    (void)state;
    add(0x1001, 0x1fff, PV_MEMORY_FREE);
    add(0x5fff, 0x2, PV_MEMORY_FIRMWARE);
    add(0x9001, 0xffe, PV_MEMORY_FREE); // less than a page
    add(0x9fff, 0x1001, PV_MEMORY_FREE);
    EXPECT({0x2000, 0x3000, PV_MEMORY_FREE}, {0x5000, 0x7000, PV_MEMORY_FIRMWARE}, {0xa000, 0xb000, PV_MEMORY_FREE});
}

static void ignores_or_cuts_the_impossible(void **state)
{
    (void)state;
    add(0x1000, 0, PV_MEMORY_FREE);
    add(LIMIT, 0x1000, PV_MEMORY_FREE);
    add(UINT64_MAX, UINT64_MAX, PV_MEMORY_MMIO);
    add(UINT64_MAX - 0xfff, 0x1000, PV_MEMORY_MMIO);
    assert_int_equal(map.count, 0);
    add(LIMIT - 0x2000, UINT64_MAX, PV_MEMORY_FREE); // wraps around
    add(LIMIT - 0x1000, 0x1001, PV_MEMORY_MMIO);
    add(LIMIT - 1, 1, PV_MEMORY_BAD);
    EXPECT({LIMIT - 0x2000, LIMIT - 0x1000, PV_MEMORY_FREE}, {LIMIT - 0x1000, LIMIT, PV_MEMORY_BAD});
    clear(NULL);
    add(0, UINT64_MAX, PV_MEMORY_FREE);
    EXPECT({0, LIMIT, PV_MEMORY_FREE});
}

static void claims_whatever_is_there(void **state)
{
    (void)state;
    add(0x10000, 0x10000, PV_MEMORY_FREE);
    add(0x20000, 0x10000, PV_MEMORY_BAD);
    assert_true(memmap_claim(&map, 0x1f801, 0x1000, PV_MEMORY_MULTIPLEXER, NONE));
    assert_true(memmap_claim(&map, 0x2f000, 0x2000, PV_MEMORY_MODULE, 3));
    assert_true(memmap_claim(&map, 0x40000, 1, PV_MEMORY_MODULE, 4));
    assert_true(memmap_claim(&map, 0x50000, 0, PV_MEMORY_MODULE, 5));
    assert_true(memmap_claim(&map, LIMIT, 1, PV_MEMORY_MODULE, 5));
    assert_true(memmap_claim(&map, LIMIT - 1, UINT64_MAX, PV_MEMORY_MODULE, 6));
    assert_true(memmap_claim(&map, 0x60000, LIMIT, PV_MEMORY_MODULE, 6));
    check_form();
    EXPECT({0x10000, 0x1f000, PV_MEMORY_FREE}, {0x1f000, 0x21000, PV_MEMORY_MULTIPLEXER},
           {0x21000, 0x2f000, PV_MEMORY_BAD}, {0x2f000, 0x31000, PV_MEMORY_MODULE},
           {0x40000, 0x41000, PV_MEMORY_MODULE}, {0x60000, LIMIT, PV_MEMORY_MODULE});
    assert_int_equal(map.regions[3].owner, 3);
}

static void merges_only_the_same_owner(void **state)
{
    (void)state;
    assert_true(memmap_claim(&map, 0x1000, 0x1000, PV_MEMORY_POOL, 1));
    assert_true(memmap_claim(&map, 0x2000, 0x1000, PV_MEMORY_POOL, 2));
    assert_int_equal(map.count, 2);
    assert_true(memmap_claim(&map, 0x1000, 0x1000, PV_MEMORY_POOL, 2));
    EXPECT({0x1000, 0x3000, PV_MEMORY_POOL});
}

static void finds_regions(void **state)
{
    (void)state;
    assert_null(memmap_find(&map, 0));
    add(0x2000, 0x2000, PV_MEMORY_FREE);
    add(0x8000, 0x1000, PV_MEMORY_MMIO);
    assert_null(memmap_find(&map, 0x1fff));
    assert_ptr_equal(memmap_find(&map, 0x2000), &map.regions[0]);
    assert_ptr_equal(memmap_find(&map, 0x3fff), &map.regions[0]);
    assert_null(memmap_find(&map, 0x4000));
    assert_ptr_equal(memmap_find(&map, 0x8fff), &map.regions[1]);
    assert_null(memmap_find(&map, 0x9000));
    assert_null(memmap_find(&map, UINT64_MAX));
}

static uint64_t alloc(uint64_t size, uint64_t align, uint64_t min, uint64_t max)
{
    uint64_t base = memmap_alloc(&map, size, align, min, max, PV_MEMORY_POOL, 1);

    check_form();
    return base;
}

static void allocates_the_lowest_fit(void **state)
{
    (void)state;
    add(0, 0x3000, PV_MEMORY_FREE);
    add(0x10000, 0x10000, PV_MEMORY_FREE);
    assert_true(alloc(PAGE, PAGE, 0, UINT64_MAX) == 0x1000); // never page 0
    assert_true(alloc(0x2000, PAGE, 0, UINT64_MAX) == 0x10000);
    assert_true(alloc(1, PAGE, 0, UINT64_MAX) == 0x2000);
    assert_true(alloc(0x1001, 0x4000, 0, UINT64_MAX) == 0x14000); // two pages
    assert_true(alloc(PAGE, 0x20000, 0, UINT64_MAX) == 0);
    assert_true(alloc(PAGE, PAGE, 0, UINT64_MAX) == 0x12000);
    EXPECT({0, 0x1000, PV_MEMORY_FREE}, {0x1000, 0x3000, PV_MEMORY_POOL}, {0x10000, 0x13000, PV_MEMORY_POOL},
           {0x13000, 0x14000, PV_MEMORY_FREE}, {0x14000, 0x16000, PV_MEMORY_POOL}, {0x16000, 0x20000, PV_MEMORY_FREE});
}

static void allocates_within_bounds(void **state)
{
    (void)state;
    add(0x10000, 0x10000, PV_MEMORY_FREE);
    assert_true(alloc(PAGE, PAGE, 0, 0x10000) == 0);
    assert_true(alloc(PAGE, PAGE, 0, 0x10fff) == 0);
    assert_true(alloc(PAGE, PAGE, 0, 0x11000) == 0x10000);
    assert_true(alloc(PAGE, PAGE, 0x1f001, UINT64_MAX) == 0);
    assert_true(alloc(PAGE, PAGE, 0x1e001, UINT64_MAX) == 0x1f000);
    assert_true(alloc(PAGE, PAGE, 0x18000, 0x18000) == 0);
    assert_true(alloc(PAGE, PAGE, 0x18000, 0x17000) == 0);
    assert_true(alloc(0xe000, PAGE, 0, UINT64_MAX) == 0x11000);
    assert_true(memmap_total(&map, PV_MEMORY_FREE) == 0);
}

static void refuses_impossible_allocations(void **state)
{
    (void)state;
    add(0x10000, 0x10000, PV_MEMORY_FREE);
    add(0x20000, 0x10000, PV_MEMORY_FIRMWARE);
    assert_true(alloc(0, PAGE, 0, UINT64_MAX) == 0);
    assert_true(alloc(0x11000, PAGE, 0, UINT64_MAX) == 0);
    assert_true(alloc(UINT64_MAX, PAGE, 0, UINT64_MAX) == 0);
    assert_true(alloc(UINT64_MAX - 0xfff, PAGE, 0, UINT64_MAX) == 0);
    assert_true(alloc(PAGE, 0, 0, UINT64_MAX) == 0);
    assert_true(alloc(PAGE, 2048, 0, UINT64_MAX) == 0);
    assert_true(alloc(PAGE, 0x3000, 0, UINT64_MAX) == 0);
    assert_true(alloc(PAGE, UINT64_C(1) << 63, 0, UINT64_MAX) == 0);
    assert_int_equal(map.count, 2);
}

static void allocates_above_4g(void **state)
{
    (void)state;
    add(0x100000, 0x1000000, PV_MEMORY_FREE);
    add(0x100001000, 0x180000000, PV_MEMORY_FREE);
    assert_true(alloc(0x40000000, 0x200000, 0, UINT64_MAX) == 0x100200000);
    assert_true(alloc(0x100000000, PAGE, 0, UINT64_MAX) == 0x140200000);
}

/// A full table refuses and stays as it was, but changes that need no further region still work.
static void refuses_when_full(void **state)
{
    struct memmap before;

    (void)state;
    for (uint64_t i = 1; i <= MEMMAP_MAX; i++)
        assert_true(memmap_add(&map, i * 0x4000, 0x3000, PV_MEMORY_FREE, NONE));
    assert_int_equal(map.count, MEMMAP_MAX);
    before = map;
    assert_false(memmap_add(&map, 0x1000, PAGE, PV_MEMORY_FREE, NONE));
    assert_false(memmap_add(&map, 0x5000, PAGE, PV_MEMORY_MMIO, NONE));
    assert_false(memmap_add(&map, 0, LIMIT, PV_MEMORY_FIRMWARE, NONE)); // gaps
    assert_false(memmap_claim(&map, 0x5000, PAGE, PV_MEMORY_MODULE, NONE));
    assert_false(memmap_claim(&map, 0x4000, PAGE, PV_MEMORY_MODULE, NONE));
    assert_true(alloc(PAGE, PAGE, 0, UINT64_MAX) == 0);
    assert_memory_equal(&before, &map, sizeof(map));

    assert_true(memmap_claim(&map, 0x4000, 0x3000, PV_MEMORY_MODULE, NONE));
    assert_true(alloc(0x3000, PAGE, 0, UINT64_MAX) == 0x8000);
    assert_true(memmap_claim(&map, 0xc000, 0x7000, PV_MEMORY_MODULE, NONE)); // two become one
    assert_int_equal(map.count, MEMMAP_MAX - 1);
    check_form();
}

/// One free place is enough for a new edge in a region, but not for a hole in it.
static void counts_the_regions_that_a_change_needs(void **state)
{
    struct memmap before;

    (void)state;
    for (uint64_t i = 1; i < MEMMAP_MAX; i++)
        assert_true(memmap_add(&map, i * 0x4000, 0x3000, PV_MEMORY_FREE, NONE));
    before = map;
    assert_false(memmap_add(&map, 0x5000, PAGE, PV_MEMORY_MMIO, NONE));
    assert_memory_equal(&before, &map, sizeof(map));
    assert_true(memmap_add(&map, 0x4000, PAGE, PV_MEMORY_MMIO, NONE));
    map = before;
    assert_true(memmap_add(&map, 0x6000, PAGE, PV_MEMORY_MMIO, NONE));
    check_form();
}

// ---- against a model: one entry a page ----

struct page {
    uint32_t kind, owner; ///< kind 0: in no region
};

static struct page model[MODEL_PAGES];

/// The precedence as memmap.h states it.
static bool beats(uint32_t kind, uint32_t old)
{
    if (old == 0 || kind == PV_MEMORY_BAD)
        return old != PV_MEMORY_BAD;
    if (kind == PV_MEMORY_MMIO)
        return old != PV_MEMORY_MMIO && old != PV_MEMORY_BAD;
    return old == PV_MEMORY_FREE && kind != PV_MEMORY_FREE;
}

static void model_set(uint64_t base, uint64_t size, uint32_t kind, uint32_t owner, bool claim)
{
    for (uint64_t i = 0; i < MODEL_PAGES; i++) {
        uint64_t page = i * PAGE;
        bool touched = page < base + size && base < page + PAGE && size != 0;
        bool inside = page >= base && page + PAGE <= base + size;
        if ((claim ? touched : kind == PV_MEMORY_FREE ? inside : touched) && (claim || beats(kind, model[i].kind)))
            model[i] = (struct page){kind, owner};
    }
}

static uint64_t model_alloc(uint64_t size, uint64_t align, uint64_t min, uint64_t max)
{
    for (uint64_t base = align; base + size <= MODEL_PAGES * PAGE; base += align) {
        bool good = base >= min && base + size <= max;
        for (uint64_t i = base / PAGE; good && i < (base + size + PAGE - 1) / PAGE; i++)
            good = model[i].kind == PV_MEMORY_FREE;
        if (good)
            return base;
    }
    return 0;
}

static void compare_with_model(void)
{
    uint64_t free_bytes = 0;

    check_form();
    for (uint64_t i = 0; i < MODEL_PAGES; i++) {
        const struct memmap_region *r = memmap_find(&map, i * PAGE + 7);
        assert_int_equal(r != NULL ? r->kind : 0, model[i].kind);
        if (r != NULL)
            assert_int_equal(r->owner, model[i].owner);
        free_bytes += model[i].kind == PV_MEMORY_FREE ? PAGE : 0;
    }
    assert_true(memmap_total(&map, PV_MEMORY_FREE) == free_bytes);
}

static void one_step(uint64_t *seed)
{
    const uint64_t space = MODEL_PAGES * PAGE;
    uint64_t base = random_below(seed, space);
    uint64_t size = random_below(seed, space - base) / (1 + random_below(seed, 8));
    uint32_t kind = 1 + (uint32_t)random_below(seed, PV_MEMORY_BAD);
    uint32_t owner = kind == PV_MEMORY_FREE ? NONE : (uint32_t)random_below(seed, 3); // free memory is nobody's

    if (random_below(seed, 3) == 0) { // more whole pages than odd ends
        base &= ~(uint64_t)(PAGE - 1);
        size &= ~(uint64_t)(PAGE - 1);
    }
    switch (random_below(seed, 4)) {
    case 0:
        assert_true(memmap_claim(&map, base, size, kind, owner));
        model_set(base, size, kind, owner, true);
        break;
    case 1: {
        uint64_t align = (uint64_t)PAGE << random_below(seed, 5);
        uint64_t bytes = 1 + random_below(seed, 8 * PAGE);
        uint64_t whole = (bytes + PAGE - 1) / PAGE * PAGE;
        uint64_t want = model_alloc(whole, align, base, base + size);
        assert_true(memmap_alloc(&map, bytes, align, base, base + size, kind, owner) == want);
        if (want != 0)
            model_set(want, whole, kind, owner, true);
        break;
    }
    default:
        if (random_below(seed, 2) == 0) {
            kind = PV_MEMORY_FREE;
            owner = NONE;
        }
        assert_true(memmap_add(&map, base, size, kind, owner));
        model_set(base, size, kind, owner, false);
    }
}

static void agrees_with_a_model(void **state)
{
    uint64_t seed = 4;

    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        clear(NULL);
        memset(model, 0, sizeof(model));
        for (unsigned step = 0; step < STEPS; step++) {
            one_step(&seed);
            compare_with_model();
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(reads_a_bios_map, clear),
        cmocka_unit_test_setup(sorts_and_merges, clear),
        cmocka_unit_test_setup(resolves_overlaps_by_kind, clear),
        cmocka_unit_test_setup(does_not_depend_on_the_order, clear),
        cmocka_unit_test_setup(rounds_free_in_and_others_out, clear),
        cmocka_unit_test_setup(ignores_or_cuts_the_impossible, clear),
        cmocka_unit_test_setup(claims_whatever_is_there, clear),
        cmocka_unit_test_setup(merges_only_the_same_owner, clear),
        cmocka_unit_test_setup(finds_regions, clear),
        cmocka_unit_test_setup(allocates_the_lowest_fit, clear),
        cmocka_unit_test_setup(allocates_within_bounds, clear),
        cmocka_unit_test_setup(refuses_impossible_allocations, clear),
        cmocka_unit_test_setup(allocates_above_4g, clear),
        cmocka_unit_test_setup(refuses_when_full, clear),
        cmocka_unit_test_setup(counts_the_regions_that_a_change_needs, clear),
        cmocka_unit_test_setup(agrees_with_a_model, clear),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
