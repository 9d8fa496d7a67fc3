// SPDX-License-Identifier: Apache-2.0
// The smaller devices of lib/devices: clock, PCI configuration space, ACPI's fixed hardware and tables.
// links: vmm/personalities/lib/devices/rtc.c vmm/personalities/lib/devices/pci.c vmm/personalities/lib/devices/pci_function.c
// links: vmm/personalities/lib/devices/acpi_pm.c vmm/personalities/lib/devices/acpi_tables.c
#define _POSIX_C_SOURCE 200809L // gmtime_r
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "devices/acpi_pm.h"
#include "devices/acpi_tables.h"
#include "devices/pci.h"
#include "devices/rtc.h"
#include "tests/unit/random.h"

/* ---- clock ---- */

enum { HZ = 1000000, C = 12 };
static bool irq;

static void set_irq(void *context, uint32_t number, bool high)
{
    (void)context;
    assert_int_equal(number, 8);
    irq = high;
}

static struct rtc new_rtc(int64_t epoch)
{
    struct rtc rtc;
    irq = false;
    rtc_init(&rtc, HZ, 0, epoch, (struct dev_line){set_irq, NULL, 8});
    return rtc;
}

static uint8_t get(struct rtc *rtc, uint8_t reg, uint64_t now)
{
    rtc_write(rtc, 0x70, reg, now);
    return rtc_read(rtc, 0x71, now);
}

static void set(struct rtc *rtc, uint8_t reg, uint8_t value, uint64_t now)
{
    rtc_write(rtc, 0x70, reg | 0x80, now);
    rtc_write(rtc, 0x71, value, now);
}

static uint8_t bcd(int value)
{
    return (uint8_t)(value / 10 << 4 | value % 10);
}

/// Any moment of two centuries, against the C library.
static void test_dates(void **state)
{
    (void)state;
    uint64_t random = 7;
    for (unsigned i = 0; i < 2000; i++) {
        const int64_t epoch = (int64_t)random_below(&random, UINT64_C(6311390400));
        const time_t t = (time_t)(epoch + 5);
        struct tm tm;
        struct rtc rtc = new_rtc(epoch);
        gmtime_r(&t, &tm);
        const uint64_t now = 5 * HZ + 1;
        assert_int_equal(get(&rtc, 0, now), bcd(tm.tm_sec));
        assert_int_equal(get(&rtc, 2, now), bcd(tm.tm_min));
        assert_int_equal(get(&rtc, 4, now), bcd(tm.tm_hour));
        assert_int_equal(get(&rtc, 6, now), bcd(tm.tm_wday + 1));
        assert_int_equal(get(&rtc, 7, now), bcd(tm.tm_mday));
        assert_int_equal(get(&rtc, 8, now), bcd(tm.tm_mon + 1));
        assert_int_equal(get(&rtc, 9, now), bcd(tm.tm_year % 100));
        assert_int_equal(get(&rtc, 0x32, now), bcd((tm.tm_year + 1900) / 100));
    }
}

static void test_set_time(void **state)
{
    (void)state;
    struct rtc rtc = new_rtc(1767225600); // 2026-01-01 00:00:00
    static const uint8_t regs[] = {0, 2, 4, 7, 8, 9, 0x32}, values[] = {58, 59, 23, 31, 12, 99, 20};
    set(&rtc, 11, 0x06, 0); // binary, 24 hours
    for (size_t i = 0; i < sizeof(regs); i++)
        set(&rtc, regs[i], values[i], 100);
    for (size_t i = 0; i < sizeof(regs); i++)
        assert_int_equal(get(&rtc, regs[i], 200), values[i]);
    static const uint8_t later[] = {0, 0, 0, 1, 1, 0, 21}; // two seconds later it is 2100
    for (size_t i = 0; i < sizeof(regs); i++)
        assert_int_equal(get(&rtc, regs[i], 2 * HZ + 200), later[i]);
}

static void test_twelve_hours(void **state)
{
    (void)state;
    static const uint8_t shown[] = {0x12, 0x01, 0x11, 0x92, 0x81, 0x91}, hours[] = {0, 1, 11, 12, 13, 23};
    for (size_t i = 0; i < sizeof(hours); i++) {
        struct rtc rtc = new_rtc(hours[i] * 3600);
        set(&rtc, 11, 0, 0);
        assert_int_equal(get(&rtc, 4, 0), shown[i]);
        set(&rtc, 4, 0x05, 0);
        set(&rtc, 4, shown[i], 0);
        set(&rtc, 11, 2, 0);
        assert_int_equal(get(&rtc, 4, 0), bcd(hours[i]));
    }
}

static void test_update_flag(void **state)
{
    (void)state;
    struct rtc rtc = new_rtc(0);
    assert_int_equal(get(&rtc, 10, 500000), 0x26);
    assert_int_equal(get(&rtc, 10, 999900), 0xa6); // shortly before the second it is being updated
    assert_int_equal(get(&rtc, 10, 1000000), 0x26);
    assert_int_equal(get(&rtc, C, 1000001), 0x50); // the periodic flag, too, at rate 6
    assert_int_equal(get(&rtc, C, 1000002), 0);
    assert_int_equal(get(&rtc, 13, 0), 0x80);
    assert_false(irq);
}

/// A reset of the machine: nothing interrupts any more, the clock goes on.
static void test_rtc_reset(void **state)
{
    (void)state;
    struct rtc rtc = new_rtc(1767225600);
    set(&rtc, 11, 0x7a, 300000); // all interrupts, 24 hours
    rtc_advance(&rtc, 1000000);
    assert_true(irq);
    rtc_reset(&rtc);
    assert_false(irq);
    assert_int_equal(rtc_deadline(&rtc), DEV_NEVER);
    assert_int_equal(get(&rtc, 11, 1000001), 0x02);
    assert_int_equal(get(&rtc, C, 1000001) & 0xb0, 0);
    assert_int_equal(get(&rtc, 0, 3000001), 0x03);
}

static void test_update_interrupt(void **state)
{
    (void)state;
    struct rtc rtc = new_rtc(0);
    assert_int_equal(rtc_deadline(&rtc), DEV_NEVER);
    set(&rtc, 11, 0x12, 300000);
    assert_int_equal(rtc_deadline(&rtc), 1000000);
    rtc_advance(&rtc, 999999);
    assert_false(irq);
    rtc_advance(&rtc, 1000000);
    assert_true(irq);
    assert_int_equal(get(&rtc, C, 1000500) & 0xb0, 0x90);
    assert_false(irq);
    assert_int_equal(rtc_deadline(&rtc), 2000000);
}

/// While the time is being set nothing is updated, so nothing interrupts.
static void test_set_bit(void **state)
{
    (void)state;
    struct rtc rtc = new_rtc(0);
    set(&rtc, 11, 0xb2, 0);                   // SET, alarm, update
    assert_int_equal(get(&rtc, 11, 0), 0xa2); // SET ends the update interrupt
    assert_true(rtc_deadline(&rtc) == DEV_NEVER);
    rtc_advance(&rtc, 100 * (uint64_t)HZ);
    assert_false(irq);
    set(&rtc, 11, 0x12, 100 * (uint64_t)HZ + 5);
    assert_int_equal(rtc_deadline(&rtc), 101 * (uint64_t)HZ);
    assert_false(irq);
}

static void test_alarm(void **state)
{
    (void)state;
    struct rtc rtc = new_rtc(0);
    set(&rtc, 1, 0x05, 0);
    set(&rtc, 3, 0x02, 0);
    set(&rtc, 5, 0xff, 0); // any hour
    set(&rtc, 11, 0x22, 0);
    for (uint64_t s = 1; s < 125; s++) {
        rtc_advance(&rtc, s * HZ);
        assert_false(irq);
    }
    rtc_advance(&rtc, 125 * HZ);
    assert_true(irq);
    assert_int_equal(get(&rtc, C, 125 * HZ + 5) & 0xb0, 0xb0);
    rtc_advance(&rtc, 3800 * (uint64_t)HZ); // unseen for an hour, in which it came once more
    assert_true(irq);
}

static void test_periodic(void **state)
{
    (void)state;
    struct rtc rtc = new_rtc(0);
    set(&rtc, 10, 0x26, 0); // 1024 Hz
    set(&rtc, 11, 0x42, 0);
    uint64_t now = 0;
    for (unsigned i = 1; i <= 1024; i++) {
        now = rtc_deadline(&rtc);
        assert_int_equal(now, (i * (uint64_t)HZ + 1023) / 1024);
        rtc_advance(&rtc, now);
        assert_true(irq);
        assert_int_equal(get(&rtc, C, now) & 0xc0, 0xc0);
        assert_false(irq);
    }
    assert_int_equal(now, HZ);
    set(&rtc, 10, 0x21, now); // rate 1 is that of 8: 256 Hz
    assert_int_equal(rtc_deadline(&rtc), HZ + (HZ + 255) / 256);
    set(&rtc, 10, 0x20, now);
    assert_int_equal(rtc_deadline(&rtc), DEV_NEVER);
}

static void test_memory(void **state)
{
    (void)state;
    struct rtc rtc = new_rtc(0);
    for (unsigned i = 14; i < 128; i++)
        if (i != 0x32)
            set(&rtc, (uint8_t)i, (uint8_t)(i * 3), 0);
    for (unsigned i = 14; i < 128; i++)
        if (i != 0x32)
            assert_int_equal(get(&rtc, (uint8_t)i, 0), (uint8_t)(i * 3));
}

/* ---- PCI ---- */

static void test_host_bridge(void **state)
{
    (void)state;
    struct pci pci;
    pci_init(&pci, (struct dev_line){0});
    assert_int_equal(pci_read(&pci, 0xcfc, 4), UINT32_MAX); // not enabled
    pci_write(&pci, 0xcf8, 4, 0x80000000);
    assert_int_equal(pci_read(&pci, 0xcf8, 4), 0x80000000);
    assert_int_equal(pci_read(&pci, 0xcfc, 4), 0x12378086);
    assert_int_equal(pci_read(&pci, 0xcfe, 2), 0x1237);
    assert_int_equal(pci_read(&pci, 0xcfd, 1), 0x80);
    pci_write(&pci, 0xcf8, 4, 0x80000008);
    assert_int_equal(pci_read(&pci, 0xcfe, 2), 0x0600);
    pci_write(&pci, 0xcfc, 4, UINT32_MAX); // read-only
    assert_int_equal(pci_read(&pci, 0xcfe, 2), 0x0600);
    static const uint32_t absent[] = {0x80000100, 0x80000800, 0x80010000, 0};
    for (size_t i = 0; i < 4; i++) {
        pci_write(&pci, 0xcf8, 4, absent[i]);
        assert_int_equal(pci_read(&pci, 0xcfc, 4), UINT32_MAX);
        assert_int_equal(pci_read(&pci, 0xcfc, 2), 0xffff);
    }
    pci_write(&pci, 0xcf8, 1, 0x12); // only whole accesses set the address
    assert_int_equal(pci_read(&pci, 0xcf8, 4), 0);
}

static uint32_t changed_offset, changed_size;

static void changed(void *context, uint32_t offset, uint32_t size)
{
    (void)context;
    changed_offset = offset;
    changed_size = size;
}

static void test_writable_bits(void **state)
{
    (void)state;
    struct pci pci;
    struct pci_function f = {.changed = changed};
    pci_init(&pci, (struct dev_line){0});
    pci.devices[3] = &f;
    memset(f.config + 0x10, 0x01, 4);
    f.writable[0x11] = 0xf0;
    f.writable[0xff] = 0xff;
    pci_write(&pci, 0xcf8, 4, 0x80001810);
    pci_write(&pci, 0xcfd, 2, 0xffff);
    assert_int_equal(pci_read(&pci, 0xcfc, 4), 0x0101f101);
    assert_int_equal(changed_offset, 0x11);
    assert_int_equal(changed_size, 2);
    pci_write(&pci, 0xcf8, 4, 0x800018fc);
    pci_write(&pci, 0xcff, 4, 0x55); // beyond the end: only what is there
    assert_int_equal(pci_read(&pci, 0xcff, 4), 0x55);
}

/* ---- ACPI ---- */

static void test_pm(void **state)
{
    (void)state;
    struct acpi_pm pm;
    acpi_pm_init(&pm, 2000000000);
    assert_int_equal(acpi_pm_read(&pm, 0x604, 2, 0), 1); // ACPI mode
    assert_int_equal(acpi_pm_read(&pm, 0x608, 4, 2000000000), 3579545);
    assert_int_equal(acpi_pm_read(&pm, 0x609, 1, 2000000000), 3579545 >> 8 & 0xff);
    assert_int_equal(acpi_pm_write(&pm, 0x602, 2, 0x123), ACPI_PM_NOTHING);
    assert_int_equal(acpi_pm_read(&pm, 0x602, 2, 0), 0x123);
    assert_int_equal(acpi_pm_read(&pm, 0x600, 4, 0), 0x1230000);
    assert_int_equal(acpi_pm_write(&pm, 0x604, 2, 5 << 10), ACPI_PM_NOTHING); // the type alone
    assert_int_equal(acpi_pm_read(&pm, 0x604, 2, 0), 5 << 10 | 1);
    assert_int_equal(acpi_pm_write(&pm, 0x604, 2, 3 << 10 | 1 << 13), ACPI_PM_NOTHING); // another state
    assert_int_equal(acpi_pm_write(&pm, 0x604, 2, 5 << 10 | 1 << 13), ACPI_PM_OFF);
    assert_int_equal(acpi_pm_write(&pm, 0x605, 1, 5 << 2 | 1 << 5), ACPI_PM_OFF);
    assert_int_equal(acpi_pm_write(&pm, 0xcf9, 1, 2), ACPI_PM_NOTHING);
    assert_int_equal(acpi_pm_write(&pm, 0xcf9, 1, 6), ACPI_PM_RESET);
}

enum { AREA = 0x20000, AT = 0xe0000 };
static uint8_t *area;

static uint64_t field(const uint8_t *t, size_t offset, uint32_t bytes)
{
    uint64_t value = 0;
    for (uint32_t i = bytes; i-- > 0;)
        value = value << 8 | t[offset + i];
    return value;
}

static uint8_t sum(const uint8_t *t, size_t size)
{
    uint8_t s = 0;
    for (size_t i = 0; i < size; i++)
        s = (uint8_t)(s + t[i]);
    return s;
}

static const uint8_t *table(uint64_t address, const char *signature)
{
    assert_in_range(address, AT, AT + AREA - 36);
    const uint8_t *t = area + (address - AT);
    assert_memory_equal(t, signature, 4);
    if (strcmp(signature, "FACS") != 0)
        assert_int_equal(sum(t, field(t, 4, 4)), 0);
    return t;
}

static size_t build(uint32_t cpus, size_t size)
{
    static uint8_t dsdt[300] = "DSDT";
    dsdt[4] = 300 & 255;
    dsdt[5] = 300 >> 8;
    dsdt[9] = 0;
    dsdt[9] = (uint8_t)-sum(dsdt, 300);
    const struct acpi_machine m = {.cpus = cpus, .dsdt = dsdt, .dsdt_size = 300};
    return acpi_tables(&m, area, size, AT);
}

/// What an operating system does: from the RSDP to everything else.
static void test_tables(void **state)
{
    (void)state;
    area = malloc(AREA);
    memset(area, 0xcc, AREA);
    assert_true(build(3, AREA) > 500);
    assert_memory_equal(area, "RSD PTR ", 8);
    assert_int_equal(sum(area, 20), 0);
    assert_int_equal(sum(area, 36), 0);
    const uint8_t *xsdt = table(field(area, 24, 8), "XSDT");
    assert_int_equal(field(xsdt, 4, 4), 36 + 2 * 8);
    const uint8_t *fadt = table(field(xsdt, 36, 8), "FACP"), *madt = table(field(xsdt, 44, 8), "APIC");
    table(field(fadt, 40, 4), "DSDT");
    assert_int_equal(field(fadt, 40, 4), field(fadt, 140, 8));
    assert_int_equal(field(fadt, 36, 4) % 64, 0);
    table(field(fadt, 36, 4), "FACS");
    assert_int_equal(field(fadt, 4, 4), 276);
    assert_int_equal(field(fadt, 120, 8), 0xcf9);
    assert_int_equal(fadt[128], 6);
    assert_int_equal(field(madt, 36, 4), 0xfee00000);
    unsigned kinds[16] = {0};
    size_t at = 44;
    for (; at < field(madt, 4, 4); at += madt[at + 1]) {
        const uint8_t *e = madt + at;
        assert_true(e[1] != 0 && e[0] < 16);
        if (e[0] == 0)
            assert_int_equal(e[3], kinds[0]); // ids count up
        if (e[0] == 1)
            assert_int_equal(e[2], 3);
        kinds[e[0]]++;
    }
    assert_int_equal(at, field(madt, 4, 4));
    assert_int_equal(kinds[0], 3);
    assert_int_equal(kinds[1], 1);
    assert_int_equal(kinds[2], 2);
    assert_int_equal(kinds[4], 1);
    free(area);
}

/// Whatever room there is: all or nothing, and nothing beyond it.
static void test_tables_fit(void **state)
{
    (void)state;
    area = malloc(AREA);
    const size_t need = build(16, AREA);
    free(area);
    for (size_t size = 0; size <= need; size += size + 30 < need ? 30 : 1) {
        area = malloc(size + 1);
        area[size] = 0x77;
        assert_int_equal(build(16, size), size < need ? 0 : need);
        assert_int_equal(area[size], 0x77);
        free(area);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dates),       cmocka_unit_test(test_set_time),    cmocka_unit_test(test_twelve_hours),
        cmocka_unit_test(test_update_flag), cmocka_unit_test(test_rtc_reset),   cmocka_unit_test(test_update_interrupt),
        cmocka_unit_test(test_alarm),       cmocka_unit_test(test_set_bit),     cmocka_unit_test(test_periodic),
        cmocka_unit_test(test_memory),      cmocka_unit_test(test_host_bridge), cmocka_unit_test(test_writable_bits),
        cmocka_unit_test(test_pm),          cmocka_unit_test(test_tables),      cmocka_unit_test(test_tables_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
