// SPDX-License-Identifier: Apache-2.0
#include "level2.h"

#include <stddef.h>

#include <polyvisor/string.h>

#include "level2_policy.h"

/* ---- for policies ---- */

void l2_list_insert(struct l2_list *list, struct l2_vcpu *before, struct l2_vcpu *vcpu)
{
    vcpu->next = before;
    vcpu->prev = before ? before->prev : list->last;
    *(vcpu->prev ? &vcpu->prev->next : &list->first) = vcpu;
    *(before ? &before->prev : &list->last) = vcpu;
}

void l2_list_remove(struct l2_list *list, struct l2_vcpu *vcpu)
{
    *(vcpu->prev ? &vcpu->prev->next : &list->first) = vcpu->next;
    *(vcpu->next ? &vcpu->next->prev : &list->last) = vcpu->prev;
    vcpu->next = vcpu->prev = NULL;
}

bool l2_quantum_valid(const struct l2_vcpu *vcpu)
{
    return vcpu->quantum >= L2_MIN_QUANTUM && vcpu->quantum <= INT64_MAX / 4;
}

uint64_t l2_no_event(const struct l2_scheduler *scheduler)
{
    (void)scheduler;
    return L2_NEVER;
}

void l2_quantum_start(struct l2_vcpu *vcpu)
{
    vcpu->left = (int64_t)vcpu->quantum;
}

bool l2_quantum_use(struct l2_vcpu *vcpu, uint64_t ticks)
{
    const int64_t quantum = (int64_t)vcpu->quantum, least = quantum - quantum / L2_LEAST;
    const int64_t used = ticks < (uint64_t)quantum * 2 ? (int64_t)ticks : quantum * 2;
    vcpu->left -= used;
    if (vcpu->left > quantum / L2_REMNANT)
        return false;
    vcpu->left = vcpu->left < -least ? quantum - least : quantum + vcpu->left;
    return true;
}

const struct l2_policy *l2_policy_named(const char *name)
{
    static const struct l2_policy *const policies[] = {&l2_round_robin, &l2_fixed_priority, &l2_earliest_deadline};
    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
        if (strcmp(policies[i]->name, name) == 0)
            return policies[i];
    }
    return NULL;
}

/* ---- timers: a sorted list ---- */

static void timer_remove(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu)
{
    *(vcpu->timer_prev ? &vcpu->timer_prev->timer_next : &scheduler->timers) = vcpu->timer_next;
    if (vcpu->timer_next)
        vcpu->timer_next->timer_prev = vcpu->timer_prev;
    vcpu->timer_next = vcpu->timer_prev = NULL;
    vcpu->timer = L2_NEVER;
}

void l2_set_timer(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu, uint64_t at)
{
    if (vcpu->timer != L2_NEVER)
        timer_remove(scheduler, vcpu);
    vcpu->timer_fired = false;
    if (at == L2_NEVER)
        return;
    struct l2_vcpu *before = NULL, *after = scheduler->timers;
    while (after && after->timer <= at) {
        before = after;
        after = after->timer_next;
    }
    vcpu->timer = at;
    vcpu->timer_prev = before;
    vcpu->timer_next = after;
    *(before ? &before->timer_next : &scheduler->timers) = vcpu;
    if (after)
        after->timer_prev = vcpu;
}

static void fire_timers(struct l2_scheduler *scheduler, uint64_t now)
{
    while (scheduler->timers && scheduler->timers->timer <= now) {
        struct l2_vcpu *vcpu = scheduler->timers;
        timer_remove(scheduler, vcpu);
        vcpu->timer_fired = true;
        l2_wake(scheduler, vcpu, now);
    }
}

uint64_t l2_next_timer(const struct l2_scheduler *scheduler)
{
    const uint64_t timer = scheduler->timers ? scheduler->timers->timer : L2_NEVER;
    const uint64_t event = scheduler->policy->next_event(scheduler);
    return timer < event ? timer : event;
}

/* ---- vcpus ---- */

void l2_init(struct l2_scheduler *scheduler, const struct l2_policy *policy)
{
    memset(scheduler, 0, sizeof(*scheduler));
    scheduler->policy = policy;
}

enum l2_result l2_add(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu, uint64_t now)
{
    const enum l2_result result = scheduler->policy->add(scheduler, vcpu, now);
    if (result != L2_OK)
        return result;
    vcpu->runnable = vcpu->timer_fired = false;
    vcpu->used = vcpu->misses = 0;
    vcpu->next = vcpu->prev = vcpu->timer_next = vcpu->timer_prev = NULL;
    vcpu->timer = L2_NEVER;
    scheduler->count++;
    return L2_OK;
}

void l2_remove(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu)
{
    l2_block(scheduler, vcpu);
    l2_set_timer(scheduler, vcpu, L2_NEVER);
    scheduler->policy->remove(scheduler, vcpu);
    scheduler->count--;
}

void l2_wake(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu, uint64_t now)
{
    if (vcpu->runnable)
        return;
    vcpu->runnable = true;
    scheduler->runnable++;
    scheduler->policy->ready(scheduler, vcpu, now);
}

void l2_block(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu)
{
    if (!vcpu->runnable)
        return;
    scheduler->policy->unready(scheduler, vcpu);
    vcpu->runnable = false;
    scheduler->runnable--;
}

struct l2_vcpu *l2_pick(struct l2_scheduler *scheduler, uint64_t now, uint64_t *budget)
{
    fire_timers(scheduler, now);
    struct l2_vcpu *vcpu = scheduler->policy->pick(scheduler, now, budget);
    if (!vcpu)
        return NULL;
    const uint64_t next = l2_next_timer(scheduler); // after now: what was due has been dealt with
    if (*budget > next - now)
        *budget = next - now;
    return vcpu;
}

void l2_charge(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu, uint64_t ticks)
{
    vcpu->used += ticks;
    scheduler->policy->charge(scheduler, vcpu, ticks);
}

void l2_yield(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu)
{
    if (vcpu->runnable)
        scheduler->policy->yield(scheduler, vcpu);
}
