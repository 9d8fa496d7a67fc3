// SPDX-License-Identifier: Apache-2.0
// The MSR and I/O bitmaps, looked at bit by bit as the processor does, and the grants that open them.
// links: arch/x86/vmx/bitmaps.c vmm/grants.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <polyvisor/vcpu.h>

#include "arch/x86/vmx/bitmaps.h"
#include "random.h"
#include "vmm/grants.h"

enum { MSRS = 0x4000 }; // of both ranges

static uint8_t bitmap[BITMAP_SIZE], io_a[BITMAP_SIZE], io_b[BITMAP_SIZE];

/// MSR number i of the two ranges.
static uint32_t msr_number(uint32_t i)
{
    return i < 0x2000 ? i : 0xc0000000 + i - 0x2000;
}

/// Whether RDMSR or WRMSR exits, SDM Vol. 3C 25.6.9: four parts of 1 KiB each: read low, read high, write low, write high.
static bool exits(uint32_t msr, bool write)
{
    const size_t part = (msr >= 0xc0000000 ? 1u : 0u) + (write ? 2u : 0u);
    const uint32_t bit = msr & 0x1fff;
    return (bitmap[1024 * part + bit / 8] >> bit % 8 & 1) != 0;
}

/// What each guest has of its own, typed from docs/configuration.md and docs/vmx.md.
static uint32_t expected_own(uint32_t msr)
{
    switch (msr) {
    case 0x174: // SYSENTER
    case 0x175:
    case 0x176:
    case 0x277:      // PAT
    case 0xc0000080: // EFER
    case 0xc0000100: // FS, GS, kernel GS base
    case 0xc0000101:
    case 0xc0000102:
        return PV_GRANT_READ | PV_GRANT_WRITE;
    case 0xc0000081: // STAR, LSTAR, FMASK
    case 0xc0000082:
    case 0xc0000084:
    case 0xc0000103: // TSC_AUX
        return PV_GRANT_READ;
    default:
        return PV_GRANT_NONE;
    }
}

static void only_own_msrs_are_open(void **state)
{
    (void)state;
    memset(bitmap, 0x5a, sizeof(bitmap));
    msr_bitmap_init(bitmap);
    for (uint32_t i = 0; i < MSRS; i++) {
        const uint32_t msr = msr_number(i), own = expected_own(msr);
        assert_int_equal(msr_own_access(msr), own);
        assert_int_equal(exits(msr, false), (own & PV_GRANT_READ) == 0);
        assert_int_equal(exits(msr, true), (own & PV_GRANT_WRITE) == 0);
    }
}

static void ranges_outside_the_bitmap_are_refused(void **state)
{
    (void)state;
    assert_true(msr_bitmap_covers(0, 1));
    assert_true(msr_bitmap_covers(0, 0x2000));
    assert_true(msr_bitmap_covers(0x1fff, 1));
    assert_true(msr_bitmap_covers(0xc0000000, 0x2000));
    assert_true(msr_bitmap_covers(0xc0001fff, 1));
    assert_false(msr_bitmap_covers(0, 0));
    assert_false(msr_bitmap_covers(0, 0x2001));
    assert_false(msr_bitmap_covers(1, 0x2000));
    assert_false(msr_bitmap_covers(0x1fff, 2));
    assert_false(msr_bitmap_covers(0x2000, 1));
    assert_false(msr_bitmap_covers(0xbfffffff, 1));
    assert_false(msr_bitmap_covers(0xbfffffff, 2));
    assert_false(msr_bitmap_covers(0xc0001fff, 2));
    assert_false(msr_bitmap_covers(0xc0002000, 1));
    assert_false(msr_bitmap_covers(0, UINT64_MAX));
    assert_false(msr_bitmap_covers(UINT64_MAX, 2));
    assert_false(msr_bitmap_covers(0xc0000000, UINT64_MAX - 0xc0000000 + 1));
    assert_false(msr_bitmap_covers(UINT64_C(1) << 32, 1));
}

/// Random ranges against a model of two bits an MSR.
static void msrs_follow_a_model(void **state)
{
    (void)state;
    static uint8_t model[MSRS];
    uint64_t seed = 23;
    msr_bitmap_init(bitmap);
    for (uint32_t i = 0; i < MSRS; i++)
        model[i] = (uint8_t)expected_own(msr_number(i));
    for (int round = 0; round < 300; round++) {
        const uint32_t half = random_below(&seed, 2) ? 0x2000 : 0;
        const uint32_t first = (uint32_t)random_below(&seed, 0x2000);
        const uint64_t most = 0x2000 - first, wanted = 1 + random_below(&seed, random_below(&seed, 3) ? 20 : 0x2000);
        const uint64_t count = wanted < most ? wanted : most;
        const uint32_t access = (uint32_t)random_below(&seed, 4);
        msr_bitmap_set(bitmap, msr_number(half + first), count, access);
        memset(model + half + first, (int)access, count);
        for (uint32_t i = 0; i < MSRS; i++) {
            assert_int_equal(exits(msr_number(i), false), (model[i] & PV_GRANT_READ) == 0);
            assert_int_equal(exits(msr_number(i), true), (model[i] & PV_GRANT_WRITE) == 0);
        }
    }
}

static void ports_follow_a_model(void **state)
{
    (void)state;
    static bool open[IO_PORTS];
    uint64_t seed = 29;
    memset(io_a, 0xff, sizeof(io_a));
    memset(io_b, 0xff, sizeof(io_b));
    for (int round = 0; round < 200; round++) {
        const uint32_t first =
            (uint32_t)(random_below(&seed, 2) ? random_below(&seed, IO_PORTS) : 32760 + random_below(&seed, 16));
        const uint64_t most = IO_PORTS - first,
                       wanted = 1 + random_below(&seed, random_below(&seed, 3) ? 20 : IO_PORTS);
        const uint32_t count = (uint32_t)(wanted < most ? wanted : most);
        const bool how = random_below(&seed, 2) != 0;
        io_bitmap_set(io_a, io_b, first, count, how);
        memset(open + first, how, count);
        for (uint32_t port = 0; port < IO_PORTS; port++) {
            const uint8_t *half = port < 32768 ? io_a : io_b; // SDM Vol. 3C 25.6.4
            assert_int_equal(half[port % 32768 / 8] >> port % 8 & 1, !open[port]);
        }
    }
}

/* ---- grants ---- */

enum { BOTH = PV_GRANT_READ | PV_GRANT_WRITE };

static const struct config_personality tenant = {
    .msr_grants = {{.first = 0x10, .last = 0x10, .how = PV_GRANT_READ},
                   {.first = 0x20, .last = 0x27, .how = BOTH},
                   {.first = 0x28, .last = 0x2f, .how = PV_GRANT_READ},
                   {.first = 0x30, .last = 0x3f, .how = PV_GRANT_WRITE}},
    .msr_grant_count = 4,
    .io_grants = {{.first = 0x80, .last = 0x80, .how = BOTH},
                  {.first = 0x300, .last = 0x30f, .how = BOTH},
                  {.first = 0x310, .last = 0xffff, .how = BOTH}},
    .io_grant_count = 3,
};

static void what_is_granted_can_be_opened(void **state)
{
    (void)state;
    assert_true(grants_allow_msrs(&tenant, 0x10, 1, PV_GRANT_READ));
    assert_true(grants_allow_msrs(&tenant, 0x20, 8, BOTH));
    assert_true(grants_allow_msrs(&tenant, 0x22, 3, PV_GRANT_WRITE));
    assert_true(grants_allow_msrs(&tenant, 0x20, 16, PV_GRANT_READ)); // two grants, side by side
    assert_false(grants_allow_msrs(&tenant, 0x10, 1, BOTH));
    assert_false(grants_allow_msrs(&tenant, 0x10, 2, PV_GRANT_READ));
    assert_false(grants_allow_msrs(&tenant, 0x1f, 2, PV_GRANT_READ));
    assert_false(grants_allow_msrs(&tenant, 0x20, 16, PV_GRANT_WRITE));
    assert_false(grants_allow_msrs(&tenant, 0x20, 17, PV_GRANT_READ));
    assert_false(grants_allow_msrs(&tenant, 0x1000, 1, PV_GRANT_READ));
    assert_true(grants_allow_ports(&tenant, 0x80, 1));
    assert_true(grants_allow_ports(&tenant, 0x305, 0x100));
    assert_true(grants_allow_ports(&tenant, 0xffff, 1));
    assert_false(grants_allow_ports(&tenant, 0x7f, 2));
    assert_false(grants_allow_ports(&tenant, 0x80, 2));
    assert_false(grants_allow_ports(&tenant, 0x2ff, 2));
}

/// Closing needs no grant, and what was each guest's own before can be opened again without one.
static void closed_own_msrs_can_be_opened_again(void **state)
{
    (void)state;
    const struct config_personality nobody = {0};
    assert_true(grants_allow_msrs(&nobody, 0, 0x2000, PV_GRANT_NONE));
    for (uint32_t i = 0; i < MSRS; i++) {
        for (uint32_t how = 1; how <= BOTH; how++) {
            const uint32_t msr = msr_number(i);
            assert_int_equal(grants_allow_msrs(&nobody, msr, 1, how), (how & ~expected_own(msr)) == 0);
        }
    }
    assert_true(grants_allow_msrs(&nobody, 0x174, 3, BOTH));
    assert_true(grants_allow_msrs(&nobody, 0xc0000100, 3, BOTH));
    assert_true(grants_allow_msrs(&nobody, 0xc0000100, 4, PV_GRANT_READ));
    assert_false(grants_allow_msrs(&nobody, 0xc0000100, 4, BOTH));
    assert_false(grants_allow_msrs(&nobody, 0xc0000080, 5, PV_GRANT_READ)); // CSTAR is among them
    assert_false(grants_allow_ports(&nobody, 0x80, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_own_msrs_are_open),        cmocka_unit_test(ranges_outside_the_bitmap_are_refused),
        cmocka_unit_test(msrs_follow_a_model),           cmocka_unit_test(ports_follow_a_model),
        cmocka_unit_test(what_is_granted_can_be_opened), cmocka_unit_test(closed_own_msrs_can_be_opened_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
