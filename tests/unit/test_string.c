// SPDX-License-Identifier: Apache-2.0
// The freestanding string functions, compared with the C library's.
// links:
#define _GNU_SOURCE // strnlen
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// Compiled here as for the multiplexer, under names that leave the C library's alone.
#undef POLYVISOR_HOST
#define memcpy own_memcpy
#define memmove own_memmove
#define memset own_memset
#define memcmp own_memcmp
#define strlen own_strlen
#define strcmp own_strcmp
#define strncmp own_strncmp
#include "../../vmm/lib/string.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef strlen
#undef strcmp
#undef strncmp

enum { AREA = 300, ROUNDS = 20000 };

static size_t any(size_t limit)
{
    return (size_t)rand() % limit;
}

static void fill(unsigned char *area)
{
    for (size_t i = 0; i < AREA; i++)
        area[i] = (unsigned char)rand();
}

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

static void copies_like_libc(void **state)
{
    (void)state;
    unsigned char source[AREA], own[AREA], libc[AREA];
    for (int round = 0; round < ROUNDS; round++) {
        fill(source);
        fill(own);
        memcpy(libc, own, AREA);
        const size_t from = any(AREA), to = any(AREA);
        const size_t size = any(AREA - (from > to ? from : to) + 1);
        assert_ptr_equal(own_memcpy(own + to, source + from, size), own + to);
        memcpy(libc + to, source + from, size);
        assert_memory_equal(own, libc, AREA);
    }
}

static void moves_overlapping_like_libc(void **state)
{
    (void)state;
    unsigned char own[AREA], libc[AREA];
    for (int round = 0; round < ROUNDS; round++) {
        fill(own);
        memcpy(libc, own, AREA);
        const size_t from = any(AREA), to = any(AREA);
        const size_t size = any(AREA - (from > to ? from : to) + 1);
        assert_ptr_equal(own_memmove(own + to, own + from, size), own + to);
        memmove(libc + to, libc + from, size);
        assert_memory_equal(own, libc, AREA);
    }
}

static void sets_like_libc(void **state)
{
    (void)state;
    unsigned char own[AREA], libc[AREA];
    for (int round = 0; round < ROUNDS; round++) {
        fill(own);
        memcpy(libc, own, AREA);
        const size_t to = any(AREA), size = any(AREA - to + 1);
        const int value = rand();
        assert_ptr_equal(own_memset(own + to, value, size), own + to);
        memset(libc + to, value, size);
        assert_memory_equal(own, libc, AREA);
    }
}

static void compares_like_libc(void **state)
{
    (void)state;
    char a[AREA], b[AREA];
    for (int round = 0; round < ROUNDS; round++) {
        const size_t size = 1 + any(20);
        for (size_t i = 0; i < size; i++) {
            // Few different characters, some of them negative as plain char, so that equal beginnings are common.
            a[i] = "ab\x80\xff"[any(4)];
            b[i] = any(8) ? a[i] : "ab\x80\xff"[any(4)];
        }
        assert_int_equal(sign(own_memcmp(a, b, size)), sign(memcmp(a, b, size)));
        a[size - 1] = b[size - 1] = '\0';
        a[any(size)] = '\0';
        assert_int_equal(own_strlen(a), strlen(a));
        assert_int_equal(sign(own_strcmp(a, b)), sign(strcmp(a, b)));
        const size_t limit = any(25);
        assert_int_equal(sign(own_strncmp(a, b, limit)), sign(strncmp(a, b, limit)));
        assert_int_equal(pv_strnlen(a, limit), strnlen(a, limit));
    }
}

static void finds_characters(void **state)
{
    (void)state;
    const char *text = "a=b=c";
    assert_ptr_equal(pv_strchr(text, '='), text + 1);
    assert_null(pv_strchr(text, 'x'));
    assert_null(pv_strchr(text, '\0'));
    assert_null(pv_strchr("", 'a'));
}

static void copies_strings_and_cuts(void **state)
{
    (void)state;
    char to[6] = "?????";
    assert_true(pv_strcopy(to, sizeof(to), "12345"));
    assert_string_equal(to, "12345");
    assert_false(pv_strcopy(to, sizeof(to), "123456"));
    assert_string_equal(to, "12345");
    assert_true(pv_strcopy(to, 1, ""));
    assert_string_equal(to, "");
    assert_false(pv_strcopy(to, 1, "x"));
    assert_string_equal(to, "");
    to[0] = 'k';
    assert_false(pv_strcopy(to, 0, "x"));
    assert_int_equal(to[0], 'k');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_like_libc), cmocka_unit_test(moves_overlapping_like_libc),
        cmocka_unit_test(sets_like_libc),   cmocka_unit_test(compares_like_libc),
        cmocka_unit_test(finds_characters), cmocka_unit_test(copies_strings_and_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
