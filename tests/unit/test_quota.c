// SPDX-License-Identifier: Apache-2.0
// Kernel-memory quotas: a range given out page by page.
// links: vmm/quota.c vmm/lib/string.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "random.h"
#include "vmm/quota.h"

enum { PAGE = 4096, PAGES = 16, STEPS = 20000 };

/// The physical address has nothing to do with where the range is mapped.
#define BASE UINT64_C(0x123456000)

static struct quota quota;
static uint8_t *window;

static int setup(void **state)
{
    (void)state;
    window = malloc(PAGES * PAGE); // ends where its memory ends, for the address sanitizer
    memset(window, 0xa5, PAGES * PAGE);
    quota_init(&quota, BASE, PAGES * PAGE, window);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(window);
    return 0;
}

static uint8_t *at(uint64_t page)
{
    return window + (page - BASE);
}

/// Allocates, checks that the page is one of the range and zero, and fills it.
static uint64_t take(void)
{
    uint64_t page = quota_alloc(&quota);

    if (page == 0)
        return 0;
    assert_true(page % PAGE == 0 && page >= BASE && page < BASE + PAGES * PAGE);
    for (unsigned i = 0; i < PAGE; i++)
        assert_int_equal(at(page)[i], 0);
    memset(at(page), 0xee, PAGE);
    return page;
}

static void gives_every_page_once(void **state)
{
    bool given[PAGES] = {false};

    (void)state;
    for (unsigned i = 0; i < PAGES; i++) {
        uint64_t page = take();
        assert_true(page != 0);
        assert_false(given[(page - BASE) / PAGE]);
        given[(page - BASE) / PAGE] = true;
        assert_int_equal(quota.used, (i + 1) * PAGE);
    }
    assert_true(take() == 0);
    assert_true(take() == 0);
    assert_int_equal(quota.used, PAGES * PAGE);
}

static void gives_returned_pages_again(void **state)
{
    uint64_t pages[PAGES];

    (void)state;
    for (unsigned i = 0; i < PAGES; i++)
        pages[i] = take();
    assert_true(quota_free(&quota, pages[3]));
    assert_true(quota_free(&quota, pages[9]));
    assert_int_equal(quota.used, (PAGES - 2) * PAGE);
    uint64_t first = take(), second = take();
    assert_true((first == pages[3] && second == pages[9]) || (first == pages[9] && second == pages[3]));
    assert_true(take() == 0);
}

static void refuses_a_double_free(void **state)
{
    uint64_t a = take(), b = take(), c = take();

    (void)state;
    assert_true(quota_free(&quota, a));
    assert_false(quota_free(&quota, a));
    assert_true(quota_free(&quota, b));
    assert_false(quota_free(&quota, a)); // no longer the first of the list
    assert_false(quota_free(&quota, b));
    assert_int_equal(quota.used, PAGE);
    assert_true(quota_free(&quota, c));
    assert_int_equal(quota.used, 0);
}

static void refuses_foreign_pages(void **state)
{
    uint64_t a = take();

    (void)state;
    assert_false(quota_free(&quota, 0));
    assert_false(quota_free(&quota, BASE - PAGE));
    assert_false(quota_free(&quota, BASE + PAGES * PAGE));
    assert_false(quota_free(&quota, UINT64_MAX & ~UINT64_C(0xfff)));
    assert_false(quota_free(&quota, a + 8));
    assert_false(quota_free(&quota, a + 2048));
    assert_false(quota_free(&quota, BASE + PAGE)); // in the range, but never handed out
    assert_int_equal(quota.used, PAGE);
    assert_true(quota_free(&quota, a));
}

/// A page whose contents look like a free page's is still one that was handed out.
static void frees_a_page_that_looks_free(void **state)
{
    uint64_t a = take(), b = take();
    uint8_t copy[PAGE];

    (void)state;
    assert_true(quota_free(&quota, a));
    memcpy(copy, at(a), PAGE);
    assert_true(take() == a);
    memcpy(at(a), copy, PAGE); // with whatever marked it as free
    assert_true(quota_free(&quota, b));
    assert_true(quota_free(&quota, a));
    assert_int_equal(quota.used, 0);
    assert_false(quota_free(&quota, a));
}

static void takes_everything_back(void **state)
{
    uint64_t a;

    (void)state;
    while ((a = take()) != 0 && a != BASE + 5 * PAGE) {
    }
    assert_true(quota_free(&quota, BASE));
    quota_reset(&quota);
    assert_int_equal(quota.used, 0);
    assert_false(quota_free(&quota, BASE + PAGE)); // given out before the reset
    for (unsigned i = 0; i < PAGES; i++)
        assert_true(take() != 0);
    assert_true(take() == 0);
}

static void uses_whole_pages_only(void **state)
{
    (void)state;
    quota_init(&quota, BASE, 2 * PAGE + 100, window);
    assert_true(take() != 0);
    assert_true(take() != 0);
    assert_true(take() == 0);
    quota_init(&quota, BASE, PAGE - 1, window);
    assert_true(take() == 0);
    quota_init(&quota, BASE, 0, NULL);
    assert_true(take() == 0);
    assert_false(quota_free(&quota, BASE));
}

/// Random order: every page has one user, and what a user wrote stays.
static void keeps_pages_apart(void **state)
{
    bool used[PAGES] = {false};
    uint64_t seed = 5, count = 0;

    (void)state;
    for (unsigned step = 0; step < STEPS; step++) {
        if (random_below(&seed, 2) == 0) {
            uint64_t page = take();
            assert_int_equal(page != 0, count < PAGES);
            if (page == 0)
                continue;
            uint64_t number = (page - BASE) / PAGE;
            assert_false(used[number]);
            used[number] = true;
            memset(at(page), (int)number + 1, PAGE);
            count++;
        } else {
            uint64_t number = random_below(&seed, PAGES), page = BASE + number * PAGE;
            if (used[number]) {
                assert_int_equal(at(page)[0], number + 1);
                assert_int_equal(at(page)[PAGE - 1], number + 1);
            }
            assert_int_equal(quota_free(&quota, page), used[number]);
            count -= used[number];
            used[number] = false;
        }
        assert_true(quota.used == count * PAGE);
    }
}

/// Pages that were set aside are there for quota_take and for nobody else.
static void keeps_what_is_set_aside(void **state)
{
    (void)state;
    assert_false(quota_reserve(&quota, PAGES + 1));
    assert_int_equal(quota_left(&quota), PAGES);
    assert_true(quota_reserve(&quota, 0));
    assert_true(quota_reserve(&quota, PAGES - 2));
    assert_int_equal(quota_left(&quota), 2);
    assert_true(quota.used == 0);
    assert_true(take() != 0);
    assert_false(quota_reserve(&quota, 2));
    assert_true(take() != 0);
    assert_true(take() == 0);
    for (unsigned i = 0; i < PAGES - 3; i++)
        assert_true(quota_take(&quota, i % 2 != 0) != 0);
    assert_true(take() == 0);
    quota_unreserve(&quota, 1);
    assert_true(take() != 0);
    assert_true(take() == 0);
    assert_true(quota.used == PAGES * PAGE);
    quota_reset(&quota);
    assert_true(quota_reserve(&quota, PAGES));
    quota_reset(&quota); // with pages still set aside
    assert_int_equal(quota_left(&quota), PAGES);
}

static void zeroes_a_reserved_page_when_asked_to(void **state)
{
    (void)state;
    uint64_t page = take(); // and fills it
    assert_true(quota_free(&quota, page));
    assert_true(quota_reserve(&quota, 2));
    assert_true(quota_take(&quota, true) == page);
    for (unsigned i = 0; i < PAGE; i++)
        assert_int_equal(at(page)[i], 0);
    assert_true(quota_free(&quota, page));
    memset(at(page) + 16, 0xee, PAGE - 16); // behind the free list's own
    assert_true(quota_take(&quota, false) == page);
    assert_int_equal(at(page)[PAGE - 1], 0xee);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gives_every_page_once, setup, teardown),
        cmocka_unit_test_setup_teardown(gives_returned_pages_again, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_a_double_free, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_foreign_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(frees_a_page_that_looks_free, setup, teardown),
        cmocka_unit_test_setup_teardown(takes_everything_back, setup, teardown),
        cmocka_unit_test_setup_teardown(uses_whole_pages_only, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_pages_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_what_is_set_aside, setup, teardown),
        cmocka_unit_test_setup_teardown(zeroes_a_reserved_page_when_asked_to, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
