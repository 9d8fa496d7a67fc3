// SPDX-License-Identifier: Apache-2.0
// The switch between two guests on a core that is out of service: with VMX left on, and as hypervisors do that leave VMX operation for
// each other. Both guests are here, so both sides of a switch are seen.
#include <polyvisor/baseline.h>

#include "bench.h"
#include "guest.h"
#include "samples.h"

enum {
    ROOM = (BENCH_MEMORY - BENCH_SHARED - (int)sizeof(struct bench_log)) / (int)sizeof(struct bench_away),
    FIRST_LEFT_OUT = 4, ///< times away that are from before the other guest was at its stamps
    PER_SAMPLE = 2,     ///< switches for a sample, at most: some are not exact
};

static struct pv_baseline call;

static bool failed(const char *what, int64_t result)
{
    pv_printf("bench: error: %s: %s\n", what, pv_error_name(result));
    return false;
}

static struct bench_log *log_of(const struct bench_guest *guest)
{
    return pv_guest_pointer(&guest->memory, BENCH_SHARED, sizeof(struct bench_log));
}

static bool slice_ticks(uint64_t *ticks)
{
    struct pv_machine_info machine;
    const int64_t result = pv_debug(PV_DEBUG_MACHINE, 0, 0, &machine, sizeof(machine));
    if (result < 0)
        return failed("machine", result);
    *ticks = machine.slice_ticks;
    return true;
}

/// Runs both guests in turn, from their beginning.
static bool run(struct bench_guest guests[2], enum pv_baseline_way way, const struct bench_options *options)
{
    for (uint32_t i = 0; i < 2; i++) {
        *log_of(&guests[i]) = (struct bench_log){.end = UINT64_MAX, .gap = options->gap, .room = ROOM};
        bench_guest_start(&guests[i], bench_slice, 0, 0, 0);
    }
    call.vcpus[0] = (uint32_t)guests[0].vcpu.id;
    call.vcpus[1] = (uint32_t)guests[1].vcpu.id;
    call.way = way;
    call.switches = PER_SAMPLE * options->samples + 2 * FIRST_LEFT_OUT;
    if (!slice_ticks(&call.turn_ticks))
        return false;
    const int64_t result = pv_debug(PV_DEBUG_BASELINE, 0, 0, &call, sizeof(call));
    if (result < 0)
        return failed("baseline", result);
    if (call.exit != PV_BASELINE_NO_EXIT)
        pv_printf("bench: error: unexpected exit: %s\n", pv_exit_name(call.exit));
    return call.exit == PV_BASELINE_NO_EXIT;
}

static bool is_exact(const struct bench_away *away)
{
    return !(away->after & BENCH_NOT_EXACT);
}

/// Switches from one guest to the other: a time away of the one in which there is a first stamp of the other. Its own last stamp was
/// before the switch, that first stamp after it. (A time away in which the other did not run is the middle of a turn.)
static uint32_t pair(const struct bench_log *from, const struct bench_log *to, uint32_t *samples, uint32_t room)
{
    uint32_t count = 0;
    uint64_t next = 0;
    for (uint64_t i = FIRST_LEFT_OUT; i < from->count && count < room; i++) {
        const struct bench_away *away = &from->entries[i];
        const uint64_t end = away->after & ~BENCH_NOT_EXACT;
        while (next < to->count && (to->entries[next].after & ~BENCH_NOT_EXACT) < away->before)
            next++;
        if (next < to->count && (to->entries[next].after & ~BENCH_NOT_EXACT) < end && is_exact(away) &&
            is_exact(&to->entries[next]))
            samples[count++] = (uint32_t)(to->entries[next].after - away->before);
    }
    return count;
}

/// How far apart stamps are when nothing happens.
static void spacing(const struct bench_log *log, uint32_t *empty, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t n = i % (BENCH_STAMPS - 1);
        empty[i] = log->block[n + 1] - log->block[n];
    }
}

static bool measure(struct bench_guest guests[2], const char *op, enum pv_baseline_way way,
                    const struct bench_options *options)
{
    static uint32_t samples[BENCH_SAMPLES_MAX], empty[BENCH_SAMPLES_MAX];
    if (!run(guests, way, options))
        return false;
    uint32_t count = pair(log_of(&guests[0]), log_of(&guests[1]), samples, options->samples / 2);
    count += pair(log_of(&guests[1]), log_of(&guests[0]), samples + count, options->samples - count);
    if (count < options->samples) {
        pv_printf("bench: error: only %u of %u switches were seen from both sides\n", count, call.switched);
        return false;
    }
    spacing(log_of(&guests[0]), empty, count);
    samples_print(op, samples, empty, count);
    pv_printf("bench: baseline op=%s switches=%u turn=%lu cleared=%u vmxoff=%u vmx_instructions=%lu\n", op,
              call.switched, call.turn_ticks, call.cleared, call.off_count, call.vmx_instructions);
    return true;
}

/// What the core says of itself now: it is in VMX operation, and every VMXOFF was counted.
static bool print_counts(uint32_t core_id)
{
    static struct pv_core_info cores[PV_MAX_CORES];
    const int64_t result = pv_debug(PV_DEBUG_CORES, 0, 0, cores, sizeof(cores));
    if (result < 0)
        return failed("cores", result);
    const struct pv_core_info *core = &cores[core_id];
    pv_printf("bench: core=%u vmx=%u vmxon=%lu vmxoff=%lu tsc_hz=%lu\n", core_id, core->state == PV_CORE_VMX,
              core->vmxon, core->vmxoff, ((const struct pv_info *)PV_INFO_VA)->tsc_hz);
    return true;
}

bool bench_baseline(const struct bench_options *options)
{
    struct bench_guest guests[2];
    if (!bench_guest_open(&guests[0]) || !bench_guest_open(&guests[1]))
        return false;
    const struct pv_info *info = (const struct pv_info *)PV_INFO_VA;
    if (!print_counts(info->cores[0]) || !measure(guests, "stay", PV_BASELINE_STAY, options) ||
        !measure(guests, "leave", PV_BASELINE_LEAVE, options))
        return false;
    samples_print("off-on", call.pairs, call.empty, PV_BASELINE_PAIRS);
    return print_counts(info->cores[0]);
}
