// SPDX-License-Identifier: Apache-2.0
// links: tests/unit/fake_multiplexer.c vmm/personalities/monitor/[!m]*.c vmm/personalities/monitor/msr_names.c
// links: arch/x86/vmx/vmcs_fields.c arch/x86/vmx/vmcs_names.c vmm/personalities/lib/console.c vmm/personalities/lib/error.c
// links: vmm/personalities/lib/devices/page_walk.c vmm/personalities/lib/number.c vmm/lib/format.c vmm/lib/string.c
#include "shell_session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "json_check.h"
#include "random.h"
#include "vmm/personalities/monitor/out.h"
#include "vmm/personalities/monitor/shell.h"

int shell_set_up(void **state)
{
    (void)state;
    fake_reset();
    out_settings = (struct out_settings){.pager = true, .rows = 24, .columns = 80};
    return 0;
}

const char *session(const char *typed)
{
    fake.typed = typed;
    fake.output_size = 0;
    shell_run(&fake.info);
    return fake.output;
}

void type_at_random(const char *const *words, size_t count, int rounds, uint64_t seed)
{
    for (int round = 0; round < rounds; round++) {
        char typed[512] = "";
        while (strlen(typed) < sizeof(typed) - 20) {
            strcat(typed, words[random_below(&seed, count)]);
            strcat(typed, random_below(&seed, 3) == 0 ? "\r" : " ");
        }
        session(typed);
    }
}

const char *answer(const char *command)
{
    static char text[FAKE_OUTPUT];
    char typed[600];
    snprintf(typed, sizeof(typed), "%s\r", command);
    snprintf(text, sizeof(text), "polyvisor> %s\n", command);
    const char *begin = strstr(session(typed), text);
    if (begin == NULL)
        fail_msg("'%s' was not echoed", command);
    strcpy(text, begin + strlen(text));
    char *end = strstr(text, "polyvisor> ");
    if (end == NULL)
        fail_msg("no prompt after '%s': %s", command, text);
    *end = '\0';
    return text;
}

void expect(const char *command, const char *expected)
{
    const char *text = answer(command);
    if (strstr(text, expected) == NULL)
        fail_msg("'%s' answered: %s", command, text);
}

void expect_not(const char *command, const char *unexpected)
{
    const char *text = answer(command);
    if (strstr(text, unexpected) != NULL)
        fail_msg("'%s' answered: %s", command, text);
}

void expect_json(const char *command, const char *expected)
{
    char text[FAKE_OUTPUT];
    strcpy(text, answer(command));
    char *end = strchr(text, '\n');
    if (end == NULL || end[1] != '\0')
        fail_msg("'%s' did not answer with one line: %s", command, text);
    *end = '\0';
    if (!json_check(text))
        fail_msg("'%s' answered with invalid JSON: %s", command, text);
    if (strstr(text, expected) == NULL)
        fail_msg("'%s' answered: %s", command, text);
}

void expect_printed(const char *expected)
{
    if (strstr(fake.output, expected) == NULL)
        fail_msg("'%s' is not in: %s", expected, fake.output);
}

void expect_not_printed(const char *unexpected)
{
    if (strstr(fake.output, unexpected) != NULL)
        fail_msg("'%s' is in: %s", unexpected, fake.output);
}
