// SPDX-License-Identifier: Apache-2.0
// The shell's command `trace`, against a multiplexer that is only pretended.
// links: tests/unit/shell_session.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "shell_session.h"

enum { TINY = 3 };

/// The command keeps its settings: back to those that it begins with.
static int set_up(void **state)
{
    const int result = shell_set_up(state);
    answer("trace off");
    answer("trace filter all of everybody");
    memset(&fake.trace_settings, 0, sizeof(fake.trace_settings));
    return result;
}

static void switches_on_and_off(void **state)
{
    (void)state;
    expect("trace on", "tracing is on: cores 0-1\n");
    assert_int_equal(fake.trace_settings.cores, 3);
    assert_int_equal(fake.trace_settings.kinds, PV_TRACE_ALL_KINDS);
    assert_int_equal(fake.trace_settings.personality, PV_TRACE_EVERYBODY);
    expect("trace", "   0 on ");
    expect_json("trace --json", "{\"core\":1,\"on\":true,");
    expect("trace on 1", "tracing is on: cores 1\n");
    assert_int_equal(fake.trace_settings.cores, 2);
    expect("trace off", "tracing is off\n");
    assert_int_equal(fake.trace_settings.cores, 0);
    expect_json("trace on --json", "\"kinds\":[\"guest\",");
}

static void filters(void **state)
{
    (void)state;
    expect("trace filter",
           "kinds         guest ring3 idle switch vmcs ipi interrupt inject\npersonality   everybody\n");
    expect("trace filter guest switch of tiny", "kinds         guest switch\npersonality   tiny\n");
    assert_int_equal(fake.trace_settings.kinds, 0); // nothing is told before it is switched on
    answer("trace on");
    assert_int_equal(fake.trace_settings.personality, TINY);
    assert_true(fake.trace_settings.kinds & 1u << PV_TRACE_GUEST);
    assert_true(fake.trace_settings.kinds & 1u << PV_TRACE_ON);
    assert_false(fake.trace_settings.kinds & 1u << PV_TRACE_CALL);
    expect("trace filter of everybody", "kinds         guest switch\npersonality   everybody\n");
    assert_int_equal(fake.trace_settings.personality, PV_TRACE_EVERYBODY); // at once: it is on
    expect_json("trace filter ring3 --json", "{\"kinds\":[\"ring3\"],\"personality\":\"everybody\"}");
    expect("trace filter all", "kinds         guest ring3 idle switch vmcs ipi interrupt inject\n");
}

static void records(void **state)
{
    (void)state;
    fake.trace[0].recorded = 700;
    fake.trace[0].begin = 100;
    expect("trace record 5ms", "   0 off            600              88        512     ");
    assert_int_equal(fake.trace_settings.cores, 0);
    session("trace record 1s\r" PAUSE "x"); // somebody presses a key
    expect_printed("ended by a key\n");
    expect_json("trace record 5ms 1 --json", "\"core\":1,\"on\":false");
}

static void complains(void **state)
{
    (void)state;
    const struct {
        const char *command, *answer;
    } wrong[] = {
        {"trace up", "trace: cannot 'up': on [CORES], off, record"},
        {"trace on 0 1", "trace: cannot '1'"},
        {"trace off 1", "trace: cannot '1'"},
        {"trace on 7", "trace: '7': expected cores that run, such as 0-2,5\n"},
        {"trace on x", "trace: 'x': expected cores"},
        {"trace record", "trace: record needs a time"},
        {"trace record 5", "trace: record needs a time"},
        {"trace record 601s", "trace: record needs a time, such as 500us, 20ms or 1s, at most 600s\n"},
        {"trace filter guests", "trace: there is no kind 'guests': all, guest,"},
        {"trace filter of", "trace: 'of' needs one personality"},
        {"trace filter of tiny guest", "trace: 'of' needs one personality"},
        {"trace filter of nobody", "trace: there is no personality 'nobody'; ps lists them\n"},
        {"trace dump some", "trace: dump takes nothing, or 'all'\n"},
        {"trace dump --json", "{\"error\":\"trace: dump has a form of its own"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        expect(wrong[i].command, wrong[i].answer);
    assert_int_equal(fake.trace_settings.cores, 0);
    fake.control_result = PV_ERR_DENIED;
    expect("trace on", "trace: set: the multiplexer answered PV_ERR_DENIED");
    fake.control_result = PV_OK;
    fake.trace_stuck = 2;
    expect("trace on", "trace: cores 1 do not follow\n");
    fake.trace_stuck = 0;
    fake.trace[0].capacity = fake.trace[1].capacity = 0;
    expect("trace on", "trace: there was no memory for it at boot\n");
}

static void dumps(void **state)
{
    (void)state;
    fake.trace[0].recorded = 900; // of which 388 to 899 are kept, and 388 is lost while it is read
    fake.trace[0].begin = 300;
    for (unsigned i = 0; i < FAKE_EVENTS; i++)
        fake.events[i] = (struct pv_trace_event){.when = 1000 + i, .kind = PV_TRACE_IDLE, .value = 1};
    expect("trace dump", "@trace 1 meta {\"format\":1,\"version\":\"1.0-test\",\"tsc_hz\":1000000000,");
    expect_printed("@trace 2 meta {\"reasons\":{\"0\":\"exception or NMI\",");
    expect_printed("{\"personality\":3,\"name\":\"tiny\",\"weight\":100} ");
    expect_printed("{\"core\":0,\"on\":false,\"capacity\":512,\"recorded\":900,\"begin\":300,");
    expect_printed(" events 0 389 ");
    expect_printed("\"events\":511} ");
    expect_not_printed("--more--");
    fake.trace[0].recorded = 200;
    fake.trace[0].begin = 150;
    expect("trace dump", " events 0 150 50 ");
    expect("trace dump all", " events 0 0 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(switches_on_and_off, set_up),
        cmocka_unit_test_setup(filters, set_up),
        cmocka_unit_test_setup(records, set_up),
        cmocka_unit_test_setup(complains, set_up),
        cmocka_unit_test_setup(dumps, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
