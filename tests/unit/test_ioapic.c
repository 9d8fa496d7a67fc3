// SPDX-License-Identifier: Apache-2.0
// The I/O APIC, and messages of devices.
// links: vmm/personalities/lib/devices/lapic.c vmm/personalities/lib/devices/lapic_timer.c
// links: vmm/personalities/lib/devices/apic_bus.c vmm/personalities/lib/devices/ioapic.c
#include "apics.h"

static void write_entry(uint32_t input, uint64_t value)
{
    ioapic_write(&ioapic, 0, 0x11 + 2 * input);
    ioapic_write(&ioapic, 0x10, (uint32_t)(value >> 32));
    ioapic_write(&ioapic, 0, 0x10 + 2 * input);
    ioapic_write(&ioapic, 0x10, (uint32_t)value);
}

static uint32_t read_low(uint32_t input)
{
    ioapic_write(&ioapic, 0, 0x10 + 2 * input);
    return ioapic_read(&ioapic, 0x10);
}

static void test_ioapic_registers(void **state)
{
    (void)state;
    ioapic_write(&ioapic, 0, 1);
    assert_int_equal(ioapic_read(&ioapic, 0x10), 0x170020);
    ioapic_write(&ioapic, 0, 0);
    assert_int_equal(ioapic_read(&ioapic, 0x10), 4u << 24);
    assert_int_equal(read_low(23), 0x10000);
    assert_int_equal(read_low(24), 0);
    write_entry(5, UINT64_C(0x02fffffffffe5fff));
    assert_int_equal(read_low(5), 0xfff & ~0x1000); // delivery status and remote IRR are not written
}

static void test_edge(void **state)
{
    (void)state;
    ioapic_set_line(&ioapic, 4, true); // masked: lost
    write_entry(4, UINT64_C(0x0300000000000044));
    assert_int_equal(got(0x44), 0);
    ioapic_set_line(&ioapic, 4, false);
    ioapic_set_line(&ioapic, 4, true);
    ioapic_set_line(&ioapic, 4, true);
    assert_int_equal(wakes[3], 1);
    assert_int_equal(got(0x44), 8);
}

static void test_level(void **state)
{
    (void)state;
    write_entry(9, UINT64_C(0x010000000000a049)); // level, active low
    ioapic_set_line(&ioapic, 9, true);
    assert_int_equal(read_low(9) & 0x4000, 0x4000);
    take(&lapics[1], 0x49);
    assert_int_equal(lapic_next(&lapics[1]), LAPIC_NONE);
    lapic_write(&lapics[1], EOI, 0, 0); // still asserted: again
    take(&lapics[1], 0x49);
    ioapic_set_line(&ioapic, 9, false);
    lapic_write(&lapics[1], EOI, 0, 0);
    assert_int_equal(lapic_next(&lapics[1]), LAPIC_NONE);
    assert_int_equal(read_low(9) & 0x4000, 0);
    ioapic_set_line(&ioapic, 9, true);
    take(&lapics[1], 0x49);
    ioapic_set_line(&ioapic, 9, false);
    ioapic_write(&ioapic, 0x40, 0x49); // ended by the register
    assert_int_equal(read_low(9) & 0x4000, 0);
    write_entry(9, UINT64_C(0x010000000001a049)); // masked while it comes
    ioapic_set_line(&ioapic, 9, true);
    lapic_write(&lapics[1], EOI, 0, 0);
    assert_int_equal(lapic_next(&lapics[1]), LAPIC_NONE);
    write_entry(9, UINT64_C(0x010000000000a049));
    take(&lapics[1], 0x49);
}

/* ---- messages of devices ---- */

/// SDM Vol. 3A 11.11.1 and 11.11.2.
static void test_messages(void **state)
{
    (void)state;
    apic_deliver_msi(&bus, 0xfee02000, 0x4051); // to 2, by its number
    take(&lapics[2], 0x51);
    lapic_write(&lapics[2], EOI, 0, 0);
    apic_deliver_msi(&bus, 0xfeeff000, 0x52); // to all
    for (uint32_t i = 0; i < CPUS; i++)
        take(&lapics[i], 0x52);
    for (uint32_t i = 0; i < CPUS; i++) {
        lapic_write(&lapics[i], EOI, 0, 0);
        lapic_write(&lapics[i], LDR, UINT32_C(1) << (24 + i), 0);
    }
    apic_deliver_msi(&bus, 0xfee06004, 0x53); // logical: to 1 and 2
    take(&lapics[1], 0x53);
    take(&lapics[2], 0x53);
    apic_deliver_msi(&bus, 0xfee0e00c, 0x54); // to one of 1, 2 and 3, of which 3 is the least busy
    take(&lapics[3], 0x54);
    for (uint32_t i = 0; i < CPUS - 1; i++)
        assert_int_equal(lapic_next(&lapics[i]), LAPIC_NONE);
    apic_deliver_msi(&bus, 0xfee00000, 0x0400);
    assert_true(lapics[0].nmi);
    apic_deliver_msi(&bus, 0xfed00000, 0x55); // no local APIC's
    apic_deliver_msi(&bus, UINT64_C(0x1fee00000), 0x55);
    assert_int_equal(lapic_next(&lapics[0]), LAPIC_NONE);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        T(test_ioapic_registers),
        T(test_edge),
        T(test_level),
        T(test_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
