// SPDX-License-Identifier: Apache-2.0
/// The scheduler's own data, for vmm/sched.c and the short ways of vmm/vcpu_hot.c.
#ifndef POLYVISOR_VMM_SCHED_STATE_H
#define POLYVISOR_VMM_SCHED_STATE_H

#include "arch/x86/core.h"
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
    uint64_t slice_end; ///< when level 1 wants to be asked again
    uint64_t charged;   ///< TSC up to which the current agent's time was charged to level 1
    bool repick;        ///< level 1 has to be asked
    uint64_t
        short_until; ///< before that TSC nothing is to be done at the end of a slice, of the weighted policy, but to switch
    uint64_t other; ///< the earlier of the first deadline and poll
    uint64_t poll;  ///< when the UART is to be polled, UINT64_MAX: it interrupts
    uint64_t timer; ///< what the local APIC timer is set to
    uint64_t switches;
    struct sched_times noted; ///< sched_times.c
} __attribute__((aligned(64)));

extern struct sched scheds[PV_MAX_CORES];

/* sched.c, for what else decides about this core's agents */
/// Has level 1 consider an agent, unless it is held.
void sched_make_ready(struct sched *s, struct agent *agent);
/// Charges the current agent for the time until now.
void sched_charge_current(struct sched *s, const struct core *core);
/// The current agent cannot run any more.
void sched_drop_current(struct sched *s);
/// The list of deadlines: in, out.
void sched_insert_deadline(struct sched *s, struct agent *agent);
void sched_remove_deadline(struct sched *s, struct agent *agent);
/// Takes a waiting agent out of the wait, for whatever it does next.
void sched_end_wait(struct sched *s, struct agent *agent);
/// Wakes an agent if it waits for events that are there.
void sched_wake_if_due(struct sched *s, struct agent *agent);

/// Whether an agent is on this core, and has arrived.
static inline bool sched_is_here(const struct agent *agent)
{
    return __atomic_load_n(&agent->core, __ATOMIC_ACQUIRE) == core_self() &&
           !(__atomic_load_n(&agent->requests, __ATOMIC_ACQUIRE) & REQUEST_ARRIVE);
}

/* sched_policy.c */
/// An agent has come to this core, or left it: under the policy frame, the core's table is made anew.
void sched_refresh_frame(struct sched *s, struct core *core);

#endif
