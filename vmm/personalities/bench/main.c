// SPDX-License-Identifier: Apache-2.0
// bench: measures what the multiplexer costs. Its arguments say what; docs/performance.md lists them.
#include "bench.h"
#include "personality.h"

enum { WORD_SIZE = 64, START_US = 200000, END_US = 300000, GAP = 64, SILENCES_PER_SECOND = 25 };

/// Takes the next word out of a text. False: there is none.
static bool next_word(const char **text, char *word)
{
    while (**text == ' ')
        (*text)++;
    size_t size = 0;
    for (; **text != ' ' && **text != '\0'; (*text)++)
        if (size < WORD_SIZE - 1)
            word[size++] = **text;
    word[size] = '\0';
    return size > 0;
}

/// Reads KEY=NUMBER. False: it is something else.
static bool take_number(const char *word, const char *key, uint64_t *value)
{
    const size_t size = strlen(key);
    return strncmp(word, key, size) == 0 && word[size] == '=' && pv_parse_number(word + size + 1, value);
}

/// Reads the options among the arguments; the rest are operations.
static bool take_option(const char *word, struct bench_options *options)
{
    uint64_t samples;
    if (take_number(word, "samples", &samples) && samples > 0 && samples <= BENCH_SAMPLES_MAX) {
        options->samples = (uint32_t)samples;
        return true;
    }
    return take_number(word, "start", &options->start_us) || take_number(word, "end", &options->end_us) ||
           take_number(word, "gap", &options->gap);
}

static const struct operation {
    const char *name;
    bool (*run)(const struct bench_options *options);
} operations[] = {
    {"null", bench_null_call},      {"cpuid", bench_cpuid_exit}, {"cpuid1", bench_cpuid1_exit},
    {"exit", bench_delivered_exit}, {"vcpu", bench_vcpu_switch}, {"baseline", bench_baseline},
};
enum { OPERATIONS = sizeof(operations) / sizeof(operations[0]), EVERYBODYS = OPERATIONS - 1 };

/// Until what was printed before is out: the interrupts of the serial line would be in the samples.
static void wait_for_silence(void)
{
    const struct pv_info *info = (const struct pv_info *)PV_INFO_VA;
    pv_event_wait(0, pv_tsc() + info->tsc_hz / SILENCES_PER_SECOND);
}

static bool run_operation(const char *name, const struct bench_options *options, uint32_t agent)
{
    if (strcmp(name, "slice") == 0)
        return bench_slice_switch(options, agent);
    if (agent != 0)
        return true;
    wait_for_silence();
    for (uint32_t i = 0; i < OPERATIONS; i++)
        if (strcmp(name, operations[i].name) == 0)
            return operations[i].run(options);
    pv_printf("bench: error: '%s' is neither an operation (null, cpuid, cpuid1, exit, vcpu, slice, baseline) nor an "
              "option (samples=, start=, end=, gap=)\n",
              name);
    return false;
}

int main(const struct pv_info *info, uint32_t agent)
{
    struct bench_options options = {
        .samples = BENCH_SAMPLES_DEFAULT, .start_us = START_US, .end_us = END_US, .gap = GAP};
    char word[WORD_SIZE];
    bool operation = false, right = true;
    if (agent == 0)
        pv_console_lossless(true);
    for (const char *text = info->args; next_word(&text, word);)
        operation |= !take_option(word, &options);
    for (const char *text = info->args; right && next_word(&text, word);)
        right = take_option(word, &options) || run_operation(word, &options, agent);
    for (uint32_t i = 0; right && !operation && i < EVERYBODYS; i++) // none named: all but slice and baseline
        right = run_operation(operations[i].name, &options, agent);
    if (agent == 0)
        pv_printf("bench: %s\n", right ? "done" : "failed");
    if (agent == 0 && info->flags & PV_INFO_DEBUG) { // in the shell's place: nobody else could end this, and it may not
        wait_for_silence();
        pv_debug(PV_DEBUG_POWEROFF, 0, 0, NULL, 0);
    }
    return !right;
}
