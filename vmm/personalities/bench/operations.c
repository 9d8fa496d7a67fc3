// SPDX-License-Identifier: Apache-2.0
// The operations that one personality can measure alone.
#include "bench.h"
#include "guest.h"
#include "samples.h"

/// How many of a list of samples a guest's memory has room for: two lists, and with the relay one more.
_Static_assert(BENCH_SAMPLES + 3 * BENCH_SAMPLES_MAX * sizeof(uint32_t) <= BENCH_MEMORY, "the samples fit");

bool bench_null_call(const struct bench_options *options)
{
    static uint32_t samples[BENCH_SAMPLES_MAX], empty[BENCH_SAMPLES_MAX];
    for (uint32_t i = 0; i < options->samples; i++) {
        const uint64_t start = pv_tsc();
        empty[i] = (uint32_t)(pv_tsc() - start);
    }
    for (uint32_t i = 0; i < options->samples; i++) {
        const uint64_t start = pv_tsc();
        pv_null();
        samples[i] = (uint32_t)(pv_tsc() - start);
    }
    samples_print("null", samples, empty, options->samples);
    return true;
}

/// Where list `index` of samples stands in a guest's memory.
static uint64_t list_address(const struct bench_options *options, uint32_t index)
{
    return BENCH_SAMPLES + (uint64_t)index * options->samples * sizeof(uint32_t);
}

static uint32_t *list(const struct bench_guest *guest, const struct bench_options *options, uint32_t index)
{
    return pv_guest_pointer(&guest->memory, list_address(options, index), options->samples * sizeof(uint32_t));
}

/// Measures one thing in a guest, from one entry of guests.asm, and nothing, from another.
static bool measure(struct bench_guest *guest, const char *op, const char *entry, const char *empty_entry,
                    const struct bench_options *options, uint32_t leaf)
{
    bench_guest_start(guest, empty_entry, list_address(options, 0), options->samples, leaf);
    if (!bench_guest_run(guest))
        return false;
    bench_guest_start(guest, entry, list_address(options, 1), options->samples, leaf);
    if (!bench_guest_run(guest))
        return false;
    samples_print(op, list(guest, options, 1), list(guest, options, 0), options->samples);
    return true;
}

enum { LEAF_MAX = 0, LEAF_FEATURES = 1 };

static bool measure_cpuid(const char *op, const struct bench_options *options, uint32_t leaf)
{
    // As large as a guest's table is in earnest.
    static struct pv_cpuid_entry table[48];
    const uint32_t count = sizeof(table) / sizeof(table[0]);
    for (uint32_t i = 0; i < count; i++)
        table[i] = (struct pv_cpuid_entry){.leaf = i < count / 2 ? i : 0x80000000 + i, .subleaf = PV_CPUID_ANY};
    struct bench_guest guest;
    if (!bench_guest_open(&guest))
        return false;
    const int64_t result = pv_vcpu_cpuid(guest.vcpu.id, table, count);
    if (result < 0) {
        pv_printf("bench: error: vcpu_cpuid: %s\n", pv_error_name(result));
        return false;
    }
    return measure(&guest, op, bench_cpuid, bench_cpuid_empty, options, leaf);
}

bool bench_cpuid_exit(const struct bench_options *options)
{
    return measure_cpuid("cpuid", options, LEAF_MAX);
}

bool bench_cpuid1_exit(const struct bench_options *options)
{
    return measure_cpuid("cpuid1", options, LEAF_FEATURES);
}

bool bench_delivered_exit(const struct bench_options *options)
{
    struct bench_guest guest;
    return bench_guest_open(&guest) && measure(&guest, "exit", bench_exit, bench_exit_empty, options, 0);
}

bool bench_vcpu_switch(const struct bench_options *options)
{
    struct bench_guest guests[2];
    if (!bench_guest_open(&guests[0]) || !bench_guest_share(&guests[1], &guests[0]))
        return false;
    bench_guest_start(&guests[0], bench_relay_empty, list_address(options, 0), options->samples, 0);
    if (!bench_guest_run(&guests[0]))
        return false;
    for (uint32_t i = 0; i < 2; i++)
        bench_guest_start(&guests[i], bench_relay, list_address(options, 1 + i), options->samples, 0);
    if (!bench_guest_run_in_turn(&guests[0], &guests[1]))
        return false;
    // Both directions are alike. The first finishes first, so the second's last sample is from its own OUT on.
    samples_print("vcpu", list(&guests[0], options, 1), list(&guests[0], options, 0), options->samples);
    return true;
}
