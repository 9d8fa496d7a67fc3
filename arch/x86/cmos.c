// SPDX-License-Identifier: Apache-2.0
// Source: Motorola, MC146818A data sheet; the century's register: ACPI 6.4, 5.2.9 (FADT).
#include "arch/x86/cmos.h"

#include <stdbool.h>

#include <polyvisor/string.h>

#include "arch/x86/cpu.h"

enum { INDEX_PORT = 0x70, DATA_PORT = 0x71 };
enum { SECONDS = 0, MINUTES = 2, HOURS = 4, DAY = 7, MONTH = 8, YEAR = 9, STATUS_A = 10, STATUS_B = 11 };
enum { A_UPDATE = 0x80, B_24_HOURS = 2, B_BINARY = 4, PM = 0x80 };
enum {
    UPDATE_READS =
        10000, // an update takes 2.3 ms, a read of a port about 1 us; without a clock everything reads as ones
    TRIES = 8,
    FIRST_YEAR = 1970,
    PIVOT = 70, // years below it are of this century where the clock knows none
    DAY_SECONDS = 86400,
};

/// What the registers hold.
struct reading {
    uint8_t second, minute, hour, day, month, year, century;
};

static uint8_t read_port(uint8_t number)
{
    cpu_out8(INDEX_PORT, number); // bit 7 is 0: NMIs stay on
    return cpu_in8(DATA_PORT);
}

/// Between two updates. False: there is no end of an update.
static bool wait_for_update(uint8_t (*read)(uint8_t number))
{
    for (int i = 0; i < UPDATE_READS; i++) {
        if (!(read(STATUS_A) & A_UPDATE)) {
            return true;
        }
    }
    return false;
}

static bool read_once(uint8_t (*read)(uint8_t number), uint8_t century, struct reading *r)
{
    if (!wait_for_update(read)) {
        return false;
    }
    *r = (struct reading){
        read(SECONDS), read(MINUTES), read(HOURS), read(DAY), read(MONTH), read(YEAR), century ? read(century) : 0};
    return true;
}

/// An update may begin while the registers are read, and firmware may stop the processor meanwhile: only what reads the same twice is
/// one moment's.
static bool read_twice(uint8_t (*read)(uint8_t number), uint8_t century, struct reading *r)
{
    struct reading last;
    if (!read_once(read, century, &last)) {
        return false;
    }
    for (int i = 0; i < TRIES; i++) {
        if (!read_once(read, century, r)) {
            return false;
        }
        if (memcmp(&last, r, sizeof(last)) == 0) {
            return true;
        }
        last = *r;
    }
    return false;
}

/// Binary or BCD; UINT32_MAX: not a number.
static uint32_t decode(uint8_t value, bool binary)
{
    if (binary) {
        return value;
    }
    return (value & 15) <= 9 && value >> 4 <= 9 ? (value >> 4) * 10u + (value & 15) : UINT32_MAX;
}

/// With 12 hours midnight is 12 AM, noon 12 PM.
static uint32_t decode_hour(uint8_t value, uint8_t status)
{
    if (status & B_24_HOURS) {
        return decode(value, status & B_BINARY);
    }
    uint32_t hour = decode(value & (uint8_t)~PM, status & B_BINARY);
    return hour >= 1 && hour <= 12 ? hour % 12 + (value & PM ? 12 : 0) : UINT32_MAX;
}

/// A register that firmware does not keep holds no century of ours.
static uint32_t decode_year(const struct reading *r, bool binary)
{
    uint32_t year = decode(r->year, binary), century = decode(r->century, binary);
    if (year > 99) {
        return UINT32_MAX;
    }
    return century >= 19 && century <= 21 ? century * 100 + year : year + (year >= PIVOT ? 1900 : 2000);
}

static bool is_leap(uint32_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static uint32_t days_of(uint32_t year, uint32_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year) ? 1u : 0u);
}

uint64_t cmos_time_by(uint8_t (*read)(uint8_t number), uint8_t century)
{
    struct reading r;
    if (!read_twice(read, century, &r)) {
        return 0;
    }
    uint8_t status = read(STATUS_B);
    bool binary = status & B_BINARY;
    uint32_t second = decode(r.second, binary), minute = decode(r.minute, binary), hour = decode_hour(r.hour, status);
    uint32_t day = decode(r.day, binary), month = decode(r.month, binary), year = decode_year(&r, binary);
    if (second > 59 || minute > 59 || hour > 23 || month < 1 || month > 12 || year == UINT32_MAX || year < FIRST_YEAR ||
        day < 1 || day > days_of(year, month)) {
        return 0;
    }
    uint64_t days = day - 1;
    for (uint32_t y = FIRST_YEAR; y < year; y++) {
        days += is_leap(y) ? 366 : 365;
    }
    for (uint32_t m = 1; m < month; m++) {
        days += days_of(year, m);
    }
    return days * DAY_SECONDS + hour * 3600 + minute * 60 + second;
}

uint64_t cmos_time(uint8_t century)
{
    return cmos_time_by(read_port, century);
}
