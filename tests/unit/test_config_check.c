// SPDX-License-Identifier: Apache-2.0
// Whether a machine has what a configuration asks for.
// links: vmm/config*.c
// links: vmm/lib/format.c vmm/lib/string.c
#include "config_helper.h"

static const char base[] = "personality a { image a.elf; cores 0-1; memory 64M }\n"
                           "personality b { image b.elf; memory 32M\n module m data }\n"
                           "personality c { image a.elf; cores 1,3; memory 3M; quota 512K }\n";

static int parse_base(void **state)
{
    (void)state;
    accept_text(base);
    return 0;
}

static bool check(struct config_machine machine)
{
    return config_check(&config, "p.cfg", &machine, &error);
}

static void checks_nothing_that_is_unknown(void **state)
{
    (void)state;
    assert_true(check((struct config_machine){0}));
}

static void checks_cores(void **state)
{
    (void)state;
    assert_true(check((struct config_machine){.cores = 0xb}));
    assert_false(check((struct config_machine){.cores = 0x3}));
    assert_string_equal(error.message,
                        "p.cfg:4:36: found absent cores (3) for 'c', expected some of those that run (0-1)");
    assert_false(check((struct config_machine){.cores = UINT64_C(1) << 63 | 0x74}));
    assert_string_equal(error.message,
                        "p.cfg:1:36: found absent cores (0-1) for 'a', expected some of those that run (2,4-6,63)");
}

static void lists_the_most_scattered_cores(void **state)
{
    (void)state;
    accept_text("personality a { image x; memory 4K; cores 0 }");
    assert_false(check((struct config_machine){.cores = UINT64_C(0xaaaaaaaaaaaaaaaa)}));
    assert_non_null(strstr(error.message, "(1,3,5,7,9,11,13,"));
    assert_non_null(strstr(error.message, ",61,63)"));
}

static void checks_memory(void **state)
{
    const uint64_t all = (64 + 1 + 32 + 1 + 3) * UINT64_C(1048576) + (256 + 128 + 512) * 1024;

    (void)state;
    assert_true(check((struct config_machine){.memory = all}));
    assert_false(check((struct config_machine){.memory = all - 4096}));
    assert_string_equal(error.message,
                        "p.cfg:4:48: found memory 3M and quota 512K for 'c', expected at most 3580K in sum: "
                        "of the machine's 104316K, the personalities before it take 100736K");
    assert_false(check((struct config_machine){.memory = 96 << 20}));
    assert_string_equal(error.message,
                        "p.cfg:2:37: found memory 32M and quota 1152K for 'b', expected at most 31488K in sum: of "
                        "the machine's 96M, the personalities before it take 66816K");
    assert_false(check((struct config_machine){.memory = 1}));
    assert_string_equal(error.message,
                        "p.cfg:1:48: found memory 64M and quota 1280K for 'a', expected at most 1 in sum: of "
                        "the machine's 1, the personalities before it take 0");
}

/// 16 on one switch and 17 on another one, in turn.
static void counts_ports(void **state)
{
    char text[4096] = "";
    size_t used = 0;

    (void)state;
    for (unsigned i = 0; i < 17; i++) {
        used +=
            (size_t)snprintf(text + used, sizeof(text) - used, "personality a%u { image x; memory 4K; net one }\n", i);
        if (i < 16)
            used += (size_t)snprintf(text + used, sizeof(text) - used,
                                     "personality b%u { image x; memory 4K; net two }\n", i);
    }
    accept_text(text);
    assert_string_equal(config.personalities[0].net, "one");
    assert_false(check((struct config_machine){0}));
    assert_string_equal(error.message,
                        "p.cfg:33:43: found 'a16' on switch 'one', expected at most 16 personalities there");
    accept_text(strchr(text, '\n') + 1);
    assert_true(check((struct config_machine){0}));
    accept_text("personality a { image x; memory 4K }");
    assert_null(config.personalities[0].net);
    assert_true(config_override(&config, "a.net=lan", &error));
    assert_string_equal(config.personalities[0].net, "lan");
    assert_false(config_override(&config, "a.net=\"l n\"", &error));
}

static void sums_without_overflow(void **state)
{
    static char text[CONFIG_MAX_PERSONALITIES * 80];
    size_t size = 0;

    (void)state;
    for (unsigned i = 0; i < CONFIG_MAX_PERSONALITIES; i++)
        size += (size_t)sprintf(text + size, "personality p%u { image x; memory 4194304G; quota 4194304G }\n", i);
    accept_text(text);
    assert_true(check((struct config_machine){.memory = UINT64_MAX}));
    assert_false(check((struct config_machine){.memory = (UINT64_C(1) << 60) - 1}));
}

/// context: the only file that is missing; an empty reason for "data".
static bool is_other(void *context, const char *name, char *why, size_t why_size)
{
    if (strcmp(name, context) != 0)
        return true;
    if (strcmp(name, "data") != 0)
        snprintf(why, why_size, "zero bytes");
    return false;
}

static void checks_files(void **state)
{
    struct config_machine machine = {.file_exists = is_other};

    (void)state;
    machine.context = "none";
    assert_true(check(machine));
    machine.context = "b.elf";
    assert_false(check(machine));
    assert_string_equal(error.message,
                        "p.cfg:2:23: found no usable file 'b.elf' (zero bytes), expected the image of 'b'");
    machine.context = "data";
    assert_false(check(machine));
    assert_string_equal(error.message, "p.cfg:3:11: found no usable file 'data', expected module 'm' of 'b'");
}

static void names_the_command_line(void **state)
{
    (void)state;
    assert_true(config_override(&config, "quiet b.cores=7", &error));
    assert_false(check((struct config_machine){.cores = 0xf}));
    assert_string_equal(error.message,
                        "command line:1:15: found absent cores (7) for 'b', expected some of those that run (0-3)");
}

static void wants_an_image(void **state)
{
    (void)state;
    config.personalities[1].image = NULL;
    assert_false(check((struct config_machine){0}));
    assert_string_equal(error.message, "p.cfg:2:23: found no image, expected one for 'b'");
}

static void wants_time_for_the_shell(void **state)
{
    static const char text[] = "personality a { image x; memory 4K; debug yes }\n"
                               "personality b { image x; memory 4K }\n"
                               "frame { slot b 1ms }\n";

    (void)state;
    accept_text(text);
    assert_true(check((struct config_machine){0}));
    assert_true(config_override(&config, "policy=frame", &error));
    assert_false(check((struct config_machine){0}));
    assert_string_equal(error.message,
                        "p.cfg:1:13: found no slot of 'a' in the frame, expected one: it has the debug capability");
    assert_true(config_override(&config, "a.debug=no b.debug=yes", &error));
    assert_true(check((struct config_machine){0}));
    assert_true(config_override(&config, "b.debug=no", &error));
    assert_true(check((struct config_machine){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(checks_nothing_that_is_unknown, parse_base),
        cmocka_unit_test_setup(checks_cores, parse_base),
        cmocka_unit_test_setup(lists_the_most_scattered_cores, parse_base),
        cmocka_unit_test_setup(checks_memory, parse_base),
        cmocka_unit_test_setup(counts_ports, parse_base),
        cmocka_unit_test_setup(sums_without_overflow, parse_base),
        cmocka_unit_test_setup(checks_files, parse_base),
        cmocka_unit_test_setup(names_the_command_line, parse_base),
        cmocka_unit_test_setup(wants_an_image, parse_base),
        cmocka_unit_test(wants_time_for_the_shell),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
