// SPDX-License-Identifier: Apache-2.0
// The configuration's statements about level 1: its policy, and the table of the policy `frame`.
// links: vmm/config*.c vmm/lib/format.c vmm/lib/string.c
#include "config_helper.h"

#define A "personality a { image x; memory 4K }\n"
#define B "personality b { image x; memory 4K }\n"

static void check_slot(uint32_t slot, uint32_t personality, uint32_t us, uint32_t line, uint32_t column)
{
    assert_int_equal(config.slots[slot].personality, personality);
    assert_int_equal(config.slots[slot].us, us);
    assert_int_equal(config.slots[slot].place.line, line);
    assert_int_equal(config.slots[slot].place.column, column);
}

static void reads_a_table(void **state)
{
    (void)state;
    // The table stands before the personalities that it names.
    accept_text("policy frame\n"
                "frame {\n"
                "    slot b 10us; slot idle 250us\n"
                "    slot a 1s # comment\n"
                "\n"
                "    ; slot b 3ms }\n" A B);
    assert_int_equal(config.policy, PV_POLICY_FRAME);
    assert_int_equal(config.slot_count, 4);
    check_slot(0, 1, 10, 3, 10);
    check_slot(1, CONFIG_IDLE, 250, 3, 23);
    check_slot(2, 0, 1000000, 4, 10);
    check_slot(3, 1, 3000, 6, 12);
}

static void reads_policies(void **state)
{
    (void)state;
    accept_text(A "policy weighted");
    assert_int_equal(config.policy, PV_POLICY_WEIGHTED);
    assert_int_equal(config.slot_count, 0);
    accept_text(A "frame { slot a 1ms }; policy weighted;");
    assert_int_equal(config.policy, PV_POLICY_WEIGHTED);
    assert_int_equal(config.slot_count, 1);
    accept_text(A "frame { slot idle 1ms }\n"); // for later
    assert_int_equal(config.policy, PV_POLICY_WEIGHTED);
    check_slot(0, CONFIG_IDLE, 1000, 2, 14);
    accept_text("frame { slot frame 1ms; slot slot 1ms }\npersonality slot { image x; memory 4K }\n"
                "personality frame { image x; memory 4K }");
    check_slot(0, 1, 1000, 1, 14);
    check_slot(1, 0, 1000, 1, 30);
}

static void refuses_policies(void **state)
{
    (void)state;
    refuse_text("policy", "p.cfg:1:7: found the end of the file, expected weighted or frame");
    refuse_text("policy fair", "p.cfg:1:8: found 'fair', expected weighted or frame");
    refuse_text("policy \"frame\"", "p.cfg:1:8: found '\"frame\"', expected weighted or frame");
    refuse_text("policy frame {", "p.cfg:1:14: found '{', expected ';' or the end of the line");
    refuse_text("policy frame\npolicy weighted",
                "p.cfg:2:1: found 'policy', expected it once: it stands on line 1 already");
    refuse_text(A "policy frame\n" B,
                "p.cfg:2:8: found 'frame', expected weighted, or a table: frame { slot NAME TIME ... }");
}

static void refuses_tables(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"frame", "p.cfg:1:6: found the end of the file, expected '{' on the same line as 'frame'"},
        {"frame\n{", "p.cfg:1:6: found the end of the line, expected '{' on the same line as 'frame'"},
        {"frame a {", "p.cfg:1:7: found 'a', expected '{' on the same line as 'frame'"},
        {"frame { }", "p.cfg:1:9: found '}', expected a slot in the frame"},
        {"\nframe { slot a 1ms\n", "p.cfg:3:1: found the end of the file, expected '}' for the frame on line 2"},
        {"frame { a 1ms }", "p.cfg:1:9: found 'a', expected 'slot' or '}'"},
        {"frame { { }", "p.cfg:1:9: found '{', expected 'slot' or '}'"},
        {"frame { slot", "p.cfg:1:13: found the end of the file, expected a personality's name or idle (letters, "
                         "digits, '-', '_', '.')"},
        {"frame { slot }", "p.cfg:1:14: found '}', expected a personality's name or idle (letters, digits, '-', '_', "
                           "'.')"},
        {"frame { slot \"a\" 1ms }", "p.cfg:1:14: found '\"a\"', expected a personality's name or idle (letters, "
                                     "digits, '-', '_', '.')"},
        {"frame { slot a }", "p.cfg:1:16: found '}', expected a time such as 1ms (us, ms or s)"},
        {"frame { slot a\n1ms }", "p.cfg:1:15: found the end of the line, expected a time such as 1ms (us, ms or s)"},
        {"frame { slot a 1 }", "p.cfg:1:16: found '1', expected a time such as 1ms (us, ms or s)"},
        {"frame { slot a 9us }", "p.cfg:1:16: found '9us', expected a time from 10us to 1s"},
        {"frame { slot a 1001ms }", "p.cfg:1:16: found '1001ms', expected a time from 10us to 1s"},
        {"frame { slot a 1ms 2ms }", "p.cfg:1:20: found '2ms', expected ';', '}' or the end of the line"},
        {"frame { slot a 1ms } policy frame", "p.cfg:1:22: found 'policy', expected ';' or the end of the line"},
        {"frame { slot a 1ms }\nframe { slot a 1ms }",
         "p.cfg:2:1: found 'frame', expected it once: it stands on line 1 already"},
        {"frame { slot a 1ms }", "p.cfg:1:21: found the end of the file, expected at least one personality"},
        {A "frame {\n slot a 1ms\n slot c 1ms }\n" B,
         "p.cfg:4:7: found 'c', expected the name of a personality, or idle"},
        {A "frame { slot A 1ms }", "p.cfg:2:14: found 'A', expected the name of a personality, or idle"},
        {"slot a 1ms", "p.cfg:1:1: found 'slot', expected 'personality', 'slice', 'policy', 'frame' or 'timer'"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refuse_text(cases[i].text, cases[i].message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_table),
        cmocka_unit_test(reads_policies),
        cmocka_unit_test(refuses_policies),
        cmocka_unit_test(refuses_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
