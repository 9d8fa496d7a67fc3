// SPDX-License-Identifier: Apache-2.0
// Extended page tables against the model: random maps and unmaps, and every point where memory can run out.
// links: arch/x86/vmx/ept.c arch/x86/vmx/ept_map.c arch/x86/vmx/ept_unmap.c
#include "ept_model.h"

enum { STEPS = 1500, FULL_CHECK_EVERY = 250 };

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(exhaustion_leaves_everything_as_it_was),
        TEST(agrees_with_the_model),
        TEST(agrees_with_the_model_when_memory_is_scarce),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
