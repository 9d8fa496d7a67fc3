// SPDX-License-Identifier: Apache-2.0
#include "vmm/console.h"

#include <polyvisor/format.h>
#include <polyvisor/string.h>

#include "arch/x86/tsc.h"
#include "arch/x86/uart.h"
#include "vmm/lock.h"
#include "vmm/log.h"
#include "vmm/machine.h"
#include "vmm/personality.h"
#include "vmm/replay.h"

enum {
    LOG_SIZE = 65536,
    STAGE_SIZE = 2 * CONSOLE_LINE_MAX + 64, // one line with prefix, each byte perhaps two
    KEY_DETACH = 0x1d,                      // Ctrl-]
    REPLAY = 2048,                          // kept output shown again at an attach
    FOCUS_CHUNK = 128,
    DRAIN_ROUNDS = 2000000,
};

static struct lock lock;
static struct console log_console;
static char log_buffer[LOG_SIZE];
static struct console *home;                // the monitor's
static struct console *focus;               // home, or the attached one
static struct console *attach_next;         // gets the focus when all that the present one said is on its way
static struct replay replay;                // of the attached one's output
static uint64_t replay_until;               // up to this position it is old
static struct console *turn = &log_console; // whose line is shown next
static bool have_uart, interrupts_on, started, seized;
static bool at_prompt;            // home's reader waits: its line may be disturbed
static bool at_line_start = true; // the last byte sent ended a line
static char stage[STAGE_SIZE];    // bytes on their way to the UART
static size_t stage_used, stage_sent;
/// Events found under the lock, signalled after it. At most two personalities at a time: home's, and the attached one.
static struct note {
    struct personality *personality;
    uint32_t events;
} notes[2];

void console_init(void)
{
    pv_ring_init(&log_console.out, log_buffer, LOG_SIZE);
    log_console.next = &log_console;
    have_uart = uart_init(UART_COM1);
}

void console_add(struct console *console, struct personality *owner, const char *name, char *buffer)
{
    console->owner = owner;
    console->name = name;
    pv_ring_init(&console->out, buffer, PV_CONSOLE_SIZE);
    pv_ring_init(&console->in, console->input, CONSOLE_INPUT_SIZE);
    lock_take(&lock);
    console->next = log_console.next;
    log_console.next = console;
    lock_drop(&lock);
}

struct console *console_log(void)
{
    return &log_console;
}

void console_set_home(struct console *console)
{
    home = focus = console;
}

static void note(const struct console *console, uint32_t events)
{
    for (int i = 0; console && console->owner && i < 2; i++) {
        if (!notes[i].personality || notes[i].personality == console->owner) {
            notes[i].personality = console->owner;
            notes[i].events |= events;
            return;
        }
    }
}

static void stage_raw(char c)
{
    stage[stage_used++] = c;
    at_line_start = c == '\n';
}

static void stage_byte(char c)
{
    if (c == '\n') {
        stage[stage_used++] = '\r';
    }
    stage_raw(c);
}

static void stage_text(const char *text)
{
    while (*text) {
        stage_byte(*text++);
    }
}

/// Length of the first whole line among a console's unsent output (at most CONSOLE_LINE_MAX), or 0.
static size_t whole_line(const struct console *console, char *line)
{
    uint64_t position = console->out.tail;
    size_t size = pv_ring_peek(&console->out, &position, line, CONSOLE_LINE_MAX);
    for (size_t i = 0; i < size; i++) {
        if (line[i] == '\n') {
            return i + 1;
        }
    }
    return size == CONSOLE_LINE_MAX ? size : 0; // a line longer than that is shown in pieces
}

/// What stands for a byte of somebody without the focus: control characters could erase the prefix, pretend to be the
/// shell, or make the terminal answer, which would be typed into the monitor.
static char harmless(char c)
{
    unsigned char byte = (unsigned char)c;
    bool control = (byte < ' ' && c != '\n' && c != '\t') || (byte >= 0x7f && byte < 0xa0);
    return control ? '.' : c;
}

/// Puts a console's next whole line on the stage, with its prefix, over the prompt if one is there.
static bool stage_line(struct console *c)
{
    char line[CONSOLE_LINE_MAX];
    size_t size = whole_line(c, line);
    if (size == 0) {
        return false;
    }
    c->out.tail += size;
    if (!at_line_start) {
        stage_text("\r\033[K");
        note(home, PV_EVENT_CONSOLE_REDRAW);
    }
    if (c->name) {
        stage_text("[");
        stage_text(c->name);
        stage_text("] ");
    }
    for (size_t i = 0; i < size; i++) {
        if (line[i] != '\r') {
            stage_byte(harmless(line[i]));
        }
    }
    if (!at_line_start) {
        stage_byte('\n');
    }
    return true;
}

/// The next line of somebody without the focus, in turn. While another console than home is attached theirs is not
/// shown, only kept.
static bool stage_background(void)
{
    struct console *first = turn;
    do {
        struct console *c = turn;
        turn = turn->next;
        if (c == focus) {
            continue;
        }
        if (focus != home) {
            c->out.tail = c->out.head;
        } else if (stage_line(c)) {
            return true;
        }
    } while (turn != first);
    return false;
}

/// A byte of the focused console: of what it said before it got the focus, only what asks the terminal nothing.
static void stage_focused(char c, uint64_t position)
{
    char passing[REPLAY_HELD + 1] = {c};
    size_t size = 1;
    if (position < replay_until) {
        size = replay_byte(&replay, c, passing);
    } else if (position == replay_until) {
        size = replay_end(&replay, passing);
        passing[size++] = c;
    }
    for (size_t i = 0; i < size; i++) {
        (focus->raw ? stage_raw : stage_byte)(passing[i]);
    }
}

static bool stage_focus(void)
{
    char chunk[FOCUS_CHUNK];
    size_t size = focus ? pv_ring_read(&focus->out, chunk, sizeof(chunk)) : 0;
    for (size_t i = 0; i < size; i++) {
        stage_focused(chunk[i], focus->out.tail - size + i);
    }
    if (focus && focus->wants_room && pv_ring_room(&focus->out) >= PV_CONSOLE_SIZE / 2) {
        focus->wants_room = false;
        note(focus, PV_EVENT_CONSOLE_ROOM);
    }
    return size != 0;
}

/// Gives the focus to the console to attach, and shows the last of what it had said before. True: there is some.
static bool switch_focus(void)
{
    focus = attach_next;
    attach_next = NULL;
    if (focus != home) {
        uint64_t start = focus->out.head > REPLAY ? focus->out.head - REPLAY : 0;
        focus->out.tail = start < focus->out.tail ? start : focus->out.tail;
        replay = (struct replay){0};
        replay_until = focus->out.head;
    }
    return stage_focus();
}

static bool refill(void)
{
    stage_used = stage_sent = 0;
    if (focus == home && at_line_start && stage_line(&log_console)) { // little, and it explains what follows
        return true;
    }
    if (stage_focus() || (attach_next && switch_focus())) {
        return true;
    }
    return (!home || focus != home || at_line_start || at_prompt) && stage_background();
}

/// Sends what the UART takes now. Under the lock.
static void pump(void)
{
    if (seized) {
        return;
    }
    if (!have_uart) { // nobody sees it; keep it as sent
        while (refill()) {
        }
        return;
    }
    size_t room;
    while ((stage_sent < stage_used || refill()) && (room = uart_transmit_room(UART_COM1)) > 0) {
        while (room-- > 0 && stage_sent < stage_used) {
            uart_put(UART_COM1, stage[stage_sent++]);
        }
    }
}

/// Events found while the lock was held go out after it: signalling may wake an agent, which may log.
static void drop_and_notify(void)
{
    struct note found[2];
    memcpy(found, notes, sizeof(found));
    memset(notes, 0, sizeof(notes));
    lock_drop(&lock);
    for (int i = 0; i < 2 && started; i++) {
        if (found[i].events) {
            personality_signal(found[i].personality, found[i].events);
        }
    }
}

/// Text without carriage returns, on a console that keeps them.
static void write_lines(struct console *console, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\n') {
            pv_ring_write(&console->out, "\r", 1);
        }
        pv_ring_write(&console->out, &text[i], 1);
    }
}

size_t console_write(struct console *console, const char *text, size_t size, uint32_t flags)
{
    lock_take(&lock);
    size_t written = size;
    console->raw |= (flags & PV_CONSOLE_RAW) != 0;
    if (console->raw && !(flags & PV_CONSOLE_RAW)) {
        write_lines(console, text, size);
    } else if (flags & PV_CONSOLE_PARTIAL) {
        written = pv_ring_write_some(&console->out, text, size);
        console->wants_room |= written < size;
    } else {
        pv_ring_write(&console->out, text, size);
    }
    pump();
    drop_and_notify();
    return written;
}

size_t console_read(struct console *console, char *buffer, size_t size)
{
    lock_take(&lock);
    size_t got = pv_ring_read(&console->in, buffer, size);
    lock_drop(&lock);
    return got;
}

size_t console_peek(struct console *console, uint64_t *position, char *buffer, size_t size)
{
    lock_take(&lock);
    size_t got = pv_ring_peek(&console->out, position, buffer, size);
    lock_drop(&lock);
    return got;
}

void console_attach(struct console *console)
{
    lock_take(&lock);
    attach_next = console;
    pump();
    drop_and_notify();
}

void console_set_at_prompt(struct console *console, bool waiting)
{
    if (console != home || at_prompt == waiting) {
        return;
    }
    lock_take(&lock);
    at_prompt = waiting;
    if (waiting) {
        pump();
    }
    drop_and_notify();
}

static void receive(void)
{
    for (int c; (c = uart_get(UART_COM1)) >= 0;) {
        if (!focus || seized) {
            continue;
        }
        if (c == KEY_DETACH && focus != home) {
            focus = home;
            replay_until = 0;
            stage_byte('\n');
            note(home, PV_EVENT_CONSOLE_REDRAW);
            continue;
        }
        char byte = (char)c;
        pv_ring_write(&focus->in, &byte, 1);
        note(focus, PV_EVENT_CONSOLE_INPUT);
    }
}

void console_poll(void)
{
    lock_take(&lock);
    receive();
    pump();
    drop_and_notify();
}

void console_start(bool interrupts)
{
    started = true;
    interrupts_on = interrupts;
    if (interrupts) {
        uart_enable_interrupts(UART_COM1);
    }
}

bool console_needs_poll(void)
{
    return have_uart && !interrupts_on;
}

void console_seize(void)
{
    seized = true;
}

void console_drain(void)
{
    for (int i = 0; i < DRAIN_ROUNDS && (stage_sent < stage_used || refill()); i++) {
        pump();
    }
    uart_flush(UART_COM1);
}

void log_line(const char *format, ...)
{
    char line[CONSOLE_LINE_MAX];
    uint64_t us = cpu_scale(cpu_rdtsc() - machine_tsc_entry(), 1000000, tsc_hz());
    size_t used = pv_snprintf(line, sizeof(line), "[%5lu.%06lu] ", us / 1000000, us % 1000000);
    va_list args;
    va_start(args, format);
    used += pv_vsnprintf(line + used, sizeof(line) - 1 - used, format, args);
    va_end(args);
    used = used < sizeof(line) - 2 ? used : sizeof(line) - 2;
    line[used++] = '\n';
    console_write(&log_console, line, used, 0);
}
