// SPDX-License-Identifier: Apache-2.0
// The configuration parser: what is right, and every message that something wrong gets.
// links: vmm/config*.c vmm/lib/format.c vmm/lib/string.c
#include "config_helper.h"

#define STRING(text) text, sizeof(text) - 1

// ---- what is right ----

static void reads_every_key(void **state)
{
    const struct config_personality *p = &config.personalities[0];

    (void)state;
    accept_text("slice 250us\n"
                "personality azAZ09-_. {\n"
                "    image   boot/linux.elf\n"
                "    cores   0-2,5,63\n"
                "    memory  3G\n"
                "    quota   12K\n"
                "    weight  10000\n"
                "    debug   yes\n"
                "    args    \"a \\\"b\\\" \\\\ ;{}#\tc\"\n"
                "    module  kernel vmlinuz-6.12.41+deb13-amd64\n"
                "    module  initrd \"my initrd.img\"\n"
                "}\n");
    assert_int_equal(config.slice_us, 250);
    assert_int_equal(config.personality_count, 1);
    assert_string_equal(p->name, "azAZ09-_.");
    assert_string_equal(p->image, "boot/linux.elf");
    assert_string_equal(p->args, "a \"b\" \\ ;{}#\tc");
    assert_true(p->cores == (UINT64_C(0x27) | UINT64_C(1) << 63));
    assert_false(p->all_cores);
    assert_true(p->debug);
    assert_int_equal(p->weight, 10000);
    assert_true(p->memory == UINT64_C(3) << 30);
    assert_true(p->quota == 12 << 10);
    assert_int_equal(p->module_count, 2);
    assert_string_equal(p->modules[0].name, "kernel");
    assert_string_equal(p->modules[0].file, "vmlinuz-6.12.41+deb13-amd64");
    assert_string_equal(p->modules[1].name, "initrd");
    assert_string_equal(p->modules[1].file, "my initrd.img");
}

static void remembers_places(void **state)
{
    const struct config_personality *p = &config.personalities[0];

    (void)state;
    accept_text("\n  personality a {\n\timage x; cores 1\n  memory 4K\n  module m f }\n");
    assert_int_equal(p->place.line, 2);
    assert_int_equal(p->place.column, 15);
    assert_int_equal(p->image_place.line, 3);
    assert_int_equal(p->image_place.column, 8);
    assert_int_equal(p->cores_place.line, 3);
    assert_int_equal(p->cores_place.column, 17);
    assert_int_equal(p->memory_place.line, 4);
    assert_int_equal(p->memory_place.column, 10);
    assert_int_equal(p->modules[0].place.line, 5);
    assert_int_equal(p->modules[0].place.column, 12);
}

static void has_defaults(void **state)
{
    const struct config_personality *p = &config.personalities[0];

    (void)state;
    accept_text("personality a { image x; memory 4096 }");
    assert_int_equal(config.slice_us, CONFIG_SLICE_DEFAULT_US);
    assert_int_equal(config.policy, PV_POLICY_WEIGHTED);
    assert_false(config.lapic_timer);
    assert_int_equal(config.slot_count, 0);
    assert_int_equal(p->msr_grant_count, 0);
    assert_int_equal(p->io_grant_count, 0);
    assert_true(p->all_cores);
    assert_true(p->cores == UINT64_MAX);
    assert_int_equal(p->weight, CONFIG_WEIGHT_DEFAULT);
    assert_int_equal(p->quota, 0); // not given
    assert_int_equal(config_quota(p), (1 << 20) + 4096);
    assert_false(p->debug);
    assert_string_equal(p->args, "");
    assert_int_equal(p->module_count, 0);
    assert_int_equal(p->memory, 4096);
}

static void reads_other_systems_texts(void **state)
{
    (void)state;
    accept_text("\xef\xbb\xbfpersonality a {\r\n\timage\tx ; ; # comment \xc3\xa4\r\n\tmemory 4K;\r\n};\r\n# last");
    assert_string_equal(config.personalities[0].image, "x");
    refuse_text("\xef\xbb\xbf x",
                "p.cfg:1:2: found 'x', expected 'personality', 'slice', 'policy', 'frame' or 'timer'");
}

static void lists_each_file_once(void **state)
{
    (void)state;
    accept_text("personality a { module m2 two; image one; memory 4K; module m1 one }\n"
                "personality b { image two; memory 4K; module x \"three\" }\n");
    assert_int_equal(config.file_count, 3);
    assert_string_equal(config.files[0], "two");
    assert_string_equal(config.files[1], "one");
    assert_string_equal(config.files[2], "three");
}

static void reads_slices(void **state)
{
    (void)state;
    accept_text("slice 100us\npersonality a { image x; memory 4K }");
    assert_int_equal(config.slice_us, 100);
    accept_text("personality a { image x; memory 4K }\nslice 1s");
    assert_int_equal(config.slice_us, 1000000);
    accept_text("slice 20ms; personality a { image x; memory 4K }");
    assert_int_equal(config.slice_us, 20000);
}

static void keeps_what_stood_before_an_error(void **state)
{
    (void)state;
    refuse_text("personality a { image one; memory 4K }\npersonality b { image two; foo }",
                "p.cfg:2:28: found 'foo', expected a key (image, cores, memory, quota, weight, debug, args, module, "
                "msr, io, net, on_exit) or "
                "'}'");
    assert_int_equal(config.file_count, 2);
    assert_string_equal(config.files[0], "one");
    assert_string_equal(config.files[1], "two");
}

// ---- what is wrong ----

#define A "personality a { image x; memory 4K; "

static void refuses_structure(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "p.cfg:1:1: found the end of the file, expected at least one personality"},
        {"# nothing\n\n", "p.cfg:3:1: found the end of the file, expected at least one personality"},
        {"slice 1ms\n", "p.cfg:2:1: found the end of the file, expected at least one personality"},
        {"timer hpet", "p.cfg:1:7: found 'hpet', expected vmx or lapic"},
        {"timer vmx\ntimer lapic", "p.cfg:2:1: found 'timer', expected it once: it stands on line 1 already"},
        {"timer vmx lapic", "p.cfg:1:11: found 'lapic', expected ';' or the end of the line"},
        {"guest a {", "p.cfg:1:1: found 'guest', expected 'personality', 'slice', 'policy', 'frame' or 'timer'"},
        {"}", "p.cfg:1:1: found '}', expected 'personality', 'slice', 'policy', 'frame' or 'timer'"},
        {"\"personality\" a {",
         "p.cfg:1:1: found '\"personality\"', expected 'personality', 'slice', 'policy', 'frame' or 'timer'"},
        {"personality", "p.cfg:1:12: found the end of the file, expected a personality's name (letters, digits, '-', "
                        "'_', '.')"},
        {"personality\na {", "p.cfg:1:12: found the end of the line, expected a personality's name (letters, digits, "
                             "'-', '_', '.')"},
        {"personality {", "p.cfg:1:13: found '{', expected a personality's name (letters, digits, '-', '_', '.')"},
        {"personality a\n{", "p.cfg:1:14: found the end of the line, expected '{' on the same line as 'personality a'"},
        {"personality a b {", "p.cfg:1:15: found 'b', expected '{' on the same line as 'personality a'"},
        {"personality a;", "p.cfg:1:14: found ';', expected '{' on the same line as 'personality a'"},
        {"\n\npersonality a {\n image x\n",
         "p.cfg:5:1: found the end of the file, expected '}' for personality 'a' on line 3"},
        {"personality a { image", "p.cfg:1:22: found the end of the file, expected a file name (printable ASCII, in "
                                  "quotes where it has blanks)"},
        {A "personality b {", "p.cfg:1:37: found 'personality', expected a key (image, cores, memory, quota, weight, "
                              "debug, args, module, msr, io, net, on_exit) or '}'"},
        {A "{", "p.cfg:1:37: found '{', expected a key (image, cores, memory, quota, weight, debug, args, module, msr, "
                "io, net, on_exit) or "
                "'}'"},
        {A "Image y }", "p.cfg:1:37: found 'Image', expected a key (image, cores, memory, quota, weight, debug, args, "
                        "module, msr, io, net, on_exit) or '}'"},
        {A "weight 5 6 }", "p.cfg:1:46: found '6', expected ';', '}' or the end of the line"},
        {A "weight 5 {", "p.cfg:1:46: found '{', expected ';', '}' or the end of the line"},
        {A "} personality b {", "p.cfg:1:39: found 'personality', expected ';' or the end of the line"},
        {"personality a { memory 4K }", "p.cfg:1:27: found '}', expected 'image' in personality 'a'"},
        {"personality a {\n image x\n}", "p.cfg:3:1: found '}', expected 'memory' in personality 'a'"},
        {"slice 1ms 2ms", "p.cfg:1:11: found '2ms', expected ';' or the end of the line"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refuse_text(cases[i].text, cases[i].message);
}

static void refuses_repetitions(void **state)
{
    (void)state;
    refuse_text("slice 1ms\nslice 2ms", "p.cfg:2:1: found 'slice', expected it once: it stands on line 1 already");
    refuse_text("personality a {\n image x\n memory 4K\n image y\n}",
                "p.cfg:4:2: found 'image', expected it once in a personality: it stands on line 2 already");
    refuse_text("personality a {\n args \"\"\n args \"\"\n",
                "p.cfg:3:2: found 'args', expected it once in a personality: it stands on line 2 already");
    refuse_text("personality a { image x; memory 4K }\npersonality a { image y; memory 4K }",
                "p.cfg:2:13: found 'a', expected a new name: the personality on line 1 is called so");
    refuse_text("personality a {\n module m x\n module n x\n module m y\n}",
                "p.cfg:4:9: found 'm', expected a new name: the file on line 2 is called so");
    refuse_text("personality a { image x; memory 4K; debug yes }\npersonality b { debug yes; }",
                "p.cfg:2:23: found 'yes', expected no: personality 'a' on line 1 has the debug capability");
}

static void refuses_sizes(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"foo", "found 'foo', expected a size such as 64M (K, M or G)"},
        {"\"64M\"", "found '\"64M\"', expected a size such as 64M (K, M or G)"},
        {"64MB", "found '64MB', expected a size such as 64M (K, M or G)"},
        {"64m", "found '64m', expected a size such as 64M (K, M or G)"},
        {"M", "found 'M', expected a size such as 64M (K, M or G)"},
        {"-4K", "found '-4K', expected a size such as 64M (K, M or G)"},
        {"0x1000", "found '0x1000', expected a size such as 64M (K, M or G)"},
        {"6.5M", "found '6.5M', expected a size such as 64M (K, M or G)"},
        {"", "found the end of the line, expected a size such as 64M (K, M or G)"},
        {"0", "found '0', expected a size of at least 4K"},
        {"0G", "found '0G', expected a size of at least 4K"},
        {"64", "found '64', expected a size that is a multiple of 4K"},
        {"4097", "found '4097', expected a size that is a multiple of 4K"},
        {"6K", "found '6K', expected a size that is a multiple of 4K"},
        {"4194305G", "found '4194305G', expected a size of at most 4194304G"},
        {"18446744073709551616", "found '18446744073709551616', expected a size of at most 4194304G"},
        {"18014398509481984K", "found '18014398509481984K', expected a size of at most 4194304G"},
        {"99999999999999999999999999999999999999999999999G",
         "found '9999999999999999999999999999999999999999...', expected a size of at most 4194304G"},
    };
    char text[128], message[256];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(text, sizeof(text), "personality a {\n\tmemory %s\n", cases[i].text);
        snprintf(message, sizeof(message), "p.cfg:2:9: %s", cases[i].message);
        refuse_text(text, message);
        snprintf(text, sizeof(text), "personality a {\n\tquota %s\n", cases[i].text);
        snprintf(message, sizeof(message), "p.cfg:2:8: %s", cases[i].message);
        refuse_text(text, message);
    }
    accept_text("personality a { image x; memory 4194304G; quota 4503599627370496 }");
    assert_true(config.personalities[0].memory == UINT64_C(1) << 52);
    assert_true(config.personalities[0].quota == UINT64_C(1) << 52);
}

static void refuses_core_lists(void **state)
{
    static const struct {
        const char *text;
        unsigned column; ///< from the list's first byte, which is in column 8
        const char *found, *expected;
    } cases[] = {
        {"x", 0, "'x'", "a core number from 0 to 63 or a range such as 2-5"},
        {"64", 0, "'64'", "a core number from 0 to 63 or a range such as 2-5"},
        {"0-64", 0, "'0-64'", "a core number from 0 to 63 or a range such as 2-5"},
        {"99999999999999999999", 0, "'99999999999999999999'", "a core number from 0 to 63 or a range such as 2-5"},
        {"0,", 2, "nothing", "a core number from 0 to 63 or a range such as 2-5"},
        {",0", 0, "nothing", "a core number from 0 to 63 or a range such as 2-5"},
        {"0,,1", 2, "nothing", "a core number from 0 to 63 or a range such as 2-5"},
        {"0-", 0, "'0-'", "a core number from 0 to 63 or a range such as 2-5"},
        {"-3", 0, "'-3'", "a core number from 0 to 63 or a range such as 2-5"},
        {"-", 0, "'-'", "a core number from 0 to 63 or a range such as 2-5"},
        {"0-1-2", 0, "'0-1-2'", "a core number from 0 to 63 or a range such as 2-5"},
        {"0x1", 0, "'0x1'", "a core number from 0 to 63 or a range such as 2-5"},
        {"0,all", 2, "'all'", "a core number from 0 to 63 or a range such as 2-5"},
        {"7,5-3", 2, "'5-3'", "a range that ascends, 3-5"},
        {"3,3", 2, "'3'", "cores that the list does not have yet (overlapping cores)"},
        {"0-3,2", 4, "'2'", "cores that the list does not have yet (overlapping cores)"},
        {"5,9,0-63", 4, "'0-63'", "cores that the list does not have yet (overlapping cores)"},
        {"\"0\"", 0, "'\"0\"'", "a list of cores such as 0-3,5, or all"},
        {"", 0, "the end of the line", "a list of cores such as 0-3,5, or all"},
        {"0, 1", 2, "nothing", "a core number from 0 to 63 or a range such as 2-5"},
        {"0 1", 2, "'1'", "';', '}' or the end of the line"},
    };
    char text[128], message[256];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(text, sizeof(text), "personality a {\n\tcores %s\n", cases[i].text);
        snprintf(message, sizeof(message), "p.cfg:2:%u: found %s, expected %s", 8 + cases[i].column, cases[i].found,
                 cases[i].expected);
        refuse_text(text, message);
    }
}

static void reads_core_lists(void **state)
{
    (void)state;
    accept_text(A "cores 0-63 }");
    assert_true(config.personalities[0].cores == UINT64_MAX);
    assert_false(config.personalities[0].all_cores);
    accept_text(A "cores all }");
    assert_true(config.personalities[0].all_cores);
    accept_text(A "cores 63,0,1-1,007 }");
    assert_true(config.personalities[0].cores == (UINT64_C(0x83) | UINT64_C(1) << 63));
}

static void refuses_other_values(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {A "weight 0 }", "p.cfg:1:44: found '0', expected a weight from 1 to 10000"},
        {A "weight 10001 }", "p.cfg:1:44: found '10001', expected a weight from 1 to 10000"},
        {A "weight 4294967396 }", "p.cfg:1:44: found '4294967396', expected a weight from 1 to 10000"},
        {A "weight 1K }", "p.cfg:1:44: found '1K', expected a weight from 1 to 10000"},
        {A "weight -1 }", "p.cfg:1:44: found '-1', expected a weight from 1 to 10000"},
        {A "weight }", "p.cfg:1:44: found '}', expected a weight from 1 to 10000"},
        {A "debug maybe }", "p.cfg:1:43: found 'maybe', expected yes, no or baseline"},
        {A "debug \"yes\" }", "p.cfg:1:43: found '\"yes\"', expected yes, no or baseline"},
        {A "on_exit reboot }", "p.cfg:1:45: found 'reboot', expected park or restart"},
        {A "args quiet }", "p.cfg:1:42: found 'quiet', expected a string in quotes"},
        {A "module m }",
         "p.cfg:1:46: found '}', expected a file name (printable ASCII, in quotes where it has blanks)"},
        {A "module m/n f }", "p.cfg:1:44: found 'm/n', expected a module's name (letters, digits, '-', '_', '.')"},
        {A "module \"m\" f }", "p.cfg:1:44: found '\"m\"', expected a module's name (letters, digits, '-', '_', '.')"},
        {"personality a { image \"\" }",
         "p.cfg:1:23: found '\"\"', expected a file name (printable ASCII, in quotes where it has blanks)"},
        {"personality a { image \"a\tb\" }",
         "p.cfg:1:23: found '\"a\\x09b\"', expected a file name (printable ASCII, in quotes where it has blanks)"},
        {"personality a { image \xc3\xa4.elf }",
         "p.cfg:1:23: found '\\xc3\\xa4.elf', expected a file name (printable ASCII, in quotes where it has blanks)"},
        {"personality a/b {",
         "p.cfg:1:13: found 'a/b', expected a personality's name (letters, digits, '-', '_', '.')"},
        {"personality idle {", "p.cfg:1:13: found 'idle', expected another name: 'idle' is nobody's, in a frame"},
        {"slice 99us", "p.cfg:1:7: found '99us', expected a time from 100us to 1s"},
        {"slice 0ms", "p.cfg:1:7: found '0ms', expected a time from 100us to 1s"},
        {"slice 2s", "p.cfg:1:7: found '2s', expected a time from 100us to 1s"},
        {"slice 1001ms", "p.cfg:1:7: found '1001ms', expected a time from 100us to 1s"},
        {"slice 18446744073709551617s", "p.cfg:1:7: found '18446744073709551617s', expected a time from 100us to 1s"},
        {"slice 1", "p.cfg:1:7: found '1', expected a time such as 1ms (us, ms or s)"},
        {"slice 1m", "p.cfg:1:7: found '1m', expected a time such as 1ms (us, ms or s)"},
        {"slice ms", "p.cfg:1:7: found 'ms', expected a time such as 1ms (us, ms or s)"},
        {"slice", "p.cfg:1:6: found the end of the file, expected a time such as 1ms (us, ms or s)"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refuse_text(cases[i].text, cases[i].message);
}

static void refuses_strings(void **state)
{
    (void)state;
    refuse_text("personality a {\n args \"open\n}",
                "p.cfg:2:7: found '\"open', expected a '\"' that ends the string on the same line");
    refuse_text("personality a {\n args \"open\r\n}",
                "p.cfg:2:7: found '\"open', expected a '\"' that ends the string on the same line");
    refuse_text("personality a { args \"",
                "p.cfg:1:22: found '\"', expected a '\"' that ends the string on the same line");
    refuse_text("personality a { args \"x\\\"",
                "p.cfg:1:22: found '\"x\\\"', expected a '\"' that ends the string on the same line");
    refuse_text(
        "personality a { args \"a\\n\" }",
        "p.cfg:1:24: found '\\n', expected \\\" or \\\\ (a backslash in a string stands before one of the two)");
    refuse_text("personality a { args \"a\\",
                "p.cfg:1:24: found '\\', expected \\\" or \\\\ (a backslash in a string stands before one of the two)");
    refuse_text("personality a { args \"a\\\n\"",
                "p.cfg:1:24: found '\\', expected \\\" or \\\\ (a backslash in a string stands before one of the two)");
    refuse_text("personality a { args \"a\x1b[2J\" }",
                "p.cfg:1:24: found '\\x1b', expected no control characters in a string");
}

static void refuses_garbage(void **state)
{
    (void)state;
    refuse_bytes(
        STRING("\x7f"
               "ELF\x02\x01\x01\0\0\0"),
        "p.cfg:1:1: found '\\x7fELF\\x02\\x01\\x01', expected 'personality', 'slice', 'policy', 'frame' or 'timer'");
    refuse_bytes(STRING("\0"), "p.cfg:1:1: found '\\x00', expected text without NUL bytes");
    refuse_bytes(STRING("personality\0a {"), "p.cfg:1:12: found '\\x00', expected text without NUL bytes");
    refuse_bytes(STRING("# a\0b\npersonality a {"), "p.cfg:1:4: found '\\x00', expected text without NUL bytes");
    refuse_bytes(STRING("personality a { args \"x\0\""),
                 "p.cfg:1:24: found '\\x00', expected no control characters in a string");
    refuse_bytes(STRING("\xff\xfep\0e\0"),
                 "p.cfg:1:1: found '\\xff\\xfep', expected 'personality', 'slice', 'policy', 'frame' or 'timer'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_key),      cmocka_unit_test(remembers_places),
        cmocka_unit_test(has_defaults),         cmocka_unit_test(reads_other_systems_texts),
        cmocka_unit_test(lists_each_file_once), cmocka_unit_test(reads_slices),
        cmocka_unit_test(reads_core_lists),     cmocka_unit_test(keeps_what_stood_before_an_error),
        cmocka_unit_test(refuses_structure),    cmocka_unit_test(refuses_repetitions),
        cmocka_unit_test(refuses_sizes),        cmocka_unit_test(refuses_core_lists),
        cmocka_unit_test(refuses_other_values), cmocka_unit_test(refuses_strings),
        cmocka_unit_test(refuses_garbage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
