// SPDX-License-Identifier: Apache-2.0
/*
 * Earliest deadline first. A runnable vcpu gets `runtime` ticks of its own in each period, by the period's deadline;
 * when they are used up it is throttled until the next period. EDF meets all deadlines when the densities, runtime /
 * deadline, add up to 1 at most (Liu and Layland 1973 for deadline = period), given that no vcpu demands more than
 * density * t in t ticks from any moment on. A vcpu that wakes in the middle of a period could: so it gets a new period
 * if it had not used the old one, and else no more of its rest than fits its density (as in a constant bandwidth
 * server, Abeni and Buttazzo 1998, with the cut of Linux's "revised wakeup rule").
 *
 * What a vcpu used too much is taken off its next runtime. A period counts as a miss when the vcpu was runnable and had
 * not used its runtime up at the deadline. Level 1 must give the agent the core for as long as its vcpus need: when it
 * does not, that is what happens.
 */
#include <stddef.h>

#include "level2_policy.h"

enum { DENSITY_BITS = 62 };
#define DENSITY_ONE (UINT64_C(1) << DENSITY_BITS)

/// Periods are at most 2^61 ticks, so that sums of times cannot overflow.
#define PERIOD_MAX (UINT64_C(1) << 61)

static uint64_t period_end(const struct l2_vcpu *vcpu)
{
    return vcpu->release + vcpu->period;
}

/// part / whole * 2^62, rounded down; part <= whole <= PERIOD_MAX. By hand: there is no 128-bit division here.
static uint64_t fraction(uint64_t part, uint64_t whole)
{
    uint64_t quotient = 0;
    for (int bit = 0; bit <= DENSITY_BITS; bit++) {
        quotient <<= 1;
        if (part >= whole) {
            part -= whole;
            quotient |= 1;
        }
        part <<= 1;
    }
    return quotient;
}

static enum l2_result add(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu, uint64_t now)
{
    const uint64_t deadline = vcpu->deadline ? vcpu->deadline : vcpu->period;
    if (vcpu->runtime == 0 || vcpu->runtime > deadline || deadline > vcpu->period || vcpu->period > PERIOD_MAX)
        return L2_INVALID;
    const uint64_t density = fraction(vcpu->runtime, deadline);
    if (density > DENSITY_ONE - scheduler->edf.density)
        return L2_OVERLOAD;
    scheduler->edf.density += density;
    vcpu->deadline = deadline;
    vcpu->density = density;
    vcpu->left = (int64_t)vcpu->runtime;
    vcpu->release = now;
    vcpu->throttled = vcpu->missed = false;
    return L2_OK;
}

static void forget(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu)
{
    scheduler->edf.density -= vcpu->density;
}

/// Puts a runnable vcpu where it belongs. Among equals it goes last: the running one is not preempted for nothing.
static void insert(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu)
{
    vcpu->throttled = vcpu->left <= 0;
    struct l2_list *list = vcpu->throttled ? &scheduler->edf.throttled : &scheduler->edf.ready;
    struct l2_vcpu *before = list->first;
    if (vcpu->throttled) {
        while (before && period_end(before) <= period_end(vcpu))
            before = before->next;
    } else {
        while (before && before->due <= vcpu->due)
            before = before->next;
    }
    l2_list_insert(list, before, vcpu);
}

static void unready(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu)
{
    l2_list_remove(vcpu->throttled ? &scheduler->edf.throttled : &scheduler->edf.ready, vcpu);
}

/// Begins a period.
static void release(struct l2_vcpu *vcpu, uint64_t at)
{
    vcpu->release = at;
    vcpu->due = at + vcpu->deadline;
    vcpu->left = (int64_t)vcpu->runtime + (vcpu->left < 0 ? vcpu->left : 0);
    vcpu->missed = false;
}

static void ready(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu, uint64_t now)
{
    if (now >= period_end(vcpu) || vcpu->left == (int64_t)vcpu->runtime) {
        release(vcpu, now);
    } else {
        const uint64_t rest = now < vcpu->due ? vcpu->due - now : 0;
        const int64_t fair = (int64_t)((unsigned __int128)rest * vcpu->density >> DENSITY_BITS);
        vcpu->left = vcpu->left < fair ? vcpu->left : fair;
    }
    insert(scheduler, vcpu);
}

/// Goes on to the period that `now` lies in, for a vcpu that was ready or throttled in all before it.
static void next_period(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu, uint64_t now)
{
    const uint64_t passed = (now - vcpu->release) / vcpu->period; // the one that ends, and whole ones without a chance
    vcpu->misses += vcpu->throttled || vcpu->missed ? passed - 1 : passed;
    unready(scheduler, vcpu);
    release(vcpu, vcpu->release + passed * vcpu->period);
    insert(scheduler, vcpu);
}

/// Ready vcpus whose deadlines have passed stand first.
static void handle_missed(struct l2_scheduler *scheduler, uint64_t now)
{
    struct l2_vcpu *vcpu = scheduler->edf.ready.first;
    while (vcpu && vcpu->due <= now) {
        if (period_end(vcpu) <= now) {
            next_period(scheduler, vcpu, now);
            vcpu = scheduler->edf.ready.first; // it has moved
            continue;
        }
        if (!vcpu->missed) {
            vcpu->missed = true;
            vcpu->misses++;
        }
        vcpu = vcpu->next;
    }
}

static struct l2_vcpu *pick(struct l2_scheduler *scheduler, uint64_t now, uint64_t *budget)
{
    struct l2_vcpu *vcpu;
    while ((vcpu = scheduler->edf.throttled.first) != NULL && period_end(vcpu) <= now)
        next_period(scheduler, vcpu, now);
    handle_missed(scheduler, now);
    vcpu = scheduler->edf.ready.first;
    if (!vcpu)
        return NULL;
    // Comes back at its deadline, to be counted, and at the end of its period, to begin the next.
    const uint64_t stop = now < vcpu->due ? vcpu->due : period_end(vcpu);
    *budget = (uint64_t)vcpu->left < stop - now ? (uint64_t)vcpu->left : stop - now;
    return vcpu;
}

static void charge(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu, uint64_t ticks)
{
    const int64_t runtime = (int64_t)vcpu->runtime; // no debt is deeper, so at most one period is lost by it
    const int64_t used = ticks < (uint64_t)runtime * 2 ? (int64_t)ticks : runtime * 2;
    const int64_t left = vcpu->left - used < -runtime ? -runtime : vcpu->left - used;
    if (vcpu->runnable && left <= 0) {
        unready(scheduler, vcpu);
        vcpu->left = left;
        insert(scheduler, vcpu);
    } else {
        vcpu->left = left;
    }
}

static void yield(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu)
{
    if (vcpu->left > 0)
        charge(scheduler, vcpu, (uint64_t)vcpu->left);
}

static uint64_t next_event(const struct l2_scheduler *scheduler)
{
    return scheduler->edf.throttled.first ? period_end(scheduler->edf.throttled.first) : L2_NEVER;
}

const struct l2_policy l2_earliest_deadline = {
    .name = "edf",
    .add = add,
    .remove = forget,
    .ready = ready,
    .unready = unready,
    .pick = pick,
    .charge = charge,
    .yield = yield,
    .next_event = next_event,
};
