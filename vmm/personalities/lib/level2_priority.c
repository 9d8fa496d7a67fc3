// SPDX-License-Identifier: Apache-2.0
/// Fixed priorities: a list for each, round robin within it. Whoever is preempted stays first of its list, with the
/// rest of its quantum.
#include <stddef.h>

#include "level2_policy.h"

static enum l2_result add(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu, uint64_t now)
{
    (void)scheduler;
    (void)now;
    return vcpu->priority < L2_PRIORITIES && l2_quantum_valid(vcpu) ? L2_OK : L2_INVALID;
}

static void forget(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu)
{
    (void)scheduler;
    (void)vcpu;
}

static void insert(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu)
{
    l2_list_insert(&scheduler->priority.levels[vcpu->priority], NULL, vcpu);
    scheduler->priority.mask |= UINT32_C(1) << vcpu->priority;
}

static void ready(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu, uint64_t now)
{
    (void)now;
    l2_quantum_start(vcpu);
    insert(scheduler, vcpu);
}

static void unready(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu)
{
    struct l2_list *level = &scheduler->priority.levels[vcpu->priority];
    l2_list_remove(level, vcpu);
    if (!level->first)
        scheduler->priority.mask &= ~(UINT32_C(1) << vcpu->priority);
}

static struct l2_vcpu *pick(struct l2_scheduler *scheduler, uint64_t now, uint64_t *budget)
{
    (void)now;
    if (scheduler->priority.mask == 0)
        return NULL;
    struct l2_vcpu *vcpu = scheduler->priority.levels[31 - __builtin_clz(scheduler->priority.mask)].first;
    *budget = (uint64_t)vcpu->left;
    return vcpu;
}

static void charge(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu, uint64_t ticks)
{
    if (l2_quantum_use(vcpu, ticks) && vcpu->runnable) {
        unready(scheduler, vcpu);
        insert(scheduler, vcpu);
    }
}

static void yield(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu)
{
    l2_quantum_start(vcpu);
    unready(scheduler, vcpu);
    insert(scheduler, vcpu);
}

const struct l2_policy l2_fixed_priority = {
    .name = "priority",
    .add = add,
    .remove = forget,
    .ready = ready,
    .unready = unready,
    .pick = pick,
    .charge = charge,
    .yield = yield,
    .next_event = l2_no_event,
};
