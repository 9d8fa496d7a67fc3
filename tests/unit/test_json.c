// SPDX-License-Identifier: Apache-2.0
// The JSON writer: commas, nesting, escapes.
// links: vmm/personalities/monitor/json.c vmm/lib/format.c vmm/lib/string.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/personalities/monitor/json.h"

static char text[2048];
static size_t used;

static void collect(void *context, const char *piece, size_t size)
{
    assert_ptr_equal(context, &used);
    assert_true(used + size < sizeof(text));
    memcpy(text + used, piece, size);
    used += size;
    text[used] = '\0';
}

static struct json begin(void)
{
    struct json json;
    used = 0;
    text[0] = '\0';
    json_init(&json, collect, &used);
    return json;
}

static void values_and_nesting(void **state)
{
    (void)state;
    struct json json = begin();
    json_open(&json, NULL, '{');
    json_number(&json, "n", UINT64_MAX);
    json_signed(&json, "s", INT64_MIN);
    json_bool(&json, "t", true);
    json_bool(&json, "f", false);
    json_hex(&json, "h", 0xfee00000);
    json_open(&json, "a", '[');
    json_number(&json, NULL, 1);
    json_string(&json, NULL, "x");
    json_open(&json, NULL, '{');
    json_close(&json, '}');
    json_open(&json, NULL, '[');
    json_close(&json, ']');
    json_close(&json, ']');
    json_open(&json, "o", '{');
    json_string(&json, "k", "");
    json_close(&json, '}');
    json_close(&json, '}');
    assert_string_equal(text, "{\"n\":18446744073709551615,\"s\":-9223372036854775808,\"t\":true,\"f\":false,"
                              "\"h\":\"0xfee00000\",\"a\":[1,\"x\",{},[]],\"o\":{\"k\":\"\"}}");
}

static void escapes_quotes_and_controls(void **state)
{
    (void)state;
    struct json json = begin();
    json_string(&json, NULL, "a\"b\\c\nd\re\tf\x01g\x1f\x7f/");
    assert_string_equal(text, "\"a\\\"b\\\\c\\nd\\re\\tf\\u0001g\\u001f\\u007f/\"");
}

static void escapes_keys(void **state)
{
    (void)state;
    struct json json = begin();
    json_open(&json, NULL, '{');
    json_number(&json, "a\"b", 1);
    json_close(&json, '}');
    assert_string_equal(text, "{\"a\\\"b\":1}");
}

static void every_byte_can_be_had_back(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        const char c = (char)byte;
        struct json json = begin();
        json_begin_text(&json, NULL);
        json_text(&json, &c, 1);
        json_end_text(&json);
        assert_true(used >= 3 && text[0] == '"' && text[used - 1] == '"');
        for (size_t i = 0; i < used; i++)
            assert_true(text[i] >= ' ' && text[i] <= '~');
        unsigned value;
        if (text[1] != '\\') {
            assert_int_equal(used, 3);
            assert_int_equal(text[1], c);
        } else if (text[2] == 'u') {
            assert_int_equal(sscanf(text + 3, "%4x", &value), 1);
            assert_int_equal(value, byte);
        }
    }
}

static void joins_pieces(void **state)
{
    (void)state;
    struct json json = begin();
    json_open(&json, NULL, '[');
    json_begin_text(&json, NULL);
    json_text(&json, "ab\n", 3);
    json_text(&json, "", 0);
    json_text(&json, "c", 1);
    json_end_text(&json);
    json_number(&json, NULL, 2);
    json_close(&json, ']');
    assert_string_equal(text, "[\"ab\\nc\",2]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_and_nesting), cmocka_unit_test(escapes_quotes_and_controls),
        cmocka_unit_test(escapes_keys),       cmocka_unit_test(every_byte_can_be_had_back),
        cmocka_unit_test(joins_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
