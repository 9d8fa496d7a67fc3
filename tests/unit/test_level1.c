// SPDX-License-Identifier: Apache-2.0
// Level-1 scheduling: schedules computed by hand, and long runs.
// links: vmm/level1.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "random.h"
#include "vmm/level1.h"

enum { MAX_ENTITIES = 128, TURNS = 200000 };

/// Ticks of a thousandth of a slice, in which turns are given here.
#define UNIT UINT64_C(40)
#define SLICE (1000 * UNIT)

static struct level1 l1;
static struct level1_entity entities[MAX_ENTITIES];

static int setup(void **state)
{
    (void)state;
    memset(entities, 0, sizeof(entities));
    level1_init(&l1, SLICE);
    return 0;
}

static void add(unsigned count, const uint32_t *weights)
{
    for (unsigned i = 0; i < count; i++) {
        level1_entity_init(&entities[i], weights[i]);
        level1_wake(&l1, &entities[i]);
    }
}

/// Runs turns to their ends and checks each: who, and for how many thousandths of a slice.
struct turn {
    unsigned entity, length;
};

static void expect(uint64_t *now, const struct turn *turns, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t end;
        struct level1_entity *entity = level1_pick(&l1, *now, &end);
        if (entity != &entities[turns[i].entity] || end - *now != turns[i].length * UNIT)
            fail_msg("turn %u: entity %ld for %lu units", i, entity ? entity - entities : -1, (end - *now) / UNIT);
        assert_ptr_equal(level1_pick(&l1, *now, &end), entity); // asking twice changes nothing
        level1_charge(&l1, entity, end - *now);
        *now = end;
    }
}

#define EXPECT(now, ...)                                                                                               \
    expect(now, (const struct turn[]){__VA_ARGS__}, sizeof((const struct turn[]){__VA_ARGS__}) / sizeof(struct turn))

/* ---- weighted: by hand ---- */

static void ring_of_equals(void **state)
{
    uint64_t now = 5000;

    (void)state;
    add(3, (const uint32_t[]){100, 100, 100});
    EXPECT(&now, {0, 1000}, {1, 1000}, {2, 1000}, {0, 1000}, {1, 1000}, {2, 1000}, {0, 1000});
}

/// Weights from 5 to 1000 change the length of a turn, not the order.
static void ring_of_different_weights(void **state)
{
    uint64_t now = 0;

    (void)state;
    add(4, (const uint32_t[]){100, 5, 1000, 250});
    for (unsigned i = 0; i < 100; i++)
        EXPECT(&now, {0, 1000}, {1, 50}, {2, 10000}, {3, 2500});
}

/// Weight 10000 earns its longest turn in every round, 100 earns a slice in ten: the light one every tenth turn.
static void heavy_entity_runs_more_often(void **state)
{
    uint64_t now = 0;

    (void)state;
    add(2, (const uint32_t[]){10000, 100});
    for (unsigned i = 0; i < 20; i++) {
        for (unsigned turn = 0; turn < 9; turn++)
            EXPECT(&now, {0, 10000});
        // In round 10n the light one is first: it has waited in that list for longer.
        EXPECT(&now, {1, 1000}, {0, 10000});
    }
}

/// Weight 1 earns a shortest turn (50 units) in 50 rounds, weight 100 a slice in ten.
static void light_entity_runs_more_rarely(void **state)
{
    uint64_t now = 0;

    (void)state;
    add(2, (const uint32_t[]){1, 100});
    EXPECT(&now, {1, 1000}, {1, 1000}, {1, 1000}, {1, 1000});
    for (unsigned i = 0; i < 20; i++)
        EXPECT(&now, {0, 50}, {1, 1000}, {1, 1000}, {1, 1000}, {1, 1000}, {1, 1000});
}

/// A yield gives the rest of the turn away; sleep takes out of the ring; wake goes to the tail.
static void yield_sleep_and_wake(void **state)
{
    uint64_t now = 0, end;

    (void)state;
    add(3, (const uint32_t[]){100, 100, 100});
    EXPECT(&now, {0, 1000});
    assert_ptr_equal(level1_pick(&l1, now, &end), &entities[1]);
    level1_charge(&l1, &entities[1], 100 * UNIT);
    level1_yield(&l1, &entities[1]);
    now += 100 * UNIT;
    EXPECT(&now, {2, 1000}, {0, 1000}, {1, 1000}); // the unused 900 are lost
    assert_ptr_equal(level1_pick(&l1, now, &end), &entities[2]);
    level1_sleep(&l1, &entities[2]); // the current one
    level1_sleep(&l1, &entities[2]); // twice is nothing
    EXPECT(&now, {0, 1000});
    level1_sleep(&l1, &entities[1]); // one that waits its turn
    assert_ptr_equal(level1_pick(&l1, now, &end), &entities[0]);
    assert_true(end == LEVEL1_NO_END);
    level1_wake(&l1, &entities[2]);
    level1_wake(&l1, &entities[1]);
    level1_wake(&l1, &entities[1]);
    EXPECT(&now, {0, 1000}, {2, 1000}, {1, 1000}, {0, 1000}, {2, 1000}, {1, 1000});
    for (unsigned i = 0; i < 3; i++)
        level1_sleep(&l1, &entities[i]);
    assert_null(level1_pick(&l1, now, &end));
    assert_true(end == LEVEL1_NO_END);
}

/// Who has the core to itself is not charged, and has a full turn from when another wakes.
static void time_alone_is_free(void **state)
{
    uint64_t now = 0, end;

    (void)state;
    add(1, (const uint32_t[]){100});
    assert_ptr_equal(level1_pick(&l1, now, &end), &entities[0]);
    assert_true(end == LEVEL1_NO_END);
    now += 1000000 * SLICE;
    level1_charge(&l1, &entities[0], 500000 * SLICE);
    level1_entity_init(&entities[1], 100);
    level1_wake(&l1, &entities[1]);
    level1_charge(&l1, &entities[0], 500000 * SLICE); // after the other woke, but nobody had looked yet
    EXPECT(&now, {0, 1000}, {1, 1000}, {0, 1000}, {1, 1000});
}

/// An overrun of 4 slices with 10 rounds a turn costs 40 rounds, in which the other runs four times more.
static void overrun_is_paid_back(void **state)
{
    uint64_t now = 0, end;

    (void)state;
    add(2, (const uint32_t[]){100, 100});
    assert_ptr_equal(level1_pick(&l1, now, &end), &entities[0]);
    level1_charge(&l1, &entities[0], 5 * SLICE);
    now += 5 * SLICE;
    EXPECT(&now, {1, 1000}, {1, 1000}, {1, 1000}, {1, 1000}, {1, 1000}, {0, 1000}, {1, 1000}, {0, 1000});
}

/// Debt is kept through sleep; and what goes beyond the limit (16 turns) is forgiven.
static void debt_outlasts_sleep(void **state)
{
    uint64_t now = 0, end;

    (void)state;
    add(2, (const uint32_t[]){100, 100});
    assert_ptr_equal(level1_pick(&l1, now, &end), &entities[0]);
    level1_charge(&l1, &entities[0], 1000000 * SLICE);
    level1_sleep(&l1, &entities[0]);
    assert_true(entities[0].credit < 0);
    level1_wake(&l1, &entities[0]);
    unsigned others = 0;
    while (level1_pick(&l1, now, &end) == &entities[1]) {
        level1_charge(&l1, &entities[1], SLICE);
        others++;
    }
    assert_int_equal(others, LEVEL1_MAX_DEBT); // one of the 16 turns was its own
}

/// The rest of a turn that is cut short by a change of policy is not lost.
static void unused_turn_is_carried(void **state)
{
    struct level1_slot slots[] = {{.entity = &entities[1], .ticks = SLICE}};
    uint64_t now = 0, end;

    (void)state;
    add(2, (const uint32_t[]){1, 100});
    EXPECT(&now, {1, 1000}, {1, 1000}, {1, 1000}, {1, 1000});
    assert_ptr_equal(level1_pick(&l1, now, &end), &entities[0]);
    level1_charge(&l1, &entities[0], 20 * UNIT);
    assert_true(level1_use_frame(&l1, slots, 1, now));
    assert_ptr_equal(level1_pick(&l1, now, &end), &entities[1]);
    level1_charge(&l1, &entities[1], SLICE); // frames cost no credit
    level1_use_weighted(&l1);
    // 30 units were left, so 20 rounds earn the next turn, not 50.
    EXPECT(&now, {1, 1000}, {1, 1000}, {0, 50}, {1, 1000});
}

static void tiny_rests_are_not_run(void **state)
{
    uint64_t now = 0, end;

    (void)state;
    add(2, (const uint32_t[]){100, 100});
    assert_ptr_equal(level1_pick(&l1, now, &end), &entities[0]);
    level1_charge(&l1, &entities[0], SLICE - 10 * UNIT);
    assert_ptr_equal(level1_pick(&l1, now, &end), &entities[0]);
    assert_int_equal(end - now, 10 * UNIT);
    level1_charge(&l1, &entities[0], 4 * UNIT); // 6 are left, and 1000/160 are the least
    assert_ptr_equal(level1_pick(&l1, now, &end), &entities[1]);
}

static void weight_and_slice_change_at_run_time(void **state)
{
    uint64_t now = 0;

    (void)state;
    add(2, (const uint32_t[]){100, 100});
    EXPECT(&now, {0, 1000}, {1, 1000});
    level1_set_weight(&entities[1], 300);
    EXPECT(&now, {0, 1000}); // entity 1 had earned a turn of 1000 and must earn 3000 now
    for (unsigned i = 0; i < 10; i++)
        EXPECT(&now, {1, 3000}, {0, 1000});
    level1_set_slice(&l1, 2 * SLICE);
    assert_int_equal(level1_turn(&l1, &entities[0]), 2 * SLICE);
    assert_int_equal(level1_turn(&l1, &entities[1]), 6 * SLICE);
    level1_set_slice(&l1, 1); // too short: the shortest turn is LEVEL1_MIN_QUANTUM
    level1_set_weight(&entities[0], 1);
    assert_int_equal(level1_turn(&l1, &entities[0]), LEVEL1_MIN_QUANTUM);
}

/* ---- weighted: long runs ---- */

struct result {
    uint64_t ticks[MAX_ENTITIES], total;
    uint64_t ended[MAX_ENTITIES];   // when its last turn ended
    uint64_t longest[MAX_ENTITIES]; // its longest wait between two turns
};

static struct result result;

/// All entities stay runnable; each turn overruns by less than `overrun` ticks.
static void run_turns(unsigned turns, uint64_t overrun)
{
    uint64_t now = 0, seed = 1;
    memset(&result, 0, sizeof(result));
    for (unsigned i = 0; i < turns; i++) {
        uint64_t end;
        struct level1_entity *entity = level1_pick(&l1, now, &end);
        unsigned index = (unsigned)(entity - entities);
        uint64_t used = end - now + (overrun ? random_below(&seed, overrun) : 0);
        if (result.ticks[index] && now - result.ended[index] > result.longest[index])
            result.longest[index] = now - result.ended[index];
        level1_charge(&l1, entity, used);
        now += used;
        result.ended[index] = now;
        result.ticks[index] += used;
        result.total += used;
    }
}

/// Shares within `permille` / 1000 of what the weights say.
static void check_shares(unsigned count, unsigned permille)
{
    uint64_t weights = 0;
    for (unsigned i = 0; i < count; i++)
        weights += entities[i].weight;
    for (unsigned i = 0; i < count; i++) {
        uint64_t due = (uint64_t)((unsigned __int128)result.total * entities[i].weight / weights);
        uint64_t off = result.ticks[i] > due ? result.ticks[i] - due : due - result.ticks[i];
        if (off > due * permille / 1000)
            fail_msg("entity %u (weight %u): %lu ticks, due %lu", i, entities[i].weight, result.ticks[i], due);
    }
}

/// The bound that vmm/level1.h states.
static uint64_t lateness_bound(unsigned count, unsigned index, uint64_t overrun)
{
    uint64_t sum = 0, rounds = level1_turn(&l1, &entities[index]) / (entities[index].weight * UNIT) + 1;
    rounds += overrun / (entities[index].weight * UNIT) + 1; // to pay its own overrun back
    for (unsigned i = 0; i < count; i++) {
        uint64_t turn = level1_turn(&l1, &entities[i]), earned = entities[i].weight * UNIT;
        uint64_t turns = (turn + (rounds + 1) * earned) / turn + 1;
        sum += i == index ? 0 : turn + (rounds + 1) * earned + turns * overrun;
    }
    return sum;
}

static void check_lateness(unsigned count, uint64_t overrun)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t bound = lateness_bound(count, i, overrun);
        assert_true(result.longest[i] > 0);
        if (result.longest[i] > bound)
            fail_msg("entity %u (weight %u) waited %lu ticks, bound %lu", i, entities[i].weight, result.longest[i],
                     bound);
    }
}

static void check_long_run(unsigned count, const uint32_t *weights, uint64_t overrun)
{
    level1_init(&l1, SLICE);
    add(count, weights);
    run_turns(TURNS, overrun);
    check_shares(count, 5);
    check_lateness(count, overrun);
}

static void shares_follow_weights(void **state)
{
    static const uint32_t sets[][4] = {
        {1, 2, 5, 10}, {100, 200, 500, 1000}, {1000, 2000, 5000, 10000}, {3, 70, 1100, 9000}};
    static const uint64_t overruns[] = {0, UNIT / 8, SLICE / 10, SLICE};

    (void)state;
    for (unsigned set = 0; set < 4; set++) {
        for (unsigned i = 0; i < 4; i++)
            check_long_run(4, sets[set], overruns[i]);
    }
}

static void shares_of_64_entities(void **state)
{
    static const uint32_t cycle[] = {1, 2, 5, 10};
    uint32_t weights[MAX_ENTITIES];
    uint64_t seed = 7;

    (void)state;
    for (unsigned i = 0; i < 64; i++)
        weights[i] = cycle[i % 4];
    check_long_run(64, weights, SLICE / 200);
    for (unsigned i = 0; i < 64; i++)
        weights[i] = 100 * cycle[i % 4];
    check_long_run(64, weights, SLICE / 200);
    for (unsigned i = 0; i < MAX_ENTITIES; i++)
        weights[i] = 50 + (uint32_t)random_below(&seed, 9950);
    check_long_run(MAX_ENTITIES, weights, SLICE / 200);
}

/// Slices that are no multiple of anything, the shortest, and one of many ticks.
static void shares_with_any_slice(void **state)
{
    static const uint64_t slices[] = {1, LEVEL1_MIN_SLICE, 5999, 54321, UINT64_C(4000000007)};
    static const uint32_t weights[] = {1, 99, 250, 7777};

    (void)state;
    for (unsigned i = 0; i < sizeof(slices) / sizeof(slices[0]); i++) {
        level1_init(&l1, slices[i]);
        add(4, weights);
        assert_int_equal(level1_turn(&l1, &entities[1]), l1.slice * 99 / 100);
        run_turns(TURNS, 1 + slices[i] / 50);
        check_shares(4, 5);
    }
}

/// Weights from 5 to 1000, no overrun: everybody waits exactly one turn of each other.
static void ring_waits_one_turn_of_each(void **state)
{
    uint32_t weights[64];
    uint64_t seed = 3, ring = 0;

    (void)state;
    for (unsigned i = 0; i < 64; i++) {
        weights[i] = 5 + (uint32_t)random_below(&seed, 996);
        ring += weights[i] * 10 * UNIT;
    }
    add(64, weights);
    run_turns(6400, 0);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(result.longest[i], ring - level1_turn(&l1, &entities[i]));
}

/// Entities come and go. Two that never sleep keep the ratio of their weights, and nobody else exceeds its share: a
/// sleeper cannot gain by its naps.
static void sleepers_do_not_disturb_shares(void **state)
{
    enum { SLEEPERS = 6 };
    uint64_t now = 0, seed = 11, ticks[SLEEPERS + 2] = {0};

    (void)state;
    add(SLEEPERS + 2, (const uint32_t[]){100, 100, 100, 100, 100, 100, 100, 300});
    for (unsigned i = 0; i < TURNS; i++) {
        uint64_t end;
        struct level1_entity *entity = level1_pick(&l1, now, &end);
        unsigned index = (unsigned)(entity - entities);
        bool sleeps = index < SLEEPERS && random_below(&seed, 2);
        uint64_t used = sleeps ? random_below(&seed, end - now) : end - now + random_below(&seed, SLICE / 50);
        level1_charge(&l1, entity, used);
        ticks[index] += used;
        now += used;
        if (sleeps)
            level1_sleep(&l1, entity);
        level1_wake(&l1, &entities[random_below(&seed, SLEEPERS)]);
    }
    double ratio = (double)ticks[SLEEPERS + 1] / (double)ticks[SLEEPERS];
    assert_true(ratio > 2.985 && ratio < 3.015);
    for (unsigned i = 0; i < SLEEPERS; i++)
        assert_true(ticks[i] <= ticks[SLEEPERS] + SLICE);
}

/// Every operation in any order keeps the calendar in order: each runnable entity comes up.
static void random_operations(void **state)
{
    enum { COUNT = 20 };
    struct level1_slot slots[] = {{.entity = &entities[0], .ticks = SLICE}, {.ticks = SLICE}};
    bool runnable[COUNT] = {false};
    uint64_t now = 0, seed = 23;

    (void)state;
    for (unsigned i = 0; i < COUNT; i++)
        level1_entity_init(&entities[i], 1 + (uint32_t)random_below(&seed, 10000));
    for (unsigned step = 0; step < TURNS; step++) {
        unsigned index = (unsigned)random_below(&seed, COUNT);
        uint64_t end;
        switch (random_below(&seed, 8)) {
        case 0:
        case 1:
            level1_wake(&l1, &entities[index]);
            runnable[index] = true;
            break;
        case 2:
            level1_sleep(&l1, &entities[index]);
            runnable[index] = false;
            break;
        case 3:
            level1_set_weight(&entities[index], 1 + (uint32_t)random_below(&seed, 10000));
            break;
        case 4:
            if (random_below(&seed, 10) == 0)
                level1_set_slice(&l1, SLICE * (1 + random_below(&seed, 10)));
            else if (l1.policy == LEVEL1_FRAME)
                level1_use_weighted(&l1);
            else
                assert_true(level1_use_frame(&l1, slots, 2, now));
            break;
        default:
            break;
        }
        struct level1_entity *entity = level1_pick(&l1, now, &end);
        assert_true(end > now);
        if (entity) {
            assert_true(runnable[entity - entities]);
            level1_charge(&l1, entity, random_below(&seed, 20 * SLICE));
            if (random_below(&seed, 4) == 0)
                level1_yield(&l1, entity);
        } else if (l1.policy == LEVEL1_WEIGHTED) {
            for (unsigned i = 0; i < COUNT; i++)
                assert_false(runnable[i]);
        }
        now += random_below(&seed, 3 * SLICE);
    }
}

/* ---- frame ---- */

static void expect_slot(uint64_t now, const struct level1_entity *entity, uint64_t expected_end)
{
    uint64_t end;
    assert_ptr_equal(level1_pick(&l1, now, &end), entity);
    assert_int_equal(end, expected_end);
}

/// Slots of 10000, 3000 (idle), 5000 and 2000 ticks from 100000 on: a frame of 20000.
static void frame_by_hand(void **state)
{
    struct level1_slot slots[] = {{.entity = &entities[0], .ticks = 10000},
                                  {.ticks = 3000},
                                  {.entity = &entities[1], .ticks = 5000},
                                  {.entity = &entities[0], .ticks = 2000}};

    (void)state;
    add(3, (const uint32_t[]){100, 100, 100});
    assert_true(level1_use_frame(&l1, slots, 4, 100000));
    expect_slot(50000, NULL, 100000); // not begun
    expect_slot(99999, NULL, 100000);
    expect_slot(100000, &entities[0], 110000);
    expect_slot(109999, &entities[0], 110000);
    expect_slot(110002, NULL, 113000); // a little late; the end stays where it was
    expect_slot(113000, &entities[1], 118000);
    expect_slot(117000, &entities[1], 118000);
    level1_sleep(&l1, &entities[1]);
    expect_slot(117500, NULL, 118000); // its slot stays idle
    level1_wake(&l1, &entities[1]);
    expect_slot(117600, &entities[1], 118000);
    expect_slot(118000, &entities[0], 120000);
    expect_slot(120000, &entities[0], 130000); // the next frame
    assert_int_equal(l1.slots_missed, 0);
    expect_slot(133500, &entities[1], 138000); // an overrun through the idle slot
    assert_int_equal(l1.slots_missed, 1);
    expect_slot(133500 + 7 * 20000, &entities[1], 138000 + 7 * 20000); // seven frames at once
    assert_int_equal(l1.slots_missed, 1 + 7 * 4 - 1);
    level1_use_weighted(&l1);
    uint64_t now = 300000;
    EXPECT(&now, {0, 1000}, {2, 1000}, {1, 1000}, {0, 1000}); // 1 slept and went to the tail
}

/// An entity is scheduled where it woke, and nowhere else, whatever tables still name it.
static void entity_moves_to_another_core(void **state)
{
    static struct level1 other;
    struct level1_slot slots[] = {{.entity = &entities[0], .ticks = 10000}};
    uint64_t end;

    (void)state;
    add(1, (const uint32_t[]){100});
    assert_true(level1_use_frame(&l1, slots, 1, 0));
    level1_init(&other, SLICE);
    level1_sleep(&other, &entities[0]); // not there: nothing
    expect_slot(0, &entities[0], 10000);
    level1_sleep(&l1, &entities[0]);
    level1_wake(&other, &entities[0]);
    level1_wake(&l1, &entities[0]); // is runnable already: nothing
    expect_slot(100, NULL, 10000);
    assert_ptr_equal(level1_pick(&other, 100, &end), &entities[0]);
}

static void frame_refuses_bad_tables(void **state)
{
    static struct level1_slot slots[LEVEL1_MAX_SLOTS + 1];

    (void)state;
    for (unsigned i = 0; i < LEVEL1_MAX_SLOTS + 1; i++)
        slots[i].ticks = LEVEL1_MIN_QUANTUM;
    assert_false(level1_use_frame(&l1, slots, 0, 0));
    assert_false(level1_use_frame(&l1, slots, LEVEL1_MAX_SLOTS + 1, 0));
    slots[7].ticks = LEVEL1_MIN_QUANTUM - 1;
    assert_false(level1_use_frame(&l1, slots, 8, 0));
    slots[7].ticks = UINT64_MAX;
    assert_false(level1_use_frame(&l1, slots, 8, 0));
    slots[6].ticks = slots[7].ticks = UINT64_C(1) << 61;
    assert_false(level1_use_frame(&l1, slots, 8, 0));
    assert_int_equal(l1.policy, LEVEL1_WEIGHTED);
    assert_true(level1_use_frame(&l1, slots, 6, 0));
    slots[6].ticks = slots[7].ticks = LEVEL1_MIN_QUANTUM;
    assert_true(level1_use_frame(&l1, slots, LEVEL1_MAX_SLOTS, 0));
}

/// 10^9 slots of crooked lengths: a million picked one after another, then leaps; the ends never drift by a tick.
static void frame_does_not_drift(void **state)
{
    enum { COUNT = 7, STEPS = 1000000 };
    const uint64_t slots_total = 1000000000, start = 12345;
    struct level1_slot slots[COUNT];
    uint64_t ticks = 0, ends[COUNT], seed = 31, end;

    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        level1_entity_init(&entities[i], 100);
        level1_wake(&l1, &entities[i]);
        slots[i] = (struct level1_slot){.entity = &entities[i], .ticks = 2001 + 997 * i};
        ends[i] = ticks += slots[i].ticks;
    }
    assert_true(level1_use_frame(&l1, slots, COUNT, start));
    uint64_t now = start, slot = 0;
    while (slot < slots_total) {
        assert_ptr_equal(level1_pick(&l1, now, &end), &entities[slot % COUNT]);
        assert_int_equal(end, start + slot / COUNT * ticks + ends[slot % COUNT]);
        uint64_t leap = slot < STEPS ? 1 : 1 + random_below(&seed, 100000);
        slot += leap;
        uint64_t length = slots[slot % COUNT].ticks;
        now = start + slot / COUNT * ticks + ends[slot % COUNT] - length + random_below(&seed, length);
    }
    assert_true(l1.slots_missed > slots_total / 2);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ring_of_equals),
        TEST(ring_of_different_weights),
        TEST(heavy_entity_runs_more_often),
        TEST(light_entity_runs_more_rarely),
        TEST(yield_sleep_and_wake),
        TEST(time_alone_is_free),
        TEST(overrun_is_paid_back),
        TEST(debt_outlasts_sleep),
        TEST(unused_turn_is_carried),
        TEST(tiny_rests_are_not_run),
        TEST(weight_and_slice_change_at_run_time),
        TEST(shares_follow_weights),
        TEST(shares_of_64_entities),
        TEST(shares_with_any_slice),
        TEST(ring_waits_one_turn_of_each),
        TEST(sleepers_do_not_disturb_shares),
        TEST(random_operations),
        TEST(frame_by_hand),
        TEST(entity_moves_to_another_core),
        TEST(frame_refuses_bad_tables),
        TEST(frame_does_not_drift),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
