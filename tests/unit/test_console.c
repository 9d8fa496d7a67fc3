// SPDX-License-Identifier: Apache-2.0
// One serial line for all: what is shown when, whose input is whose, and what a slow line loses.
// links: vmm/console.c vmm/replay.c vmm/lib/format.c vmm/lib/ring.c vmm/lib/string.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/tsc.h"
#include "arch/x86/uart.h"
#include "vmm/console.h"
#include "vmm/log.h"
#include "vmm/machine.h"
#include "vmm/personality.h"

struct machine machine;

enum { FIFO = 16, REPLAYED = 2048, DETACH = 0x1d, ALL = 1 << 20 };

/* ---- the line, and who hears of events ---- */

static char sent[1 << 17];
static size_t sent_size;
static size_t room = ALL; ///< bytes that the line still takes
static const char *typed = "";
static struct personality owners[3];
static uint32_t signals[3];

bool uart_init(enum uart_line line)
{
    assert_int_equal(line, UART_COM1);
    return true;
}

void uart_enable_interrupts(enum uart_line line)
{
    (void)line;
}

size_t uart_transmit_room(enum uart_line line)
{
    (void)line;
    return room < FIFO ? room : FIFO;
}

void uart_put(enum uart_line line, char c)
{
    (void)line;
    assert_true(room > 0 && sent_size < sizeof(sent) - 1);
    room--;
    sent[sent_size++] = c;
    sent[sent_size] = '\0';
}

int uart_get(enum uart_line line)
{
    (void)line;
    return *typed ? (unsigned char)*typed++ : -1;
}

void uart_flush(enum uart_line line)
{
    (void)line;
}

uint64_t tsc_hz(void)
{
    return 1000000000;
}

void personality_signal(struct personality *p, uint32_t events)
{
    signals[p - owners] |= events;
}

/* ---- three consoles ---- */

static struct console home, a, b;
static char buffers[3][PV_CONSOLE_SIZE];

static void say(struct console *console, const char *text)
{
    assert_int_equal(console_write(console, text, strlen(text), 0), strlen(text));
}

static void type(const char *keys)
{
    typed = keys;
    console_poll();
    assert_string_equal(typed, "");
}

/// What was sent since the last look.
static void assert_shown(const char *text)
{
    assert_string_equal(sent, text);
    sent_size = 0;
    sent[0] = '\0';
}

static uint32_t signals_of(int owner)
{
    uint32_t events = signals[owner];
    signals[owner] = 0;
    return events;
}

/// Takes all input that a console has, and compares it.
static void assert_input(struct console *console, const char *text)
{
    char got[CONSOLE_INPUT_SIZE + 1];
    size_t size = console_read(console, got, sizeof(got) - 1);
    got[size] = '\0';
    assert_string_equal(got, text);
}

/// Nobody has the focus yet; the log is shown all the same.
static int start(void **state)
{
    (void)state;
    console_init();
    log_line("first");
    assert_non_null(strstr(sent, "] first\r\n"));
    console_add(&home, &owners[0], "home", buffers[0]);
    console_add(&a, &owners[1], "a", buffers[1]);
    console_add(&b, &owners[2], "b", buffers[2]);
    console_set_home(&home);
    console_start(true);
    assert_false(console_needs_poll());
    return 0;
}

/// Home has the focus at the start of a line, with nothing left of what others said.
static int rest(void **state)
{
    (void)state;
    room = ALL;
    type("\x1d");
    say(&home, "\n");
    char rests[CONSOLE_INPUT_SIZE];
    console_read(&home, rests, sizeof(rests));
    console_read(&a, rests, sizeof(rests));
    sent_size = 0;
    sent[0] = '\0';
    memset(signals, 0, sizeof(signals));
    return 0;
}

/* ---- home has the focus ---- */

static void home_is_sent_as_it_is(void **state)
{
    (void)state;
    say(&home, "\033[1mx\n> ");
    assert_shown("\033[1mx\r\n> ");
}

static void others_are_shown_by_whole_lines(void **state)
{
    (void)state;
    say(&a, "half");
    assert_shown("");
    say(&b, "whole\n");
    assert_shown("[b] whole\r\n");
    say(&a, " and half\nnext");
    assert_shown("[a] half and half\r\n");
    say(&a, "\n");
    assert_shown("[a] next\r\n");
}

static void others_wait_for_the_end_of_homes_line(void **state)
{
    (void)state;
    say(&home, "a line that goes ");
    say(&a, "x\n");
    log_line("logged");
    assert_shown("a line that goes ");
    say(&home, "on\n");
    assert_non_null(strstr(sent, "on\r\n["));
    assert_non_null(strstr(sent, "logged\r\n[a] x\r\n")); // the log first
}

static void others_push_the_prompt_aside(void **state)
{
    (void)state;
    say(&home, "> ");
    console_set_at_prompt(&a, true); // not its business
    say(&a, "1\n");
    assert_shown("> ");
    console_set_at_prompt(&home, true);
    assert_shown("\r\033[K[a] 1\r\n");
    assert_int_equal(signals_of(0), PV_EVENT_CONSOLE_REDRAW);
    say(&b, "2\n"); // the prompt is gone already
    assert_shown("[b] 2\r\n");
    assert_int_equal(signals_of(0), 0);
    console_set_at_prompt(&home, false);
    say(&home, "> ");
    say(&b, "3\n");
    assert_shown("> ");
}

static void control_characters_of_others_do_nothing(void **state)
{
    (void)state;
    say(&a, "\033[2J\b\x7f\x80\x9f\x1d\ttab\xa0\xff\rend\r\n");
    assert_shown("[a] .[2J.....\ttab\xa0\xff"
                 "end\r\n");
}

static void long_lines_come_in_pieces(void **state)
{
    (void)state;
    char line[CONSOLE_LINE_MAX + 11], expected[sizeof(line) + 32];
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 2] = '\n';
    line[sizeof(line) - 1] = '\0';
    say(&a, line);
    snprintf(expected, sizeof(expected), "[a] %.*s\r\n[a] %.*s\r\n", CONSOLE_LINE_MAX, line,
             (int)sizeof(line) - 2 - CONSOLE_LINE_MAX, line);
    assert_shown(expected);
}

static void others_take_turns(void **state)
{
    (void)state;
    room = 0;
    say(&a, "1\n2\n3\n");
    say(&b, "1\n2\n3\n");
    room = ALL;
    console_poll();
    const char *last = sent;
    for (int i = 0; i < 3; i++) {
        char one[] = "[a] 0\r\n", other[] = "[b] 0\r\n";
        one[4] = other[4] = (char)('1' + i);
        const char *first = strstr(sent, one), *second = strstr(sent, other);
        assert_true(first && second && first >= last && second >= last);
        last = (first > second ? first : second) + 1;
    }
    assert_shown(sent[1] == 'a' ? "[a] 1\r\n[b] 1\r\n[a] 2\r\n[b] 2\r\n[a] 3\r\n[b] 3\r\n"
                                : "[b] 1\r\n[a] 1\r\n[b] 2\r\n[a] 2\r\n[b] 3\r\n[a] 3\r\n");
}

/* ---- attached ---- */

static void attaching_replays_and_hides_others(void **state)
{
    (void)state;
    say(&a, "before\n");
    assert_shown("[a] before\r\n");
    say(&a, "login: ");
    assert_shown("");
    console_attach(&a);
    assert_non_null(strstr(sent, "before\r\nlogin: "));
    sent_size = 0;
    say(&a, "\033[1m");
    assert_shown("\033[1m"); // as it is
    say(&home, "home\n");
    say(&b, "hidden\n");
    log_line("hidden, too");
    assert_shown("");
    type("ab\x1d"
         "c");
    assert_input(&a, "ab");
    assert_input(&home, "c");
    assert_int_equal(signals_of(1), PV_EVENT_CONSOLE_INPUT);
    assert_int_equal(signals_of(0), PV_EVENT_CONSOLE_INPUT | PV_EVENT_CONSOLE_REDRAW);
    assert_shown("\r\n"); // home draws its line anew
    say(&b, "shown\n");
    assert_shown("[b] shown\r\n");
}

static void replay_is_bounded(void **state)
{
    (void)state;
    char text[REPLAYED + 101], *end = text;
    for (int i = 0; end + 20 < text + sizeof(text); i++) {
        end += sprintf(end, "%08d\n", i);
    }
    say(&a, text);
    sent_size = 0;
    console_attach(&a);
    char expected[REPLAYED * 2], *to = expected;
    for (const char *from = end - REPLAYED; from < end; from++) {
        if (*from == '\n') {
            *to++ = '\r';
        }
        *to++ = *from;
    }
    *to = '\0';
    assert_shown(expected);
}

/// A question of long ago is not asked again: the terminal's answer would be typed into the guest. One that is asked now is.
static void old_questions_are_not_asked_again(void **state)
{
    (void)state;
    say(&a, "\033[1mold\033[0m \033[6n\033[c$ \033[2");
    console_attach(&a);
    assert_non_null(strstr(sent, "\033[1mold\033[0m $ "));
    assert_null(strstr(sent, "[6n"));
    assert_null(strstr(sent, "\033[2"));
    sent_size = 0;
    say(&a, "Jnew \033[6n\033[c");
    assert_shown("\033[2Jnew \033[6n\033[c"); // the one that was begun before, too
    type("\x1d");
    sent_size = 0;
    say(&home, "\033[6n");
    assert_shown("\033[6n");
    room = 0; // while the old is shown again, the focus goes back
    console_attach(&a);
    room = 5;
    type("\x1d");
    room = ALL;
    sent_size = 0;
    say(&home, "\033[5n\n");
    assert_non_null(strstr(sent, "\033[5n"));
}

/// What home said before it asked for another console is shown first, however slow the line is.
static void attaching_waits_for_homes_output(void **state)
{
    (void)state;
    say(&a, "a's\n");
    sent_size = 0;
    room = 3;
    say(&home, "attached to a\n");
    console_attach(&a);
    type("x");
    assert_input(&home, "x");
    assert_shown("att");
    room = ALL;
    console_poll();
    assert_memory_equal(sent, "ached to a\r\n", 12);
    assert_non_null(strstr(sent, "a's\r\n"));
    type("y");
    assert_input(&a, "y");
}

static void the_detach_key_is_a_byte_for_home(void **state)
{
    (void)state;
    type("1\x1d"
         "2");
    assert_input(&home, "1\x1d"
                        "2");
    assert_shown("");
}

/* ---- too much ---- */

static void the_newest_input_is_kept(void **state)
{
    (void)state;
    static char keys[CONSOLE_INPUT_SIZE + 101];
    for (size_t i = 0; i < sizeof(keys) - 1; i++) {
        keys[i] = (char)('a' + i % 26);
    }
    type(keys);
    assert_input(&home, keys + 100);
}

static void a_slow_line_loses_the_oldest(void **state)
{
    (void)state;
    static char text[PV_CONSOLE_SIZE + 10];
    room = 0;
    uint64_t dropped = home.out.dropped;
    memset(text, '-', 9);
    memset(text + 9, 'x', PV_CONSOLE_SIZE);
    say(&home, text);
    assert_int_equal(home.out.dropped - dropped, 9);
    room = ALL;
    console_poll();
    assert_shown(text + 9);
}

static void partial_writers_hear_of_room(void **state)
{
    (void)state;
    static char text[PV_CONSOLE_SIZE];
    room = 0;
    memset(text, 'x', sizeof(text));
    size_t first = console_write(&home, text, sizeof(text), PV_CONSOLE_PARTIAL);
    size_t second = console_write(&home, text, sizeof(text), PV_CONSOLE_PARTIAL); // a chunk is on the stage
    assert_int_equal(first, sizeof(text));
    assert_in_range(second, 0, 200);
    assert_int_equal(console_write(&home, text, 1, PV_CONSOLE_PARTIAL), 0);
    room = PV_CONSOLE_SIZE / 4;
    console_poll();
    assert_int_equal(signals_of(0), 0);
    room = PV_CONSOLE_SIZE / 2;
    console_poll();
    assert_int_equal(signals_of(0), PV_EVENT_CONSOLE_ROOM);
    assert_true(console_write(&home, text, PV_CONSOLE_SIZE / 2, PV_CONSOLE_PARTIAL) == PV_CONSOLE_SIZE / 2);
    room = ALL;
    console_poll();
    assert_int_equal(sent_size, first + second + PV_CONSOLE_SIZE / 2);
    assert_int_equal(signals_of(0), 0); // the last write was not cut
}

/// A byte at a time or at once: the same bytes arrive.
static void slowness_changes_nothing(void **state)
{
    (void)state;
    static char fast[4096];
    const char *lines[] = {"one\n", "two\nthree\n", "a longer line, of more than the FIFO holds\n"};
    for (int slow = 0; slow < 2; slow++) {
        room = 0;
        for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
            say(&home, lines[i]);
            say(&a, lines[i]);
        }
        for (int i = 0; slow && i < 1000; i++) {
            room = 1;
            console_poll();
        }
        room = ALL;
        console_poll();
        if (slow) {
            assert_shown(fast);
        } else {
            memcpy(fast, sent, sent_size + 1);
            assert_shown(fast);
        }
    }
}

static void kept_output_can_be_read_from_any_position(void **state)
{
    (void)state;
    char got[8];
    uint64_t end = a.out.head, position = end;
    say(&a, "12345\n");
    assert_int_equal(console_peek(&a, &position, got, 3), 3);
    assert_memory_equal(got, "123", 3);
    assert_int_equal(position, end);
    static char much[PV_CONSOLE_SIZE];
    memset(much, 'y', sizeof(much) - 1);
    say(&a, much);
    position = end;
    assert_int_equal(console_peek(&a, &position, got, sizeof(got)), sizeof(got));
    assert_int_equal(position, a.out.head - PV_CONSOLE_SIZE); // moved up
    assert_int_equal(got[0], '\n');
}

/// The last: there is no way back from a panic.
static void a_panic_has_the_line_for_itself(void **state)
{
    (void)state;
    console_seize();
    say(&home, "x\n");
    type("");
    assert_shown("");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, rest)
    const struct CMUnitTest tests[] = {
        TEST(home_is_sent_as_it_is),
        TEST(others_are_shown_by_whole_lines),
        TEST(others_wait_for_the_end_of_homes_line),
        TEST(others_push_the_prompt_aside),
        TEST(control_characters_of_others_do_nothing),
        TEST(long_lines_come_in_pieces),
        TEST(others_take_turns),
        TEST(attaching_replays_and_hides_others),
        TEST(replay_is_bounded),
        TEST(old_questions_are_not_asked_again),
        TEST(attaching_waits_for_homes_output),
        TEST(the_detach_key_is_a_byte_for_home),
        TEST(the_newest_input_is_kept),
        TEST(a_slow_line_loses_the_oldest),
        TEST(partial_writers_hear_of_room),
        TEST(slowness_changes_nothing),
        TEST(kept_output_can_be_read_from_any_position),
        TEST(a_panic_has_the_line_for_itself),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
