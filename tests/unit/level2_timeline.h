// SPDX-License-Identifier: Apache-2.0
/// How tests of level-2 schedulers write timelines: each line says who runs and until when.
#ifndef POLYVISOR_TESTS_LEVEL2_TIMELINE_H
#define POLYVISOR_TESTS_LEVEL2_TIMELINE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "level2.h"

enum { VCPUS = 8, A = 0, B, C, D };

static struct l2_scheduler scheduler;
static struct l2_vcpu vcpus[VCPUS];
static uint64_t now;

static inline void start(const struct l2_policy *policy)
{
    memset(vcpus, 0, sizeof(vcpus));
    l2_init(&scheduler, policy);
    now = 0;
}

/// Adds a vcpu and wakes it.
static inline void add(unsigned index, struct l2_vcpu parameters)
{
    vcpus[index] = parameters;
    vcpus[index].number = index;
    assert_int_equal(l2_add(&scheduler, &vcpus[index], now), L2_OK);
    l2_wake(&scheduler, &vcpus[index], now);
}

static inline uint64_t picks(unsigned index)
{
    uint64_t budget = 0;
    const struct l2_vcpu *vcpu = l2_pick(&scheduler, now, &budget);
    if (vcpu != &vcpus[index])
        fail_msg("at %lu: vcpu %ld instead of %u", now, vcpu ? vcpu - vcpus : -1, index);
    assert_true(budget > 0);
    return budget;
}

/// The vcpu runs now, and its budget ends at `until`.
static inline void runs(unsigned index, uint64_t until)
{
    const uint64_t budget = picks(index);
    if (now + budget != until)
        fail_msg("at %lu: vcpu %u until %lu instead of %lu", now, index, now + budget, until);
    l2_charge(&scheduler, &vcpus[index], budget);
    now = until;
}

/// The vcpu runs now, and comes back at `until`, before or after the end of its budget: an exit, or an overrun.
static inline void exits(unsigned index, uint64_t until)
{
    picks(index);
    l2_charge(&scheduler, &vcpus[index], until - now);
    now = until;
}

/// Nobody runs, and something happens at `until`.
static inline void idle(uint64_t until)
{
    uint64_t budget;
    assert_null(l2_pick(&scheduler, now, &budget));
    assert_int_equal(l2_next_timer(&scheduler), until);
    now = until;
}

static inline void blocks(unsigned index, uint64_t until)
{
    l2_block(&scheduler, &vcpus[index]);
    l2_set_timer(&scheduler, &vcpus[index], until);
}

static inline void wakes(unsigned index)
{
    l2_wake(&scheduler, &vcpus[index], now);
}

#endif
