// SPDX-License-Identifier: Apache-2.0
// level1_next_turn, the short way at the end of a slice (vmm/vcpu_hot.c), against level1_charge and level1_pick: two schedulers that
// are told the same must decide the same, and have the same numbers afterwards.
// links: vmm/level1.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "random.h"
#include "vmm/config.h"
#include "vmm/level1_weighted.h"

enum { ENTITIES = 12, STEPS = 300000, SLICE = 40000 };

struct side {
    struct level1 l1;
    struct level1_entity entities[ENTITIES];
    struct level1_entity *current;
    uint64_t end;
};
static struct side plain, quick;
static uint64_t now, seed, by_short_way, by_fallback;

static int number(const struct side *side)
{
    return side->current ? (int)(side->current - side->entities) : -1;
}

static void compare(void)
{
    assert_int_equal(number(&plain), number(&quick));
    assert_int_equal(plain.end, quick.end);
    assert_int_equal(plain.l1.round, quick.l1.round);
    assert_int_equal(plain.l1.occupied, quick.l1.occupied);
    assert_int_equal(plain.l1.left, quick.l1.left);
    assert_int_equal(plain.l1.free, quick.l1.free);
    for (unsigned i = 0; i < ENTITIES; i++) {
        const struct level1_entity *p = &plain.entities[i], *q = &quick.entities[i];
        if (p->credit != q->credit || p->used != q->used)
            fail_msg("entity %u (weight %u): credit %ld and %ld, used %lu and %lu", i, p->weight, p->credit, q->credit,
                     p->used, q->used);
    }
}

static void pick(struct side *side)
{
    side->current = level1_pick(&side->l1, now, &side->end);
}

/// The current entity has used the core for that long.
static void charge(uint64_t ticks)
{
    now += ticks;
    if (plain.current) {
        level1_charge(&plain.l1, plain.current, ticks);
        level1_charge(&quick.l1, quick.current, ticks);
    }
}

/// Its turn is over, as the timer says; it overran by so much.
static void end_of_turn(uint64_t overrun)
{
    uint64_t ticks = plain.end - now + overrun;
    assert_ptr_not_equal(plain.current, NULL);
    now += ticks;
    level1_charge(&plain.l1, plain.current, ticks);
    pick(&plain);
    struct level1_entity *next = level1_next_turn(&quick.l1, quick.current, ticks);
    if (next) {
        by_short_way++;
        quick.current = next;
        quick.end = now + (uint64_t)next->turn;
    } else {
        by_fallback++;
        pick(&quick);
    }
}

static void wake(unsigned i)
{
    level1_wake(&plain.l1, &plain.entities[i]);
    level1_wake(&quick.l1, &quick.entities[i]);
}

static void sleep_one(unsigned i)
{
    level1_sleep(&plain.l1, &plain.entities[i]);
    level1_sleep(&quick.l1, &quick.entities[i]);
}

static uint32_t random_weight(uint32_t most)
{
    static const uint32_t edges[] = {1, 4, 5, 99, 100, 101, 1000, 1001, CONFIG_WEIGHT_MAX};
    uint32_t weight = random_below(&seed, 3) ? 1 + (uint32_t)random_below(&seed, most)
                                             : edges[random_below(&seed, sizeof(edges) / sizeof(edges[0]))];
    return weight < most ? weight : most;
}

static void start(uint32_t heaviest)
{
    memset(&plain, 0, sizeof(plain));
    memset(&quick, 0, sizeof(quick));
    now = by_short_way = by_fallback = 0;
    level1_init(&plain.l1, SLICE);
    level1_init(&quick.l1, SLICE);
    for (unsigned i = 0; i < ENTITIES; i++) {
        uint32_t weight = random_weight(heaviest);
        level1_entity_init(&plain.entities[i], weight);
        level1_entity_init(&quick.entities[i], weight);
        wake(i);
    }
}

/// Something else than the end of a turn, after a part of it.
static void disturb(uint32_t heaviest)
{
    unsigned i = (unsigned)random_below(&seed, ENTITIES);
    uint32_t weight = random_weight(heaviest);
    uint64_t slice = SLICE / 2 + random_below(&seed, 2 * SLICE);
    charge(random_below(&seed, SLICE));
    switch (random_below(&seed, 5)) {
    case 0:
        wake(i);
        break;
    case 1:
        sleep_one(i);
        break;
    case 2:
        if (plain.current) {
            level1_yield(&plain.l1, plain.current);
            level1_yield(&quick.l1, quick.current);
        }
        break;
    case 3:
        level1_set_weight(&plain.entities[i], weight);
        level1_set_weight(&quick.entities[i], weight);
        break;
    default:
        level1_set_slice(&plain.l1, slice);
        level1_set_slice(&quick.l1, slice);
        break;
    }
    pick(&plain);
    pick(&quick);
}

/// Mostly little, as an exit takes; now and then turns, as when the machine stood still.
static uint64_t random_overrun(uint64_t most)
{
    return random_below(&seed, 50) ? random_below(&seed, 2000) : random_below(&seed, most);
}

static void run(uint32_t heaviest, uint64_t longest_overrun)
{
    start(heaviest);
    pick(&plain);
    pick(&quick);
    for (unsigned i = 0; i < STEPS; i++) {
        if (plain.current && plain.end != LEVEL1_NO_END && plain.end >= now && random_below(&seed, 10))
            end_of_turn(random_overrun(longest_overrun));
        else
            disturb(heaviest);
        compare();
    }
    assert_true(by_short_way > STEPS / 4);
    assert_true(by_fallback > 0);
}

/// Weights with which everybody has a turn in ten rounds, or in more.
static void ordinary_weights(void **state)
{
    (void)state;
    seed = 1;
    run(1000, 20 * SLICE);
}

static void all_weights(void **state)
{
    (void)state;
    seed = 2;
    run(CONFIG_WEIGHT_MAX, 20 * SLICE);
}

/// The machine stood still for longer than the deepest debt.
static void forgiven_debts(void **state)
{
    (void)state;
    seed = 3;
    run(CONFIG_WEIGHT_MAX, 1000 * SLICE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_weights),
        cmocka_unit_test(all_weights),
        cmocka_unit_test(forgiven_debts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
