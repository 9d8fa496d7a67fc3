// SPDX-License-Identifier: Apache-2.0
// Events as lines of text. tests/system/test_trace_decode.py reads the same lines.
// links: vmm/personalities/monitor/trace_lines.c vmm/personalities/monitor/json.c vmm/lib/format.c vmm/lib/string.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "random.h"
#include "vmm/personalities/monitor/trace_lines.h"

static struct trace_line line;

static const char *text(void)
{
    static char copy[TRACE_LINE_MAX + 1];
    memcpy(copy, line.text, line.used);
    copy[line.used] = '\0';
    return copy;
}

static void text_lines(void **state)
{
    (void)state;
    trace_line_begin(&line, 7, "meta");
    trace_line_text(&line, "123456789", 9);
    trace_line_end(&line);
    // The check sum was computed with Python's zlib.crc32.
    assert_string_equal(text(), "@trace 7 meta 123456789 dba6aa16\n");
}

/// A guest from 1000 to 1500 that exits for CPUID, the multiplexer, ring 3 from 1600 to 1610, a switch to agent 64 ...
static const struct pv_trace_event events[] = {
    {.when = 900, .kind = PV_TRACE_ON, .who = 2, .cause = 255, .value = 0x7fff},
    {.when = 1500, .kind = PV_TRACE_GUEST, .who = 130, .cause = 10, .value = 500},
    {.when = 1620, .kind = PV_TRACE_INJECT, .who = 130, .value = 0x20},
    {.when = 1610, .kind = PV_TRACE_CALL, .who = 2, .cause = 14, .value = 10},
    {.when = 1900, .kind = PV_TRACE_GUEST | PV_TRACE_DELIVERED << 4, .who = 130, .cause = 30, .value = 200},
    {.when = 2000, .kind = PV_TRACE_SWITCH | 1 << 4, .who = 2, .cause = 0, .value = 64},
    {.when = UINT64_C(0x8000000000002000), .kind = PV_TRACE_LONG, .who = PV_TRACE_NOBODY, .value = 3},
    {.when = UINT64_C(0x8000000000002000), .kind = PV_TRACE_IDLE, .who = PV_TRACE_NOBODY, .cause = 0xf0, .value = 7},
};
enum { EVENTS = sizeof(events) / sizeof(events[0]) };

static void event_lines(void **state)
{
    (void)state;
    assert_int_equal(trace_line_events(&line, 12, 3, 4711, events, EVENTS), EVENTS);
    // Payload, by hand:
    // b1 88 0e ff ff 01 02 ff         ON        +900, value 0x7fff, who 2, cause 255
    // 33 c8 01 f4 03 82 01 0a         GUEST     +100, 500 ticks, who 130, cause 10
    // 9d f0 01 20 82 01               INJECT    +120, value 32, who 130
    // 34 27 0a 02 0e                  CALL      -20, 10 ticks, who 2, cause 14
    // 63 b4 01 c8 01 1e 01            GUEST     +90, 200 ticks, cause 30, outcome 1
    // d7 c8 01 40 02 01               SWITCH    +100, value 64, who 2, outcome 1
    // 90 9f 9f ff ff ff ff ff ff ff 01 03 ff ff 03   LONG: -(2^63 - 6192), as the difference is taken modulo 2^64
    // 36 0d 07 ff ff 03 f0            IDLE      -7, 7 ticks, who 65535, cause 240
    assert_string_equal(text(), "@trace 12 events 3 4711 8 "
                                "sYgO//8BAv8zyAH0A4IBCp3wASCCATQnCgIOY7QByAEeAdfIAUACAZCfn/////////8BA///"
                                "AzYNB///A/A= a70c446b\n");
}

static void any_events(void **state)
{
    (void)state;
    enum { MANY = 2000, SHORTEST = 11, LONGEST_LINE = 400 }; // 11 of the longest events fit into a line
    static struct pv_trace_event many[MANY];
    uint64_t seed = 1;
    for (size_t i = 0; i < MANY; i++) {
        const uint64_t when = random_below(&seed, UINT64_MAX) << random_below(&seed, 12);
        many[i] = (struct pv_trace_event){
            .when = when >> random_below(&seed, 64),
            .value = (uint32_t)random_below(&seed, UINT32_MAX) >> random_below(&seed, 32),
            .who = (uint16_t)random_below(&seed, UINT16_MAX),
            .cause = (uint8_t)random_below(&seed, UINT8_MAX),
            .kind = (uint8_t)(random_below(&seed, PV_TRACE_KINDS) | random_below(&seed, 16) << 4)};
    }
    for (size_t done = 0; done < MANY;) {
        const size_t taken = trace_line_events(&line, done, 63, UINT64_MAX - done, many + done, MANY - done);
        assert_in_range(taken, done + SHORTEST < MANY ? SHORTEST : 1, MANY - done);
        assert_in_range(line.used, 1, LONGEST_LINE);
        assert_int_equal(line.text[line.used - 1], '\n');
        done += taken;
    }
    assert_int_equal(trace_line_events(&line, 1, 0, 0, many, 0), 0);
}

static void too_long(void **state)
{
    (void)state;
    char filler[TRACE_LINE_MAX];
    memset(filler, 'x', sizeof(filler));
    trace_line_begin(&line, 1, "meta");
    trace_line_text(&line, filler, sizeof(filler));
    trace_line_end(&line);
    assert_int_equal(line.used, TRACE_LINE_MAX); // and no further; it has no check sum, so nobody believes it
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_lines),
        cmocka_unit_test(event_lines),
        cmocka_unit_test(any_events),
        cmocka_unit_test(too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
