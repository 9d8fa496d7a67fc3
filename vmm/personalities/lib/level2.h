// SPDX-License-Identifier: Apache-2.0
/*
 * Level-2 scheduling: which of its vcpus an agent runs next, and for how long. One struct l2_scheduler an agent, used
 * by that agent alone. A personality may bring its own instead; docs/scheduling.md shows both.
 *
 *     for (;;) {
 *         uint64_t budget;
 *         struct l2_vcpu *vcpu = l2_pick(&scheduler, pv_tsc(), &budget);
 *         if (!vcpu) {
 *             pv_event_wait(PV_EVENT_USER_MASK, l2_next_timer(&scheduler)); // L2_NEVER is PV_NO_DEADLINE
 *             continue;
 *         }
 *         const uint64_t before = state->run_time;
 *         const int64_t result = pv_vcpu_run(vcpu->number, budget);
 *         l2_charge(&scheduler, vcpu, state->run_time - before);
 *         ... handle the exit; l2_block() when the guest halts; l2_wake() when something is there for it
 *     }
 *
 * Two kinds of time, both in TSC ticks. A vcpu is charged, and budgets are counted, in its own time: what it spent in
 * its guest. Deadlines and timers are points of the TSC, and so is `now`. While level 1 has the core do something else
 * the TSC goes on and the vcpu's time does not.
 */
#ifndef POLYVISOR_LEVEL2_H
#define POLYVISOR_LEVEL2_H

#include <stdbool.h>
#include <stdint.h>

#define L2_NEVER UINT64_MAX

enum {
    L2_PRIORITIES = 32, ///< 0 (lowest) to 31
    L2_MIN_QUANTUM = 16,
    L2_REMNANT = 16, ///< less than quantum / 16 left is not worth an entry: it is added to the next quantum
    L2_LEAST = 4,    ///< whatever it overran, a vcpu's next quantum is at least quantum / 4
};

enum l2_result {
    L2_OK = 0,
    L2_INVALID,  ///< parameters out of range
    L2_OVERLOAD, ///< earliest deadline: with this vcpu not all deadlines could be met
};

struct l2_scheduler;
struct l2_vcpu;

struct l2_list {
    struct l2_vcpu *first, *last;
};

/// A vcpu as its scheduler sees it. Set `number` and the policy's parameters, and leave the rest to l2_add.
struct l2_vcpu {
    uint64_t number;   ///< the caller's
    uint64_t quantum;  ///< round robin and priority: own ticks until the next one's turn
    uint32_t priority; ///< priority: 0 (lowest) to L2_PRIORITIES - 1
    uint64_t period;   ///< earliest deadline: in each period of that many ticks ...
    uint64_t runtime;  ///< ... it gets that much time of its own ...
    uint64_t deadline; ///< ... within that many ticks from the period's beginning; 0: within the period

    /* to read */
    bool runnable;
    bool timer_fired; ///< its timer went off; the caller clears it, or sets the timer anew
    uint64_t used;    ///< own ticks, in all
    uint64_t misses;  ///< earliest deadline: periods in which it was runnable and did not get its runtime in time

    /* the scheduler's */
    struct l2_vcpu *next, *prev;             ///< in one of the policy's lists, while runnable
    struct l2_vcpu *timer_next, *timer_prev; ///< in the list of timers
    uint64_t timer;                          ///< TSC, or L2_NEVER
    int64_t left;                            ///< own ticks of its quantum or runtime
    uint64_t release;                        ///< TSC: beginning of the period
    uint64_t due;                            ///< TSC: release + deadline
    uint64_t density;                        ///< runtime / deadline, times 2^62
    bool throttled;                          ///< runtime used up; waits for the next period
    bool missed;                             ///< this period is counted in misses
};

/// What a policy does; the functions below call it.
struct l2_policy {
    const char *name;
    enum l2_result (*add)(struct l2_scheduler *, struct l2_vcpu *, uint64_t now);
    void (*remove)(struct l2_scheduler *, struct l2_vcpu *); ///< a blocked vcpu
    void (*ready)(struct l2_scheduler *, struct l2_vcpu *, uint64_t now);
    void (*unready)(struct l2_scheduler *, struct l2_vcpu *);
    struct l2_vcpu *(*pick)(struct l2_scheduler *, uint64_t now, uint64_t *budget);
    void (*charge)(struct l2_scheduler *, struct l2_vcpu *, uint64_t ticks);
    void (*yield)(struct l2_scheduler *, struct l2_vcpu *);
    uint64_t (*next_event)(const struct l2_scheduler *); ///< TSC when it changes its mind by itself, or L2_NEVER
};

/// "rr": in turn, a quantum each.
extern const struct l2_policy l2_round_robin;
/// "priority": the highest priority that is runnable; in turn, a quantum each, among equals.
extern const struct l2_policy l2_fixed_priority;
/// "edf": each vcpu gets its runtime in each period, earliest deadline first; guaranteed, since l2_add refuses vcpus
/// with which the sum of runtime / deadline would exceed 1. No vcpu gets more: when all have used up their runtimes the
/// agent waits.
extern const struct l2_policy l2_earliest_deadline;

/// The policy of a name, or NULL.
const struct l2_policy *l2_policy_named(const char *name);

struct l2_scheduler {
    const struct l2_policy *policy;
    struct l2_vcpu *timers; ///< earliest first
    uint32_t count;         ///< vcpus
    uint32_t runnable;      ///< of them
    union {
        struct {
            struct l2_list ready;
        } rr;
        struct {
            struct l2_list levels[L2_PRIORITIES];
            uint32_t mask; ///< bit n: levels[n] is not empty
        } priority;
        struct {
            struct l2_list ready;     ///< earliest deadline first
            struct l2_list throttled; ///< earliest end of its period first
            uint64_t density;         ///< sum over all vcpus
        } edf;
    };
};

void l2_init(struct l2_scheduler *scheduler, const struct l2_policy *policy);

/// Adds a vcpu, blocked and without a timer. It must stay where it is until l2_remove. On an error nothing has changed.
enum l2_result l2_add(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu, uint64_t now);
void l2_remove(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu);

/// Makes a vcpu runnable. When it should go before the running one, the next l2_pick says so; for that to be at once,
/// whoever wakes it from another agent kicks the running one.
void l2_wake(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu, uint64_t now);
/// Makes a vcpu not runnable (its guest halted) until l2_wake or its timer. Charge it before.
void l2_block(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu);
/// Sets the vcpu's one timer, whether it is runnable or not; L2_NEVER: none. When it goes off, the next l2_pick sets
/// timer_fired and wakes the vcpu. No budget reaches past a timer.
void l2_set_timer(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu, uint64_t at);

/// The vcpu to run, and for how many of its ticks (never 0). NULL: wait until l2_next_timer.
struct l2_vcpu *l2_pick(struct l2_scheduler *scheduler, uint64_t now, uint64_t *budget);
/// The vcpu ran for that many of its ticks.
void l2_charge(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu, uint64_t ticks);
/// A runnable vcpu gives up the rest of its quantum, or of its runtime in this period.
void l2_yield(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu);
/// TSC at which a vcpu becomes runnable by itself, or L2_NEVER.
uint64_t l2_next_timer(const struct l2_scheduler *scheduler);

#endif
