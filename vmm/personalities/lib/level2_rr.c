// SPDX-License-Identifier: Apache-2.0
/// Round robin: the first of the list runs until its quantum is over, then it goes to the end.
#include <stddef.h>

#include "level2_policy.h"

static enum l2_result add(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu, uint64_t now)
{
    (void)scheduler;
    (void)now;
    return l2_quantum_valid(vcpu) ? L2_OK : L2_INVALID;
}

static void forget(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu)
{
    (void)scheduler;
    (void)vcpu;
}

static void ready(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu, uint64_t now)
{
    (void)now;
    l2_quantum_start(vcpu);
    l2_list_insert(&scheduler->rr.ready, NULL, vcpu);
}

static void unready(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu)
{
    l2_list_remove(&scheduler->rr.ready, vcpu);
}

static struct l2_vcpu *pick(struct l2_scheduler *scheduler, uint64_t now, uint64_t *budget)
{
    (void)now;
    struct l2_vcpu *vcpu = scheduler->rr.ready.first;
    if (vcpu)
        *budget = (uint64_t)vcpu->left;
    return vcpu;
}

static void to_the_end(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu)
{
    l2_list_remove(&scheduler->rr.ready, vcpu);
    l2_list_insert(&scheduler->rr.ready, NULL, vcpu);
}

static void charge(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu, uint64_t ticks)
{
    if (l2_quantum_use(vcpu, ticks) && vcpu->runnable)
        to_the_end(scheduler, vcpu);
}

static void yield(struct l2_scheduler *scheduler, struct l2_vcpu *vcpu)
{
    l2_quantum_start(vcpu);
    to_the_end(scheduler, vcpu);
}

const struct l2_policy l2_round_robin = {
    .name = "rr",
    .add = add,
    .remove = forget,
    .ready = ready,
    .unready = unready,
    .pick = pick,
    .charge = charge,
    .yield = yield,
    .next_event = l2_no_event,
};
