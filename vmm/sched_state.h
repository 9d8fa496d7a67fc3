// SPDX-License-Identifier: Apache-2.0
/// The scheduler's own data, for vmm/sched.c and the short ways of vmm/vcpu_hot.c.
#ifndef POLYVISOR_VMM_SCHED_STATE_H
#define POLYVISOR_VMM_SCHED_STATE_H

#include "vmm/level1.h"
#include "vmm/sched.h"

struct list {
    struct agent *first, *last;
};

/// What a core schedules. Touched by that core alone, but for the numbers, which others may read.
struct sched {
    struct level1 level1;  ///< who runs, among those that can
    struct list deadlines; ///< waiting agents with a deadline, earliest first
    struct agent *current;
    uint64_t slice_end;   ///< when level 1 wants to be asked again
    uint64_t charged;     ///< TSC up to which the current agent's time was charged to level 1
    bool repick;          ///< level 1 has to be asked
    uint64_t short_until; ///< before that TSC only the end of a slice can be due, of the weighted policy
    uint64_t other;       ///< the earlier of the first deadline and poll
    uint64_t poll;        ///< when the UART is to be polled, UINT64_MAX: it interrupts
    uint64_t timer;       ///< what the local APIC timer is set to
    uint64_t switches;
} __attribute__((aligned(64)));

#endif
