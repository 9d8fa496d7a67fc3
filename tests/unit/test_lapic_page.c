// SPDX-License-Identifier: Apache-2.0
// The model of a local APIC and the virtual-APIC page: what goes there before a run, and what comes back.
// links: vmm/personalities/lib/devices/lapic_page.c vmm/personalities/lib/devices/lapic.c
// links: vmm/personalities/lib/devices/lapic_timer.c vmm/personalities/lib/devices/apic_bus.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/personalities/lib/devices/lapic_page.h"

enum { WORDS = 1024, X2APIC = 1 << 10 };

static struct apic_bus bus;
static struct lapic lapics[2], *const lapic = &lapics[0];
static uint32_t page[WORDS];
static int ended;

static void note_end(void *context, uint8_t vector)
{
    (void)context;
    ended = vector;
}

static int make(void **state)
{
    (void)state;
    bus = (struct apic_bus){.end = note_end};
    lapic_init(&lapics[0], &bus, 3);
    lapic_init(&lapics[1], &bus, 4);
    lapic_virtual_wire(&lapics[0]);
    lapic_virtual_wire(&lapics[1]);
    memset(page, 0, sizeof(page));
    ended = -1;
    return 0;
}

static uint32_t at(uint32_t offset)
{
    return page[offset / 4];
}

static void registers_read_as_by_memory(void **state)
{
    (void)state;
    lapic_write(lapic, 0x320, 0x20031, 0);
    lapic_write(lapic, 0xd0, 0x55000000, 0);
    lapic_write(lapic, 0x3e0, 0xb, 0);
    lapic_write(lapic, 0x310, 0x04000000, 0);
    lapic_page_registers(lapic, page);
    static const uint32_t offsets[] = {0x20,  0x30,  0xd0,  0xe0,  0xf0,  0x280, 0x300, 0x310,
                                       0x320, 0x330, 0x340, 0x350, 0x360, 0x370, 0x380, 0x3e0};
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++)
        assert_int_equal(at(offsets[i]), lapic_read(lapic, offsets[i], 0));
    assert_int_equal(at(0x20), 3 << 24);
    assert_int_equal(at(0x310), 0x04000000);
}

static void registers_read_as_by_msrs(void **state)
{
    (void)state;
    assert_true(lapic_write_msr(lapic, LAPIC_MSR_BASE, lapic->base | X2APIC, 0));
    assert_true(lapic_write_msr(lapic, 0x830, UINT64_C(4) << 32 | 0x4041, 0));
    lapic_page_registers(lapic, page);
    static const uint32_t msrs[] = {0x802, 0x803, 0x80d, 0x80f, 0x828, 0x830, 0x832, 0x837, 0x838, 0x83e};
    for (size_t i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
        uint64_t expected;
        const uint32_t word = (msrs[i] & 0xff) * 4;
        assert_true(lapic_read_msr(lapic, msrs[i], &expected, 0));
        assert_int_equal(page[word] | (uint64_t)page[word + 1] << 32, expected);
    }
}

static void requests_are_the_pages_in_between(void **state)
{
    (void)state;
    lapic_raise(lapic, 0x31, false);
    lapic_raise(lapic, 0x92, false);
    lapic_accept(lapic, 0x92);
    lapic_raise(lapic, 0x45, false);
    lapic->task_priority = 0x20;
    assert_int_equal(lapic_page_enter(lapic, page), 0x45 | 0x92 << 8);
    assert_int_equal(at(0x80), 0x20);
    assert_int_equal(at(0x200 + 16 * 1), 1 << 17);
    assert_int_equal(at(0x200 + 16 * 2), 1 << 5);
    assert_int_equal(at(0x100 + 16 * 4), 1 << 18);
    assert_int_equal(lapic_next(lapic), LAPIC_NONE);
    // The guest ends 0x92, takes 0x45, lowers its priority; somebody raises 0x46 and again 0x31.
    page[(0x100 + 16 * 4) / 4] = 0;
    page[(0x200 + 16 * 2) / 4] = 0;
    page[(0x100 + 16 * 2) / 4] = 1 << 5;
    page[0x80 / 4] = 0x10;
    lapic_raise(lapic, 0x46, false);
    lapic_raise(lapic, 0x31, false);
    assert_int_equal(lapic_page_leave(lapic, page), 1);
    assert_int_equal(lapic->task_priority, 0x10);
    assert_int_equal(lapic_processor_priority(lapic), 0x40);
    assert_int_equal(lapic_page_enter(lapic, page), 0x46 | 0x45 << 8);
    assert_int_equal(at(0x200 + 16 * 1), 1 << 17); // once
}

static void nothing_is_requested_while_it_is_off(void **state)
{
    (void)state;
    lapic_raise(lapic, 0x31, false);
    lapic_write(lapic, 0xf0, 0xff, 0);
    assert_int_equal(lapic_page_enter(lapic, page), 0);
    assert_int_equal(lapic_page_leave(lapic, page), 0);
    lapic_write(lapic, 0xf0, 0x1ff, 0);
    assert_int_equal(lapic_page_enter(lapic, page), 0x31); // but it is kept
}

static void only_levels_are_ended_at_the_bus(void **state)
{
    (void)state;
    lapic_raise(lapic, 0x61, true);
    lapic_raise(lapic, 0x62, false);
    lapic_page_level(lapic, page);
    assert_int_equal(at(0x180 + 16 * 3), 1 << 1);
    lapic_page_ended(lapic, 0x62);
    assert_int_equal(ended, -1);
    lapic_page_ended(lapic, 0x61);
    assert_int_equal(ended, 0x61);
}

static void without_delivery_the_threshold_tells(void **state)
{
    (void)state;
    lapic_raise(lapic, 0x51, false);
    assert_int_equal(lapic_page_show(lapic, page), 0); // can be offered
    assert_int_equal(at(0x200 + 16 * 2), 1 << 17);
    assert_int_equal(lapic_next(lapic), 0x51); // still the model's
    lapic->task_priority = 0x70;
    assert_int_equal(lapic_page_show(lapic, page), 5);
    assert_int_equal(at(0xa0), 0x70);
    lapic_raise(lapic, 0x62, false);
    assert_int_equal(lapic_page_show(lapic, page), 6);
    lapic->task_priority = 0;
    lapic_accept(lapic, 0x62);
    assert_int_equal(lapic_page_show(lapic, page), 0); // waits for an end of interrupt
    lapic->task_priority = 0x70;
    assert_int_equal(lapic_page_show(lapic, page), 0);
    page[0x80 / 4] = 0x30;
    lapic_page_writes(lapic, page);
    assert_int_equal(lapic->task_priority, 0x30);
    assert_true(lapic_page_written(lapic, page, 0xb0, 0));
    assert_int_equal(lapic_next(lapic), 0x51);
}

/// The upper half is written without an exit, as is the lower one for an interrupt that the processor sends itself. Another exit comes
/// before the command, and has all registers shown anew.
static void commands_outlive_other_exits(void **state)
{
    (void)state;
    for (int delivery = 0; delivery < 2; delivery++) {
        const uint32_t destination = UINT32_C(4) << (24 + delivery);
        make(NULL);
        lapic_page_registers(lapic, page);
        page[0x310 / 4] = destination;
        page[0x300 / 4] = 0x44051; // to itself
        if (delivery)
            lapic_page_leave(lapic, page);
        else
            lapic_page_writes(lapic, page);
        lapic_page_registers(lapic, page);
        assert_int_equal(at(0x310), destination);
        assert_int_equal(lapic_read(lapic, 0x310, 0), destination);
        assert_int_equal(at(0x300), 0x44051);
    }
    assert_true(lapic_write_msr(lapic, LAPIC_MSR_BASE, lapic->base | X2APIC, 0));
    assert_true(lapic_write_msr(lapic, 0x830, UINT64_C(4) << 32 | 0x4041, 0));
    lapic_page_leave(lapic, page); // there every command exits
    assert_int_equal(lapic->icr_low, 0x4041);
    assert_int_equal(lapic->icr_high, 4);
}

static void writes_reach_the_model(void **state)
{
    (void)state;
    page[0x310 / 4] = 4 << 24;
    page[0x300 / 4] = 0x4000 | 0x77;
    lapic_page_writes(lapic, page);
    assert_true(lapic_page_written(lapic, page, 0x300, 0));
    assert_int_equal(lapic_next(&lapics[1]), 0x77);
    page[0x380 / 4] = 1000;
    assert_true(lapic_page_written(lapic, page, 0x380, 500));
    assert_int_equal(lapic_deadline(lapic), 500 + 2000); // divided by 2
    page[0x320 / 4] = 0xfffeffff;
    assert_false(lapic_page_written(lapic, page, 0x320, 500));
    assert_int_equal(at(0x320), lapic_read(lapic, 0x320, 500)); // without the bits that it does not have
    page[0xf0 / 4] = 0xff;
    assert_false(lapic_page_written(lapic, page, 0xf0, 500)); // masks the LVT entries, too
    page[0x3f0 / 4] = 5;
    lapic_write(lapic, 0xf0, 0x1ff, 0);
    assert_true(lapic_write_msr(lapic, LAPIC_MSR_BASE, lapic->base | X2APIC, 0));
    assert_false(lapic_page_written(lapic, page, 0x3f0, 0)); // no legal vector
    assert_int_equal(lapic->new_errors, 1 << 6 | 1 << 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(registers_read_as_by_memory, make),
        cmocka_unit_test_setup(registers_read_as_by_msrs, make),
        cmocka_unit_test_setup(requests_are_the_pages_in_between, make),
        cmocka_unit_test_setup(nothing_is_requested_while_it_is_off, make),
        cmocka_unit_test_setup(only_levels_are_ended_at_the_bus, make),
        cmocka_unit_test_setup(without_delivery_the_threshold_tells, make),
        cmocka_unit_test_setup(commands_outlive_other_exits, make),
        cmocka_unit_test_setup(writes_reach_the_model, make),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
