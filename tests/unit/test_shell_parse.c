// SPDX-License-Identifier: Apache-2.0
// How the shell reads core sets, times and vcpus, and words seconds and policies.
// links: vmm/personalities/monitor/parse.c vmm/personalities/monitor/text.c vmm/personalities/monitor/json.c
// links: vmm/lib/format.c vmm/lib/string.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <polyvisor/abi.h>

#include "random.h"
#include "vmm/personalities/monitor/parse.h"
#include "vmm/personalities/monitor/text.h"

static void expect_cores(const char *text, uint64_t expected)
{
    uint64_t cores = ~expected;
    if (!parse_cores(text, &cores) || cores != expected)
        fail_msg("'%s' read as %#lx", text, cores);
}

static void reads_cores(void **state)
{
    (void)state;
    expect_cores("0", 1);
    expect_cores("63", UINT64_C(1) << 63);
    expect_cores("0-63", UINT64_MAX);
    expect_cores("0-2,3", 0xf);
    expect_cores("5,1-1,1", 0x22);
    expect_cores("62-63,0", UINT64_C(0xc000000000000001));
    expect_cores("007", 0x80);
}

static void refuses_other_cores(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        ",",
                                        "-",
                                        "1-",
                                        "-1",
                                        "1,",
                                        ",1",
                                        "1,,2",
                                        "2-1",
                                        "64",
                                        "0-64",
                                        "1-2-3",
                                        "all",
                                        "0x1",
                                        "1 2",
                                        " 1",
                                        "1 ",
                                        "1.5",
                                        "99999999999999999999"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint64_t cores = 4711;
        if (parse_cores(texts[i], &cores))
            fail_msg("'%s' read as %#lx", texts[i], cores);
        assert_int_equal(cores, 4711);
    }
}

static uint64_t random_word(uint64_t *seed)
{
    const uint64_t high = random_below(seed, UINT64_C(1) << 32);
    return high << 32 | random_below(seed, UINT64_C(1) << 32);
}

/// What text_cores words, parse_cores reads.
static void reads_what_it_wrote(void **state)
{
    (void)state;
    uint64_t seed = 5;
    for (int i = 0; i < 10000; i++) {
        char text[TEXT_CORES_MAX];
        uint64_t cores = random_word(&seed) & random_word(&seed);
        if (i % 2 == 0)
            cores |= cores << 1 | cores << 2;
        if (cores == 0)
            continue;
        text_cores(text, cores);
        expect_cores(text, cores);
    }
}

static void expect_time(const char *text, uint64_t expected)
{
    uint64_t us = ~expected;
    if (!parse_time(text, &us) || us != expected)
        fail_msg("'%s' read as %lu", text, us);
}

static void reads_times(void **state)
{
    (void)state;
    expect_time("0us", 0);
    expect_time("500us", 500);
    expect_time("2ms", 2000);
    expect_time("1s", 1000000);
    expect_time("4294967295s", UINT64_C(4294967295000000));
    static const char *const texts[] = {"",   "1",    "us", "-1us", "1.5ms",       "1 ms",
                                        "1m", "1sec", "1S", "0x1s", "4294967296us"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint64_t us;
        if (parse_time(texts[i], &us))
            fail_msg("'%s' read as %lu", texts[i], us);
    }
}

static void reads_vcpus(void **state)
{
    (void)state;
    size_t size;
    uint32_t vcpu;
    assert_true(parse_vcpu("tiny/0", &size, &vcpu) && size == 4 && vcpu == 0);
    assert_true(parse_vcpu("a/127", &size, &vcpu) && size == 1 && vcpu == 127);
    assert_true(parse_vcpu("a/4294967295", &size, &vcpu) && vcpu == UINT32_MAX);
    static const char *const texts[] = {
        "", "tiny", "/", "/0", "tiny/", "tiny/x", "tiny/0x", "tiny/-1", "tiny/4294967296", "tiny/0/1", "tiny/ 0"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (parse_vcpu(texts[i], &size, &vcpu))
            fail_msg("'%s' read as number %u", texts[i], vcpu);
}

static void expect_seconds(uint64_t ticks, uint64_t hz, const char *expected)
{
    char text[TEXT_TIME_MAX];
    text_seconds(text, ticks, hz);
    assert_string_equal(text, expected);
}

static void words_times_and_policies(void **state)
{
    (void)state;
    expect_seconds(0, 1000, "0.000");
    expect_seconds(1, 1000, "0.001");
    expect_seconds(59125, 1000, "59.125");
    expect_seconds(999999, 1000, "999.999");
    expect_seconds(1000000, 1000, "1000");
    expect_seconds(UINT64_MAX, 1000000000, "18446744073");
    expect_seconds(1, 0, "0.000");
    assert_string_equal(text_policy(PV_POLICY_WEIGHTED), "weighted");
    assert_string_equal(text_policy(PV_POLICY_FRAME), "frame");
    assert_string_equal(text_policy(2), "unknown");
    assert_string_equal(text_personality_state(PV_STATE_PAUSED), "paused");
    assert_string_equal(text_exception_or_null(14), "#PF page fault");
    assert_null(text_exception_or_null(9));
    assert_null(text_exception_or_null(256));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_cores),         cmocka_unit_test(refuses_other_cores),
        cmocka_unit_test(reads_what_it_wrote), cmocka_unit_test(reads_times),
        cmocka_unit_test(reads_vcpus),         cmocka_unit_test(words_times_and_policies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
