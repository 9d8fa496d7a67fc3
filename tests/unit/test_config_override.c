// SPDX-License-Identifier: Apache-2.0
// What the boot command line changes in a configuration, and the options that it holds besides.
// links: vmm/config*.c vmm/lib/format.c vmm/lib/string.c
#include "config_helper.h"

static const char base[] =
    "personality mon.1 { image monitor.elf; memory 16M; debug yes }\n"
    "personality tiny { image tiny.elf; memory 64M; module m one; module n two; args \"old\"; msr 0x48-0x49 read }\n"
    "frame { slot mon.1 1ms }\n";

static int parse_base(void **state)
{
    (void)state;
    accept_text(base);
    return 0;
}

static void override(const char *cmdline)
{
    if (!config_override(&config, cmdline, &error))
        fail_msg("refused: %s\n%s", error.message, cmdline);
}

/// Refuses, with this message behind "command line:1:", and leaves everything as it was.
static void refuse(const char *cmdline, const char *message)
{
    static struct config before;
    char whole[CONFIG_ERROR_SIZE];

    memcpy(&before, &config, sizeof(config));
    snprintf(whole, sizeof(whole), "command line:1:%s", message);
    assert_false(config_override(&config, cmdline, &error));
    assert_string_equal(error.message, whole);
    assert_int_equal(error.place.line, 0);
    assert_int_equal(before.strings_used, config.strings_used);
    assert_memory_equal(before.strings, config.strings, config.strings_used);
    assert_memory_equal(before.personalities, config.personalities, sizeof(config.personalities));
    assert_memory_equal(before.files, config.files, config.file_count * sizeof(config.files[0]));
    assert_int_equal(before.file_count, config.file_count);
    assert_int_equal(before.slice_us, config.slice_us);
    assert_int_equal(before.policy, config.policy);
    assert_int_equal(before.slot_count, config.slot_count);
    assert_memory_equal(before.slots, config.slots, config.slot_count * sizeof(config.slots[0]));
}

/// A quota that is not given goes with the memory; one that is does not.
static void memory_brings_quota(void **state)
{
    const struct config_personality *p = &config.personalities[1];

    (void)state;
    override("tiny.memory=1G");
    assert_true(config_quota(p) == (p->quota != 0 ? p->quota : 5 << 20));
    override("tiny.quota=8K tiny.memory=2G");
    assert_true(config_quota(p) == 8 << 10);
    accept_text("personality a { image x; memory 1G }\npersonality b { image x; memory 1G; quota 64K }");
    assert_true(config_quota(&config.personalities[0]) == 5 << 20);
    assert_true(config_quota(&config.personalities[1]) == 64 << 10);
    override("a.memory=257M b.memory=2G");
    assert_true(config_quota(&config.personalities[0]) == (1 << 20) + 0x101000);
    assert_true(config_quota(&config.personalities[1]) == 64 << 10);
}

static void changes_every_key(void **state)
{
    const struct config_personality *p = &config.personalities[1];

    (void)state;
    override("slice=5ms tiny.image=other.elf tiny.cores=1-2,4 tiny.memory=\"128M\" tiny.quota=8K tiny.weight=9 "
             "tiny.args=\"a \\\"b\\\" c\" tiny.module=\"n new\" tiny.module=\"o two\" policy=frame "
             "tiny.msr=\"0x20 both\" tiny.io=0x300-0x301");
    assert_int_equal(config.slice_us, 5000);
    assert_string_equal(p->image, "other.elf");
    assert_true(p->cores == 0x16 && !p->all_cores);
    assert_true(p->memory == 128 << 20);
    assert_true(p->quota == 8 << 10);
    assert_int_equal(p->weight, 9);
    assert_string_equal(p->args, "a \"b\" c");
    assert_int_equal(p->module_count, 3);
    assert_string_equal(p->modules[0].file, "one");
    assert_string_equal(p->modules[1].file, "new");
    assert_string_equal(p->modules[2].name, "o");
    assert_string_equal(p->modules[2].file, "two");
    assert_int_equal(config.policy, PV_POLICY_FRAME);
    assert_int_equal(p->msr_grant_count, 2);
    assert_int_equal(p->msr_grants[1].first, 0x20);
    assert_int_equal(p->msr_grants[1].how, 3);
    assert_int_equal(p->io_grant_count, 1);
    assert_int_equal(p->io_grants[0].last, 0x301);
    assert_int_equal(p->io_grants[0].place.line, 0);
    // The other personality is as it was, and the replaced image need not be loaded any more.
    assert_string_equal(config.personalities[0].image, "monitor.elf");
    assert_int_equal(config.file_count, 5);
    assert_string_equal(config.files[0], "monitor.elf");
    assert_string_equal(config.files[1], "other.elf");
}

static void reads_strings_with_and_without_quotes(void **state)
{
    const struct config_personality *p = &config.personalities[1];

    (void)state;
    override("tiny.args=one");
    assert_string_equal(p->args, "one");
    override("tiny.args=\"\"");
    assert_string_equal(p->args, "");
    override("tiny.args=a=b");
    assert_string_equal(p->args, "a=b");
    override("tiny.image=\"with blank.elf\"");
    assert_string_equal(p->image, "with blank.elf");
    override("tiny.cores=all tiny.cores=3");
    assert_true(p->cores == 8);
}

static void names_with_dots(void **state)
{
    (void)state;
    override("mon.1.weight=3");
    assert_int_equal(config.personalities[0].weight, 3);
}

static void leaves_other_words_alone(void **state)
{
    (void)state;
    override("");
    override("   ");
    override("EFI/BOOT/BOOTX64.EFI BOOT_IMAGE=/boot/polyvisor.elf config=a.cfg x=\"tiny.cores=9 \" tiny.cores quiet =");
    assert_true(config.personalities[1].all_cores);
    override("log=\"unterminated tiny.cores=9");
    assert_true(config.personalities[1].all_cores);
}

static void changes_the_timer(void **state)
{
    (void)state;
    override("timer=lapic");
    assert_true(config.lapic_timer);
    override("timer=lapic timer=vmx");
    assert_false(config.lapic_timer);
    refuse("timer=pit", "7: found 'pit', expected vmx or lapic");
}

static void changes_the_policy(void **state)
{
    (void)state;
    override("policy=frame");
    assert_int_equal(config.policy, PV_POLICY_FRAME);
    override("policy=frame policy=\"weighted\"");
    assert_int_equal(config.policy, PV_POLICY_WEIGHTED);
    refuse("policy=frames", "8: found 'frames', expected weighted or frame");
    refuse("policy=\"frame 1\"", "15: found '1', expected the end of the value");
    accept_text("personality a { image x; memory 4K }");
    override("policy=weighted");
    refuse("policy=frame", "8: found 'frame', expected weighted: the configuration has no frame");
}

static void adds_and_replaces_grants(void **state)
{
    const struct config_personality *p = &config.personalities[1];

    (void)state;
    override("tiny.msr=\"72-73 both\" tiny.msr=\"0x48-0x49 write\" tiny.msr=\"0x4a read\"");
    assert_int_equal(p->msr_grant_count, 2);
    assert_int_equal(p->msr_grants[0].how, 2);
    assert_int_equal(p->msr_grants[0].place.line, 0);
    assert_int_equal(p->msr_grants[1].first, 0x4a);
    override("tiny.io=0x300 tiny.io=0x300");
    assert_int_equal(p->io_grant_count, 1);
    refuse("tiny.msr=\"0x48 read\"",
           "11: found '0x48', expected MSRs without 0x48-0x49, which the command line grants already");
    accept_text(base);
    refuse("tiny.msr=\"0x49-0x4f read\"",
           "11: found '0x49-0x4f', expected MSRs without 0x48-0x49, which line 2 grants already");
    refuse("tiny.msr=0x4a", "14: found the end of the value, expected read, write or both");
    refuse("tiny.io=\"0x80 read\"", "15: found 'read', expected the end of the value");
    refuse("tiny.io=0x64", "9: found '0x64', expected ports without the keyboard controller's command port (0x64), "
                           "which can reset the machine");
}

/// Words that are right one by one, but not all of them.
static void refuses_what_is_wrong_together(void **state)
{
    char cmdline[1024] = "slice=2ms tiny.weight=5 ";

    (void)state;
    refuse("tiny.weight=5 tiny.io=0x300-0x30f mon.1.io=0x308 tiny.io=0x308",
           "58: found '0x308', expected ports without 0x300-0x30f, which the command line grants already");
    override("tiny.io=0x300-0x30f mon.1.io=0x308");
    accept_text(base);
    for (unsigned i = 0; i < CONFIG_MAX_GRANTS; i++)
        sprintf(cmdline + strlen(cmdline), "tiny.msr=\"%u read\" ", 100 + i);
    refuse(cmdline, "335: found '115', expected 'msr' at most 16 times in a personality");
    cmdline[0] = '\0';
    for (unsigned i = 0; i < PV_MAX_MODULES - 1; i++)
        sprintf(cmdline + strlen(cmdline), "tiny.module=\"x%u f%u\" ", i, i);
    refuse(cmdline, "302: found 'x14', expected at most 16 modules in a personality");
}

static void moves_the_debug_capability(void **state)
{
    (void)state;
    refuse("tiny.debug=yes", "12: found 'yes', expected no: personalities 'mon.1' and 'tiny' would have the debug "
                             "capability");
    override("tiny.debug=yes mon.1.debug=no");
    assert_false(config.personalities[0].debug);
    assert_true(config.personalities[1].debug);
    refuse("mon.1.debug=yes", "13: found 'yes', expected no: personalities 'mon.1' and 'tiny' would have the debug "
                              "capability");
    override("mon.1.debug=yes tiny.debug=no");
    assert_true(config.personalities[0].debug);
    assert_false(config.personalities[1].debug);
    assert_false(config.personalities[0].baseline);
    override("mon.1.debug=baseline");
    assert_true(config.personalities[0].debug && config.personalities[0].baseline);
    refuse("tiny.debug=baseline",
           "12: found 'baseline', expected no: personalities 'mon.1' and 'tiny' would have the debug capability");
    override("mon.1.debug=no tiny.debug=yes");
    assert_false(config.personalities[0].debug || config.personalities[0].baseline || config.personalities[1].baseline);
}

static void changes_on_exit(void **state)
{
    (void)state;
    assert_false(config.personalities[1].restart);
    override("tiny.on_exit=restart");
    assert_true(config.personalities[1].restart);
    override("tiny.on_exit=park");
    assert_false(config.personalities[1].restart);
    accept_text(
        "personality a { image x; memory 4K; on_exit restart }\npersonality b { image x; memory 4K; on_exit park }");
    assert_true(config.personalities[0].restart && !config.personalities[1].restart);
}

static void refuses_what_is_wrong(void **state)
{
    static const struct {
        const char *cmdline, *message;
    } cases[] = {
        {"quiet tinny.cores=1", "7: found 'tinny', expected the name of a personality before '.'"},
        {".cores=1", "1: found nothing, expected the name of a personality before '.'"},
        {"tiny.core=1", "6: found 'core', expected a key (image, cores, memory, quota, weight, debug, args, module, "
                        "msr, io, net, on_exit)"},
        {"tiny.=1", "6: found nothing, expected a key (image, cores, memory, quota, weight, debug, args, module, msr, "
                    "io, net, on_exit)"},
        {"tiny.cores=", "12: found the end of the value, expected a list of cores such as 0-3,5, or all"},
        {"tiny.cores=1,64", "14: found '64', expected a core number from 0 to 63 or a range such as 2-5"},
        {"tiny.cores=\"1,1\"", "15: found '1', expected cores that the list does not have yet (overlapping cores)"},
        {"tiny.memory=0", "13: found '0', expected a size of at least 4K"},
        {"tiny.memory=\"4K 8K\"", "17: found '8K', expected the end of the value"},
        {"tiny.weight=5;", "14: found ';', expected the end of the value"},
        {"tiny.args=\"open", "11: found '\"open', expected a '\"' that ends the string on the same line"},
        {"tiny.args=\"a\\b\"",
         "13: found '\\b', expected \\\" or \\\\ (a backslash in a string stands before one of the "
         "two)"},
        {"tiny.args=a\"b\"", "12: found '\"b\"', expected the end of the value"},
        {"tiny.debug=on", "12: found 'on', expected yes, no or baseline"},
        {"tiny.module=m",
         "14: found the end of the value, expected a file name (printable ASCII, in quotes where it has "
         "blanks)"},
        {"tiny.cores=\"", "12: found '\"', expected a '\"' that ends the string on the same line"},
        {"slice=1", "7: found '1', expected a time such as 1ms (us, ms or s)"},
        {"slice=\"1ms\"x", "7: found '\"1ms\"', expected a time such as 1ms (us, ms or s)"},
        {"tiny.weight=5 tiny.image=new.elf slice=0s", "40: found '0s', expected a time from 100us to 1s"},
        {"tiny.weight=\x1b[2J", "13: found '\\x1b[2J', expected a weight from 1 to 10000"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refuse(cases[i].cmdline, cases[i].message);
}

static void refuses_too_many_modules(void **state)
{
    char cmdline[1024] = "";

    (void)state;
    for (unsigned i = 0; i < PV_MAX_MODULES - 2; i++)
        sprintf(cmdline + strlen(cmdline), "tiny.module=\"x%u f\" ", i);
    override(cmdline);
    refuse("tiny.module=\"x99 f\"", "14: found 'x99', expected at most 16 modules in a personality");
}

/// Strings are only ever appended; when there is no room, nothing changes.
static void refuses_more_text_than_there_is_room_for(void **state)
{
    char cmdline[1100] = "tiny.args=";
    unsigned rounds = 0;

    (void)state;
    memset(cmdline + strlen(cmdline), 'a', 1000);
    while (config_override(&config, cmdline, &error))
        rounds++;
    assert_in_range(rounds, 100, 140);
    refuse(cmdline,
           "11: found 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...', expected less text: there is room for 131072 "
           "bytes of names and strings in all");
    assert_int_equal(strlen(config.personalities[1].args), 1000);
}

static void uses_the_room_for_strings_to_the_last_byte(void **state)
{
    (void)state;
    config.strings_used = sizeof(config.strings) - 5;
    refuse("tiny.args=aaaaa",
           "11: found 'aaaaa', expected less text: there is room for 131072 bytes of names and strings "
           "in all");
    override("tiny.args=aaaa");
    assert_string_equal(config.personalities[1].args, "aaaa");
    assert_int_equal(config.strings_used, sizeof(config.strings));
    refuse("tiny.args=a",
           "11: found 'a', expected less text: there is room for 131072 bytes of names and strings in all");
}

static void finds_options(void **state)
{
    char value[8];

    (void)state;
    assert_true(config_option("a=1 bc=2 b=3", "b", value, sizeof(value)));
    assert_string_equal(value, "3");
    assert_true(config_option("a=1 a=2", "a", value, sizeof(value)));
    assert_string_equal(value, "2");
    assert_true(config_option("\t a=\"x \\\"y\" ", "a", value, sizeof(value)));
    assert_string_equal(value, "x \"y");
    assert_true(config_option("a=", "a", value, sizeof(value)));
    assert_string_equal(value, "");
    assert_true(config_option("a==", "a", value, sizeof(value)));
    assert_string_equal(value, "=");
    assert_true(config_option("a=1234567", "a", value, sizeof(value)));
    assert_string_equal(value, "1234567");
    assert_true(config_option("a=\"open", "a", value, sizeof(value)));
    assert_string_equal(value, "open");
}

static void misses_options(void **state)
{
    char value[8];

    (void)state;
    assert_false(config_option("", "a", value, sizeof(value)));
    assert_false(config_option("a ab=1 ba=2", "a", value, sizeof(value)));
    assert_false(config_option("x=\"a=1\"", "a", value, sizeof(value)));
    assert_false(config_option("x=\" a=1 \"", "a", value, sizeof(value)));
    assert_false(config_option("a=12345678", "a", value, sizeof(value)));
    assert_false(config_option("a=", "a", value, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(changes_every_key, parse_base),
        cmocka_unit_test_setup(changes_on_exit, parse_base),
        cmocka_unit_test_setup(reads_strings_with_and_without_quotes, parse_base),
        cmocka_unit_test_setup(names_with_dots, parse_base),
        cmocka_unit_test_setup(leaves_other_words_alone, parse_base),
        cmocka_unit_test_setup(moves_the_debug_capability, parse_base),
        cmocka_unit_test_setup(refuses_what_is_wrong, parse_base),
        cmocka_unit_test_setup(changes_the_policy, parse_base),
        cmocka_unit_test_setup(changes_the_timer, parse_base),
        cmocka_unit_test_setup(adds_and_replaces_grants, parse_base),
        cmocka_unit_test_setup(refuses_what_is_wrong_together, parse_base),
        cmocka_unit_test_setup(refuses_too_many_modules, parse_base),
        cmocka_unit_test_setup(refuses_more_text_than_there_is_room_for, parse_base),
        cmocka_unit_test_setup(uses_the_room_for_strings_to_the_last_byte, parse_base),
        cmocka_unit_test(memory_brings_quota),
        cmocka_unit_test(finds_options),
        cmocka_unit_test(misses_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
