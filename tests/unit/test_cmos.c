// SPDX-License-Identifier: Apache-2.0
// The machine's clock: formats, centuries, updates that come in between, and what is no date.
// links: arch/x86/cmos.c vmm/lib/*.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "arch/x86/cmos.h"

enum { A = 10, B = 11, BCD_24 = 2, BINARY_24 = 6, BCD_12 = 0, BINARY_12 = 4, CENTURY = 0x32 };

static uint8_t registers[128];
static unsigned reads, busy_reads, change_at;

static uint8_t read_register(uint8_t number)
{
    assert_true(number < sizeof(registers));
    reads++;
    if (number == A && busy_reads > 0) {
        busy_reads--;
        return registers[A] | 0x80;
    }
    if (reads == change_at) { // an update: 59:59 to 00:00, minutes and all
        registers[0] = registers[2] = 0;
        registers[4]++;
    }
    return registers[number];
}

static uint8_t bcd(unsigned value)
{
    return (uint8_t)(value / 10 << 4 | value % 10);
}

/// The registers show a moment, in a format.
static void show(int64_t seconds, uint8_t format, uint8_t century)
{
    const time_t at = (time_t)seconds;
    const struct tm *tm = gmtime(&at);
    uint8_t (*const form)(unsigned) = bcd;
    const unsigned values[] = {(unsigned)tm->tm_sec,
                               0,
                               (unsigned)tm->tm_min,
                               0,
                               0,
                               0,
                               (unsigned)tm->tm_wday + 1,
                               (unsigned)tm->tm_mday,
                               (unsigned)tm->tm_mon + 1,
                               (unsigned)(tm->tm_year % 100)};
    const unsigned hour = (unsigned)tm->tm_hour, twelve = (hour + 11) % 12 + 1, years = (unsigned)tm->tm_year + 1900;
    memset(registers, 0, sizeof(registers));
    for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        registers[i] = format & 4 ? (uint8_t)values[i] : form(values[i]);
    const unsigned shown = format & 2 ? hour : twelve;
    registers[4] = (uint8_t)((format & 4 ? shown : form(shown)) | (!(format & 2) && hour >= 12 ? 0x80 : 0));
    if (century)
        registers[century] = format & 4 ? (uint8_t)(years / 100) : form(years / 100);
    registers[A] = 0x26;
    registers[B] = format;
    reads = busy_reads = change_at = 0;
}

static const uint8_t formats[] = {BCD_24, BINARY_24, BCD_12, BINARY_12};

/// Every hour of days around the ends of months, years, leap years and centuries.
static void test_formats(void **state)
{
    (void)state;
    static const int64_t days[] = {0,     11015, 11016, 11017, 16494, 19782, 19783, 20453,
                                   20454, 20819, 20820, 24836, 47540, 47541, 47542};
    for (unsigned d = 0; d < sizeof(days) / sizeof(days[0]); d++)
        for (unsigned f = 0; f < sizeof(formats); f++)
            for (int64_t hour = 0; hour < 24; hour++) {
                const int64_t seconds = days[d] * 86400 + hour * 3600 + 59 * 60 + 58;
                show(seconds, formats[f], CENTURY);
                assert_int_equal(cmos_time_by(read_register, CENTURY), seconds);
            }
}

/// Without a century, or with one that nobody has set, years belong to 1970 to 2069.
static void test_century(void **state)
{
    (void)state;
    show(1795435200, BCD_24, 0);
    assert_int_equal(cmos_time_by(read_register, 0), 1795435200);
    assert_int_equal(cmos_time_by(read_register, CENTURY), 1795435200); // 0
    registers[CENTURY] = 0xff;
    assert_int_equal(cmos_time_by(read_register, CENTURY), 1795435200);
    registers[CENTURY] = 0x19; // 1926
    assert_int_equal(cmos_time_by(read_register, CENTURY), 0);
    show(946684799, BINARY_12, 0); // 1999
    assert_int_equal(cmos_time_by(read_register, 0), 946684799);
}

/// Whenever an update comes, the time is the one before it or the one behind, and never a mixture.
static void test_update(void **state)
{
    (void)state;
    const int64_t before = 1795438799; // 12:59:59
    show(before, BINARY_24, CENTURY);
    busy_reads = 500;
    assert_int_equal(cmos_time_by(read_register, CENTURY), before);
    for (unsigned at = 1; at < 40; at++) {
        show(before, BINARY_24, CENTURY);
        change_at = at;
        const int64_t seconds = (int64_t)cmos_time_by(read_register, CENTURY);
        assert_true(seconds == before || seconds == before + 1);
    }
}

static void test_no_clock(void **state)
{
    (void)state;
    memset(registers, 0xff, sizeof(registers));
    reads = 0;
    assert_int_equal(cmos_time_by(read_register, CENTURY), 0);
    assert_true(reads < 100000);
    memset(registers, 0, sizeof(registers)); // the month is 0
    assert_int_equal(cmos_time_by(read_register, CENTURY), 0);
    static const struct {
        uint8_t number, value;
    } wrong[] = {{0, 0x60}, {0, 0x0a}, {2, 0xa0}, {4, 0x24}, {7, 0}, {7, 0x31}, {8, 0x13}, {9, 0x9f}};
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) { // of 30 November
        show(1795996800, BCD_24, CENTURY);
        assert_int_equal(cmos_time_by(read_register, CENTURY), 1795996800);
        registers[wrong[i].number] = wrong[i].value;
        assert_int_equal(cmos_time_by(read_register, CENTURY), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_century),
        cmocka_unit_test(test_update),
        cmocka_unit_test(test_no_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
