// SPDX-License-Identifier: Apache-2.0
#include "trace_lines.h"

#include <polyvisor/format.h>
#include <polyvisor/string.h>

enum {
    PAYLOAD = 240,     // bytes of encoded events in a line, a multiple of 3
    LONGEST_EVENT = 21 // tag, time, ticks, who, cause, outcome
};

/// Flags of an event's first byte, whose low bits are the kind: what follows it because it differs from the last event of that kind
/// in this line.
enum { TAG_WHO = 0x10, TAG_CAUSE = 0x20, TAG_OUTCOME = 0x40, TAG_VALUE = 0x80 };

/* ---- lines ---- */

/// The CRC of Ethernet, zlib and many others.
static uint32_t crc32(const char *text, size_t size)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= (unsigned char)text[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

void trace_line_text(struct trace_line *line, const char *text, size_t size)
{
    const size_t room = sizeof(line->text) - line->used;
    const size_t taken = size < room ? size : room;
    memcpy(line->text + line->used, text, taken);
    line->used += taken;
}

void trace_line_sink(void *context, const char *text, size_t size)
{
    trace_line_text(context, text, size);
}

static void add(struct trace_line *line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pv_vformat(trace_line_sink, line, format, args);
    va_end(args);
}

void trace_line_begin(struct trace_line *line, uint64_t number, const char *what)
{
    line->used = 0;
    add(line, "@trace %lu %s ", number, what);
}

void trace_line_end(struct trace_line *line)
{
    add(line, " %08x\n", crc32(line->text, line->used));
}

static void add_base64(struct trace_line *line, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    enum { SIX_BITS = 63 };
    for (size_t i = 0; i < size; i += 3) {
        const uint32_t left = (uint32_t)(size - i < 3 ? size - i : 3);
        uint32_t group = (uint32_t)bytes[i] << 16;
        group |= left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0;
        group |= left > 2 ? bytes[i + 2] : 0;
        char text[4];
        for (uint32_t d = 0; d < 4; d++)
            text[d] = d <= left ? digits[group >> (18 - 6 * d) & SIX_BITS] : '=';
        trace_line_text(line, text, sizeof(text));
    }
}

/* ---- events ---- */

/// What is known of the last events of this line.
struct encoder {
    uint8_t *at;
    uint64_t when;
    uint16_t who[16]; ///< of each kind
    uint8_t cause[16];
};

/// Seven bits a byte, the lowest first; all but the last byte have their top bit set.
static void put_number(struct encoder *e, uint64_t value)
{
    for (; value > 0x7f; value >>= 7)
        *e->at++ = (uint8_t)(value | 0x80);
    *e->at++ = (uint8_t)value;
}

/// Makes small numbers of differences that are small either way: 0, -1, 1, -2 ... are 0, 1, 2, 3 ...
static uint64_t zigzag(uint64_t difference)
{
    return difference << 1 ^ (difference >> 63 ? UINT64_MAX : 0);
}

static bool is_time(unsigned kind)
{
    return kind >= PV_TRACE_GUEST && kind <= PV_TRACE_IDLE;
}

static void put_event(struct encoder *e, const struct pv_trace_event *event)
{
    const unsigned kind = event->kind & 15, outcome = event->kind >> 4;
    const bool has_value = !is_time(kind) && event->value != 0;
    uint8_t *tag = e->at++;
    *tag = (uint8_t)kind;
    // Of a time, how long after the event before it began, and how long it was. It may have begun before that event.
    put_number(e, zigzag(event->when - (is_time(kind) ? event->value : 0) - e->when));
    if (is_time(kind) || has_value)
        put_number(e, event->value);
    *tag |= has_value ? TAG_VALUE : 0;
    if (event->who != e->who[kind]) {
        *tag |= TAG_WHO;
        put_number(e, event->who);
    }
    if (event->cause != e->cause[kind]) {
        *tag |= TAG_CAUSE;
        *e->at++ = event->cause;
    }
    if (outcome != 0) {
        *tag |= TAG_OUTCOME;
        *e->at++ = (uint8_t)outcome;
    }
    e->when = event->when;
    e->who[kind] = event->who;
    e->cause[kind] = event->cause;
}

size_t trace_line_events(struct trace_line *line, uint64_t number, uint32_t core, uint64_t first,
                         const struct pv_trace_event *events, size_t count)
{
    uint8_t payload[PAYLOAD] = {0};
    struct encoder e = {.at = payload};
    size_t taken = 0;
    while (taken < count && e.at + LONGEST_EVENT <= payload + sizeof(payload))
        put_event(&e, &events[taken++]);
    trace_line_begin(line, number, "events");
    add(line, "%u %lu %zu ", core, first, taken);
    add_base64(line, payload, (size_t)(e.at - payload));
    trace_line_end(line);
    return taken;
}
