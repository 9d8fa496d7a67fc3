// SPDX-License-Identifier: Apache-2.0
// Level-2 round robin and fixed priorities against schedules computed by hand.
// links: vmm/personalities/lib/level2.c vmm/personalities/lib/level2_rr.c vmm/personalities/lib/level2_priority.c
// links: vmm/personalities/lib/level2_edf.c
#include "level2_timeline.h"

/* ---- round robin ---- */

static void start_rr(void)
{
    start(&l2_round_robin);
    add(A, (struct l2_vcpu){.quantum = 100});
    add(B, (struct l2_vcpu){.quantum = 100});
    add(C, (struct l2_vcpu){.quantum = 50});
}

static void rr_in_turn(void **state)
{
    (void)state;
    start_rr();
    runs(A, 100);
    runs(B, 200);
    runs(C, 250);
    runs(A, 350);
    exits(B, 390); // an exit in the middle of a quantum changes nothing
    exits(B, 420);
    runs(B, 450);
    runs(C, 500);
    runs(A, 600);
    assert_int_equal(vcpus[A].used, 300);
    assert_int_equal(vcpus[B].used, 200);
    assert_int_equal(vcpus[C].used, 100);
}

static void rr_blocking_and_timers(void **state)
{
    (void)state;
    start_rr();
    exits(A, 30);
    blocks(A, 170); // halts until 170
    assert_int_equal(l2_next_timer(&scheduler), 170);
    runs(B, 130);
    runs(C, 170); // its budget ends at A's timer
    assert_false(vcpus[A].timer_fired);
    runs(C, 180); // A woke, at the tail: C has 10 left, then B, then A with a quantum of its own
    assert_true(vcpus[A].timer_fired);
    runs(B, 280);
    runs(A, 380);
    blocks(A, L2_NEVER);
    blocks(B, 1000);
    exits(C, 400);
    blocks(C, 900);
    idle(900);
    runs(C, 950);
    runs(C, 1000); // alone
    runs(C, 1050);
    wakes(A);
    runs(B, 1150);
    runs(C, 1200);
    runs(A, 1300);
}

/// A runnable vcpu's timer ends budgets too, its own and others', and changes nothing else.
static void rr_timer_of_a_runnable_vcpu(void **state)
{
    (void)state;
    start_rr();
    l2_set_timer(&scheduler, &vcpus[A], 40);
    l2_set_timer(&scheduler, &vcpus[C], 40);
    l2_set_timer(&scheduler, &vcpus[B], 20);
    l2_set_timer(&scheduler, &vcpus[B], 120); // replaced
    runs(A, 40);
    runs(A, 100);
    assert_true(vcpus[A].timer_fired && vcpus[C].timer_fired && !vcpus[B].timer_fired);
    runs(B, 120);
    l2_set_timer(&scheduler, &vcpus[A], 150);
    l2_set_timer(&scheduler, &vcpus[A], L2_NEVER); // cancelled
    assert_false(vcpus[A].timer_fired);
    runs(B, 200);
    assert_true(vcpus[B].timer_fired);
    l2_set_timer(&scheduler, &vcpus[C], 7); // in the past: goes off at the next pick
    runs(C, 250);
    assert_true(vcpus[C].timer_fired);
}

static void rr_overrun_and_rest(void **state)
{
    (void)state;
    start_rr();
    exits(A, 130); // 30 too long
    exits(B, 225); // 5 too short, which is not worth an entry
    runs(C, 275);
    runs(A, 345); // 100 - 30
    runs(B, 450); // 100 + 5
    runs(C, 500);
    exits(A, 1500); // ten times its quantum: the next is a quarter
    runs(B, 1600);
    runs(C, 1650);
    runs(A, 1675);
    runs(B, 1775);
    runs(C, 1825);
    runs(A, 1925);
}

static void rr_yield_and_remove(void **state)
{
    (void)state;
    start_rr();
    exits(A, 20);
    l2_yield(&scheduler, &vcpus[A]);
    runs(B, 120);
    l2_remove(&scheduler, &vcpus[C]);
    assert_int_equal(scheduler.count, 2);
    runs(A, 220);
    blocks(B, 230);
    l2_yield(&scheduler, &vcpus[B]); // blocked: nothing
    l2_remove(&scheduler, &vcpus[B]);
    assert_int_equal(l2_next_timer(&scheduler), L2_NEVER);
    runs(A, 320);
    l2_remove(&scheduler, &vcpus[A]);
    idle(L2_NEVER);
    assert_int_equal(scheduler.count, 0);
    assert_int_equal(scheduler.runnable, 0);
}

/* ---- fixed priority ---- */

static void priority_preempts_at_wake(void **state)
{
    (void)state;
    start(&l2_fixed_priority);
    add(A, (struct l2_vcpu){.priority = 31, .quantum = 100});
    add(B, (struct l2_vcpu){.priority = 5, .quantum = 100});
    add(C, (struct l2_vcpu){.priority = 5, .quantum = 100});
    add(D, (struct l2_vcpu){.priority = 0, .quantum = 100});
    runs(A, 100);
    exits(A, 150);
    blocks(A, 190);
    runs(B, 190); // until A's timer, with 60 of its quantum left
    runs(A, 290);
    blocks(A, 400);
    runs(B, 350); // the rest, before C has its turn
    runs(C, 400);
    exits(A, 420);
    blocks(A, L2_NEVER);
    runs(C, 470);
    runs(B, 570);
    blocks(B, L2_NEVER);
    exits(C, 600);
    blocks(C, L2_NEVER);
    exits(D, 650);
    wakes(B); // something that D did woke B
    runs(B, 750);
    blocks(B, L2_NEVER);
    runs(D, 800);
    blocks(D, L2_NEVER);
    idle(L2_NEVER);
}

/// The highest runnable priority keeps the others from running at all.
static void priority_starves(void **state)
{
    (void)state;
    start(&l2_fixed_priority);
    add(A, (struct l2_vcpu){.priority = 2, .quantum = 100});
    add(B, (struct l2_vcpu){.priority = 2, .quantum = 50});
    add(C, (struct l2_vcpu){.priority = 1, .quantum = 100});
    for (unsigned i = 0; i < 10; i++) {
        runs(A, now + 100);
        runs(B, now + 50);
    }
    exits(A, 1530);
    l2_yield(&scheduler, &vcpus[A]); // to its equals, not to those below
    runs(B, 1580);
    runs(A, 1680);
    assert_int_equal(vcpus[C].used, 0);
    l2_remove(&scheduler, &vcpus[A]);
    l2_remove(&scheduler, &vcpus[B]);
    runs(C, 1780);
}

static void quanta_and_priorities_are_checked(void **state)
{
    static const uint64_t bad[] = {0, L2_MIN_QUANTUM - 1, INT64_MAX, UINT64_MAX};
    struct l2_vcpu vcpu = {.quantum = 100, .priority = L2_PRIORITIES};

    (void)state;
    start(&l2_fixed_priority);
    assert_int_equal(l2_add(&scheduler, &vcpu, 0), L2_INVALID);
    for (unsigned i = 0; i < 4; i++) {
        vcpu = (struct l2_vcpu){.quantum = bad[i]};
        start(&l2_fixed_priority);
        assert_int_equal(l2_add(&scheduler, &vcpu, 0), L2_INVALID);
        start(&l2_round_robin);
        assert_int_equal(l2_add(&scheduler, &vcpu, 0), L2_INVALID);
        assert_int_equal(scheduler.count, 0);
    }
}

static void policies_have_names(void **state)
{
    (void)state;
    assert_ptr_equal(l2_policy_named("rr"), &l2_round_robin);
    assert_ptr_equal(l2_policy_named("priority"), &l2_fixed_priority);
    assert_ptr_equal(l2_policy_named("edf"), &l2_earliest_deadline);
    assert_null(l2_policy_named("lottery"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rr_in_turn),
        cmocka_unit_test(rr_blocking_and_timers),
        cmocka_unit_test(rr_timer_of_a_runnable_vcpu),
        cmocka_unit_test(rr_overrun_and_rest),
        cmocka_unit_test(rr_yield_and_remove),
        cmocka_unit_test(priority_preempts_at_wake),
        cmocka_unit_test(priority_starves),
        cmocka_unit_test(quanta_and_priorities_are_checked),
        cmocka_unit_test(policies_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
