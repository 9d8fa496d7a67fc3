// SPDX-License-Identifier: Apache-2.0
// GRUB's quoting of the command line, undone.
// links: boot/multiboot2/unquote.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <boot/multiboot2/multiboot2.h>

static void expect_unquoted(const char *from, const char *to)
{
    char text[64];
    assert_true(multiboot2_unquote(from, text, sizeof text));
    assert_string_equal(text, to);
}

static void undoes_grubs_quoting(void **state)
{
    (void)state;
    expect_unquoted("", "");
    expect_unquoted("   ", "");
    expect_unquoted("a  b=c ", "a b=c");
    expect_unquoted("\"a.args=x y\"", "a.args=\"x y\"");
    expect_unquoted("\"a.args=\\\"x y\\\"\" b", "a.args=\"x y\" b");
    expect_unquoted("a.args=\\\"x y\\\"", "a.args=\"x y\"");
    expect_unquoted("\"a.args=say \\\"hi\\\" \\\\ there\"", "a.args=\"say \\\"hi\\\" \\\\ there\"");
    expect_unquoted("\"a.args=k=v w\"", "a.args=\"k=v w\"");
    expect_unquoted("\"no value\"", "no value");
    expect_unquoted("it\\'s", "it's");
    expect_unquoted("end\\", "end\\");
    expect_unquoted("\"a=open x", "a=\"open x\"");
    expect_unquoted("\"", "");
}

static void unquotes_whole_words_or_none(void **state)
{
    char text[8];
    (void)state;
    assert_false(multiboot2_unquote("abc defgh", text, sizeof text));
    assert_string_equal(text, "abc");
    assert_true(multiboot2_unquote("abc def", text, sizeof text));
    assert_string_equal(text, "abc def");
    assert_false(multiboot2_unquote("\"k=a b\" x", text, sizeof text));
    assert_string_equal(text, "k=\"a b\"");
    assert_false(multiboot2_unquote("\"ke=a b\"", text, sizeof text));
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(undoes_grubs_quoting),
        cmocka_unit_test(unquotes_whole_words_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
