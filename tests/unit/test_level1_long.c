// SPDX-License-Identifier: Apache-2.0
// Level-1 scheduling in long runs: shares, lateness, entities that come and go.
// links: vmm/level1.c
#include "level1_helper.h"

enum { TURNS = 200000 };

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
        assert_int_equal(entities[i].used, result.ticks[i]);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(shares_follow_weights),       TEST(shares_of_64_entities),          TEST(shares_with_any_slice),
        TEST(ring_waits_one_turn_of_each), TEST(sleepers_do_not_disturb_shares), TEST(random_operations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
