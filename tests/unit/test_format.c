// SPDX-License-Identifier: Apache-2.0
// Formatted printing, compared with the C library's snprintf over many random conversions.
// links: vmm/lib/format.c vmm/lib/string.c
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <polyvisor/format.h>

// The formats are made at run time, which is what these warnings are against.
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
#pragma GCC diagnostic ignored "-Wformat"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wformat-truncation"
#endif

enum { ROUNDS = 200000, SIZE = 256 };

static size_t any(size_t limit)
{
    return (size_t)rand() % limit;
}

static uint64_t any_number(void)
{
    static const uint64_t special[] = {
        0,         1,      9,          10,         0x7f,       0x80,      0xff,
        0x7fff,    0x8000, 0x7fffffff, 0x80000000, UINT32_MAX, INT64_MAX, (uint64_t)INT64_MIN,
        UINT64_MAX};
    if (any(3) == 0)
        return special[any(sizeof(special) / sizeof(special[0]))];
    const uint64_t bits = (uint64_t)rand() << 42 ^ (uint64_t)rand() << 21 ^ (uint64_t)rand();
    return bits >> any(64);
}

/// Appends random flags, width and precision; the numbers for '*' go to stars, which always has two for the caller to pass.
static size_t random_spec(char *format, int stars[2])
{
    size_t count = 0;
    char *at = format;
    *at++ = '%';
    for (size_t flags = any(4); flags > 0; flags--)
        *at++ = "-0+ #"[any(5)];
    if (any(3) == 0) {
        *at++ = '*';
        stars[count++] = (int)any(60) - 30;
    } else if (any(2) == 0) {
        at += sprintf(at, "%zu", 1 + any(40));
    }
    if (any(3) == 0) {
        *at++ = '.';
        if (any(3) == 0) {
            *at++ = '*';
            stars[count++] = (int)any(40) - 10;
        } else if (any(3) != 0) {
            at += sprintf(at, "%zu", any(30));
        }
    }
    *at = '\0';
    return count;
}

/// Formats with both and compares text and length. Passes stars and then the value in the type that the length asks for.
#define COMPARE(format, stars, count, value)                                                                           \
    do {                                                                                                               \
        char own[SIZE], libc[SIZE];                                                                                    \
        size_t own_length;                                                                                             \
        int libc_length;                                                                                               \
        if ((count) == 0) {                                                                                            \
            own_length = pv_snprintf(own, SIZE, format, value);                                                        \
            libc_length = snprintf(libc, SIZE, format, value);                                                         \
        } else if ((count) == 1) {                                                                                     \
            own_length = pv_snprintf(own, SIZE, format, (stars)[0], value);                                            \
            libc_length = snprintf(libc, SIZE, format, (stars)[0], value);                                             \
        } else {                                                                                                       \
            own_length = pv_snprintf(own, SIZE, format, (stars)[0], (stars)[1], value);                                \
            libc_length = snprintf(libc, SIZE, format, (stars)[0], (stars)[1], value);                                 \
        }                                                                                                              \
        if (own_length != (size_t)libc_length || strcmp(own, libc) != 0)                                               \
            fail_msg("%s: own '%s' (%zu), libc '%s' (%d)", format, own, own_length, libc, libc_length);                \
    } while (0)

static void numbers_like_libc(void **state)
{
    (void)state;
    static const char *const lengths[] = {"hh", "h", "", "l", "ll", "z", "j", "t"};
    for (int round = 0; round < ROUNDS; round++) {
        char format[40];
        int stars[2];
        const size_t count = random_spec(format, stars);
        const size_t length = any(8);
        strcat(format, lengths[length]);
        strncat(format, &"diuxX"[any(5)], 1);
        const uint64_t value = any_number();
        if (length <= 2)
            COMPARE(format, stars, count, (int)value);
        else
            COMPARE(format, stars, count, value);
    }
}

static void strings_like_libc(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "a", "polyvisor", "a string of more than a few characters"};
    for (int round = 0; round < ROUNDS / 4; round++) {
        char format[40];
        int stars[2];
        const size_t count = random_spec(format, stars);
        strcat(format, "s");
        const char *text = texts[any(4)];
        COMPARE(format, stars, count, text);
    }
}

static void characters_like_libc(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS / 10; round++) {
        char format[40];
        int stars[2];
        const size_t count = random_spec(format, stars);
        strcat(format, "c");
        const int c = 'a' + (int)any(26);
        COMPARE(format, stars, count, c);
    }
}

static void check(const char *expected, const char *format, ...)
{
    char text[SIZE];
    va_list args;
    va_start(args, format);
    const size_t length = pv_vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    assert_string_equal(text, expected);
    assert_int_equal(length, strlen(expected));
}

static void what_c_leaves_open(void **state)
{
    (void)state;
    check("(null)", "%s", (char *)NULL);
    check("(nu", "%.3s", (char *)NULL);
    check("0x0", "%p", (void *)NULL);
    check("  0xbeef", "%8p", (void *)0xbeef);
    check("100%", "%d%%", 100);
    check("a %y b", "a %y b");
    check("%-5.3lf", "%-5.3lf");
    check("ends in %", "ends in %");
    check("ends in %5l", "ends in %5l");
}

static void reads_no_further_than_the_precision(void **state)
{
    (void)state;
    char *text = malloc(4); // the sanitizer would notice a read beyond it
    memcpy(text, "abcd", 4);
    check("abcd|", "%.4s|", text);
    check("ab|", "%.*s|", 2, text);
    free(text);
}

static void cuts_at_the_buffer(void **state)
{
    (void)state;
    char text[8] = "???????";
    assert_int_equal(pv_snprintf(text, 4, "%d", 123456), 6);
    assert_string_equal(text, "123");
    assert_int_equal(text[4], '?');
    assert_int_equal(pv_snprintf(text, 1, "xyz"), 3);
    assert_string_equal(text, "");
    text[0] = 'k';
    assert_int_equal(pv_snprintf(text, 0, "xyz"), 3);
    assert_int_equal(text[0], 'k');
    assert_int_equal(pv_snprintf(NULL, 0, "%s", "xyz"), 3);
}

static size_t length_of(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const size_t length = pv_vsnprintf(NULL, 0, format, args);
    va_end(args);
    return length;
}

static void bounds_a_wild_width(void **state)
{
    (void)state;
    // Wrong, but finite: the counting alone must not take for ever.
    enum { ENOUGH = 20000000 };
    assert_true(length_of("%*d", INT_MAX, 1) < ENOUGH);
    assert_true(length_of("%*d", INT_MIN, 1) < ENOUGH);
    assert_true(length_of("%99999999999999999999d", 1) < ENOUGH);
    assert_true(length_of("%.99999999999999999999d", 1) < ENOUGH);
    assert_true(length_of("%.*d", INT_MAX, 1) < ENOUGH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_like_libc),
        cmocka_unit_test(strings_like_libc),
        cmocka_unit_test(characters_like_libc),
        cmocka_unit_test(what_c_leaves_open),
        cmocka_unit_test(reads_no_further_than_the_precision),
        cmocka_unit_test(cuts_at_the_buffer),
        cmocka_unit_test(bounds_a_wild_width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
