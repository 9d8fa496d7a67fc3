// SPDX-License-Identifier: Apache-2.0
// Work that one core gives another: in order, once at a time, one interrupt for all that waits.
// stand-ins: tests/machine
// links: vmm/message.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/x86/apic.h"
#include "arch/x86/core.h"
#include "arch/x86/registers.h"
#include "random.h"
#include "vmm/message.h"
#include "vmm/trace.h"

enum { CORES = 3, ITEMS = 40, ROUNDS = 20000, APIC_IDS = 10 };

struct core cores[PV_MAX_CORES];

/* ---- the machine ---- */

static uint8_t stacks[CORES][STACK_SLOT] __attribute__((aligned(STACK_SLOT)));
static uint32_t self;
static uint32_t interrupts[CORES]; ///< sent, not yet taken

uint64_t cpu_stack_pointer(void)
{
    return (uint64_t)stacks[self];
}

void apic_send_ipi(uint32_t apic, uint32_t vector)
{
    assert_int_equal(vector, VECTOR_MESSAGE);
    assert_in_range(apic, APIC_IDS, APIC_IDS + CORES - 1);
    interrupts[apic - APIC_IDS]++;
}

void trace_record(struct core *core, enum pv_trace_kind kind, uint16_t who, uint32_t cause, uint32_t value)
{
    (void)core, (void)kind, (void)who, (void)cause, (void)value;
    fail_msg("nothing is traced");
}

static struct core *on(uint32_t core)
{
    self = core;
    return &cores[core];
}

/* ---- messages that note when they run ---- */

struct item {
    struct message message; ///< first
    uint32_t core;          ///< where it has to run
    uint64_t sent;          ///< serial number, of this item's last sending
    uint32_t sender;
    uint32_t runs;
    void (*then)(struct item *item);
};
static struct item items[ITEMS];
static struct item *order[ITEMS];
static uint32_t ran;

static void run_item(struct message *message)
{
    struct item *item = (struct item *)message;
    assert_int_equal(item->core, self);
    assert_false(message->queued); // it may be sent again from here on
    item->runs++;
    if (ran < ITEMS) {
        order[ran++] = item;
    }
    if (item->then) {
        item->then(item);
    }
}

static int setup(void **state)
{
    (void)state;
    ran = 0;
    for (uint32_t i = 0; i < CORES; i++) {
        on(i);
        cores[i] = (struct core){.id = i, .apic_id = APIC_IDS + i, .main_stack = stack_top_of(cpu_stack_pointer())};
        cores[i].main_stack->core = &cores[i];
        message_receive();
        interrupts[i] = 0;
    }
    for (uint32_t i = 0; i < ITEMS; i++) {
        items[i] = (struct item){.message.run = run_item};
    }
    ran = 0;
    return 0;
}

static void to_oneself_it_runs_at_once(void **state)
{
    (void)state;
    items[0].core = 1;
    assert_true(message_send(on(1), &items[0].message));
    assert_int_equal(items[0].runs, 1);
    assert_int_equal(interrupts[1], 0);
}

static void posted_to_oneself_it_comes_by_interrupt(void **state)
{
    (void)state;
    items[0].core = 1;
    assert_true(message_post(on(1), &items[0].message));
    assert_int_equal(items[0].runs, 0);
    assert_int_equal(interrupts[1], 1);
    assert_true(message_waits());
    message_receive();
    assert_int_equal(items[0].runs, 1);
    assert_false(message_waits());
}

static void in_order_with_one_interrupt(void **state)
{
    (void)state;
    on(0);
    for (uint32_t i = 0; i < 5; i++) {
        items[i].core = 2;
        assert_true(message_send(&cores[2], &items[i].message));
    }
    assert_int_equal(interrupts[2], 1);
    assert_int_equal(ran, 0);
    assert_false(message_waits()); // on another core
    on(2);
    message_receive();
    for (uint32_t i = 0; i < 5; i++) {
        assert_ptr_equal(order[i], &items[i]);
    }
    on(0);
    message_send(&cores[2], &items[0].message);
    assert_int_equal(interrupts[2], 2); // the box was empty again
}

static void one_in_flight_is_not_sent_twice(void **state)
{
    (void)state;
    on(0);
    items[0].core = 1;
    assert_true(message_send(&cores[1], &items[0].message));
    assert_false(message_send(&cores[1], &items[0].message));
    assert_false(message_send(&cores[2], &items[0].message)); // it is on its way to another core
    on(1);
    assert_false(message_post(&cores[1], &items[0].message));
    message_receive();
    assert_int_equal(items[0].runs, 1);
    on(2);
    message_receive();
    assert_int_equal(items[0].runs, 1);
}

static void forward(struct item *item)
{
    if (item->core < CORES - 1) {
        item->core++;
        assert_true(message_post(&cores[item->core], &item->message));
    }
}

/// As agents do that have gone to another core meanwhile.
static void it_can_go_on_from_where_it_ran(void **state)
{
    (void)state;
    items[0].then = forward;
    on(2);
    assert_true(message_post(&cores[0], &items[0].message));
    for (uint32_t i = 0; i < CORES; i++) {
        assert_int_equal(interrupts[i], 1);
        on(i);
        message_receive();
        assert_int_equal(items[0].runs, i + 1);
    }
}

static void again(struct item *item)
{
    if (item->runs < 3) {
        assert_true(message_post(&cores[self], &item->message));
    }
}

/// What is posted meanwhile comes with the next interrupt: no core is kept busy by messages for ever.
static void those_posted_meanwhile_wait(void **state)
{
    (void)state;
    items[0].then = again;
    message_post(on(0), &items[0].message);
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(interrupts[0], i);
        message_receive();
        assert_int_equal(items[0].runs, i);
    }
    assert_false(message_waits());
}

/// Any cores, any order: each message runs as often as it was sent, where it was sent to, in order by each sender, and a core
/// with something in its box has been interrupted since it was emptied.
static void nothing_is_lost(void **state)
{
    (void)state;
    uint64_t seed = 4711, serial = 0, sendings = 0, runs = 0;
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t core = (uint32_t)random_below(&seed, CORES);
        on(core);
        if (random_below(&seed, 8) == 0) {
            uint64_t last[CORES] = {0};
            bool waited = message_waits();
            assert_int_equal(waited, interrupts[core] != 0);
            interrupts[core] = 0;
            ran = 0;
            message_receive();
            assert_int_equal(waited, ran != 0);
            for (uint32_t k = 0; k < ran; k++) {
                assert_true(order[k]->sent > last[order[k]->sender]);
                last[order[k]->sender] = order[k]->sent;
            }
            continue;
        }
        struct item *item = &items[random_below(&seed, ITEMS)];
        uint32_t to = (uint32_t)random_below(&seed, CORES);
        bool flying = item->message.queued;
        if (!flying) {
            item->core = to;
            item->sent = ++serial;
            item->sender = core;
        }
        ran = 0;
        assert_int_equal(message_post(&cores[to], &item->message), !flying);
        sendings += !flying;
    }
    for (uint32_t i = 0; i < CORES; i++) {
        on(i);
        message_receive();
    }
    for (uint32_t i = 0; i < ITEMS; i++) {
        runs += items[i].runs;
    }
    assert_int_equal(runs, sendings);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(to_oneself_it_runs_at_once),
        TEST(posted_to_oneself_it_comes_by_interrupt),
        TEST(in_order_with_one_interrupt),
        TEST(one_in_flight_is_not_sent_twice),
        TEST(it_can_go_on_from_where_it_ran),
        TEST(those_posted_meanwhile_wait),
        TEST(nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
