// SPDX-License-Identifier: Apache-2.0
// Source: Intel, 82C54 data sheet (order 231244); port 0x61: Intel, 82371AB (PIIX4) data sheet, 4.2.6.
#include "devices/pit.h"

enum { CONTROL_PORT = 0x43, READ_BACK = 3, MAX_COUNT = 65536, MAX_BCD = 10000 };
enum { ACCESS_LATCH = 0, ACCESS_LOW = 1, ACCESS_HIGH = 2 };
enum { ON_TERMINAL_COUNT = 0, ONE_SHOT = 1, RATE = 2, SQUARE = 3, STROBE = 4, TRIGGERED_STROBE = 5 };
enum { BACK_NO_COUNT = 0x20, BACK_NO_STATUS = 0x10, STATUS_OUTPUT = 0x80, STATUS_NULL = 0x40 };
enum { B_GATE_2 = 1, B_SPEAKER = 2, B_REFRESH = 0x10, B_OUTPUT_2 = 0x20, REFRESH_HZ = 66288 };

/* ---- counting ---- */

/// PIT clocks since counting began.
static uint64_t elapsed(const struct pit *pit, const struct pit_channel *c, uint64_t now)
{
    return now > c->start ? dev_scale(now - c->start, PIT_HZ, pit->hz) : 0;
}

static bool periodic(const struct pit_channel *c)
{
    return c->mode == RATE || c->mode == SQUARE;
}

/// The counting element as it would be read.
static uint16_t count_at(const struct pit *pit, const struct pit_channel *c, uint64_t now)
{
    const uint64_t clocks = c->loaded ? elapsed(pit, c, now) : 0;
    const uint32_t modulus = c->bcd ? MAX_BCD : MAX_COUNT;
    uint32_t count;
    if (c->mode == RATE)
        count = c->reload - (uint32_t)(clocks % c->reload);
    else if (c->mode == SQUARE)
        count = c->reload - (uint32_t)(clocks * 2 % c->reload);
    else
        count = (uint32_t)((c->reload + modulus - clocks % modulus) % modulus); // goes on behind 0
    if (!c->bcd)
        return (uint16_t)count;
    count %= MAX_BCD;
    return (uint16_t)(count % 10 | count / 10 % 10 << 4 | count / 100 % 10 << 8 | count / 1000 << 12);
}

static bool output_at(const struct pit *pit, const struct pit_channel *c, uint64_t now)
{
    const uint64_t clocks = elapsed(pit, c, now);
    switch (c->mode) {
    case ON_TERMINAL_COUNT:
    case ONE_SHOT:
        return c->loaded ? clocks >= c->reload : c->mode == ONE_SHOT;
    case RATE:
        return !c->loaded || !c->gate || clocks % c->reload != c->reload - 1;
    case SQUARE:
        return !c->loaded || !c->gate || clocks % c->reload < (c->reload + 1) / 2;
    default:
        return !c->loaded || clocks != c->reload;
    }
}

/// The tick at which so many clocks have passed since counting began.
static uint64_t tick_of(const struct pit *pit, const struct pit_channel *c, uint64_t clocks)
{
    return c->start + dev_scale_up(clocks, pit->hz, PIT_HZ);
}

/// The first rising edge of channel 0's output after `now`.
static uint64_t next_edge(const struct pit *pit, uint64_t now)
{
    const struct pit_channel *c = &pit->channel[0];
    if (!c->loaded || c->mode == ONE_SHOT || c->mode == TRIGGERED_STROBE) // its gate is never triggered
        return DEV_NEVER;
    const uint64_t clocks = elapsed(pit, c, now);
    if (periodic(c))
        return tick_of(pit, c, (clocks / c->reload + 1) * c->reload);
    return clocks < c->reload ? tick_of(pit, c, c->reload) : DEV_NEVER;
}

void pit_init(struct pit *pit, uint64_t hz, struct dev_line interrupt)
{
    *pit = (struct pit){.hz = hz, .interrupt = interrupt, .next = DEV_NEVER};
    for (uint32_t i = 0; i < 3; i++)
        pit->channel[i] = (struct pit_channel){.reload = MAX_COUNT, .access = 3, .mode = SQUARE, .gate = i != 2};
}

uint64_t pit_deadline(const struct pit *pit)
{
    return pit->next;
}

void pit_advance(struct pit *pit, uint64_t now)
{
    if (now < pit->next)
        return;
    dev_line_set(&pit->interrupt, false);
    dev_line_set(&pit->interrupt, true);
    pit->next = next_edge(pit, now);
}

/* ---- writing ---- */

static void restart(struct pit *pit, uint32_t index, uint64_t now)
{
    struct pit_channel *c = &pit->channel[index];
    c->start = now;
    if (index == 0)
        pit->next = next_edge(pit, now);
}

static void load(struct pit *pit, uint32_t index, uint16_t value, uint64_t now)
{
    struct pit_channel *c = &pit->channel[index];
    uint32_t count = value;
    if (c->bcd)
        count = (value & 15u) + (value >> 4 & 15u) * 10 + (value >> 8 & 15u) * 100 + (value >> 12) * 1000u;
    c->reload = count != 0 ? count : c->bcd ? MAX_BCD : MAX_COUNT;
    if (c->reload == 1 && periodic(c))
        c->reload = 2; // the data sheet forbids 1 here
    const bool triggered_by_gate = c->mode == ONE_SHOT || c->mode == TRIGGERED_STROBE;
    c->loaded = !triggered_by_gate || c->loaded;
    if (!triggered_by_gate)
        restart(pit, index, now);
    if (index == 0 && c->mode == ON_TERMINAL_COUNT)
        dev_line_set(&pit->interrupt, false);
}

static void write_count(struct pit *pit, uint32_t index, uint8_t value, uint64_t now)
{
    struct pit_channel *c = &pit->channel[index];
    if (c->access == ACCESS_LOW) {
        load(pit, index, value, now);
    } else if (c->access == ACCESS_HIGH) {
        load(pit, index, (uint16_t)(value << 8), now);
    } else if (!c->high_next_write) {
        c->pending = value;
        c->high_next_write = true;
        if (c->mode == ON_TERMINAL_COUNT)
            c->loaded = false; // writing the first byte stops counting
    } else {
        c->high_next_write = false;
        load(pit, index, (uint16_t)(c->pending | value << 8), now);
    }
}

static void latch_count(const struct pit *pit, struct pit_channel *c, uint64_t now)
{
    if (!c->count_latched) {
        c->latched = count_at(pit, c, now);
        c->count_latched = true;
    }
}

static void latch_status(const struct pit *pit, struct pit_channel *c, uint64_t now)
{
    if (c->status_latched)
        return;
    c->status = (uint8_t)(c->bcd | c->mode << 1 | c->access << 4 | (c->loaded ? 0 : STATUS_NULL) |
                          (output_at(pit, c, now) ? STATUS_OUTPUT : 0));
    c->status_latched = true;
}

static void read_back(struct pit *pit, uint8_t value, uint64_t now)
{
    for (uint32_t i = 0; i < 3; i++) {
        if ((value >> (i + 1) & 1) == 0)
            continue;
        if ((value & BACK_NO_COUNT) == 0)
            latch_count(pit, &pit->channel[i], now);
        if ((value & BACK_NO_STATUS) == 0)
            latch_status(pit, &pit->channel[i], now);
    }
}

static void write_control(struct pit *pit, uint8_t value, uint64_t now)
{
    const uint32_t index = value >> 6;
    if (index == READ_BACK) {
        read_back(pit, value, now);
        return;
    }
    struct pit_channel *c = &pit->channel[index];
    const uint8_t access = value >> 4 & 3, mode = value >> 1 & 7;
    if (access == ACCESS_LATCH) {
        latch_count(pit, c, now);
        return;
    }
    *c = (struct pit_channel){.reload = MAX_COUNT,
                              .access = access,
                              .mode = mode > TRIGGERED_STROBE ? mode - 4 : mode, // 6 and 7 are 2 and 3
                              .bcd = (value & 1) != 0,
                              .gate = c->gate};
    if (index == 0) {
        pit->next = DEV_NEVER;
        dev_line_set(&pit->interrupt, mode != ON_TERMINAL_COUNT);
    }
}

static void write_port_b(struct pit *pit, uint8_t value, uint64_t now)
{
    struct pit_channel *c = &pit->channel[2];
    const bool gate = (value & B_GATE_2) != 0;
    pit->port_b = value & (B_GATE_2 | B_SPEAKER);
    if (gate && !c->gate && c->mode != ON_TERMINAL_COUNT && c->mode != STROBE) { // a rising edge starts these anew
        c->loaded = c->loaded || c->mode == ONE_SHOT || c->mode == TRIGGERED_STROBE;
        restart(pit, 2, now);
    }
    if (gate && !c->gate && (c->mode == ON_TERMINAL_COUNT || c->mode == STROBE) && c->loaded)
        restart(pit, 2, now); // counting was held; who gates in the middle of a count gets a whole one
    c->gate = gate;
}

void pit_write(struct pit *pit, uint16_t port, uint8_t value, uint64_t now)
{
    pit_advance(pit, now);
    if (port == PIT_PORT_B)
        write_port_b(pit, value, now);
    else if (port == CONTROL_PORT)
        write_control(pit, value, now);
    else
        write_count(pit, port - PIT_FIRST_PORT, value, now);
}

/* ---- reading ---- */

static uint8_t read_count(const struct pit *pit, struct pit_channel *c, uint64_t now)
{
    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    const uint16_t count = c->count_latched ? c->latched : count_at(pit, c, now);
    bool high = c->access == ACCESS_HIGH;
    bool last = true;
    if (c->access == (ACCESS_LOW | ACCESS_HIGH)) {
        high = c->high_next_read;
        last = high;
        c->high_next_read = !high;
    }
    if (last)
        c->count_latched = false;
    return (uint8_t)(high ? count >> 8 : count);
}

static uint8_t read_port_b(const struct pit *pit, uint64_t now)
{
    const bool refresh = (dev_scale(now, REFRESH_HZ, pit->hz) & 1) != 0; // toggles with each refresh of the memory
    const struct pit_channel *c = &pit->channel[2];
    return (uint8_t)(pit->port_b | (refresh ? B_REFRESH : 0) | (output_at(pit, c, now) ? B_OUTPUT_2 : 0));
}

uint8_t pit_read(struct pit *pit, uint16_t port, uint64_t now)
{
    if (port == PIT_PORT_B)
        return read_port_b(pit, now);
    if (port == CONTROL_PORT)
        return 0xff; // not readable
    return read_count(pit, &pit->channel[port - PIT_FIRST_PORT], now);
}
