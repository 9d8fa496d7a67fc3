// SPDX-License-Identifier: Apache-2.0
// The line editor: scripted keys, and what text, cursor and terminal look like after them. A small terminal that understands
// what the editor sends shows whether the picture agrees with the text.
// links: vmm/personalities/monitor/line.c vmm/personalities/monitor/line_keys.c vmm/lib/format.c vmm/lib/string.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "random.h"
#include "vmm/personalities/monitor/line.h"

enum { COLUMNS = 40, ROW_SIZE = 1024 };

#define PROMPT "> "
#define UP "\x1b[A"
#define DOWN "\x1b[B"
#define RIGHT "\x1b[C"
#define LEFT "\x1b[D"
#define HOME "\x1b[H"
#define END "\x1b[F"
#define DELETE "\x1b[3~"
#define CTRL_A "\x01"
#define CTRL_B "\x02"
#define CTRL_C "\x03"
#define CTRL_D "\x04"
#define CTRL_E "\x05"
#define CTRL_F "\x06"
#define CTRL_K "\x0b"
#define CTRL_L "\x0c"
#define CTRL_N "\x0e"
#define CTRL_P "\x10"
#define CTRL_U "\x15"
#define CTRL_W "\x17"
#define RUBOUT "\x7f"

/// The row of the terminal that the cursor is in. Rows above are forgotten.
static struct {
    char row[ROW_SIZE];
    size_t column;
    unsigned bells, breaks;
    bool cleared;
    char escape[16];
    size_t escape_size;
} screen;

static struct line_editor line;

static void screen_escape(void)
{
    unsigned count = 1;
    const char last = screen.escape[screen.escape_size - 1];
    sscanf(screen.escape, "[%u", &count);
    if (last == 'K') {
        memset(screen.row + screen.column, ' ', ROW_SIZE - screen.column);
    } else if (last == 'C') {
        screen.column += count;
    } else if (last == 'D') {
        assert_true(screen.column >= count);
        screen.column -= count;
    } else if (last == 'H') {
        screen.column = 0;
    } else if (last == 'J') {
        screen.cleared = true;
        memset(screen.row, ' ', ROW_SIZE);
    } else {
        fail_msg("escape sequence '%s'", screen.escape);
    }
}

static void screen_char(char c)
{
    if (screen.escape_size > 0) {
        if (screen.escape[0] == '\x1b') // replaced by the sequence's first character
            screen.escape_size = 0;
        screen.escape[screen.escape_size++] = c;
        screen.escape[screen.escape_size] = '\0';
        assert_true(screen.escape_size < sizeof(screen.escape) - 1);
        if (c != '[' && (c < '0' || c > '9')) {
            screen_escape();
            screen.escape_size = 0;
        }
    } else if (c == '\x1b') {
        screen.escape[screen.escape_size++] = c;
    } else if (c == '\r') {
        screen.column = 0;
    } else if (c == '\n') {
        screen.column = 0;
        screen.breaks++;
        memset(screen.row, ' ', ROW_SIZE);
    } else if (c == '\a') {
        screen.bells++;
    } else {
        assert_true(c >= ' ' && c <= '~');
        assert_true(screen.column < ROW_SIZE);
        screen.row[screen.column++] = c;
    }
}

static void screen_sink(void *context, const char *text, size_t size)
{
    (void)context;
    for (size_t i = 0; i < size; i++)
        screen_char(text[i]);
}

static const char *const words[] = {"config", "console", "cores", "cpu", "help"};

/// Command names for the first word; for others "first" and "second".
static const char *complete(void *context, const char *before, size_t size, size_t index)
{
    static const char *const others[] = {"first", "second"};
    (void)context;
    for (size_t i = 0; i < size; i++)
        if (before[i] != ' ')
            return index < 2 ? others[index] : NULL;
    return index < sizeof(words) / sizeof(words[0]) ? words[index] : NULL;
}

static int set_up(void **state)
{
    (void)state;
    memset(&screen, 0, sizeof(screen));
    memset(screen.row, ' ', ROW_SIZE);
    line_init(&line, PROMPT, COLUMNS, screen_sink, complete, NULL);
    line_begin(&line);
    return 0;
}

static enum line_result type(const char *keys)
{
    enum line_result result = LINE_EDITING;
    for (; *keys != '\0'; keys++)
        result = line_feed(&line, (unsigned char)*keys);
    return result;
}

/// The row must show the prompt and as much of the text as fits, with the cursor where it belongs.
static void check_screen(void)
{
    const size_t prompt = strlen(PROMPT);
    assert_memory_equal(screen.row, PROMPT, prompt);
    assert_int_equal(screen.column, prompt + line.cursor - line.scroll);
    assert_true(screen.column < COLUMNS);
    size_t shown = 0;
    for (; prompt + shown < COLUMNS - 1 && line.scroll + shown < line.length; shown++)
        assert_int_equal(screen.row[prompt + shown], line.text[line.scroll + shown]);
    for (size_t i = prompt + shown; i < ROW_SIZE; i++)
        assert_int_equal(screen.row[i], ' ');
}

/// Types keys; expects text and cursor, and the picture of them.
static void expect(const char *keys, const char *text, size_t cursor)
{
    assert_int_equal(type(keys), LINE_EDITING);
    assert_string_equal(line.text, text);
    assert_int_equal(line.length, strlen(text));
    assert_int_equal(line.cursor, cursor);
    check_screen();
}

/// Types keys that end with Enter; expects the line.
static void expect_line(const char *keys, const char *text)
{
    assert_int_equal(type(keys), LINE_READY);
    assert_string_equal(line.text, text);
    line_begin(&line);
    check_screen();
}

static void types_and_enters(void **state)
{
    (void)state;
    expect("abc", "abc", 3);
    expect_line("\r", "abc");
    expect_line("x\n", "x");
    expect_line("\r", "");
}

static void takes_cr_lf_as_one_enter(void **state)
{
    (void)state;
    expect_line("one\r", "one");
    expect("\n", "", 0);
    expect_line("two\n", "two");
    expect_line("\n", "");
    expect_line("\r", "");
    expect_line("\r", "");
}

static void moves_and_inserts(void **state)
{
    (void)state;
    expect("ac" LEFT "b", "abc", 2);
    expect(HOME "_", "_abc", 1);
    expect(END "!", "_abc!", 5);
    expect(CTRL_A RIGHT RIGHT "-", "_a-bc!", 3);
    expect(CTRL_E CTRL_B CTRL_B CTRL_F "+", "_a-bc+!", 6);
    expect("\x1b[1~<\x1b[4~>", "<_a-bc+!>", 9);
    expect("\x1bOH(\x1bOF)", "(<_a-bc+!>)", 11);
    expect(HOME LEFT LEFT, "(<_a-bc+!>)", 0);
    expect(END RIGHT RIGHT, "(<_a-bc+!>)", 11);
}

static void moves_by_words(void **state)
{
    (void)state;
    expect("one two  three", "one two  three", 14);
    expect("\x1b[1;5D", "one two  three", 9);
    expect("\x1b"
           "b",
           "one two  three", 4);
    expect("\x1b[1;5C", "one two  three", 7);
    expect("\x1b"
           "f",
           "one two  three", 14);
}

static void deletes(void **state)
{
    (void)state;
    expect("abcd" RUBOUT, "abc", 3);
    expect("\b", "ab", 2);
    expect("cd" LEFT LEFT DELETE, "abd", 2);
    expect(CTRL_D, "ab", 2);
    expect(CTRL_D DELETE, "ab", 2);
    expect(HOME RUBOUT, "ab", 0);
    expect(DELETE DELETE DELETE, "", 0);
}

static void cuts(void **state)
{
    (void)state;
    expect("one two three" LEFT LEFT CTRL_K, "one two thr", 11);
    expect(CTRL_W, "one two ", 8);
    expect(CTRL_W, "one ", 4);
    expect("two three" LEFT LEFT LEFT CTRL_U, "ree", 0);
    expect(CTRL_U CTRL_W, "ree", 0);
    expect(END CTRL_K, "ree", 3);
}

static void keeps_history(void **state)
{
    (void)state;
    expect_line("one\r", "one");
    expect_line("two\r", "two");
    expect_line("two\r", "two"); // not remembered twice
    expect_line("\r", "");       // not remembered
    expect("draft" UP, "two", 3);
    expect(UP, "one", 3);
    assert_int_equal(screen.bells, 0);
    expect(UP, "one", 3);
    assert_int_equal(screen.bells, 1);
    expect("s" DOWN, "two", 3);
    expect(CTRL_P, "one", 3); // editing did not change what is remembered
    expect(CTRL_N CTRL_N, "draft", 5);
    expect(DOWN, "draft", 5);
    expect_line(UP UP "!\r", "one!");
    expect(UP, "one!", 4);
}

static void forgets_the_oldest(void **state)
{
    (void)state;
    char text[32];
    for (int i = 0; i < LINE_HISTORY + 10; i++) {
        snprintf(text, sizeof(text), "line %d\r", i);
        type(text);
        line_begin(&line);
    }
    for (int i = 0; i < LINE_HISTORY + 5; i++)
        type(UP);
    assert_string_equal(line.text, "line 10");
    assert_int_equal(screen.bells, 5);
}

static void completes(void **state)
{
    (void)state;
    expect("h\t", "help ", 5);
    expect("f\t", "help first ", 11);
    expect(CTRL_U "con\t", "con", 3); // config and console
    assert_int_equal(screen.bells, 1);
    assert_int_equal(screen.breaks, 0);
    expect("\t", "con", 3); // again: lists them
    assert_int_equal(screen.breaks, 2);
    expect("s\t", "console ", 8);
    expect(CTRL_U "c\t", "c", 1);
    expect("x\t", "cx", 2); // nothing begins like that
    expect(CTRL_U "co\t", "co", 2);
    expect("n\t", "con", 3);
    expect(CTRL_U "elp" HOME "h\t", "help elp", 5); // in front of other text
}

static void completes_a_common_beginning(void **state)
{
    (void)state;
    expect("zz con" HOME CTRL_K, "", 0);
    expect("co\t\t", "co", 2);
    expect(CTRL_U "cor\t", "cores ", 6);
}

static void scrolls_long_lines(void **state)
{
    (void)state;
    char text[LINE_SIZE] = "";
    for (int i = 0; i < 100; i++) {
        const char key[2] = {(char)('a' + i % 26), '\0'};
        strcat(text, key);
        expect(key, text, (size_t)i + 1);
    }
    expect(HOME, text, 0);
    for (size_t i = 1; i <= 100; i++)
        expect(RIGHT, text, i);
    for (size_t i = 99; i > 50; i--)
        expect(LEFT, text, i);
    text[51] = '\0';
    expect(CTRL_K, text, 51);
    text[30] = '\0';
    for (int i = 0; i < 21; i++)
        type(RUBOUT);
    expect("", text, 30);
}

static void refuses_what_does_not_fit(void **state)
{
    (void)state;
    for (int i = 0; i < LINE_SIZE + 10; i++)
        type("x");
    assert_int_equal(line.length, LINE_SIZE - 1);
    assert_int_equal(screen.bells, 11);
    check_screen();
}

static void drops_and_ends(void **state)
{
    (void)state;
    assert_int_equal(type("abc" CTRL_C), LINE_DROPPED);
    line_begin(&line);
    expect("", "", 0);
    assert_int_equal(type(CTRL_D), LINE_END);
    line_begin(&line);
    expect("a" CTRL_D, "a", 1);
}

static void clears_the_screen(void **state)
{
    (void)state;
    expect("abc" LEFT CTRL_L, "abc", 2);
    assert_true(screen.cleared);
}

static void ignores_unknown_keys(void **state)
{
    (void)state;
    expect("a\x1b[15~b\x1b[24;2~c\x1b[Z\x1bOPd\x1bx", "abcd", 4);
    expect("\xc3\xa4\x1d\x1e", "abcd", 4);
    expect("\x1b\x1b[D", "abcd", 3);
    expect_line("\x1b[\r", "abcd");
    expect_line("x\x1b\r", "x");
}

static void survives_anything(void **state)
{
    (void)state;
    static const char *const keys[] = {"a",    "bc ",       " ",    UP,     DOWN,   LEFT,   RIGHT,  HOME,
                                       END,    DELETE,      CTRL_K, CTRL_U, CTRL_W, CTRL_L, CTRL_D, "\t",
                                       RUBOUT, "\x1b[1;5D", "\r",   "\x1b", "[",    CTRL_C, "help", "co",
                                       "\n",   "\x1b[",     "7",    ";",    "~",    "O"};
    uint64_t seed = 1;
    for (int i = 0; i < 200000; i++) {
        const char *key = keys[random_below(&seed, sizeof(keys) / sizeof(keys[0]))];
        for (; *key != '\0'; key++)
            if (line_feed(&line, (unsigned char)*key) != LINE_EDITING)
                line_begin(&line);
        assert_int_equal(line.length, strlen(line.text));
        assert_true(line.cursor <= line.length);
        check_screen();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(types_and_enters, set_up),
        cmocka_unit_test_setup(takes_cr_lf_as_one_enter, set_up),
        cmocka_unit_test_setup(moves_and_inserts, set_up),
        cmocka_unit_test_setup(moves_by_words, set_up),
        cmocka_unit_test_setup(deletes, set_up),
        cmocka_unit_test_setup(cuts, set_up),
        cmocka_unit_test_setup(keeps_history, set_up),
        cmocka_unit_test_setup(forgets_the_oldest, set_up),
        cmocka_unit_test_setup(completes, set_up),
        cmocka_unit_test_setup(completes_a_common_beginning, set_up),
        cmocka_unit_test_setup(scrolls_long_lines, set_up),
        cmocka_unit_test_setup(refuses_what_does_not_fit, set_up),
        cmocka_unit_test_setup(drops_and_ends, set_up),
        cmocka_unit_test_setup(clears_the_screen, set_up),
        cmocka_unit_test_setup(ignores_unknown_keys, set_up),
        cmocka_unit_test_setup(survives_anything, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
