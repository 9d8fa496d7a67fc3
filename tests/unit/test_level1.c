// SPDX-License-Identifier: Apache-2.0
// Level-1 scheduling: schedules computed by hand, and frames.
// links: vmm/level1.c
#include "level1_helper.h"

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

/// Turns of 1 s and 10 s become turns of 1 ms and 10 ms in the middle of one: what was earned and owed before keeps nobody
/// waiting longer than the new turns do.
static void shorter_slice_counts_at_once(void **state)
{
    enum { LONG = 1000, COUNT = 4, TURNS = 400 };
    const uint32_t weights[COUNT] = {100, 1000, 100, 300};
    const uint64_t round = (1 + 10 + 1 + 3) * SLICE; // everybody's new turn
    uint64_t now = 0, end, ran[COUNT] = {0}, waits_since[COUNT];
    struct level1_entity *entity;

    (void)state;
    level1_set_slice(&l1, LONG * SLICE);
    add(COUNT, weights);
    for (unsigned i = 0; i < 7; i++) { // 3 is deep in debt, the others have earned their next turns
        entity = level1_pick(&l1, now, &end);
        level1_charge(&l1, entity, (end - now) * (entity == &entities[3] ? 9 : 1));
        now = end;
    }
    entity = level1_pick(&l1, now, &end);
    level1_charge(&l1, entity, 1);
    level1_set_slice(&l1, SLICE);
    assert_ptr_equal(level1_pick(&l1, now, &end), entity);
    assert_true(end - now <= (uint64_t)entity->turn);
    for (unsigned i = 0; i < COUNT; i++)
        waits_since[i] = now;
    for (unsigned turns = 0; turns < TURNS; turns++) {
        unsigned i = (unsigned)(level1_pick(&l1, now, &end) - entities);
        assert_true(end - now <= level1_turn(&l1, &entities[i]));
        assert_true(now - waits_since[i] <= (i == 3 ? LEVEL1_MAX_DEBT + 2 : 2) * round);
        level1_charge(&l1, &entities[i], end - now);
        ran[i] += end - now;
        now = waits_since[i] = end;
    }
    for (unsigned i = 0; i < 3; i++) // 3 has paid its debt meanwhile
        assert_in_range(ran[i] / weights[i], ran[0] / weights[0] * 98 / 100, ran[0] / weights[0] * 102 / 100);
}

/// 16 long turns owed do not become hundreds of short ones, when the entity gets a smaller weight in its sleep.
static void debt_shrinks_with_the_turn(void **state)
{
    uint64_t now = 0, end;
    unsigned others = 0;

    (void)state;
    add(2, (const uint32_t[]){1000, 100});
    assert_ptr_equal(level1_pick(&l1, now, &end), &entities[0]);
    level1_charge(&l1, &entities[0], 1000000 * SLICE); // owes 160 slices
    level1_sleep(&l1, &entities[0]);
    level1_set_weight(&entities[0], 100);
    level1_wake(&l1, &entities[0]);
    while (level1_pick(&l1, now, &end) == &entities[1]) {
        level1_charge(&l1, &entities[1], SLICE);
        others++;
    }
    assert_in_range(others, LEVEL1_MAX_DEBT, LEVEL1_MAX_DEBT + 1);
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

/// Two of one personality that share a slot have it in turn; when one sleeps, the other has all of it.
static void mates_take_turns(void **state)
{
    struct level1_slot slots[] = {{.entity = &entities[0], .ticks = 10000}, {.entity = &entities[2], .ticks = 5000}};

    (void)state;
    add(3, (const uint32_t[]){100, 100, 100});
    entities[0].mate = &entities[1];
    entities[1].mate = &entities[0];
    assert_true(level1_use_frame(&l1, slots, 2, 0));
    expect_slot(0, &entities[0], 10000);
    expect_slot(9000, &entities[0], 10000); // asking twice changes nothing
    expect_slot(10000, &entities[2], 15000);
    expect_slot(15000, &entities[1], 25000);
    level1_sleep(&l1, &entities[1]);
    expect_slot(16000, &entities[0], 25000);
    level1_wake(&l1, &entities[1]);
    expect_slot(17000, &entities[0], 25000); // has begun, and goes on
    expect_slot(30000, &entities[1], 40000);
    level1_sleep(&l1, &entities[0]);
    expect_slot(45000, &entities[1], 55000);
    expect_slot(60000, &entities[1], 70000);
    level1_sleep(&l1, &entities[1]);
    expect_slot(61000, NULL, 70000);
    level1_wake(&l1, &entities[0]);
    expect_slot(62000, &entities[0], 70000);
    slots[0].entity = &entities[2]; // the table changes while it is used
    expect_slot(63000, &entities[2], 70000);
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
        TEST(shorter_slice_counts_at_once),
        TEST(debt_shrinks_with_the_turn),
        TEST(frame_by_hand),
        TEST(entity_moves_to_another_core),
        TEST(mates_take_turns),
        TEST(frame_refuses_bad_tables),
        TEST(frame_does_not_drift),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
