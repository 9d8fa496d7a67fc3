// SPDX-License-Identifier: Apache-2.0
// What a terminal sees again of old output: everything but what makes it answer.
// links: vmm/replay.c vmm/lib/string.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "random.h"
#include "vmm/replay.h"

static struct replay replay;

/// What passes of a text, without what is held back at its end.
static const char *passed(const char *text)
{
    static char out[4096];
    size_t used = 0;
    replay = (struct replay){0};
    for (; *text != '\0'; text++) {
        assert_true(used + REPLAY_HELD < sizeof(out));
        used += replay_byte(&replay, *text, out + used);
    }
    out[used] = '\0';
    return out;
}

static void passes(const char *text)
{
    assert_string_equal(passed(text), text);
}

static void leaves_out(const char *sequence)
{
    char text[512] = "before";
    strcat(strcat(text, sequence), "after");
    assert_string_equal(passed(text), "beforeafter");
}

static void text_passes(void **state)
{
    (void)state;
    passes("text\r\n\ttab\b\a\x0e\x0f\x7f");
    passes("gr\xc3\xbc\xc3\x9f"
           "e \xe2\x86\x92 \xf0\x9f\x98\x80 \xc2\xa0"); // continuations look like controls
}

static void what_draws_passes(void **state)
{
    (void)state;
    passes("\033[1;31mred\033[m\033[38:2::1:2:3mx\033[2J\033[H\033[10;20Hx\033[K\033[?25l\033[?1049h\033[4h\033[3A\033["
           "1;24r\033[s\033[u");
    passes("\0337\0338\033D\033M\033c\033(B\033)0\033=\033>\033#8\033 F");
}

static void questions_do_not(void **state)
{
    (void)state;
    static const char *const sequences[] = {
        "\033[6n",
        "\033[5n",
        "\033[?6n",
        "\033[?15n",
        "\033[n", // status, position
        "\033[c",
        "\033[0c",
        "\033[>c",
        "\033[=c",
        "\033Z",
        "\x05", // who are you
        "\033[?1$p",
        "\033[4$p",
        "\033[1;1;1;1;1;1*y",
        "\033[2$w", // modes, checksums, presentation
        "\033[x",
        "\033[18t",
        "\033[21t",
        "\033[>q",
        "\033[?u",
        "\033[?1;1;0S",
        "\033[1$u",
        "\033[1'|",
        "\033[5i",
        "\033[&u",
        "\033P$qm\033\\",
        "\033P+q544e\033\\",
        "\033]10;?\a",
        "\033]11;?\033\\",
        "\033]52;c;?\a",
        "\033_Gi=1,a=q;AAAA\033\\",
        "\033^x\033\\",
        "\033Xx\033\\",
        "\033\\",
        "\033\033[6n",
        "\033[1\033[6n",
        "\033P$q\033[6n", // one that ends another
        "\033[6\x18",
        "\033[6\x1a",
    };
    for (size_t i = 0; i < sizeof(sequences) / sizeof(sequences[0]); i++)
        leaves_out(sequences[i]);
    assert_string_equal(passed("\x9b"
                               "6nx"),
                        "6nx"); // the same in one byte, and as a character
    assert_string_equal(passed("\xc2\x9b"
                               "6nx"),
                        "\xc2"
                        "6nx");
}

/// A line that is no sequence, or never ends, hides nothing behind it.
static void broken_ones_end(void **state)
{
    (void)state;
    assert_string_equal(passed("\033]0;title\nnext"), "\nnext");
    assert_string_equal(passed("\033[6\nn"), "\nn"); // terminals would go on
    assert_string_equal(passed("\033[6\xc3\xbcn"), "\xc3\xbcn");
    char text[300] = "a\033[";
    memset(text + 3, '1', 200);
    strcpy(text + 203, "mb");
    assert_string_equal(passed(text), "ab");
}

static void what_is_begun_is_held_back(void **state)
{
    (void)state;
    char out[REPLAY_HELD];
    assert_string_equal(passed("a\033[6"), "a");
    assert_int_equal(replay_end(&replay, out), 3);
    assert_memory_equal(out, "\033[6", 3);
    assert_int_equal(replay_end(&replay, out), 0);
    assert_string_equal(passed("a\033]0;t"), "a");
    assert_int_equal(replay_end(&replay, out), 0);
}

/// What has passed asks nothing: it passes again as it is.
static void passes_only_once(void **state)
{
    (void)state;
    static const char alphabet[] = "\033\033\033[[]P0156;?$>ncmHJ\\x\a\n\x9b\xc2\x05Z";
    static char once[4096];
    uint64_t seed = 1;
    for (int round = 0; round < 20000; round++) {
        char text[64];
        for (size_t i = 0; i < sizeof(text) - 1; i++)
            text[i] = alphabet[random_below(&seed, sizeof(alphabet) - 1)];
        text[sizeof(text) - 1] = '\0';
        strcpy(once, passed(text));
        assert_string_equal(passed(once), once);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_passes),
        cmocka_unit_test(what_draws_passes),
        cmocka_unit_test(questions_do_not),
        cmocka_unit_test(broken_ones_end),
        cmocka_unit_test(what_is_begun_is_held_back),
        cmocka_unit_test(passes_only_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
