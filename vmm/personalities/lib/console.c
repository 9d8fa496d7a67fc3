// SPDX-License-Identifier: Apache-2.0
#include "personality.h"

enum {
    PRINT_BUFFER = 256, ///< characters that pv_printf hands over at once
    INPUT_BUFFER = 64,
    ROOM_RECHECKS_PER_SECOND = 4,
};

static bool waits_for_room;

void pv_console_lossless(bool lossless)
{
    waits_for_room = lossless;
}

/// Waits until a full console has room again, but not for ever: should the event get lost, output is slow rather than stuck.
static void wait_for_room(void)
{
    const struct pv_info *info = (const struct pv_info *)PV_INFO_VA;
    pv_event_wait(PV_EVENT_CONSOLE_ROOM, pv_tsc() + info->tsc_hz / ROOM_RECHECKS_PER_SECOND);
}

void pv_write(const char *text, size_t size)
{
    while (size > 0) {
        const int64_t taken = pv_console_write(text, size, waits_for_room ? PV_CONSOLE_PARTIAL : 0);
        if (taken < 0)
            return; // there is nobody to tell
        text += taken;
        size -= (size_t)taken;
        if (size > 0)
            wait_for_room();
    }
}

/// Text on its way to the console.
struct print_buffer {
    size_t used;
    char text[PRINT_BUFFER];
};

static void print_sink(void *context, const char *text, size_t size)
{
    struct print_buffer *buffer = context;
    while (size > 0) {
        const size_t room = sizeof(buffer->text) - buffer->used;
        const size_t taken = size < room ? size : room;
        memcpy(buffer->text + buffer->used, text, taken);
        buffer->used += taken;
        text += taken;
        size -= taken;
        if (buffer->used == sizeof(buffer->text)) {
            pv_write(buffer->text, buffer->used);
            buffer->used = 0;
        }
    }
}

size_t pv_printf(const char *format, ...)
{
    struct print_buffer buffer;
    buffer.used = 0;
    va_list args;
    va_start(args, format);
    const size_t count = pv_vformat(print_sink, &buffer, format, args);
    va_end(args);
    pv_write(buffer.text, buffer.used);
    return count;
}

int pv_console_getc(uint64_t deadline)
{
    static char buffer[INPUT_BUFFER];
    static size_t next, end;
    while (next == end) {
        const int64_t got = pv_console_read(buffer, sizeof(buffer));
        if (got < 0)
            return (int)got;
        next = 0;
        end = (size_t)got;
        if (got > 0)
            break;
        const int64_t event = pv_event_wait(PV_EVENT_CONSOLE_INPUT, deadline);
        if (event < 0)
            return (int)event;
    }
    return (unsigned char)buffer[next++];
}
