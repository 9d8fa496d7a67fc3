// SPDX-License-Identifier: Apache-2.0
// What `top` makes of two looks at the counters.
// links: vmm/personalities/monitor/top.c vmm/lib/string.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "random.h"
#include "vmm/personalities/monitor/top.h"

static struct top_sample before, after, growth;

static void takes_what_it_needs(void **state)
{
    (void)state;
    const struct pv_core_info cores[] = {
        {.core = 0,
         .state = PV_CORE_VMX,
         .ticks_total = 15,
         .ticks_idle = 1,
         .ticks_ring3 = 2,
         .ticks_guest = 4,
         .ticks_mux = 8,
         .switches = 16,
         .interrupts = 32},
        {.core = 1, .state = PV_CORE_ABSENT},
    };
    const struct pv_personality_info tiny = {.id = 7,
                                             .state = PV_STATE_PAUSED,
                                             .cores = 5,
                                             .weight = 300,
                                             .switches = 1,
                                             .ticks_ring3 = 2,
                                             .ticks_guest = 4,
                                             .exits_absorbed = 8,
                                             .exits_delivered = 16,
                                             .name = "tiny"};
    top_sample_fill(&after, cores, 2, &tiny, 1);
    assert_int_equal(after.core_count, 2);
    const struct top_core *c = &after.cores[0];
    assert_false(c->absent);
    assert_int_equal(c->total, 15);
    assert_int_equal(c->idle, 1);
    assert_int_equal(c->ring3, 2);
    assert_int_equal(c->guest, 4);
    assert_int_equal(c->mux, 8);
    assert_int_equal(c->switches, 16);
    assert_int_equal(c->interrupts, 32);
    assert_true(after.cores[1].absent);
    assert_int_equal(after.personality_count, 1);
    const struct top_personality *p = &after.personalities[0];
    assert_int_equal(p->id, 7);
    assert_int_equal(p->state, PV_STATE_PAUSED);
    assert_int_equal(p->weight, 300);
    assert_int_equal(p->cores, 5);
    assert_int_equal(p->switches, 1);
    assert_int_equal(p->ring3, 2);
    assert_int_equal(p->guest, 4);
    assert_int_equal(p->absorbed, 8);
    assert_int_equal(p->delivered, 16);
    assert_string_equal(p->name, "tiny");
}

static void add_core(struct top_sample *sample, uint64_t total, uint64_t guest)
{
    sample->cores[sample->core_count] =
        (struct top_core){.core = (uint32_t)sample->core_count, .total = total, .guest = guest};
    sample->core_count++;
}

static void add_personality(struct top_sample *sample, uint64_t guest, uint64_t ring3)
{
    struct top_personality *p = &sample->personalities[sample->personality_count];
    *p = (struct top_personality){
        .id = (uint32_t)sample->personality_count++, .weight = 100, .guest = guest, .ring3 = ring3};
}

static void clear(void)
{
    memset(&before, 0, sizeof(before));
    memset(&after, 0, sizeof(after));
    memset(&growth, 0xff, sizeof(growth));
}

static void subtracts(void **state)
{
    (void)state;
    clear();
    add_core(&before, 100, 40);
    add_core(&before, 50, 0);
    add_core(&after, 1100, 640);
    add_core(&after, 1060, 0);
    before.cores[0].interrupts = after.cores[0].interrupts = 9;
    before.cores[1].switches = 3;
    after.cores[1].switches = 10;
    assert_int_equal(top_difference(&growth, &before, &after), 1010);
    assert_int_equal(growth.core_count, 2);
    assert_int_equal(growth.cores[0].total, 1000);
    assert_int_equal(growth.cores[0].guest, 600);
    assert_int_equal(growth.cores[0].interrupts, 0);
    assert_int_equal(growth.cores[1].core, 1);
    assert_int_equal(growth.cores[1].switches, 7);
}

static void puts_the_busiest_first(void **state)
{
    (void)state;
    static const uint64_t guest[] = {5, 0, 100, 20, 30}, ring3[] = {0, 0, 0, 15, 0};
    static const uint32_t order[] = {2, 3, 4, 0, 1};
    clear();
    for (size_t i = 0; i < 5; i++) {
        add_personality(&before, 1000, 2000);
        add_personality(&after, 1000 + guest[i], 2000 + ring3[i]);
    }
    after.personalities[3].absorbed = 12;
    assert_int_equal(top_difference(&growth, &before, &after), 0);
    assert_int_equal(growth.personality_count, 5);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(growth.personalities[i].id, order[i]);
    assert_int_equal(growth.personalities[1].guest, 20);
    assert_int_equal(growth.personalities[1].ring3, 15);
    assert_int_equal(growth.personalities[1].absorbed, 12);
    assert_int_equal(growth.personalities[1].weight, 100);
}

/// In a random list too, those that used as much stay in order.
static void sorts(void **state)
{
    (void)state;
    uint64_t seed = 1;
    clear();
    for (size_t i = 0; i < QUERY_MAX_PERSONALITIES; i++) {
        add_personality(&before, 0, 0);
        add_personality(&after, random_below(&seed, 10), random_below(&seed, 10));
    }
    top_difference(&growth, &before, &after);
    for (size_t i = 1; i < QUERY_MAX_PERSONALITIES; i++) {
        const struct top_personality *a = &growth.personalities[i - 1], *b = &growth.personalities[i];
        assert_true(a->guest + a->ring3 > b->guest + b->ring3 ||
                    (a->guest + a->ring3 == b->guest + b->ring3 && a->id < b->id));
    }
}

static void counters_do_not_go_back(void **state)
{
    (void)state;
    clear();
    add_core(&before, 100, 50);
    add_core(&after, 90, 60);
    add_personality(&before, 10, 10);
    add_personality(&after, 5, 12);
    add_personality(&after, 7, 0); // a new one
    assert_int_equal(top_difference(&growth, &before, &after), 0);
    assert_int_equal(growth.cores[0].guest, 10);
    assert_int_equal(growth.personalities[0].guest, 7);
    assert_int_equal(growth.personalities[1].guest, 0);
    assert_int_equal(growth.personalities[1].ring3, 2);
}

static void scales_to_a_second(void **state)
{
    (void)state;
    assert_int_equal(top_per_second(40, 1000, 1000), 40);
    assert_int_equal(top_per_second(40, 500, 1000), 80);
    assert_int_equal(top_per_second(40, 2000, 1000), 20);
    assert_int_equal(top_per_second(40, 0, 1000), 0);
    assert_int_equal(top_per_second(40, 1000, 0), 0);
    assert_int_equal(top_per_second(UINT64_C(1) << 62, UINT64_C(1) << 32, UINT64_C(1) << 32), UINT64_C(1) << 62);
    assert_int_equal(top_per_second(UINT64_MAX, 1, UINT64_MAX), 0); // no such thing; at least no trap
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_it_needs),     cmocka_unit_test(subtracts),
        cmocka_unit_test(puts_the_busiest_first),  cmocka_unit_test(sorts),
        cmocka_unit_test(counters_do_not_go_back), cmocka_unit_test(scales_to_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
