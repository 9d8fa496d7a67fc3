// SPDX-License-Identifier: Apache-2.0
// The 8254 of lib/devices.
// links: vmm/personalities/lib/devices/pit.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "devices/pit.h"

static unsigned edges;
static bool level;

static void set_line(void *context, uint32_t number, bool high)
{
    (void)context, (void)number;
    edges += high && !level;
    level = high;
}

/// One tick is one PIT clock, unless a test wants another rate.
static struct pit new_pit(uint64_t hz)
{
    struct pit pit;
    edges = 0;
    level = false;
    pit_init(&pit, hz, (struct dev_line){set_line, NULL, 0});
    return pit;
}

static void set_counter(struct pit *pit, uint16_t channel, uint8_t mode, uint16_t count, uint64_t now)
{
    pit_write(pit, 0x43, (uint8_t)(channel << 6 | 0x30 | mode << 1), now);
    pit_write(pit, 0x40 + channel, (uint8_t)count, now);
    pit_write(pit, 0x40 + channel, (uint8_t)(count >> 8), now);
}

static uint16_t counter(struct pit *pit, uint16_t channel, uint64_t now)
{
    pit_write(pit, 0x43, (uint8_t)(channel << 6), now);
    const uint16_t low = pit_read(pit, 0x40 + channel, now);
    return (uint16_t)(low | pit_read(pit, 0x40 + channel, now) << 8);
}

static void test_scale(void **state)
{
    (void)state;
    assert_int_equal(dev_scale(7, 10, 3), 23);
    assert_int_equal(dev_scale_up(7, 10, 3), 24);
    assert_int_equal(dev_scale_up(6, 10, 3), 20);
    assert_int_equal(dev_scale(UINT64_MAX, 1000, 1000), UINT64_MAX);
    assert_int_equal(dev_scale(UINT64_MAX, 1000, 999), UINT64_MAX); // saturates
    assert_int_equal(dev_scale(UINT64_C(1) << 60, 1193182, UINT64_C(3000000000)),
                     (uint64_t)((unsigned __int128)(UINT64_C(1) << 60) * 1193182 / 3000000000u));
}

static void test_periodic(void **state)
{
    (void)state;
    struct pit pit = new_pit(PIT_HZ);
    assert_int_equal(pit_deadline(&pit), DEV_NEVER);
    set_counter(&pit, 0, 2, 1000, 50);
    assert_int_equal(pit_deadline(&pit), 1050);
    edges = 0;
    pit_advance(&pit, 1049);
    assert_int_equal(edges, 0);
    pit_advance(&pit, 1050);
    assert_int_equal(edges, 1);
    assert_int_equal(pit_deadline(&pit), 2050);
    pit_advance(&pit, 5060); // three more periods have passed: one interrupt, and then in step again
    assert_int_equal(edges, 2);
    assert_int_equal(pit_deadline(&pit), 6050);
    assert_int_equal(counter(&pit, 0, 5060), 990);
}

/// In the long run periods are exact, though ticks and clocks have no common divisor.
static void test_no_drift(void **state)
{
    (void)state;
    const uint64_t hz = 2903997001;
    struct pit pit = new_pit(hz);
    set_counter(&pit, 0, 3, 4773, 12345);
    for (uint64_t i = 1; i <= 100000; i++) {
        const uint64_t deadline = pit_deadline(&pit);
        const uint64_t exact = 12345 + (uint64_t)(((unsigned __int128)i * 4773 * hz + PIT_HZ - 1) / PIT_HZ);
        assert_int_equal(deadline, exact);
        pit_advance(&pit, deadline);
    }
}

static void test_one_shot(void **state)
{
    (void)state;
    struct pit pit = new_pit(PIT_HZ);
    set_counter(&pit, 0, 0, 300, 1000);
    assert_false(level);
    assert_int_equal(counter(&pit, 0, 1100), 200);
    pit_advance(&pit, 1300);
    assert_true(level);
    assert_int_equal(pit_deadline(&pit), DEV_NEVER);
    assert_int_equal(counter(&pit, 0, 1310), 65526); // it goes on counting
    set_counter(&pit, 0, 0, 0, 2000);                // 65536
    assert_false(level);
    assert_int_equal(pit_deadline(&pit), 2000 + 65536);
    pit_write(&pit, 0x43, 0x30, 3000); // a control word stops it
    assert_int_equal(pit_deadline(&pit), DEV_NEVER);
}

static void test_latch_and_read_back(void **state)
{
    (void)state;
    struct pit pit = new_pit(PIT_HZ);
    set_counter(&pit, 0, 2, 0x1234, 0);
    pit_write(&pit, 0x43, 0x00, 0x34);   // latch
    pit_write(&pit, 0x43, 0x00, 0x1000); // a second latch is ignored
    assert_int_equal(pit_read(&pit, 0x40, 0x1000), 0x00);
    assert_int_equal(pit_read(&pit, 0x40, 0x1001), 0x12);
    pit_write(&pit, 0x43, 0xc2, 0x34); // read back: status and count of channel 0
    assert_int_equal(pit_read(&pit, 0x40, 0x40), 0xb4);
    assert_int_equal(pit_read(&pit, 0x40, 0x40), 0x00);
    assert_int_equal(pit_read(&pit, 0x40, 0x40), 0x12);
    pit_write(&pit, 0x43, 0x10, 0); // low byte only
    pit_write(&pit, 0x40, 100, 0);
    assert_int_equal(pit_read(&pit, 0x40, 10), 90);
    assert_int_equal(pit_read(&pit, 0x40, 20), 80);
}

static void test_bcd(void **state)
{
    (void)state;
    struct pit pit = new_pit(PIT_HZ);
    pit_write(&pit, 0x43, 0x35, 0);
    pit_write(&pit, 0x40, 0x00, 0);
    pit_write(&pit, 0x40, 0x15, 0);
    assert_int_equal(pit_deadline(&pit), 1500);
    assert_int_equal(counter(&pit, 0, 1), 0x1499);
}

/// How kernels measure the TSC: channel 2 in mode 0, gated and read through port 0x61.
static void test_channel_2(void **state)
{
    (void)state;
    struct pit pit = new_pit(PIT_HZ);
    pit_write(&pit, 0x61, (uint8_t)((pit_read(&pit, 0x61, 0) & ~2) | 1), 0);
    set_counter(&pit, 2, 0, 0xe90b, 100);
    assert_int_equal(pit_read(&pit, 0x61, 100) & 0x21, 0x01);
    assert_int_equal(pit_read(&pit, 0x61, 100 + 0xe90a) & 0x20, 0);
    assert_int_equal(pit_read(&pit, 0x61, 100 + 0xe90b) & 0x20, 0x20);
    assert_int_equal(pit_deadline(&pit), DEV_NEVER); // it does not interrupt
    assert_int_equal(edges, 0);
}

static void test_square_wave(void **state)
{
    (void)state;
    struct pit pit = new_pit(PIT_HZ);
    pit_write(&pit, 0x61, 1, 0);
    set_counter(&pit, 2, 3, 100, 0);
    assert_int_equal(pit_read(&pit, 0x61, 49) & 0x20, 0x20);
    assert_int_equal(pit_read(&pit, 0x61, 50) & 0x20, 0);
    assert_int_equal(pit_read(&pit, 0x61, 100) & 0x20, 0x20);
    assert_int_equal(counter(&pit, 2, 10), 80);
    assert_int_equal(counter(&pit, 2, 60), 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scale),
        cmocka_unit_test(test_periodic),
        cmocka_unit_test(test_no_drift),
        cmocka_unit_test(test_one_shot),
        cmocka_unit_test(test_latch_and_read_back),
        cmocka_unit_test(test_bcd),
        cmocka_unit_test(test_channel_2),
        cmocka_unit_test(test_square_wave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
