// SPDX-License-Identifier: Apache-2.0
// Local APICs and their bus.
// links: vmm/personalities/lib/devices/lapic.c vmm/personalities/lib/devices/lapic_timer.c
// links: vmm/personalities/lib/devices/apic_bus.c vmm/personalities/lib/devices/ioapic.c
#include "apics.h"

/* ---- registers and priorities ---- */

static void test_after_reset(void **state)
{
    (void)state;
    struct lapic l;
    uint64_t v;
    lapic_init(&l, &bus, 7);
    assert_int_equal(lapic_read(&l, 0x20, 0), 7u << 24);
    assert_int_equal(lapic_read(&l, 0x30, 0), 0x50014);
    assert_int_equal(lapic_read(&l, DFR, 0), UINT32_MAX);
    assert_int_equal(lapic_read(&l, SVR, 0), 0xff);
    for (uint32_t at = TIMER; at <= ERROR_LVT; at += 16)
        assert_int_equal(lapic_read(&l, at, 0), 0x10000);
    assert_true(lapic_read_msr(&l, 0x1b, &v, 0));
    assert_int_equal(v, 0xfee00800);
    assert_true(lapic_read_msr(&lapics[0], 0x1b, &v, 0));
    assert_int_equal(v, 0xfee00900); // the first one is the bootstrap processor's
    lapic_raise(&l, 0x40, false);    // not enabled by software
    assert_int_equal(lapic_next(&l), LAPIC_NONE);
    lapic_write(&l, LINT0, 0x700, 0);
    assert_int_equal(lapic_read(&l, LINT0, 0), 0x10700); // stays masked until then
}

static void test_priorities(void **state)
{
    (void)state;
    struct lapic *l = &lapics[0];
    lapic_raise(l, 0x41, false);
    lapic_raise(l, 0x62, false);
    lapic_raise(l, 0x6f, false);
    take(l, 0x6f);
    assert_int_equal(lapic_next(l), LAPIC_NONE); // same class
    assert_int_equal(lapic_read(l, PPR, 0), 0x60);
    lapic_raise(l, 0x70, false);
    take(l, 0x70);
    lapic_write(l, EOI, 0, 0);
    assert_int_equal(lapic_next(l), LAPIC_NONE);
    lapic_write(l, EOI, 0, 0);
    take(l, 0x62);
    lapic_write(l, EOI, 0, 0);
    lapic_write(l, TPR, 0x45, 0);
    assert_int_equal(lapic_next(l), LAPIC_NONE);
    assert_int_equal(lapic_read(l, PPR, 0), 0x45);
    assert_int_equal(lapic_read_cr8(l), 4);
    lapic_write_cr8(l, 3);
    assert_int_equal(lapic_read(l, TPR, 0), 0x30);
    take(l, 0x41);
    lapic_write(l, EOI, 0, 0);
    lapic_write(l, EOI, 0, 0); // with nothing in service it does nothing
    assert_int_equal(lapic_next(l), LAPIC_NONE);
}

/// All vectors, highest first, are seen in IRR and ISR at their places.
static void test_all_vectors(void **state)
{
    (void)state;
    struct lapic *l = &lapics[1];
    for (unsigned v = 16; v < 256; v++)
        lapic_raise(l, (uint8_t)v, false);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(lapic_read(l, 0x200 + 16 * i, 0), i == 0 ? 0xffff0000 : UINT32_MAX);
    for (int v = 255; v >= 16; v--) {
        take(l, (uint8_t)v);
        assert_int_equal(lapic_read(l, 0x100 + 16 * (uint32_t)(v / 32), 0), 1u << v % 32);
        lapic_write(l, EOI, 0, 0);
    }
    assert_int_equal(lapic_next(l), LAPIC_NONE);
}

static void test_errors(void **state)
{
    (void)state;
    struct lapic *l = &lapics[0];
    lapic_write(l, ERROR_LVT, 0xfe, 0);
    lapic_raise(l, 5, false);
    assert_int_equal(lapic_read(l, ESR, 0), 0);
    lapic_write(l, ESR, 0, 0);
    assert_int_equal(lapic_read(l, ESR, 0), 0x40);
    take(l, 0xfe);
    lapic_write(l, EOI, 0, 0);
    lapic_write(l, ICR, 0x4003, 0); // what it sends is an error, too
    take(l, 0xfe);
    lapic_write(l, EOI, 0, 0);
    lapic_write(l, 0x3f0, 1, 0); // x2APIC's only
    lapic_write(l, ICR, 0x4003, 0);
    lapic_write(l, ESR, 0, 0);
    assert_int_equal(lapic_read(l, ESR, 0), 0xa0);
    lapic_write(l, ESR, 0, 0);
    assert_int_equal(lapic_read(l, ESR, 0), 0);
    lapic_write(l, TPR + 4, 0x50, 0); // between the registers
    assert_int_equal(lapic_read(l, TPR, 0), 0);
}

/* ---- x2APIC ---- */

static void test_mode_changes(void **state)
{
    (void)state;
    struct lapic *l = &lapics[0];
    uint64_t v;
    assert_false(lapic_read_msr(l, 0x802, &v, 0));
    assert_false(lapic_write_msr(l, 0x1b, 0xfee00500, 0)); // x2APIC without enable
    assert_false(lapic_write_msr(l, 0x1b, 0xfed00900, 0)); // elsewhere
    assert_true(lapic_write_msr(l, 0x1b, 0xfee00d00, 0));
    assert_false(lapic_is_memory(l));
    assert_false(lapic_write_msr(l, 0x1b, 0xfee00900, 0)); // not back
    assert_true(lapic_write_msr(l, 0x1b, 0xfee00100, 0));  // but off
    assert_false(lapic_write_msr(l, 0x1b, 0xfee00d00, 0));
    assert_true(lapic_write_msr(l, 0x1b, 0xfee00900, 0));
    assert_int_equal(lapic_read(l, SVR, 0), 0xff);
}

static void test_without_x2apic(void **state)
{
    (void)state;
    struct lapic *l = &lapics[0];
    uint64_t v;
    l->no_x2apic = true;
    assert_false(lapic_write_msr(l, 0x1b, 0xfee00d00, 0));
    lapic_reset(l);
    assert_false(lapic_write_msr(l, 0x1b, 0xfee00d00, 0));
    assert_true(lapic_is_memory(l));
    assert_false(lapic_read_msr(l, 0x802, &v, 0));
}

/// Reserved bits are #GP, and then nothing has happened; those that are read-only are not.
static void test_x2apic_reserved_bits(void **state)
{
    (void)state;
    static const struct {
        uint32_t msr, bits;
    } all[] = {{0x808, 0xff},    {0x80f, 0x3ff},   {0x832, 0x710ff}, {0x833, 0x117ff},
               {0x834, 0x117ff}, {0x835, 0x1f7ff}, {0x836, 0x1f7ff}, {0x837, 0x110ff},
               {0x83e, 0xb},     {0x83f, 0xff},    {0x830, 0xcdfff}};
    struct lapic *l = &lapics[1];
    assert_true(lapic_write_msr(l, 0x1b, 0xfee00c00, 0));
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        for (uint32_t bit = 0; bit < 64; bit++) {
            const struct lapic before = *l;
            const bool exists = bit < 32 ? (all[i].bits >> bit & 1) != 0 : all[i].msr == 0x830;
            assert_int_equal(lapic_write_msr(l, all[i].msr, UINT64_C(1) << bit | (all[i].msr == 0x830 ? 0x40 : 0), 0),
                             exists);
            if (!exists)
                assert_memory_equal(l, &before, sizeof(before));
        }
    }
    assert_int_equal(l->icr_low & 1 << 12, 0);
    assert_false(lapic_write_msr(l, 0x83f, 0x155, 0)); // the bits that exist do not help
    assert_int_equal(lapic_next(l), LAPIC_NONE);
}

static void test_x2apic_registers(void **state)
{
    (void)state;
    struct lapic l;
    uint64_t v;
    lapic_init(&l, &bus, 0x123);
    assert_true(lapic_write_msr(&l, 0x1b, 0xfee00c00, 0));
    assert_true(lapic_read_msr(&l, 0x802, &v, 0));
    assert_int_equal(v, 0x123);
    assert_true(lapic_read_msr(&l, 0x80d, &v, 0));
    assert_int_equal(v, 0x120008);
    assert_true(lapic_write_msr(&l, 0x80f, 0x1ff, 0));
    assert_true(lapic_write_msr(&l, 0x83f, 0x55, 0)); // self IPI
    take(&l, 0x55);
    assert_false(lapic_write_msr(&l, 0x80b, 1, 0));
    assert_true(lapic_write_msr(&l, 0x80b, 0, 0));
    assert_false(lapic_write_msr(&l, 0x80d, 1, 0)); // read-only
    assert_false(lapic_write_msr(&l, 0x802, 1, 0));
    assert_false(lapic_read_msr(&l, 0x80e, &v, 0)); // no destination format
    assert_false(lapic_read_msr(&l, 0x831, &v, 0)); // ICR is one register
    assert_false(lapic_read_msr(&l, 0x80b, &v, 0)); // write-only
    assert_false(lapic_write_msr(&l, 0x808, UINT64_C(1) << 32, 0));
    assert_false(lapic_read_msr(&l, 0x840, &v, 0));
}

/* ---- the timer ---- */

static void test_one_shot(void **state)
{
    (void)state;
    struct lapic *l = &lapics[0];
    lapic_write(l, DIVIDE, 0x3, 100); // by 16
    lapic_write(l, TIMER, 0x30, 100);
    lapic_write(l, INITIAL, 100, 1000);
    assert_int_equal(lapic_deadline(l), 2600);
    assert_int_equal(lapic_read(l, CURRENT, 1000), 100);
    assert_int_equal(lapic_read(l, CURRENT, 1799), 51);
    lapic_advance(l, 2599);
    assert_int_equal(lapic_next(l), LAPIC_NONE);
    lapic_advance(l, 2600);
    take(l, 0x30);
    assert_int_equal(lapic_deadline(l), DEV_NEVER);
    assert_int_equal(lapic_read(l, CURRENT, 2600), 0);
    assert_int_equal(lapic_read(l, INITIAL, 2600), 100);
    lapic_write(l, INITIAL, 50, 3000);
    lapic_write(l, INITIAL, 0, 3001); // stops it
    assert_int_equal(lapic_deadline(l), DEV_NEVER);
}

static void test_divisors(void **state)
{
    (void)state;
    static const struct {
        uint8_t code, divisor;
    } all[] = {{0, 2}, {1, 4}, {2, 8}, {3, 16}, {8, 32}, {9, 64}, {10, 128}, {11, 1}};
    struct lapic *l = &lapics[0];
    for (size_t i = 0; i < 8; i++) {
        lapic_write(l, DIVIDE, all[i].code, 0);
        lapic_write(l, INITIAL, 1000, 5);
        assert_int_equal(lapic_deadline(l), 5 + 1000u * all[i].divisor);
    }
    lapic_write(l, DIVIDE, 0, 505); // 500 of 1000 have been counted; the rest at half the rate
    assert_int_equal(lapic_read(l, CURRENT, 505), 500);
    assert_int_equal(lapic_deadline(l), 1505);
}

static void test_periodic(void **state)
{
    (void)state;
    struct lapic *l = &lapics[0];
    lapic_write(l, DIVIDE, 0xb, 0);
    lapic_write(l, TIMER, 0x20031, 0);
    lapic_write(l, INITIAL, 1000, 0);
    for (uint64_t i = 1; i < 10; i++) {
        assert_int_equal(lapic_deadline(l), 1000 * i);
        lapic_advance(l, 1000 * i + 3);
        take(l, 0x31);
        lapic_write(l, EOI, 0, 0);
    }
    lapic_advance(l, 25500); // late: one interrupt, then in step
    take(l, 0x31);
    assert_int_equal(lapic_deadline(l), 26000);
    assert_int_equal(lapic_read(l, CURRENT, 25600), 400);
    lapic_write(l, TIMER, 0x30031, 25600); // masked: it goes on silently
    lapic_write(l, EOI, 0, 0);
    lapic_advance(l, 26000);
    assert_int_equal(lapic_next(l), LAPIC_NONE);
    assert_int_equal(lapic_deadline(l), 27000);
}

static void test_tsc_deadline(void **state)
{
    (void)state;
    struct lapic *l = &lapics[0];
    uint64_t v;
    assert_true(lapic_write_msr(l, 0x6e0, 5000, 0)); // not in this mode: ignored
    assert_int_equal(lapic_deadline(l), DEV_NEVER);
    lapic_write(l, TIMER, 0x40032, 0);
    assert_true(lapic_write_msr(l, 0x6e0, 5000, 0));
    assert_true(lapic_read_msr(l, 0x6e0, &v, 0));
    assert_int_equal(v, 5000);
    assert_int_equal(lapic_deadline(l), 5000);
    lapic_write(l, INITIAL, 10, 0); // ignored here
    assert_int_equal(lapic_read(l, CURRENT, 100), 0);
    lapic_advance(l, 5001);
    take(l, 0x32);
    assert_true(lapic_read_msr(l, 0x6e0, &v, 0));
    assert_int_equal(v, 0);
    assert_true(lapic_write_msr(l, 0x6e0, 6000, 0));
    assert_true(lapic_write_msr(l, 0x6e0, 0, 0));
    assert_int_equal(lapic_deadline(l), DEV_NEVER);
    assert_true(lapic_write_msr(l, 0x6e0, 6000, 0));
    lapic_write(l, TIMER, 0x32, 0); // leaving the mode disarms
    assert_int_equal(lapic_deadline(l), DEV_NEVER);
}

/* ---- IPIs ---- */

static void send(struct lapic *l, uint8_t destination, uint32_t low)
{
    lapic_write(l, ICR2, (uint32_t)destination << 24, 0);
    lapic_write(l, ICR, low, 0);
}

static void test_destinations(void **state)
{
    (void)state;
    send(&lapics[0], 2, 0x4050);
    assert_int_equal(wakes[2], 1);
    assert_int_equal(got(0x50), 4);
    send(&lapics[0], 0xff, 0x4051);
    assert_int_equal(got(0x51), 15);
    send(&lapics[1], 0, 0x44052); // self
    assert_int_equal(got(0x52), 2);
    send(&lapics[1], 0, 0x44462); // nothing else than a fixed interrupt: no NMI,
    send(&lapics[1], 0, 0x44562); // no INIT
    assert_false(lapics[1].nmi || lapics[1].init);
    assert_int_equal(got(0x62), 0);
    send(&lapics[1], 0, 0x84053); // all
    assert_int_equal(got(0x53), 15);
    send(&lapics[1], 0, 0xc4054); // all but self
    assert_int_equal(got(0x54), 13);
    send(&lapics[1], 9, 0x4055); // nobody
    assert_int_equal(got(0x55), 0);
}

static void test_logical(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CPUS; i++)
        lapic_write(&lapics[i], LDR, 1u << (24 + i), 0);
    send(&lapics[0], 0x0a, 0x4850);
    assert_int_equal(got(0x50), 10);
    for (unsigned i = 0; i < CPUS; i++) { // clusters of two
        lapic_write(&lapics[i], DFR, 0x0fffffff, 0);
        lapic_write(&lapics[i], LDR, (i / 2) << 28 | (1u << i % 2) << 24, 0);
    }
    send(&lapics[0], 0x12, 0x4851);
    assert_int_equal(got(0x51), 8);
    send(&lapics[0], 0x03, 0x4852);
    assert_int_equal(got(0x52), 3);
    for (unsigned i = 0; i < CPUS; i++)
        assert_true(lapic_write_msr(&lapics[i], 0x1b, 0xfee00c00 | (i == 0 ? 0x100 : 0), 0));
    assert_true(lapic_write_msr(&lapics[0], 0x830, UINT64_C(0x6) << 32 | 0x4853, 0));
    assert_int_equal(lapic_next(&lapics[1]), 0x53);
    assert_int_equal(lapic_next(&lapics[2]), 0x53);
    assert_int_equal(lapic_next(&lapics[3]), LAPIC_NONE);
    assert_true(lapic_write_msr(&lapics[0], 0x830, UINT64_C(0xffffffff) << 32 | 0x4054, 0));
    assert_int_equal(lapic_next(&lapics[3]), 0x54);
}

static void test_lowest_priority(void **state)
{
    (void)state;
    lapic_write(&lapics[0], TPR, 0x40, 0);
    lapic_write(&lapics[1], TPR, 0x20, 0);
    lapic_write(&lapics[2], TPR, 0x30, 0);
    lapic_write(&lapics[3], SVR, 0xff, 0); // off
    send(&lapics[0], 0xff, 0x4150);
    assert_int_equal(got(0x50), 2);
}

static void test_start_up(void **state)
{
    (void)state;
    send(&lapics[0], 1, 0x4611); // it does not wait for one
    assert_false(lapics[1].startup);
    send(&lapics[0], 1, 0xc500); // INIT
    assert_true(lapics[1].init);
    send(&lapics[0], 1, 0x8500); // INIT de-assert
    lapics[1].init = false;      // the processor acts upon it
    lapics[1].waits_for_startup = true;
    lapic_reset(&lapics[1]);
    assert_int_equal(lapic_read(&lapics[1], SVR, 0), 0xff);
    send(&lapics[0], 1, 0x4699);
    assert_true(lapics[1].startup);
    assert_int_equal(lapics[1].startup_vector, 0x99);
    send(&lapics[0], 1, 0x4698); // the second of the two that are usual
    assert_int_equal(lapics[1].startup_vector, 0x99);
    send(&lapics[0], 3, 0x4400);
    assert_true(lapics[3].nmi);
    assert_false(lapics[2].nmi);
}

static void test_virtual_wire(void **state)
{
    (void)state;
    struct lapic l;
    lapic_init(&l, &bus, 9);
    assert_false(lapic_passes_extint(&l));
    lapic_virtual_wire(&l);
    assert_true(lapic_passes_extint(&l));
    lapic_write(&l, LINT0, 0x10700, 0);
    assert_false(lapic_passes_extint(&l));
    assert_true(lapic_write_msr(&l, 0x1b, 0xfee00000, 0));
    assert_true(lapic_passes_extint(&l)); // off: LINT0 is INTR
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        T(test_after_reset),
        T(test_priorities),
        T(test_all_vectors),
        T(test_errors),
        T(test_mode_changes),
        T(test_without_x2apic),
        T(test_x2apic_reserved_bits),
        T(test_x2apic_registers),
        T(test_one_shot),
        T(test_divisors),
        T(test_periodic),
        T(test_tsc_deadline),
        T(test_destinations),
        T(test_logical),
        T(test_lowest_priority),
        T(test_start_up),
        T(test_virtual_wire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
