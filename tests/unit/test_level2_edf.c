// SPDX-License-Identifier: Apache-2.0
// Level-2 earliest deadline first against schedules computed by hand, and in random sets.
// links: vmm/personalities/lib/level2.c vmm/personalities/lib/level2_rr.c vmm/personalities/lib/level2_priority.c
// links: vmm/personalities/lib/level2_edf.c
#include "level2_timeline.h"
#include "random.h"

/// Runtime / period: A 100 / 400, B 200 / 600, C 300 / 800, which is 0.958 of a core. One hyperperiod of 2400.
static void edf_hyperperiod(void **state)
{
    (void)state;
    start(&l2_earliest_deadline);
    add(A, (struct l2_vcpu){.runtime = 100, .period = 400});
    add(B, (struct l2_vcpu){.runtime = 200, .period = 600});
    add(C, (struct l2_vcpu){.runtime = 300, .period = 800});
    for (unsigned i = 0; i < 3; i++) {
        const uint64_t base = 2400 * i;
        runs(A, base + 100);
        runs(B, base + 300);
        runs(C, base + 400);
        runs(C, base + 600); // A's new deadline is 800 too: the running one goes on
        runs(A, base + 700); // before B, whose new deadline is 1200
        runs(B, base + 800);
        runs(B, base + 900); // A's is 1200 too
        runs(A, base + 1000);
        runs(C, base + 1200);
        runs(C, base + 1300); // until 1600, as A
        runs(A, base + 1400);
        runs(B, base + 1600);
        runs(A, base + 1700);
        runs(C, base + 1800);
        runs(C, base + 2000); // until 2400, as B; A's new one is 2400 as well, but it came last
        runs(B, base + 2200);
        runs(A, base + 2300);
        idle(base + 2400);
    }
    assert_int_equal(vcpus[A].misses + vcpus[B].misses + vcpus[C].misses, 0);
}

static void edf_equal_deadlines(void **state)
{
    (void)state;
    start(&l2_earliest_deadline);
    add(A, (struct l2_vcpu){.runtime = 100, .period = 300});
    add(B, (struct l2_vcpu){.runtime = 100, .period = 300});
    add(C, (struct l2_vcpu){.runtime = 100, .period = 300});
    for (unsigned i = 0; i < 5; i++) { // together exactly a core: 1/3 three times is accepted
        runs(A, now + 100);
        runs(B, now + 100);
        runs(C, now + 100);
    }
    assert_int_equal(vcpus[A].misses + vcpus[B].misses + vcpus[C].misses, 0);
}

/// A deadline before the period's end makes a vcpu more urgent, not its share larger.
static void edf_early_deadline(void **state)
{
    (void)state;
    start(&l2_earliest_deadline);
    add(A, (struct l2_vcpu){.runtime = 300, .period = 1000});
    add(B, (struct l2_vcpu){.runtime = 100, .period = 1000, .deadline = 200});
    runs(B, 100);
    runs(A, 400);
    idle(1000);
    runs(B, 1100);
    runs(A, 1400);
    idle(2000);
}

static void refuses(uint64_t runtime, uint64_t period, uint64_t deadline, enum l2_result result)
{
    struct l2_vcpu vcpu = {.runtime = runtime, .period = period, .deadline = deadline};
    const uint32_t count = scheduler.count;
    assert_int_equal(l2_add(&scheduler, &vcpu, now), result);
    assert_int_equal(scheduler.count, count);
}

static void edf_admission(void **state)
{
    (void)state;
    start(&l2_earliest_deadline);
    refuses(0, 100, 0, L2_INVALID);
    refuses(1, 0, 0, L2_INVALID);
    refuses(101, 100, 0, L2_INVALID);
    refuses(51, 100, 50, L2_INVALID);
    refuses(50, 100, 101, L2_INVALID);
    refuses(1, UINT64_MAX, 0, L2_INVALID);
    add(A, (struct l2_vcpu){.runtime = 1, .period = 2});
    add(B, (struct l2_vcpu){.runtime = 1, .period = 3});
    refuses(1, 5, 0, L2_OVERLOAD);
    refuses(1, 100, 5, L2_OVERLOAD);                // the deadline counts, not the period
    refuses(166666667, 1000000000, 0, L2_OVERLOAD); // 1/6 and a little
    refuses(UINT64_C(1) << 60, UINT64_C(1) << 61, 0, L2_OVERLOAD);
    add(C, (struct l2_vcpu){.runtime = 1, .period = 6}); // exactly 1
    refuses(1, UINT64_C(1) << 60, 0, L2_OVERLOAD);
    l2_remove(&scheduler, &vcpus[B]);
    refuses(34, 100, 0, L2_OVERLOAD);
    add(B, (struct l2_vcpu){.runtime = 33, .period = 100}); // the share of one that went is free again
    start(&l2_earliest_deadline);
    add(A, (struct l2_vcpu){.runtime = 700, .period = 700}); // a whole core
    refuses(1, UINT64_C(1) << 61, 0, L2_OVERLOAD);
    for (unsigned i = 1; i <= 3; i++)
        runs(A, 700 * i);
    assert_int_equal(vcpus[A].misses, 0);
}

/// What a vcpu runs too long it lacks in the next period; an overrun of a whole runtime and more costs one period.
static void edf_overrun(void **state)
{
    (void)state;
    start(&l2_earliest_deadline);
    add(A, (struct l2_vcpu){.runtime = 100, .period = 400});
    exits(A, 130);
    idle(400);
    runs(A, 470);
    idle(800);
    exits(A, 1100); // 200 too long
    idle(1200);
    idle(1600);
    runs(A, 1700);
    idle(2000);
    exits(A, 2060);
    l2_yield(&scheduler, &vcpus[A]); // the rest of this period's
    idle(2400);
    exits(A, 2490);
    exits(A, 2710); // no debt is deeper than a runtime
    idle(2800);
    idle(3200);
    picks(A);
    l2_block(&scheduler, &vcpus[A]);
    now = 3300;
    l2_charge(&scheduler, &vcpus[A], 100); // in the wrong order, but nothing breaks
    idle(L2_NEVER);
    now = 3600;
    wakes(A); // just as its period ends
    runs(A, 3700);
    assert_int_equal(vcpus[A].misses, 0);
}

/// A new period when the old one was not touched; else no more than what fits the density up to the old deadline.
static void edf_wake(void **state)
{
    (void)state;
    start(&l2_earliest_deadline);
    add(A, (struct l2_vcpu){.runtime = 200, .period = 400});
    add(B, (struct l2_vcpu){.runtime = 400, .period = 1000});
    exits(A, 50);
    blocks(A, 150); // 150 left, and 250 * 200 / 400 = 125 fit
    runs(B, 150);
    runs(A, 275);
    runs(B, 400);
    exits(A, 420); // period 400 to 800
    blocks(A, L2_NEVER);
    runs(B, 595); // 100 + 125 + 175
    idle(1000);
    blocks(B, 1300); // its period 1000 to 2000 has begun, nothing used
    idle(1300);
    exits(B, 1350); // a new one, 1300 to 2300
    wakes(A);       // a new one, 1350 to 1750
    runs(A, 1550);
    runs(B, 1750);
    exits(A, 1800);
    blocks(A, L2_NEVER);
    exits(B, 1850);
    blocks(B, 2310); // 50 left; its period is over then
    now = 2100;
    wakes(A); // the last period, 1750 to 2150, is not over: 150 left, 25 fit
    runs(A, 2125);
    idle(2150);
    exits(A, 2200);
    blocks(A, 2540);
    idle(2310);
    runs(B, 2540);
    // A wakes 10 before its deadline 2550 and may run 5, though it has 150 left.
    runs(A, 2545);
    runs(B, 2550);
    runs(A, 2750);
    assert_int_equal(vcpus[A].misses + vcpus[B].misses, 0);
}

/// The agent was away: deadlines that passed are counted once a period, and runtimes are not added up.
static void edf_misses(void **state)
{
    (void)state;
    start(&l2_earliest_deadline);
    add(A, (struct l2_vcpu){.runtime = 100, .period = 400});
    add(B, (struct l2_vcpu){.runtime = 200, .period = 800, .deadline = 500});
    runs(A, 100);
    exits(B, 150);
    now = 550;     // away for 400: B missed 500, A is in its second period
    exits(B, 600); // B still stands first, with 150 left
    assert_int_equal(vcpus[B].misses, 1);
    runs(B, 700);
    runs(A, 800);
    assert_int_equal(vcpus[A].misses, 0);
    now = 2450; // away for 1650: A's periods from 800, 1200, 1600 and 2000 are lost, B's from 800 and 1600
    runs(A, 2550);
    assert_int_equal(vcpus[A].misses, 4);
    runs(B, 2750);
    assert_int_equal(vcpus[B].misses, 3);
    idle(2800);
    blocks(A, L2_NEVER);
    blocks(B, L2_NEVER);
    now = 100000; // who is blocked misses nothing
    wakes(A);
    wakes(B);
    runs(A, 100100);
    runs(B, 100300);
    assert_int_equal(vcpus[A].misses, 4);
    assert_int_equal(vcpus[B].misses, 3);
}

/// A vcpu that has not got all of its runtime when its deadline comes has missed it; when it has, it has not.
static void edf_misses_by_a_tick(void **state)
{
    (void)state;
    start(&l2_earliest_deadline);
    add(A, (struct l2_vcpu){.runtime = 700, .period = 700});
    runs(A, 700);
    picks(A);
    assert_int_equal(vcpus[A].misses, 0);
    l2_charge(&scheduler, &vcpus[A], 699); // one tick went to an interrupt
    now = 1400;
    runs(A, 2100);
    assert_int_equal(vcpus[A].misses, 1);
    start(&l2_earliest_deadline);
    add(A, (struct l2_vcpu){.runtime = 100, .period = 700, .deadline = 100});
    picks(A);
    l2_charge(&scheduler, &vcpus[A], 99);
    now = 100;
    runs(A, 101); // late, but it gets it
    assert_int_equal(vcpus[A].misses, 1);
    idle(700);
    runs(A, 800);
    assert_int_equal(vcpus[A].misses, 1);
}

/// Random sets that pass the admission, vcpus that block and wake at random: nobody misses, whatever happens.
static void edf_never_misses(void **state)
{
    enum { SETS = 200, EVENTS = 2000 };
    uint64_t seed = 17, runs_done = 0;

    (void)state;
    for (unsigned set = 0; set < SETS; set++) {
        start(&l2_earliest_deadline);
        for (unsigned tries = 0; tries < 100 && scheduler.count < VCPUS; tries++) {
            struct l2_vcpu *vcpu = &vcpus[scheduler.count];
            vcpu->period = 50 + random_below(&seed, 2000);
            vcpu->deadline = vcpu->period - (set % 2 ? random_below(&seed, vcpu->period / 2) : 0);
            vcpu->runtime = 1 + random_below(&seed, vcpu->deadline / 2);
            l2_add(&scheduler, vcpu, now); // or not, when it would be too much
        }
        for (unsigned event = 0; event < EVENTS; event++) {
            uint64_t budget;
            l2_wake(&scheduler, &vcpus[random_below(&seed, scheduler.count)], now);
            struct l2_vcpu *vcpu = l2_pick(&scheduler, now, &budget);
            if (!vcpu) {
                const uint64_t next = l2_next_timer(&scheduler);
                now += 1 + random_below(&seed, next == L2_NEVER ? 1000 : next - now);
                continue;
            }
            const bool whole = random_below(&seed, 4) > 0;
            const uint64_t ticks = whole ? budget : 1 + random_below(&seed, budget);
            l2_charge(&scheduler, vcpu, ticks);
            now += ticks;
            if (!whole)
                blocks((unsigned)(vcpu - vcpus), now + 1 + random_below(&seed, 2000));
            runs_done++;
        }
        for (unsigned i = 0; i < scheduler.count; i++)
            assert_int_equal(vcpus[i].misses, 0);
    }
    assert_true(runs_done > SETS * EVENTS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edf_hyperperiod), cmocka_unit_test(edf_equal_deadlines),  cmocka_unit_test(edf_early_deadline),
        cmocka_unit_test(edf_admission),   cmocka_unit_test(edf_overrun),          cmocka_unit_test(edf_wake),
        cmocka_unit_test(edf_misses),      cmocka_unit_test(edf_misses_by_a_tick), cmocka_unit_test(edf_never_misses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
