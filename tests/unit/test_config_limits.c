// SPDX-License-Identifier: Apache-2.0
// The configuration parser at its limits: the largest that is right, the smallest that is wrong, and damaged texts.
// links: vmm/config*.c vmm/lib/format.c vmm/lib/string.c
#include "config_helper.h"
#include "random.h"

enum { MUTATIONS = 3000 };

/// A text that is written piece by piece.
static char big[4 * CONFIG_MAX_TEXT];
static size_t big_size;

__attribute__((format(printf, 1, 2))) static void put(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    big_size += (size_t)vsnprintf(big + big_size, sizeof(big) - big_size, format, args);
    va_end(args);
    assert_true(big_size < sizeof(big));
}

static void repeat(const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++)
        put("%s", text);
}

/// Parses `head`, `text` so many times, `tail`.
static bool parse_repeated(const char *head, const char *text, size_t count, const char *tail)
{
    big_size = 0;
    put("%s", head);
    repeat(text, count);
    put("%s", tail);
    return parse(big, big_size);
}

static void limits_names(void **state)
{
    const char *personality = "p.cfg:1:13: found 'nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn', expected a personality's name of "
                              "at most 31 characters";
    const char *module = "p.cfg:1:24: found 'nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn...', expected a module's name of "
                         "at most 31 characters";

    (void)state;
    assert_true(parse_repeated("personality ", "n", 31, " { image x; memory 4K }"));
    assert_int_equal(strlen(config.personalities[0].name), 31);
    assert_false(parse_repeated("personality ", "n", 32, " { image x; memory 4K }"));
    assert_string_equal(error.message, personality);
    assert_true(parse_repeated("personality a { module ", "n", 31, " f; image x; memory 4K }"));
    assert_false(parse_repeated("personality a { module ", "n", 300, " f; image x; memory 4K }"));
    assert_string_equal(error.message, module);
}

static void limits_file_names(void **state)
{
    const char *message = "p.cfg:1:23: found 'ffffffffffffffffffffffffffffffffffffffff...', expected a file name of at "
                          "most 127 bytes, not 128";

    (void)state;
    assert_true(parse_repeated("personality a { image ", "f", 127, "; memory 4K }"));
    assert_int_equal(strlen(config.personalities[0].image), 127);
    assert_false(parse_repeated("personality a { image ", "f", 128, "; memory 4K }"));
    assert_string_equal(error.message, message);
}

static void limits_args(void **state)
{
    const char *message =
        "p.cfg:1:22: found '\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\...', "
        "expected a string of at most 1023 bytes, not 1024";

    (void)state;
    // The limit holds for what the personality gets, without the backslashes.
    assert_true(parse_repeated("personality a { args \"", "\\\"", 1023, "\"; image x; memory 4K }"));
    assert_int_equal(strlen(config.personalities[0].args), 1023);
    assert_false(parse_repeated("personality a { args \"", "\\\"", 1024, "\"; image x; memory 4K }"));
    assert_string_equal(error.message, message);
}

static void limits_modules(void **state)
{
    (void)state;
    for (unsigned count = PV_MAX_MODULES; count <= PV_MAX_MODULES + 1; count++) {
        big_size = 0;
        put("personality a { image x; memory 4K\n");
        for (unsigned i = 0; i < count; i++)
            put(" module m%u x\n", i);
        put("}\n");
        assert_int_equal(parse(big, big_size), count == PV_MAX_MODULES);
    }
    assert_string_equal(error.message, "p.cfg:18:9: found 'm16', expected at most 16 modules in a personality");
}

static void limits_grants(void **state)
{
    (void)state;
    for (unsigned count = CONFIG_MAX_GRANTS; count <= CONFIG_MAX_GRANTS + 1; count++) {
        big_size = 0;
        put("personality a { image x; memory 4K\n");
        for (unsigned i = 0; i < count; i++)
            put(" msr %u read\n", 0x100 + i);
        put("}\n");
        assert_int_equal(parse(big, big_size), count == CONFIG_MAX_GRANTS);
    }
    assert_string_equal(error.message, "p.cfg:18:6: found '272', expected 'msr' at most 16 times in a personality");
    for (unsigned count = CONFIG_MAX_GRANTS; count <= CONFIG_MAX_GRANTS + 1; count++) {
        big_size = 0;
        put("personality a { image x; memory 4K; msr 0x10 read\n"); // kinds are counted apart
        for (unsigned i = 0; i < count; i++)
            put(" io 0x%x\n", 0x1000 + i);
        put("}\n");
        assert_int_equal(parse(big, big_size), count == CONFIG_MAX_GRANTS);
    }
    assert_string_equal(error.message, "p.cfg:18:5: found '0x1010', expected 'io' at most 16 times in a personality");
}

static void limits_slots(void **state)
{
    static const char head[] = "personality a { image x; memory 4K }\nframe {\n";

    (void)state;
    assert_true(parse_repeated(head, "slot a 1s\n", CONFIG_MAX_SLOTS, "}"));
    assert_int_equal(config.slot_count, CONFIG_MAX_SLOTS);
    assert_int_equal(config.slots[CONFIG_MAX_SLOTS - 1].us, 1000000);
    assert_int_equal(config.slots[CONFIG_MAX_SLOTS - 1].place.line, CONFIG_MAX_SLOTS + 2);
    assert_false(parse_repeated(head, "slot a 1s\n", CONFIG_MAX_SLOTS + 1, "}"));
    assert_string_equal(error.message, "p.cfg:67:1: found 'slot', expected at most 64 slots");
}

static void limits_personalities(void **state)
{
    (void)state;
    for (unsigned count = CONFIG_MAX_PERSONALITIES; count <= CONFIG_MAX_PERSONALITIES + 1; count++) {
        big_size = 0;
        for (unsigned i = 0; i < count; i++)
            put("personality p%u { image x; memory 4K }\n", i);
        assert_int_equal(parse(big, big_size), count == CONFIG_MAX_PERSONALITIES);
    }
    assert_string_equal(error.message, "p.cfg:129:1: found 'personality', expected at most 128 personalities");
}

static void limits_files(void **state)
{
    (void)state;
    for (unsigned count = CONFIG_MAX_FILES; count <= CONFIG_MAX_FILES + 1; count++) {
        big_size = 0;
        for (unsigned i = 0; i < count; i++)
            put("personality p%u { image f%u; memory 4K }\n", i, i);
        assert_int_equal(parse(big, big_size), count == CONFIG_MAX_FILES);
    }
    assert_string_equal(error.message, "p.cfg:127:26: found 'f126', expected at most 126 different files");
    assert_int_equal(config.file_count, CONFIG_MAX_FILES);
}

static void limits_text(void **state)
{
    static const char head[] = "personality a { image x; memory 4K }\n#";

    (void)state;
    assert_true(parse_repeated(head, "c", CONFIG_MAX_TEXT - (sizeof(head) - 1), ""));
    assert_int_equal(big_size, CONFIG_MAX_TEXT);
    assert_false(parse_repeated(head, "c", CONFIG_MAX_TEXT + 1 - (sizeof(head) - 1), ""));
    assert_string_equal(error.message, "p.cfg:1:1: found more than 65536 bytes of text, expected at most that");
}

static void has_room_for_any_text_of_legal_size(void **state)
{
    (void)state;
    // As much of a text as possible goes into `strings`: long arguments for all personalities.
    big_size = 0;
    for (unsigned i = 0; i < CONFIG_MAX_PERSONALITIES; i++) {
        put("personality p%u{image x;memory 4K;args \"", i);
        repeat("a", (CONFIG_MAX_TEXT - big_size) / (CONFIG_MAX_PERSONALITIES - i) - 60);
        put("\"}\n");
    }
    assert_in_range(big_size, CONFIG_MAX_TEXT / 2, CONFIG_MAX_TEXT);
    assert_true(parse(big, big_size));
    assert_true(config.strings_used <= sizeof(config.strings));
    assert_string_equal(config.personalities[127].name, "p127");
}

static void cuts_messages_about_long_lines(void **state)
{
    (void)state;
    // The longest names everywhere and a token of control bytes, each of which is shown as four.
    assert_false(parse_repeated("personality ", "n", 31, " { \x01"));
    assert_false(parse_repeated("", "\x01", 5000, ""));
    assert_string_equal(
        error.message,
        "p.cfg:1:1: found '\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01"
        "\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01"
        "\\x01\\x01\\x01\\x01\\x01\\x01...', expected 'personality', 'slice', 'policy', 'frame' or 'timer'");
    assert_false(parse_repeated("", "\n", 60000, "!"));
    assert_string_equal(error.message,
                        "p.cfg:60001:1: found '!', expected 'personality', 'slice', 'policy', 'frame' or 'timer'");
}

static void survives_a_long_file_name_in_messages(void **state)
{
    char name[1000];

    (void)state;
    memset(name, 'f', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    assert_false(config_parse(&config, name, "!", 1, &error));
    assert_non_null(
        strstr(error.message, ":1:1: found '!', expected 'personality', 'slice', 'policy', 'frame' or 'timer'"));
}

/// What must hold of any text: an error in this form, or a configuration whose values are in their ranges.
static void check_result(bool good)
{
    if (!good) {
        assert_true(strncmp(error.message, "p.cfg:", 6) == 0);
        assert_non_null(strstr(error.message, ", expected "));
        assert_true(error.place.line >= 1 && error.place.column >= 1);
        for (const char *c = error.message; *c != '\0'; c++)
            assert_true(*c >= 0x20 && *c < 0x7f);
        return;
    }
    assert_in_range(config.personality_count, 1, CONFIG_MAX_PERSONALITIES);
    for (uint32_t i = 0; i < config.personality_count; i++) {
        const struct config_personality *p = &config.personalities[i];
        assert_in_range(strlen(p->name), 1, PV_NAME_SIZE - 1);
        assert_in_range(strlen(p->image), 1, PV_FILE_SIZE - 1);
        assert_in_range(p->weight, 1, CONFIG_WEIGHT_MAX);
        assert_true(p->memory != 0 && p->memory % 4096 == 0);
        assert_true(config_quota(p) != 0 && config_quota(p) % 4096 == 0);
        assert_true(p->cores != 0);
        assert_true(p->msr_grant_count <= CONFIG_MAX_GRANTS && p->io_grant_count <= CONFIG_MAX_GRANTS);
    }
    assert_true(config.slot_count <= CONFIG_MAX_SLOTS);
    assert_true(config.policy == PV_POLICY_WEIGHTED || config.slot_count != 0);
    for (uint32_t i = 0; i < config.slot_count; i++) {
        assert_true(config.slots[i].personality < config.personality_count ||
                    config.slots[i].personality == CONFIG_IDLE);
        assert_in_range(config.slots[i].us, 10, 1000000);
    }
}

static void survives_damage(void **state)
{
    static const char sound[] = "slice 2ms\npersonality a { image x.elf; cores 0-3,5; memory 64M; weight 7; debug yes\n"
                                "args \"-v \\\"q\\\"\"; module m file }\r\n# comment\npersonality b {\nimage y\n"
                                "memory 1G;quota 8K\nmsr 0x10-0x1a read; io 0x300\n}\npolicy frame\n"
                                "frame { slot a 1ms; slot idle 20us; slot b 1s }\n";
    static const char bytes[] = "\0\n\r\t \"\\#{};,-0123456789KMGax\xff";
    uint64_t seed = 2;
    unsigned good = 0;

    (void)state;
    for (unsigned round = 0; round < MUTATIONS; round++) {
        char text[sizeof(sound)];
        size_t size = sizeof(sound) - 1;
        memcpy(text, sound, sizeof(sound));
        for (uint64_t changes = 1 + random_below(&seed, 3); changes > 0 && size > 0; changes--) {
            size_t at = (size_t)random_below(&seed, size);
            if (random_below(&seed, 4) == 0)
                size = at + 1; // cut off
            else if (random_below(&seed, 2) == 0)
                memmove(text + at, text + at + 1, --size - at); // one byte fewer
            else
                text[at] = bytes[random_below(&seed, sizeof(bytes))];
        }
        bool result = parse(text, size);
        check_result(result);
        good += result;
    }
    // Both outcomes were seen often, or the damage says nothing.
    assert_in_range(good, MUTATIONS / 50, MUTATIONS * 49 / 50);
}

static void survives_noise(void **state)
{
    uint64_t seed = 3;

    (void)state;
    for (unsigned round = 0; round < MUTATIONS; round++) {
        char noise[200];
        size_t size = (size_t)random_below(&seed, sizeof(noise));
        for (size_t i = 0; i < size; i++)
            noise[i] = (char)random_below(&seed, 256);
        check_result(parse(noise, size));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_names),
        cmocka_unit_test(limits_file_names),
        cmocka_unit_test(limits_args),
        cmocka_unit_test(limits_modules),
        cmocka_unit_test(limits_grants),
        cmocka_unit_test(limits_slots),
        cmocka_unit_test(limits_personalities),
        cmocka_unit_test(limits_files),
        cmocka_unit_test(limits_text),
        cmocka_unit_test(has_room_for_any_text_of_legal_size),
        cmocka_unit_test(cuts_messages_about_long_lines),
        cmocka_unit_test(survives_a_long_file_name_in_messages),
        cmocka_unit_test(survives_damage),
        cmocka_unit_test(survives_noise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
