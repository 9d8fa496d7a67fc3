// SPDX-License-Identifier: Apache-2.0
// How the shell words things, how it reads numbers, and how the pager counts rows.
// links: vmm/personalities/monitor/text.c vmm/personalities/monitor/pager.c vmm/personalities/monitor/json.c
// links: vmm/personalities/lib/number.c vmm/personalities/lib/error.c vmm/lib/format.c vmm/lib/string.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "personality.h"
#include "vmm/personalities/monitor/pager.h"
#include "vmm/personalities/monitor/text.h"

static void expect_number(const char *text, uint64_t expected)
{
    uint64_t value = ~expected;
    if (!pv_parse_number(text, &value) || value != expected)
        fail_msg("'%s' read as %#lx", text, value);
}

static void expect_no_number(const char *text)
{
    uint64_t value = 4711;
    if (pv_parse_number(text, &value))
        fail_msg("'%s' read as %#lx", text, value);
    assert_int_equal(value, 4711);
}

static void reads_numbers(void **state)
{
    (void)state;
    expect_number("0", 0);
    expect_number("007", 7);
    expect_number("18446744073709551615", UINT64_MAX);
    expect_number("0x0", 0);
    expect_number("0XaBcD", 0xabcd);
    expect_number("0xffffffffffffffff", UINT64_MAX);
    expect_number("0x00000000000000000001", 1);
}

static void refuses_other_text(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "0x",
                                        "x",
                                        "-1",
                                        "+1",
                                        " 1",
                                        "1 ",
                                        "1k",
                                        "0x1g",
                                        "1.0",
                                        "0b1",
                                        "a",
                                        "ff",
                                        "0xx",
                                        "18446744073709551616",
                                        "99999999999999999999",
                                        "0x10000000000000000"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        expect_no_number(texts[i]);
}

static void expect_size(const char *expected, uint64_t bytes)
{
    char text[TEXT_SIZE_MAX];
    text_size(text, bytes);
    assert_string_equal(text, expected);
}

static void words_sizes(void **state)
{
    (void)state;
    expect_size("0 B", 0);
    expect_size("1023 B", 1023);
    expect_size("1 KiB", 1024);
    expect_size("1.5 KiB", 1536);
    expect_size("1023.9 KiB", 1024 * 1024 - 1);
    expect_size("16 MiB", 16 << 20);
    expect_size("1.9 GiB", (UINT64_C(2) << 30) - 1);
    expect_size("15.9 EiB", UINT64_MAX);
}

static void expect_cores(const char *expected, uint64_t cores)
{
    char text[TEXT_CORES_MAX];
    text_cores(text, cores);
    assert_string_equal(text, expected);
}

static void words_core_sets(void **state)
{
    (void)state;
    expect_cores("none", 0);
    expect_cores("0", 1);
    expect_cores("0-3,5", 0x2f);
    expect_cores("1,3,63", UINT64_C(1) << 63 | 0xa);
    expect_cores("0-63", UINT64_MAX);
    char longest[TEXT_CORES_MAX];
    text_cores(longest, UINT64_C(0x5555555555555555)); // no two neighbours: as long as it gets
    assert_true(strlen(longest) < TEXT_CORES_MAX - 1);
    assert_string_equal(longest + strlen(longest) - 5, "60,62");
}

static void divides_without_overflow(void **state)
{
    (void)state;
    assert_int_equal(text_permille(0, 0), 0);
    assert_int_equal(text_permille(1, 3), 333);
    assert_int_equal(text_permille(UINT64_MAX, UINT64_MAX), 1000);
    assert_int_equal(text_permille(UINT64_MAX / 2 + 1, UINT64_MAX), 500);
    assert_int_equal(text_microseconds(100, 0), 0);
    assert_int_equal(text_microseconds(3500, 3500000000), 1);
    assert_int_equal(text_microseconds(50000, 50003636), 1000); // a rate as it is measured
    assert_int_equal(text_microseconds(UINT64_MAX, 1000000), UINT64_MAX);
    assert_int_equal(text_microseconds(UINT64_C(1) << 60, 4000000000), UINT64_C(288230376151712));
}

static void names_every_state(void **state)
{
    (void)state;
    assert_string_equal(text_core_state(PV_CORE_ABSENT), "absent");
    assert_string_equal(text_core_state(PV_CORE_NO_VMX), "no-vmx");
    assert_string_equal(text_core_state(PV_CORE_VMX), "vmx");
    assert_string_equal(text_core_state(99), "unknown");
    for (uint32_t s = PV_STATE_RUNNING; s <= PV_STATE_PAUSED; s++)
        assert_string_not_equal(text_personality_state(s), "unknown");
    assert_string_equal(text_personality_state(0), "unknown");
    assert_string_equal(text_personality_state(PV_STATE_PAUSED + 1), "unknown");
    for (uint32_t k = PV_MEMORY_FREE; k <= PV_MEMORY_BAD; k++)
        assert_string_not_equal(text_memory_kind(k), "unknown");
    assert_string_equal(text_memory_kind(0), "unknown");
    assert_string_equal(text_exception(14), "#PF page fault");
    assert_string_equal(text_exception(9), "unknown");
    assert_string_equal(text_exception(256), "unknown");
    assert_string_equal(pv_error_name(PV_ERR_GP), "PV_ERR_GP");
    assert_string_equal(pv_error_name(PV_ERR_UNSUPPORTED), "PV_ERR_UNSUPPORTED");
    assert_string_equal(pv_error_name(PV_ERR_ENTRY), "PV_ERR_ENTRY");
    assert_string_equal(pv_error_name(PV_ERR_AGAIN), "PV_ERR_AGAIN");
    assert_string_equal(pv_error_name(-13), "unknown error");
    assert_string_equal(pv_error_name(1), "unknown error");
    assert_string_equal(pv_error_name(INT64_MIN), "unknown error");
}

static void counts_rows(void **state)
{
    (void)state;
    struct pager pager = {.columns = 10, .page = 2};
    assert_int_equal(pager_take(&pager, "one\n", 4), 4);
    assert_false(pager_full(&pager));
    assert_int_equal(pager_take(&pager, "two\nthree\n", 10), 4);
    assert_true(pager_full(&pager));
    assert_int_equal(pager_take(&pager, "x", 1), 0);
    pager_more(&pager, 1);
    assert_int_equal(pager_take(&pager, "three\nfour\n", 11), 6);
    pager_more(&pager, 2);
    assert_int_equal(pager_take(&pager, "1234567890", 10), 10); // fills the row to its end, no more
    assert_int_equal(pager.row, 0);
    assert_int_equal(pager_take(&pager, "1\n", 2), 2); // went on in a second row
    assert_true(pager_full(&pager));
    struct pager endless = {.columns = 10};
    for (int i = 0; i < 100; i++)
        assert_int_equal(pager_take(&endless, "a\nb\n", 4), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_numbers),     cmocka_unit_test(refuses_other_text),
        cmocka_unit_test(words_sizes),       cmocka_unit_test(words_core_sets),
        cmocka_unit_test(names_every_state), cmocka_unit_test(divides_without_overflow),
        cmocka_unit_test(counts_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
