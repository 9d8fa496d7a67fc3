// SPDX-License-Identifier: Apache-2.0
/// The measurements. docs/performance.md says what each is and how its numbers are read.
#ifndef POLYVISOR_BENCH_H
#define POLYVISOR_BENCH_H

#include <stdbool.h>
#include <stdint.h>

enum { BENCH_SAMPLES_DEFAULT = 1000, BENCH_SAMPLES_MAX = 10000 };

/// What the arguments say.
struct bench_options {
    uint32_t samples;
    uint64_t start_us, end_us; ///< of slice, from the multiplexer's entry on
    uint64_t gap;              ///< of slice, ticks
};

/* Each measures on this agent's core, and prints. False: it has said why not. */
bool bench_null_call(const struct bench_options *options);
bool bench_cpuid_exit(const struct bench_options *options);
bool bench_cpuid1_exit(const struct bench_options *options); ///< leaf 1, which mirrors CR4 of the guest
bool bench_delivered_exit(const struct bench_options *options);
bool bench_vcpu_switch(const struct bench_options *options);

/// The switch of two guests on a bare core, with and without leaving VMX operation. Needs `debug baseline`.
bool bench_baseline(const struct bench_options *options);

/// A personality's part in the switch between personalities: where its guests were away. Every agent takes part; agent 0
/// prints.
bool bench_slice_switch(const struct bench_options *options, uint32_t agent);

#endif
