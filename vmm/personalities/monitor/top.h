// SPDX-License-Identifier: Apache-2.0
/// What happened between two looks at the machine's counters. Pure.
#ifndef POLYVISOR_MONITOR_TOP_H
#define POLYVISOR_MONITOR_TOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <polyvisor/abi.h>

#include "query.h"

/// Counters of a core, or how much they grew.
struct top_core {
    uint32_t core;
    bool absent;
    uint64_t total, guest, ring3, mux, idle; ///< ticks
    uint64_t switches, interrupts;
};

/// Counters of a personality, or how much they grew.
struct top_personality {
    uint32_t id, state, weight;
    uint64_t cores;
    uint64_t guest, ring3; ///< ticks, on all cores
    uint64_t absorbed, delivered, switches;
    char name[PV_NAME_SIZE];
};

struct top_sample {
    size_t core_count, personality_count;
    struct top_core cores[PV_MAX_CORES];
    struct top_personality personalities[QUERY_MAX_PERSONALITIES];
};

/// Takes what is needed out of the lists of cores and personalities.
void top_sample_fill(struct top_sample *sample, const struct pv_core_info *cores, size_t core_count,
                     const struct pv_personality_info *personalities, size_t personality_count);

/// Makes of two samples how much everything grew from one to the other; who used most time stands first. Returns the ticks that
/// passed: the most of any core.
uint64_t top_difference(struct top_sample *growth, const struct top_sample *before, const struct top_sample *after);

/// How many of something there would be in a second, when there were so many in these ticks.
uint64_t top_per_second(uint64_t count, uint64_t ticks, uint64_t hz);

#endif
