// SPDX-License-Identifier: Apache-2.0
// The switch from a guest of one personality to a guest of another, at the end of a slice: no personality sees all of it. Each
// writes down when its guests were away, on the one clock that they have in common; tools/bench puts the parts together.
#include <stdatomic.h>

#include "bench.h"
#include "guest.h"

enum {
    ROOM = (BENCH_MEMORY - BENCH_SHARED - (int)sizeof(struct bench_log)) / (int)sizeof(struct bench_away),
    LINE_ENTRIES = 8,
    US_PER_SECOND = 1000000,
    AFTER_END_US = 20000, ///< until all other guests have ended, too
};

static struct {
    struct bench_log *log; ///< NULL: failed
    _Atomic bool done;
} agents[PV_MAX_CORES];

static uint64_t tsc_at(uint64_t us)
{
    const struct pv_info *info = (const struct pv_info *)PV_INFO_VA;
    return info->tsc_entry + us * info->tsc_hz / US_PER_SECOND;
}

static void wait_until(uint64_t tsc)
{
    while (pv_tsc() < tsc)
        pv_event_wait(0, tsc);
}

static bool run_guest(const struct bench_options *options, struct bench_log **result)
{
    struct bench_guest guest;
    if (!bench_guest_open(&guest))
        return false;
    struct bench_log *log = pv_guest_pointer(&guest.memory, BENCH_SHARED, sizeof(*log));
    *log = (struct bench_log){
        .start = tsc_at(options->start_us), .end = tsc_at(options->end_us), .gap = options->gap, .room = ROOM};
    bench_guest_start(&guest, bench_slice, 0, 0, 0);
    if (pv_tsc() > log->start)
        pv_printf("bench: error: ready only %lu us after start\n",
                  (pv_tsc() - log->start) * US_PER_SECOND / ((const struct pv_info *)PV_INFO_VA)->tsc_hz);
    wait_until(log->start); // those that are set up leave the core to the others
    *result = log;
    return bench_guest_run(&guest);
}

/// One line for up to LINE_ENTRIES times away: the TSC that the first is counted from, then for each the ticks that the guest
/// ran before it and the ticks that it took, in hexadecimal; '~': not exact.
///   bench: away core=0 from=2faf080 1388:1398 1380:13a0~
static void print_log(uint32_t core, const struct bench_log *log)
{
    uint64_t from = log->start;
    pv_printf("bench: op=slice core=%u away=%lu kept=%lu\n", core, log->times, log->count);
    for (uint64_t i = 0; i < log->count;) {
        char line[256];
        size_t used = pv_snprintf(line, sizeof(line), "bench: away core=%u from=%lx", core, from);
        for (uint32_t n = 0; n < LINE_ENTRIES && i < log->count; n++, i++) {
            const struct bench_away *away = &log->entries[i];
            const uint64_t after = away->after & ~BENCH_NOT_EXACT;
            used += pv_snprintf(line + used, sizeof(line) - used, " %lx:%lx%s", away->before - from,
                                after - away->before, after != away->after ? "~" : "");
            from = after;
        }
        pv_printf("%s\n", line);
    }
}

bool bench_slice_switch(const struct bench_options *options, uint32_t agent)
{
    const struct pv_info *info = (const struct pv_info *)PV_INFO_VA;
    struct bench_log *log = NULL;
    const bool ran = run_guest(options, &log);
    agents[agent].log = ran ? log : NULL;
    atomic_store(&agents[agent].done, true);
    if (agent != 0)
        return ran;
    const uint64_t end = tsc_at(options->end_us + AFTER_END_US);
    wait_until(end);
    bool all = true;
    for (uint32_t i = 0; i < info->agent_count; i++) {
        while (!atomic_load(&agents[i].done))
            wait_until(pv_tsc() + info->tsc_hz / 1000);
        if (agents[i].log != NULL)
            print_log(info->cores[i], agents[i].log);
        all = all && agents[i].log != NULL;
    }
    return all;
}
