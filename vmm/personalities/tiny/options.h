// SPDX-License-Identifier: Apache-2.0
/// What the personality's arguments say: words KEY=VALUE.
#ifndef POLYVISOR_TINY_OPTIONS_H
#define POLYVISOR_TINY_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct program;
struct l2_policy;
enum { MAX_GUESTS = 8 }; ///< on one agent

struct options {
    const struct program *guests[MAX_GUESTS]; ///< guests=NAME,...: each agent runs one of each
    size_t guest_count;
    const struct l2_policy *policy; ///< sched=rr, prio (the first guest is the most important one) or edf
    uint64_t quantum_us;            ///< quantum=TIME: how long a guest runs before the next one is asked
    uint32_t share;                 ///< share=PERCENT: of a core's time, what the guests of an agent may have under edf
    uint32_t smp;                   ///< smp=N: vcpus of a guest that can have several
    uint64_t report_us;             ///< report=TIME: how often the counts are printed; 0: only when asked
    uint64_t rounds;                ///< rounds=N: ends when every vcpu has played so many; 0: never
    bool intercept_msrs;            ///< msrs=exit: the guests' own MSRs are emulated, to exercise that
};

/// Reads the arguments over the defaults. NULL when all is right, or a message that names what is wrong, in a buffer that
/// the next call overwrites.
const char *options_parse(struct options *options, const char *arguments);

#endif
