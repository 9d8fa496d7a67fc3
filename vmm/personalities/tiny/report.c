// SPDX-License-Identifier: Apache-2.0
#include "report.h"

#include "agent.h"

enum { POLLS_PER_SECOND = 200, MICROSECONDS = 1000000, INPUT_SIZE = 32, LINE_SIZE = 256 };

/// What all agents' guests have done so far.
struct sums {
    uint64_t rounds, errors;
    uint64_t least; ///< rounds of the slowest
    uint32_t cpus;
};

static struct sums add_up(const struct pv_info *info, const struct program *program)
{
    struct sums sums = {.least = UINT64_MAX};
    for (uint32_t a = 0; a < info->agent_count; a++) {
        for (uint32_t i = 0; i < agents[a].count; i++) {
            const struct cpu *cpu = &agents[a].cpus[i];
            if (program != NULL && cpu->program != program)
                continue;
            sums.rounds += cpu->rounds;
            sums.errors += cpu->errors;
            sums.least = cpu->rounds < sums.least ? cpu->rounds : sums.least;
            sums.cpus++;
        }
    }
    return sums;
}

static void print_summary(const struct pv_info *info, const struct options *options)
{
    const struct sums all = add_up(info, NULL);
    char line[LINE_SIZE];
    size_t used = pv_snprintf(line, sizeof(line), "rounds=%lu errors=%lu vcpus=%u", all.rounds, all.errors, all.cpus);
    for (size_t i = 0; i < options->guest_count && used < sizeof(line); i++)
        used += pv_snprintf(line + used, sizeof(line) - used, " %s=%lu", options->guests[i]->name,
                            add_up(info, options->guests[i]).rounds);
    pv_printf("%s\n", line);
}

void report_start(const struct pv_info *info, const struct options *options)
{
    char line[LINE_SIZE];
    size_t used = 0;
    for (size_t i = 0; i < options->guest_count && used < sizeof(line); i++)
        used += pv_snprintf(line + used, sizeof(line) - used, "%s%s", i == 0 ? "" : ",", options->guests[i]->name);
    pv_printf("%s on each of %u cores, level 2: %s, quantum %lu us\n", line, info->agent_count, options->policy->name,
              options->quantum_us);
}

void report_end_when_done(const struct pv_info *info, const struct options *options)
{
    const struct sums all = add_up(info, NULL);
    if (options->rounds == 0 || all.cpus == 0 || all.least < options->rounds)
        return;
    print_summary(info, options);
    pv_exit(all.errors != 0);
}

/// Takes whatever was typed; whether there was a line end in it.
static bool was_asked(void)
{
    char input[INPUT_SIZE];
    bool asked = false;
    for (;;) {
        const int64_t size = pv_console_read(input, sizeof(input));
        if (size <= 0)
            return asked;
        for (int64_t i = 0; i < size; i++)
            asked |= input[i] == '\n' || input[i] == '\r';
    }
}

void report_poll(const struct pv_info *info, const struct options *options, uint64_t now)
{
    static uint64_t next_poll, next_report;
    if (now < next_poll)
        return;
    next_poll = now + info->tsc_hz / POLLS_PER_SECOND;
    const uint64_t period = options->report_us * (info->tsc_hz / POLLS_PER_SECOND) / (MICROSECONDS / POLLS_PER_SECOND);
    if (next_report == 0)
        next_report = now + period;
    const bool due = period != 0 && now >= next_report;
    if (was_asked() || due)
        print_summary(info, options);
    if (due)
        next_report = now + period;
    report_end_when_done(info, options);
}
