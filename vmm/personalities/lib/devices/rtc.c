// SPDX-License-Identifier: Apache-2.0
// Source: Motorola, MC146818A data sheet; the century at 0x32 is where the FADT says.
#include "devices/rtc.h"

enum { SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM, WEEKDAY, DAY, MONTH, YEAR, A, B, C, D };
enum { CENTURY = 0x32, INDEX_MASK = 0x7f };
enum {
    A_RATE = 15,
    A_UPDATE = 0x80,
    B_SET = 0x80,
    B_PERIODIC = 0x40,
    B_ALARM = 0x20,
    B_UPDATE = 0x10,
    B_SQUARE_WAVE = 8
};
enum { B_BINARY = 4, B_24_HOURS = 2, C_REQUEST = 0x80, D_VALID = 0x80, PM = 0x80, ANY = 0xc0 };
enum { CLOCK_HZ = 32768, UPDATE_CYCLES = 8, DAY_SECONDS = 86400 }; ///< the update begins 244 us before the second

/* ---- calendar ---- */

struct date {
    uint32_t year, month, day, weekday, hour, minute, second;
};

static bool is_leap(uint32_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static uint32_t month_length(uint32_t year, uint32_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[(month - 1) % 12];
}

static struct date date_of(uint64_t seconds)
{
    const uint64_t days = seconds / DAY_SECONDS;
    uint64_t left = days;
    struct date d = {.year = 1970, .month = 1, .weekday = (uint32_t)((days + 4) % 7) + 1}; // a Thursday; Sunday is 1
    for (; left >= (is_leap(d.year) ? 366u : 365u); d.year++)
        left -= is_leap(d.year) ? 366 : 365;
    for (; left >= month_length(d.year, d.month); d.month++)
        left -= month_length(d.year, d.month);
    d.day = (uint32_t)left + 1;
    d.hour = (uint32_t)(seconds % DAY_SECONDS / 3600);
    d.minute = (uint32_t)(seconds / 60 % 60);
    d.second = (uint32_t)(seconds % 60);
    return d;
}

static int64_t seconds_of(const struct date *d)
{
    int64_t days = (int64_t)d->day - 1;
    for (uint32_t y = 1970; y < d->year; y++)
        days += is_leap(y) ? 366 : 365;
    for (uint32_t m = 1; m < d->month; m++)
        days += month_length(d->year, m);
    return days * DAY_SECONDS + d->hour * 3600 + d->minute * 60 + d->second;
}

/* ---- formats ---- */

static uint8_t encode(const struct rtc *rtc, uint32_t value)
{
    return (uint8_t)((rtc->ram[B] & B_BINARY) != 0 ? value : value / 10 << 4 | value % 10);
}

static uint32_t decode(const struct rtc *rtc, uint8_t value)
{
    return (rtc->ram[B] & B_BINARY) != 0 ? value : (value >> 4) * 10u + (value & 15);
}

static uint8_t encode_hour(const struct rtc *rtc, uint32_t hour)
{
    if ((rtc->ram[B] & B_24_HOURS) != 0)
        return encode(rtc, hour);
    return encode(rtc, (hour + 11) % 12 + 1) | (hour >= 12 ? PM : 0);
}

static uint32_t decode_hour(const struct rtc *rtc, uint8_t value)
{
    if ((rtc->ram[B] & B_24_HOURS) != 0)
        return decode(rtc, value);
    return decode(rtc, value & (uint8_t)~PM) % 12 + ((value & PM) != 0 ? 12 : 0);
}

/* ---- time ---- */

static uint64_t cycles(const struct rtc *rtc, uint64_t now)
{
    return now > rtc->origin ? dev_scale(now - rtc->origin, CLOCK_HZ, rtc->hz) : 0;
}

static uint64_t now_seconds(const struct rtc *rtc, uint64_t now)
{
    const int64_t seconds = rtc->epoch + (int64_t)(cycles(rtc, now) / CLOCK_HZ);
    return seconds > 0 ? (uint64_t)seconds : 0;
}

/// Cycles of a periodic interrupt; 0: none (register A, rate selection with the 32 kHz time base).
static uint64_t period_cycles(const struct rtc *rtc)
{
    const uint32_t rate = rtc->ram[A] & A_RATE;
    return rate == 0 ? 0 : rate <= 2 ? UINT64_C(64) << rate : UINT64_C(1) << (rate - 1);
}

static void update(struct rtc *rtc)
{
    dev_line_set(&rtc->interrupt, (rtc->flags & rtc->ram[B] & (B_PERIODIC | B_ALARM | B_UPDATE)) != 0);
}

/// Whether an alarm is set for a second of the day.
static bool alarm_matches(const struct rtc *rtc, uint32_t second)
{
    const uint8_t *ram = rtc->ram;
    return (ram[SECONDS_ALARM] >= ANY || decode(rtc, ram[SECONDS_ALARM]) == second % 60) &&
           (ram[MINUTES_ALARM] >= ANY || decode(rtc, ram[MINUTES_ALARM]) == second / 60 % 60) &&
           (ram[HOURS_ALARM] >= ANY || decode_hour(rtc, ram[HOURS_ALARM]) == second / 3600);
}

/// Seconds that passed unseen are looked at up to a day back, in which each alarm comes once.
static void pass_seconds(struct rtc *rtc, uint64_t second, uint64_t now)
{
    const uint64_t passed = second - rtc->second, today = now_seconds(rtc, now);
    rtc->second = second;
    rtc->flags |= B_UPDATE;
    for (uint64_t i = 0; i < passed && i < DAY_SECONDS && i <= today && (rtc->flags & B_ALARM) == 0; i++)
        if (alarm_matches(rtc, (uint32_t)((today - i) % DAY_SECONDS)))
            rtc->flags |= B_ALARM;
}

void rtc_advance(struct rtc *rtc, uint64_t now)
{
    const uint64_t clock = cycles(rtc, now), second = clock / CLOCK_HZ, every = period_cycles(rtc);
    if ((rtc->ram[B] & B_SET) != 0)
        rtc->second = second; // no updates, so neither their flag nor an alarm
    else if (second != rtc->second)
        pass_seconds(rtc, second, now);
    if (every != 0 && clock / every != rtc->period) {
        rtc->period = clock / every;
        rtc->flags |= B_PERIODIC;
    }
    update(rtc);
}

uint64_t rtc_deadline(const struct rtc *rtc)
{
    uint64_t next = DEV_NEVER;
    if ((rtc->ram[B] & (B_ALARM | B_UPDATE)) != 0 && (rtc->ram[B] & B_SET) == 0)
        next = (rtc->second + 1) * CLOCK_HZ;
    if ((rtc->ram[B] & B_PERIODIC) != 0 && period_cycles(rtc) != 0) {
        const uint64_t tick = (rtc->period + 1) * period_cycles(rtc);
        next = tick < next ? tick : next;
    }
    return next == DEV_NEVER ? next : rtc->origin + dev_scale_up(next, rtc->hz, CLOCK_HZ);
}

void rtc_init(struct rtc *rtc, uint64_t hz, uint64_t now, int64_t epoch, struct dev_line interrupt)
{
    *rtc = (struct rtc){.hz = hz, .origin = now, .epoch = epoch, .interrupt = interrupt};
    rtc->ram[A] = 0x26;
    rtc->ram[B] = B_24_HOURS;
}

void rtc_reset(struct rtc *rtc)
{
    rtc->ram[B] &= (uint8_t)~(B_PERIODIC | B_ALARM | B_UPDATE | B_SQUARE_WAVE);
    rtc->flags = 0;
    dev_line_set(&rtc->interrupt, false);
}

/* ---- registers ---- */

static uint8_t read_time(const struct rtc *rtc, uint32_t reg, uint64_t now)
{
    const struct date d = date_of(now_seconds(rtc, now));
    switch (reg) {
    case SECONDS:
        return encode(rtc, d.second);
    case MINUTES:
        return encode(rtc, d.minute);
    case HOURS:
        return encode_hour(rtc, d.hour);
    case WEEKDAY:
        return encode(rtc, d.weekday);
    case DAY:
        return encode(rtc, d.day);
    case MONTH:
        return encode(rtc, d.month);
    case YEAR:
        return encode(rtc, d.year % 100);
    default:
        return encode(rtc, d.year / 100);
    }
}

/// Sets one field; the clock goes on from there, at the fraction of the second where it was.
static void write_time(struct rtc *rtc, uint32_t reg, uint8_t value, uint64_t now)
{
    const uint64_t before = now_seconds(rtc, now);
    struct date d = date_of(before);
    const uint32_t number = decode(rtc, value);
    switch (reg) {
    case SECONDS:
        d.second = number;
        break;
    case MINUTES:
        d.minute = number;
        break;
    case HOURS:
        d.hour = decode_hour(rtc, value);
        break;
    case DAY:
        d.day = number;
        break;
    case MONTH:
        d.month = number >= 1 && number <= 12 ? number : 1;
        break;
    case YEAR:
        d.year = d.year / 100 * 100 + number % 100;
        break;
    case CENTURY:
        d.year = number * 100 + d.year % 100;
        break;
    default: // the day of the week follows from the date
        return;
    }
    rtc->epoch += seconds_of(&d) - (int64_t)before;
}

static bool is_time(uint32_t reg)
{
    return reg == CENTURY || (reg <= YEAR && reg != SECONDS_ALARM && reg != MINUTES_ALARM && reg != HOURS_ALARM);
}

uint8_t rtc_read(struct rtc *rtc, uint16_t port, uint64_t now)
{
    if (port == RTC_INDEX_PORT)
        return 0xff; // write-only
    rtc_advance(rtc, now);
    if (is_time(rtc->index))
        return read_time(rtc, rtc->index, now);
    if (rtc->index == A) {
        const bool updating = cycles(rtc, now) % CLOCK_HZ >= CLOCK_HZ - UPDATE_CYCLES && (rtc->ram[B] & B_SET) == 0;
        return rtc->ram[A] | (updating ? A_UPDATE : 0);
    }
    if (rtc->index == C) {
        const uint8_t flags = rtc->flags;
        const bool request = (flags & rtc->ram[B]) != 0;
        rtc->flags = 0;
        update(rtc);
        return flags | (request ? C_REQUEST : 0);
    }
    return rtc->index == D ? D_VALID : rtc->ram[rtc->index];
}

void rtc_write(struct rtc *rtc, uint16_t port, uint8_t value, uint64_t now)
{
    if (port == RTC_INDEX_PORT) {
        rtc->index = value & INDEX_MASK; // bit 7 masks NMIs, of which there are none
        return;
    }
    rtc_advance(rtc, now);
    if (is_time(rtc->index)) {
        write_time(rtc, rtc->index, value, now);
    } else if (rtc->index == A) {
        rtc->ram[A] = value & (uint8_t)~A_UPDATE;
        const uint64_t every = period_cycles(rtc);
        rtc->period = every != 0 ? cycles(rtc, now) / every : 0;
    } else if (rtc->index != C && rtc->index != D) {
        const bool stops = rtc->index == B && (value & B_SET) != 0;
        rtc->ram[rtc->index] = stops ? value & (uint8_t)~B_UPDATE : value;
    }
    update(rtc);
}
