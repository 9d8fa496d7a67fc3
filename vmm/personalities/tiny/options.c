// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include "level2.h"
#include "personality.h"
#include "program.h"

enum {
    VALUE_MAX = 64,
    MESSAGE_MAX = 160,
    DEFAULT_QUANTUM_US = 200,
    DEFAULT_REPORT_US = 5000000,
    DEFAULT_SHARE = 20,
    MAX_SMP = 2
};

static char message[MESSAGE_MAX];

/// A word KEY=VALUE of the arguments.
struct word {
    char key[VALUE_MAX], value[VALUE_MAX];
};

/// A number with a unit: us, ms or s.
static bool parse_time(const char *text, uint64_t *microseconds)
{
    static const struct {
        const char *name;
        uint64_t factor;
    } units[] = {{"us", 1}, {"ms", 1000}, {"s", 1000000}};
    char number[VALUE_MAX];
    size_t digits = 0;
    while (text[digits] >= '0' && text[digits] <= '9')
        digits++;
    pv_strcopy(number, sizeof(number), text);
    number[digits] = '\0';
    if (!pv_parse_number(number, microseconds))
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(text + digits, units[i].name) != 0)
            continue;
        *microseconds *= units[i].factor;
        return true;
    }
    return strcmp(text, "0") == 0;
}

static bool parse_guests(struct options *options, const char *text)
{
    options->guest_count = 0;
    for (;;) {
        const char *comma = pv_strchr(text, ',');
        const size_t size = comma != NULL ? (size_t)(comma - text) : strlen(text);
        const struct program *program = program_find(text, size);
        if (program == NULL || options->guest_count == MAX_GUESTS)
            return false;
        options->guests[options->guest_count++] = program;
        if (comma == NULL)
            return true;
        text = comma + 1;
    }
}

static bool parse_policy(struct options *options, const char *text)
{
    const struct l2_policy *policy = l2_policy_named(strcmp(text, "prio") == 0 ? "priority" : text);
    if (policy != NULL)
        options->policy = policy;
    return policy != NULL;
}

static bool parse_share(struct options *options, const char *text)
{
    uint64_t value;
    if (!pv_parse_number(text, &value) || value == 0 || value > 100)
        return false;
    options->share = (uint32_t)value;
    return true;
}

static bool parse_smp(struct options *options, const char *text)
{
    uint64_t value;
    if (!pv_parse_number(text, &value) || value == 0 || value > MAX_SMP)
        return false;
    options->smp = (uint32_t)value;
    return true;
}

static bool parse_msrs(struct options *options, const char *text)
{
    options->intercept_msrs = strcmp(text, "exit") == 0;
    return options->intercept_msrs || strcmp(text, "own") == 0;
}

/// False: no such key, or the value is wrong for it.
static bool apply(struct options *options, const struct word *word)
{
    if (strcmp(word->key, "guests") == 0)
        return parse_guests(options, word->value);
    if (strcmp(word->key, "sched") == 0)
        return parse_policy(options, word->value);
    if (strcmp(word->key, "quantum") == 0)
        return parse_time(word->value, &options->quantum_us) && options->quantum_us > 0;
    if (strcmp(word->key, "share") == 0)
        return parse_share(options, word->value);
    if (strcmp(word->key, "smp") == 0)
        return parse_smp(options, word->value);
    if (strcmp(word->key, "report") == 0)
        return parse_time(word->value, &options->report_us);
    if (strcmp(word->key, "rounds") == 0)
        return pv_parse_number(word->value, &options->rounds);
    if (strcmp(word->key, "msrs") == 0)
        return parse_msrs(options, word->value);
    return false;
}

/// Takes one word off the arguments. False: it is too long, or has no '='.
static bool take_word(const char **arguments, struct word *word)
{
    const char *text = *arguments;
    size_t size = 0;
    while (text[size] != '\0' && text[size] != ' ')
        size++;
    *arguments = text + size;
    const char *equals = pv_strchr(text, '=');
    if (equals == NULL || equals >= text + size || size >= VALUE_MAX)
        return false;
    memset(word, 0, sizeof(*word));
    memcpy(word->key, text, (size_t)(equals - text));
    memcpy(word->value, equals + 1, (size_t)(text + size - equals - 1));
    return true;
}

const char *options_parse(struct options *options, const char *arguments)
{
    *options = (struct options){.policy = &l2_round_robin,
                                .quantum_us = DEFAULT_QUANTUM_US,
                                .report_us = DEFAULT_REPORT_US,
                                .share = DEFAULT_SHARE,
                                .smp = MAX_SMP};
    parse_guests(options, "real16,prot32,long64");
    while (*arguments != '\0') {
        struct word word;
        if (*arguments == ' ') {
            arguments++;
            continue;
        }
        const char *start = arguments;
        if (take_word(&arguments, &word) && apply(options, &word))
            continue;
        pv_snprintf(message, sizeof(message),
                    "'%.*s' is none of guests=real16,prot32,long64,smp64 sched=rr|prio|edf quantum=TIME "
                    "share=PERCENT smp=1|2 report=TIME rounds=N msrs=own|exit",
                    (int)(arguments - start), start);
        return message;
    }
    return NULL;
}
