// SPDX-License-Identifier: Apache-2.0
// Accesses through a guest's page tables that the processor has not made: rights, accessed and dirty flags, error codes.
// links: vmm/personalities/lib/devices/page_walk.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "devices/page_walk.h"

enum { MEMORY = 64 * 4096, PHYSICAL_BITS = 40 };
enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, RSVD = 8, FETCH = 16 };
enum { WP = 1 << 16, SMEP = 1 << 20, SMAP = 1 << 21, NXE = 1 << 11, LMA = 0x500, PAE = 0x20, PSE = 0x10 };
#define NX (UINT64_C(1) << 63)
#define PG UINT64_C(0x80000001)

static uint8_t guest[MEMORY];
static unsigned disturbances; ///< replacements that find the entry changed

static bool read_memory(void *context, uint64_t address, void *bytes, size_t size)
{
    (void)context;
    if (address > MEMORY || size > MEMORY - address)
        return false;
    memcpy(bytes, guest + address, size);
    return true;
}

static bool replace(void *context, uint64_t address, uint64_t before, uint64_t after, size_t size)
{
    (void)context;
    if (disturbances > 0) {
        disturbances--;
        return false;
    }
    assert_memory_equal(guest + address, &before, size);
    memcpy(guest + address, &after, size);
    return true;
}

static uint64_t get(uint64_t address, size_t size)
{
    uint64_t value = 0;
    memcpy(&value, guest + address, size);
    return value;
}

static void set(uint64_t address, uint64_t value, size_t size)
{
    memcpy(guest + address, &value, size);
}

/// Four levels at 0x1000 to 0x4000, of which the first entries lead to a page at 0x5000.
static struct page_walk make_long(uint64_t upper, uint64_t last)
{
    memset(guest, 0, sizeof(guest));
    disturbances = 0;
    for (uint64_t table = 0x1000; table < 0x4000; table += 0x1000)
        set(table, (table + 0x1000) | upper, 8);
    set(0x4000, 0x5000 | last, 8);
    return (struct page_walk){.cr0 = PG | WP,
                              .cr3 = 0x1000,
                              .cr4 = PAE,
                              .efer = LMA | NXE,
                              .read = read_memory,
                              .replace = replace,
                              .physical_bits = PHYSICAL_BITS};
}

/// UINT32_MAX: no fault.
static uint32_t fault(const struct page_walk *w, uint32_t access)
{
    uint64_t physical;
    uint32_t error;
    if (!page_access(w, 0x123, access, &physical, &error))
        return error;
    assert_int_equal(physical, 0x5123);
    return UINT32_MAX;
}

static void test_rights(void **state)
{
    (void)state;
    static const struct {
        uint64_t upper, last, cr0, cr4;
        uint32_t access, error;
    } cases[] = {
        {P | W | U, P | W | U, WP, 0, PAGE_USER | PAGE_WRITE, UINT32_MAX},
        {P | W | U, P | W, WP, 0, PAGE_USER | PAGE_WRITE, P | W | U}, // the kernel's page
        {P | W, P | W | U, WP, 0, PAGE_USER, P | U},                  // or the kernel's table
        {P | W | U, P | U, WP, 0, PAGE_USER | PAGE_WRITE, P | W | U}, // read-only
        {P | U, P | W | U, WP, 0, PAGE_USER | PAGE_WRITE, P | W | U},
        {P | U, P | W | U, WP, 0, PAGE_USER, UINT32_MAX},
        {P | W | U, P, WP, 0, PAGE_WRITE, P | W}, // read-only for the kernel
        {P | W | U, P, 0, 0, PAGE_WRITE, UINT32_MAX},
        {P | W | U, P | U, 0, 0, PAGE_USER | PAGE_WRITE, P | W | U}, // CR0.WP is the kernel's
        {P | W | U, 0, WP, 0, PAGE_USER | PAGE_WRITE, W | U},        // not there
        {P | W | U, 0, WP, 0, 0, 0},
        {P | W | U, P | W | U, WP, SMAP, PAGE_WRITE, P | W},
        {P | W | U, P | W | U, WP, SMAP, PAGE_WRITE | PAGE_AC, UINT32_MAX},
        {P | W | U, P | W | U, WP, SMAP, PAGE_USER | PAGE_WRITE, UINT32_MAX},
        {P | W, P | W | U, WP, SMAP, 0, UINT32_MAX}, // the kernel's, since one of its tables is
        {P | W | U, P | W | U, WP, SMEP, PAGE_FETCH, P | FETCH},
        {P | W | U, P | W | U | NX, WP, 0, PAGE_FETCH | PAGE_USER, P | U | FETCH},
        {P | W | U, P | W | U | NX, WP, 0, PAGE_USER, UINT32_MAX},
        {P | W | U, P | W | U, WP, 0, PAGE_FETCH | PAGE_USER, UINT32_MAX},
        {P | W | U, P | W | U | UINT64_C(1) << PHYSICAL_BITS, WP, 0, 0, P | RSVD},
        {P | W | U | UINT64_C(1) << 51, P | W | U, WP, 0, PAGE_USER, P | U | RSVD},
        {P | W | U | UINT64_C(1) << 52, P | W | U | UINT64_C(1) << 62, WP, 0, 0, UINT32_MAX}, // for software
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct page_walk w = make_long(cases[i].upper, cases[i].last);
        w.cr0 = PG | cases[i].cr0;
        w.cr4 |= cases[i].cr4;
        if (fault(&w, cases[i].access) != cases[i].error)
            fail_msg("case %zu: %#x", i, fault(&w, cases[i].access));
    }
}

static void test_reserved(void **state)
{
    (void)state;
    struct page_walk w = make_long(P | W | U, P | W | U | NX);
    w.efer = LMA; // without NXE the bit is reserved
    assert_int_equal(fault(&w, 0), P | RSVD);
    w = make_long(P | W | U, P | W | U);
    set(0x1000, 0x2000 | P | W | U | PS, 8); // no such large pages
    assert_int_equal(fault(&w, 0), P | RSVD);
    w = make_long(P | W | U, P | W | U);
    set(0x3000, UINT64_C(1) << 13 | P | PS, 8);
    assert_int_equal(fault(&w, 0), P | RSVD);
    w = make_long(P | W | U, P | W | U);
    set(0x2000, UINT64_C(0x7000000000) | P | W | U, 8); // tables where there is no memory: it reads as ones
    assert_int_equal(fault(&w, PAGE_USER), P | U | RSVD);
}

static void test_flags(void **state)
{
    (void)state;
    struct page_walk w = make_long(P | W | U, P | W | U);
    assert_int_equal(fault(&w, PAGE_USER), UINT32_MAX);
    for (uint64_t table = 0x1000; table <= 0x4000; table += 0x1000)
        assert_int_equal(get(table, 8), (table + 0x1000) | P | W | U | A);
    assert_int_equal(fault(&w, PAGE_USER | PAGE_WRITE), UINT32_MAX);
    assert_int_equal(get(0x3000, 8), 0x4000 | P | W | U | A);
    assert_int_equal(get(0x4000, 8), 0x5000 | P | W | U | A | D);
    w = make_long(P | W | U, P | U);
    assert_int_equal(fault(&w, PAGE_USER | PAGE_WRITE), P | W | U);
    assert_int_equal(get(0x4000, 8), 0x5000 | P | U); // no access, no flags
    disturbances = 3;
    assert_int_equal(fault(&w, PAGE_USER), UINT32_MAX);
    assert_int_equal(get(0x4000, 8), 0x5000 | P | U | A);
    w = make_long(P | W | U, P | W | U);
    disturbances = UINT32_MAX; // for ever: a fault that the guest finds to be none
    assert_int_equal(fault(&w, PAGE_USER), U);
}

static void test_legacy(void **state)
{
    (void)state;
    struct page_walk w = make_long(0, 0);
    w.efer = 0;
    w.cr4 = PSE;
    set(0x1000, 0x2000 | P | W | U, 4);
    set(0x2000, 0x5000 | P | U, 4);
    set(0x2004, 0x12345678, 4); // the neighbour stays
    assert_int_equal(fault(&w, PAGE_WRITE | PAGE_USER), P | W | U);
    assert_int_equal(fault(&w, PAGE_FETCH | PAGE_USER), UINT32_MAX);
    assert_int_equal(get(0x2000, 8), UINT64_C(0x1234567800005000) | P | U | A);
    set(0x1000, 1 << 21 | P | PS, 4); // PSE-36 with 40 bits ends below
    assert_int_equal(fault(&w, 0), P | RSVD);
    w.cr4 = PAE;
    memset(guest, 0, sizeof(guest));
    set(0x1000, 0x2000 | P, 8); // has no rights, gets no flags
    set(0x2000, 0x3000 | P | W | U, 8);
    set(0x3000, 0x5000 | P | W | U, 8);
    assert_int_equal(fault(&w, PAGE_WRITE | PAGE_USER), UINT32_MAX);
    assert_int_equal(get(0x1000, 8), 0x2000 | P);
    assert_int_equal(get(0x3000, 8), 0x5000 | P | W | U | A | D);
    set(0x3000, 0x5000 | P | UINT64_C(1) << 52, 8);
    assert_int_equal(fault(&w, 0), P | RSVD);
    w.cr0 = 1;
    uint64_t physical;
    uint32_t error;
    assert_true(page_access(&w, 0x777, PAGE_WRITE | PAGE_USER, &physical, &error));
    assert_int_equal(physical, 0x777);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rights),
        cmocka_unit_test(test_reserved),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_legacy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
