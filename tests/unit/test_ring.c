// SPDX-License-Identifier: Apache-2.0
// The byte ring, against a model that simply keeps everything ever written.
// links: vmm/lib/ring.c vmm/lib/string.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <polyvisor/ring.h>

enum { HISTORY = 1 << 20, STEPS = 30000, LARGEST = 100 };

/// Every byte ever written, and how far it was read.
struct model {
    char history[HISTORY];
    size_t head, tail, dropped;
    size_t size;
};

static struct model model;

static size_t any(size_t limit)
{
    return (size_t)rand() % limit;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t oldest(void)
{
    return model.head > model.size ? model.head - model.size : 0;
}

static void check(const struct pv_ring *ring)
{
    assert_int_equal(ring->head, model.head);
    assert_int_equal(ring->tail, model.tail);
    assert_int_equal(ring->dropped, model.dropped);
    assert_int_equal(pv_ring_used(ring), model.head - model.tail);
    assert_int_equal(pv_ring_room(ring), model.size - (model.head - model.tail));
}

static void step_write(struct pv_ring *ring, bool all)
{
    char data[LARGEST];
    size_t size = any(LARGEST);
    for (size_t i = 0; i < size; i++)
        data[i] = (char)rand();
    if (all) {
        pv_ring_write(ring, data, size);
    } else {
        const size_t room = model.size - (model.head - model.tail);
        assert_int_equal(pv_ring_write_some(ring, data, size), smaller(size, room));
        size = smaller(size, room);
    }
    memcpy(model.history + model.head, data, size);
    model.head += size;
    if (model.tail < oldest()) {
        model.dropped += oldest() - model.tail;
        model.tail = oldest();
    }
}

static void step_read(struct pv_ring *ring)
{
    char data[LARGEST];
    const size_t size = any(LARGEST);
    const size_t expected = smaller(size, model.head - model.tail);
    assert_int_equal(pv_ring_read(ring, data, size), expected);
    assert_memory_equal(data, model.history + model.tail, expected);
    model.tail += expected;
}

static void step_peek(const struct pv_ring *ring)
{
    char data[LARGEST];
    uint64_t position = any(model.head + 10);
    const size_t start = position < oldest() ? oldest() : (size_t)position;
    const size_t size = any(LARGEST);
    const size_t expected = start < model.head ? smaller(size, model.head - start) : 0;
    assert_int_equal(pv_ring_peek(ring, &position, data, size), expected);
    assert_int_equal(position, start);
    assert_memory_equal(data, model.history + start, expected);
}

static void behaves_like_the_model(void **state)
{
    (void)state;
    char buffer[128];
    for (size_t size = 1; size <= sizeof(buffer); size *= 2) {
        memset(&model, 0, sizeof(model));
        model.size = size;
        struct pv_ring ring;
        pv_ring_init(&ring, buffer, size);
        check(&ring);
        for (int i = 0; i < STEPS && model.head + LARGEST < HISTORY; i++) {
            switch (any(4)) {
            case 0:
                step_write(&ring, true);
                break;
            case 1:
                step_write(&ring, false);
                break;
            case 2:
                step_read(&ring);
                break;
            default:
                step_peek(&ring);
                break;
            }
            check(&ring);
        }
    }
}

static void counts_what_a_long_write_drops(void **state)
{
    (void)state;
    char buffer[8];
    struct pv_ring ring;
    pv_ring_init(&ring, buffer, sizeof(buffer));
    pv_ring_write(&ring, "abc", 3);
    pv_ring_write(&ring, "0123456789", 10);
    assert_int_equal(ring.dropped, 5);
    char text[9] = "";
    assert_int_equal(pv_ring_read(&ring, text, 8), 8);
    assert_string_equal(text, "23456789");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaves_like_the_model),
        cmocka_unit_test(counts_what_a_long_write_drops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
