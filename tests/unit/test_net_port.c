// SPDX-License-Identifier: Apache-2.0
// Ports of a virtual switch: against a model of queues, with hostile senders.
// links: vmm/net_port.c vmm/lib/ring.c vmm/lib/string.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/random.h"
#include "vmm/net_port.h"

enum { ADDRESS = PV_NET_ADDRESS_SIZE, MOST = 4096 };

static struct net_port *ports[NET_PORTS];
static uint8_t frame[PV_NET_FRAME_MAX + 1], got[PV_NET_FRAME_MAX + 1];

static void make(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        ports[i] = malloc(sizeof(struct net_port));
        net_port_init(ports[i], 10 + i, i, count);
        net_port_set(ports[i], true);
    }
}

static int tear_down(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < NET_PORTS; i++) {
        free(ports[i]);
        ports[i] = NULL;
    }
    return 0;
}

static void address_frame(const struct net_port *from, const struct net_port *to)
{
    memset(frame, 0, sizeof(frame));
    memcpy(frame, to->address, ADDRESS);
    memcpy(frame + ADDRESS, from->address, ADDRESS);
}

static void test_addresses(void **state)
{
    (void)state;
    uint8_t a[ADDRESS], b[ADDRESS];
    for (uint32_t i = 0; i < 128; i++) {
        net_address(i, a);
        assert_int_equal(a[0] & 3, 2); // locally administered, not a group's
        for (uint32_t k = 0; k < i; k++) {
            net_address(k, b);
            assert_memory_not_equal(a, b, ADDRESS);
        }
    }
}

static void test_who_may_send(void **state)
{
    (void)state;
    make(3);
    address_frame(ports[0], ports[1]);
    assert_int_equal(net_may_send(ports[0], frame, PV_NET_FRAME_MIN), PV_OK);
    assert_int_equal(net_may_send(ports[0], frame, PV_NET_FRAME_MAX), PV_OK);
    assert_int_equal(net_may_send(ports[0], frame, PV_NET_FRAME_MIN - 1), PV_ERR_INVALID);
    assert_int_equal(net_may_send(ports[0], frame, PV_NET_FRAME_MAX + 1), PV_ERR_INVALID);
    assert_int_equal(net_may_send(ports[2], frame, 60), PV_ERR_DENIED);
    for (unsigned i = 0; i < ADDRESS; i++) {
        frame[ADDRESS + i] ^= 4;
        assert_int_equal(net_may_send(ports[0], frame, 60), PV_ERR_DENIED);
        frame[ADDRESS + i] ^= 4;
    }
}

static void test_who_gets_it(void **state)
{
    (void)state;
    make(3);
    address_frame(ports[0], ports[1]);
    assert_true(net_is_for(ports[1], frame));
    assert_false(net_is_for(ports[2], frame));
    frame[5] ^= 1;
    assert_false(net_is_for(ports[1], frame));
    memset(frame, 0xff, ADDRESS);
    assert_true(net_is_for(ports[1], frame) && net_is_for(ports[2], frame));
    static const uint8_t multicast[] = {0x33, 0x33, 0, 0, 0, 1};
    memcpy(frame, multicast, ADDRESS);
    assert_true(net_is_for(ports[2], frame));
}

/// Random frames of random senders to one port, against a queue of what was accepted; sooner or later everything wraps around.
static void test_random(void **state)
{
    (void)state;
    static struct {
        size_t size;
        uint8_t first;
    } queue[MOST];
    uint64_t random = 17;
    size_t head = 0, tail = 0;
    uint64_t dropped = 0, held[NET_PORTS] = {0};
    uint32_t senders[MOST];
    make(5);
    for (unsigned round = 0; round < 200000; round++) {
        if (random_below(&random, 100) < (round / 1000 % 2 ? 30 : 70)) {
            const uint32_t from = 1 + (uint32_t)random_below(&random, 4);
            const size_t size = PV_NET_FRAME_MIN + random_below(&random, PV_NET_FRAME_MAX - PV_NET_FRAME_MIN + 1);
            const bool room = held[from] + size + 4 <= NET_RING_SIZE / 4;
            address_frame(ports[from], ports[0]);
            memset(frame + 12, (uint8_t)round, size - 12);
            assert_int_equal(net_put(ports[0], ports[from], frame, size), room && head == tail);
            dropped += !room;
            if (room) {
                queue[head % MOST].size = size;
                queue[head % MOST].first = (uint8_t)round;
                senders[head++ % MOST] = from;
                held[from] += size + 4;
            }
        } else {
            const size_t size = head == tail ? 0 : queue[tail % MOST].size;
            assert_int_equal(net_next(ports[0]), size);
            assert_int_equal(net_take(ports[0], got), size);
            if (size != 0) {
                assert_memory_equal(got, ports[0]->address, ADDRESS);
                assert_memory_equal(got + ADDRESS, ports[senders[tail % MOST]]->address, ADDRESS);
                for (size_t i = 12; i < size; i++)
                    assert_int_equal(got[i], queue[tail % MOST].first);
                held[senders[tail++ % MOST]] -= size + 4;
            }
        }
        assert_in_range(head - tail, 0, MOST);
    }
    assert_int_equal(ports[0]->ring.dropped, 0);
    assert_int_equal(ports[0]->counters.dropped, dropped);
    assert_in_range(dropped, 1000, 199000);
    assert_int_equal(ports[0]->counters.received, tail);
}

/// One who sends without end takes nothing away from the others, however many there are.
static void test_flood(void **state)
{
    (void)state;
    for (uint32_t count = 2; count <= NET_PORTS; count++) {
        make(count);
        address_frame(ports[1], ports[0]);
        for (unsigned i = 0; i < 5000; i++)
            net_put(ports[0], ports[1], frame, PV_NET_FRAME_MIN + i % 1501);
        const uint64_t dropped = ports[0]->counters.dropped;
        assert_true(dropped > 0);
        for (uint32_t i = 2; i < count; i++) {
            const uint32_t frames = NET_RING_SIZE / (count - 1) / (PV_NET_FRAME_MAX + 4);
            assert_true(frames > 0);
            for (uint32_t k = 0; k < frames; k++)
                net_put(ports[0], ports[i], frame, PV_NET_FRAME_MAX);
        }
        assert_int_equal(ports[0]->counters.dropped, dropped);
        assert_int_equal(ports[0]->ring.dropped, 0);
        while (net_take(ports[0], got) != 0)
            continue;
        for (uint32_t i = 0; i < count; i++)
            assert_int_equal(ports[0]->held[i], 0);
        tear_down(state);
    }
}

/// Nothing comes to a port whose owner does not run, and nothing stays from before.
static void test_down(void **state)
{
    (void)state;
    make(2);
    address_frame(ports[1], ports[0]);
    assert_true(net_put(ports[0], ports[1], frame, 100));
    assert_false(net_put(ports[0], ports[1], frame, 100)); // told already
    assert_int_equal(ports[0]->counters.dropped, 0);
    net_port_set(ports[0], false);
    assert_int_equal(net_next(ports[0]), 0);
    assert_int_equal(ports[0]->counters.dropped, 2);
    assert_false(net_put(ports[0], ports[1], frame, 100));
    assert_int_equal(ports[0]->counters.dropped, 3);
    net_port_set(ports[0], true);
    assert_int_equal(net_take(ports[0], got), 0);
    assert_true(net_put(ports[0], ports[1], frame, 100));
    assert_int_equal(net_take(ports[0], got), 100);
    assert_int_equal(ports[0]->held[1], 0);
    net_port_set(ports[0], false);
    assert_int_equal(ports[0]->counters.dropped, 3);
}

/// Alone on a switch: there is nobody to send to.
static void test_alone(void **state)
{
    (void)state;
    make(1);
    assert_int_equal(ports[0]->share, NET_RING_SIZE);
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_addresses), TEST(test_who_may_send), TEST(test_who_gets_it), TEST(test_random),
        TEST(test_flood),     TEST(test_down),         TEST(test_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
