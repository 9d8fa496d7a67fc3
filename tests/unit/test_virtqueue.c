// SPDX-License-Identifier: Apache-2.0
// Virtqueues alone: random chains arrive as they were sent, whoever wants to be told is told, and rings that are wrong are found out.
// links: vmm/personalities/lib/devices/virtqueue.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "devices/virtqueue.h"
#include "tests/unit/random.h"

enum { MEMORY = 1 << 18, DESCRIPTORS = 0x1000, AVAILABLE = 0x2000, USED = 0x3000, TABLE = 0x4000, DATA = 0x10000 };
enum { NEXT = 1, WRITE = 2, INDIRECT = 4, SIZE = 8 };

static uint8_t *memory;
static struct virtqueue queue;
static struct virtqueue_chain chain;
static uint16_t offered, taken; ///< indices of the driver
static const char *why;

static void *at(void *context, uint64_t address, uint64_t size)
{
    (void)context;
    return address <= MEMORY && size <= MEMORY - address ? memory + address : NULL;
}

static const struct dev_memory dev_memory = {at, NULL};

static void enable(uint16_t size, bool indirect, bool event_index)
{
    memset(memory, 0, MEMORY);
    queue = (struct virtqueue){.memory = &dev_memory,
                               .size = size,
                               .indirect = indirect,
                               .event_index = event_index,
                               .descriptors_at = DESCRIPTORS,
                               .available_at = AVAILABLE,
                               .used_at = USED};
    assert_null(virtqueue_enable(&queue));
    offered = taken = 0;
    why = NULL;
}

static void put16(uint64_t address, uint16_t value)
{
    memcpy(memory + address, &value, 2);
}

static uint16_t get16(uint64_t address)
{
    uint16_t value;
    memcpy(&value, memory + address, 2);
    return value;
}

static void descriptor(uint64_t table, uint16_t index, uint64_t address, uint32_t length, uint16_t flags, uint16_t next)
{
    memcpy(memory + table + 16U * index, &address, 8);
    memcpy(memory + table + 16U * index + 8, &length, 4);
    put16(table + 16U * index + 12, flags);
    put16(table + 16U * index + 14, next);
}

static void offer(uint16_t head)
{
    put16(AVAILABLE + 4 + 2U * (offered % queue.size), head);
    put16(AVAILABLE + 2, ++offered);
}

static int set_up(void **state)
{
    (void)state;
    memory = aligned_alloc(4096, MEMORY);
    return memory == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    free(memory);
    return 0;
}

/* ---- good drivers ---- */

/// Random pieces, scattered, of the lengths given; contents are random too.
static void make_chain(uint64_t *random, uint16_t first, uint64_t table, uint32_t out, uint32_t in, uint32_t *sizes)
{
    uint64_t place = DATA;
    for (uint32_t i = 0; i < out + in; i++) {
        sizes[i] = (uint32_t)random_below(random, 40);
        place += random_below(random, 16);
        descriptor(table, (uint16_t)(first + i), place, sizes[i],
                   (uint16_t)((i >= out ? WRITE : 0) | (i + 1 < out + in ? NEXT : 0)), (uint16_t)(first + i + 1));
        for (uint32_t k = 0; k < sizes[i]; k++)
            memory[place + k] = (uint8_t)random_below(random, 256);
        place += sizes[i];
    }
}

static void check_chain(uint64_t *random, uint64_t table, uint16_t first, uint32_t out, uint32_t in,
                        const uint32_t *sizes)
{
    uint8_t expected[128 * 40], got[128 * 40];
    uint64_t readable = 0, writable = 0, address;
    for (uint32_t i = 0; i < out; i++) {
        memcpy(&address, memory + table + 16U * (first + i), 8);
        memcpy(expected + readable, memory + address, sizes[i]);
        readable += sizes[i];
    }
    for (uint32_t i = out; i < out + in; i++)
        writable += sizes[i];
    assert_int_equal(chain.count, out + in);
    assert_int_equal(chain.readable, out);
    assert_int_equal(chain.readable_bytes, readable);
    assert_int_equal(chain.writable_bytes, writable);
    const uint64_t offset = random_below(random, readable + 2), size = random_below(random, sizeof(got));
    const uint64_t there = offset > readable ? 0 : readable - offset < size ? readable - offset : size;
    assert_int_equal(virtqueue_read(&chain, offset, got, size), there);
    if (there != 0)
        assert_memory_equal(got, expected + offset, there);
    for (size_t i = 0; i < sizeof(got); i++)
        got[i] = (uint8_t)random_below(random, 256);
    assert_int_equal(virtqueue_write(&chain, 0, got, sizeof(got)), writable);
    for (uint32_t i = out, done = 0; i < out + in; done += sizes[i++]) {
        memcpy(&address, memory + table + 16U * (first + i), 8);
        assert_memory_equal(memory + address, got + done, sizes[i]);
    }
}

static void test_random_chains(void **state)
{
    (void)state;
    uint64_t random = 11;
    uint32_t sizes[VIRTQUEUE_MAX];
    for (unsigned round = 0; round < 20000; round++) {
        if (round % 1000 == 0)
            enable((uint16_t)(8 << random_below(&random, 5)), true, random_below(&random, 2) != 0);
        const bool indirect = random_below(&random, 2) != 0;
        const uint32_t limit = indirect ? VIRTQUEUE_MAX : queue.size;
        const uint32_t count = 1 + (uint32_t)random_below(&random, random_below(&random, 8) == 0 ? limit : 6);
        const uint32_t out = (uint32_t)random_below(&random, count + 1);
        const uint16_t head = indirect ? (uint16_t)random_below(&random, queue.size)
                                       : (uint16_t)random_below(&random, queue.size - count + 1);
        const uint64_t table = indirect ? TABLE + random_below(&random, 16) : DESCRIPTORS;
        make_chain(&random, indirect ? 0 : head, table, out, count - out, sizes);
        if (indirect)
            descriptor(DESCRIPTORS, head, table, 16 * count, INDIRECT | (random_below(&random, 2) ? WRITE : 0), 99);
        offer(head);
        assert_int_equal(virtqueue_pop(&queue, &chain, &why), 1);
        assert_int_equal(chain.head, head);
        check_chain(&random, table, indirect ? 0 : head, out, count - out, sizes);
        virtqueue_push(&queue, chain.head, round);
        assert_int_equal(get16(USED + 4 + 8U * (taken % queue.size)), head);
        assert_memory_equal(memory + USED + 8 + 8U * (taken % queue.size), &round, 4);
        assert_int_equal(get16(USED + 2), ++taken);
        assert_int_equal(virtqueue_pop(&queue, &chain, &why), 0);
    }
}

/// The oldest of several is next; they may be given back in any order.
static void test_several(void **state)
{
    (void)state;
    static const uint16_t heads[] = {3, 0, 7, 5};
    enable(SIZE, false, false);
    for (size_t i = 0; i < 4; i++) {
        descriptor(DESCRIPTORS, heads[i], DATA, 1, 0, 0);
        offer(heads[i]);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(virtqueue_pop(&queue, &chain, &why), 1);
        assert_int_equal(chain.head, heads[i]);
    }
    virtqueue_push(&queue, 7, 1);
    virtqueue_push(&queue, 3, 2);
    assert_int_equal(get16(USED + 4), 7);
    assert_int_equal(get16(USED + 12), 3);
    assert_int_equal(get16(USED + 2), 2);
}

/// With event indices: an interrupt exactly when the index that the driver named is passed (2.7.7.2).
static void test_event_index(void **state)
{
    (void)state;
    uint64_t random = 5;
    enable(SIZE, false, true);
    descriptor(DESCRIPTORS, 0, DATA, 1, 0, 0);
    uint16_t used = 0;
    for (unsigned round = 0; round < 50000; round++) { // the indices wrap around
        const uint32_t batch = 1 + (uint32_t)random_below(&random, SIZE);
        const uint16_t event = (uint16_t)(used + random_below(&random, 12) - 2);
        bool wanted = false;
        put16(AVAILABLE + 4 + 2 * SIZE, event);
        for (uint32_t i = 0; i < batch; i++) {
            offer(0);
            assert_int_equal(virtqueue_pop(&queue, &chain, &why), 1);
            virtqueue_push(&queue, 0, 0);
            wanted = wanted || used == event;
            used++;
        }
        assert_int_equal(virtqueue_signals(&queue), wanted);
        assert_false(virtqueue_signals(&queue));
        assert_int_equal(virtqueue_pop(&queue, &chain, &why), 0);
        assert_int_equal(get16(USED + 4 + 8 * SIZE), offered); // and asks to be told of the next one
    }
}

static void test_flags(void **state)
{
    (void)state;
    enable(SIZE, false, false);
    descriptor(DESCRIPTORS, 0, DATA, 1, 0, 0);
    for (unsigned i = 0; i < 100; i++) {
        put16(AVAILABLE, i % 3 == 0);
        offer(0);
        assert_int_equal(virtqueue_pop(&queue, &chain, &why), 1);
        virtqueue_push(&queue, 0, 0);
        assert_int_equal(virtqueue_signals(&queue), i % 3 != 0);
    }
}

/* ---- bad ones ---- */

static void expect(const char *text)
{
    const struct virtqueue before = queue;
    assert_int_equal(virtqueue_pop(&queue, &chain, &why), -1);
    if (strstr(why, text) == NULL)
        fail_msg("'%s' says nothing of '%s'", why, text);
    assert_int_equal(queue.next_used, before.next_used);
}

static void test_bad_indices(void **state)
{
    (void)state;
    enable(SIZE, false, false);
    put16(AVAILABLE + 2, SIZE + 1);
    expect("runs ahead");
    enable(SIZE, false, false);
    put16(AVAILABLE + 2, UINT16_MAX);
    expect("runs ahead");
    static const uint16_t heads[] = {SIZE, SIZE + 1, 0x8000, UINT16_MAX};
    for (size_t i = 0; i < 4; i++) {
        enable(SIZE, false, false);
        offer(heads[i]);
        expect("number");
        enable(SIZE, false, false);
        descriptor(DESCRIPTORS, 0, DATA, 1, NEXT, heads[i]);
        offer(0);
        expect("number");
    }
}

static void test_loops(void **state)
{
    (void)state;
    enable(SIZE, false, false);
    descriptor(DESCRIPTORS, 0, DATA, 1, NEXT, 0);
    offer(0);
    expect("loop");
    enable(SIZE, true, false);
    for (uint16_t i = 0; i < SIZE; i++)
        descriptor(DESCRIPTORS, i, DATA, 0, NEXT | WRITE, (uint16_t)((i + 1) % SIZE));
    offer(5);
    expect("loop");
    descriptor(DESCRIPTORS, 5, TABLE, 32, INDIRECT, 0);
    descriptor(TABLE, 0, DATA, 1, NEXT, 1);
    descriptor(TABLE, 1, DATA, 1, NEXT, 0);
    expect("loop");
}

/// A chain as long as can be, and one longer.
static void test_longest(void **state)
{
    (void)state;
    enum { COUNT = VIRTQUEUE_MAX + 1 };
    for (uint32_t count = VIRTQUEUE_MAX; count <= COUNT; count++) {
        enable(SIZE, true, false);
        for (uint16_t i = 0; i < count; i++)
            descriptor(TABLE, i, DATA, 1, i + 1U < count ? NEXT : 0, (uint16_t)(i + 1));
        descriptor(DESCRIPTORS, 0, TABLE, 16 * count, INDIRECT, 0);
        offer(0);
        if (count == COUNT)
            expect("too many");
        else
            assert_int_equal(virtqueue_pop(&queue, &chain, &why), 1);
    }
}

static void test_buffers_outside(void **state)
{
    (void)state;
    static const struct {
        uint64_t address;
        uint32_t length;
    } bad[] = {
        {MEMORY - 3, 4}, {MEMORY + 1, 0},         {UINT64_MAX, 1},         {UINT64_MAX - 3, 8},      {0, MEMORY + 1},
        {0, UINT32_MAX}, {UINT64_C(1) << 63, 16}, {UINT64_C(1) << 32, 16}, {MEMORY - 1, UINT32_MAX}, {MEMORY, 1},
        {1, MEMORY}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        for (uint16_t writable = 0; writable <= WRITE; writable += WRITE) {
            enable(SIZE, true, false);
            descriptor(DESCRIPTORS, 0, bad[i].address, bad[i].length, writable, 0);
            offer(0);
            expect("buffer");
            enable(SIZE, true, false);
            descriptor(DESCRIPTORS, 0, TABLE, 16, INDIRECT, 0);
            descriptor(TABLE, 0, bad[i].address, bad[i].length, writable, 0);
            offer(0);
            expect("buffer");
        }
    enable(SIZE, false, false);
    descriptor(DESCRIPTORS, 0, MEMORY - 4, 4, 0, 0); // the last ones are good
    offer(0);
    assert_int_equal(virtqueue_pop(&queue, &chain, &why), 1);
}

static void test_order(void **state)
{
    (void)state;
    enable(SIZE, false, false);
    descriptor(DESCRIPTORS, 0, DATA, 1, WRITE | NEXT, 1);
    descriptor(DESCRIPTORS, 1, DATA, 1, 0, 0);
    offer(0);
    expect("behind a writable");
}

/// A guest with all the memory there can be: nothing is accessed, so no such memory is needed.
static void *at_anywhere(void *context, uint64_t address, uint64_t size)
{
    (void)context, (void)address, (void)size;
    return memory + (address < MEMORY ? address : 0);
}

/// Pieces may lie over each other, and so a chain may be longer than memory; but not 4 GiB.
static void test_total(void **state)
{
    (void)state;
    enable(SIZE, true, false);
    for (uint16_t i = 0; i < 100; i++)
        descriptor(TABLE, i, 0, MEMORY, i < 99 ? NEXT : 0, (uint16_t)(i + 1));
    descriptor(DESCRIPTORS, 0, TABLE, 1600, INDIRECT, 0);
    offer(0);
    assert_int_equal(virtqueue_pop(&queue, &chain, &why), 1);
    assert_int_equal(chain.readable_bytes, 100 * (uint64_t)MEMORY);
    static const struct dev_memory anywhere = {at_anywhere, NULL};
    for (uint32_t last = 0xf; last <= 0x10; last++) { // 4 GiB - 1, and 4 GiB
        enable(SIZE, false, false);
        queue.memory = &anywhere;
        descriptor(DESCRIPTORS, 0, 0, 0xfffffff0, NEXT, 1);
        descriptor(DESCRIPTORS, 1, 0, last, WRITE, 0);
        offer(0);
        if (last == 0x10)
            expect("4 GiB");
        else
            assert_int_equal(virtqueue_pop(&queue, &chain, &why), 1);
    }
}

static void test_indirect(void **state)
{
    (void)state;
    static const struct {
        uint64_t address;
        uint32_t length;
        uint16_t flags;
        const char *text;
    } bad[] = {
        {TABLE, 0, INDIRECT, "length"},
        {TABLE, 15, INDIRECT, "length"},
        {TABLE, 24, INDIRECT, "length"},
        {TABLE, 16, INDIRECT | NEXT, "where none may be"},
        {MEMORY - 8, 16, INDIRECT, "table is not in memory"},
        {UINT64_MAX - 15, 32, INDIRECT, "table is not in memory"},
        {0, UINT32_MAX - 15, INDIRECT, "table is not in memory"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        enable(SIZE, true, false);
        descriptor(DESCRIPTORS, 2, bad[i].address, bad[i].length, bad[i].flags, 0);
        offer(2);
        expect(bad[i].text);
    }
    enable(SIZE, false, false);
    descriptor(DESCRIPTORS, 0, TABLE, 16, INDIRECT, 0);
    offer(0);
    expect("not agreed upon");
    enable(SIZE, true, false);
    descriptor(DESCRIPTORS, 0, TABLE, 16, INDIRECT, 0);
    descriptor(TABLE, 0, TABLE, 16, INDIRECT, 0); // a table in a table
    offer(0);
    expect("where none may be");
    descriptor(TABLE, 0, DATA, 16, NEXT, 1); // beyond its end
    expect("number");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_chains), cmocka_unit_test(test_several),
        cmocka_unit_test(test_event_index),   cmocka_unit_test(test_flags),
        cmocka_unit_test(test_bad_indices),   cmocka_unit_test(test_loops),
        cmocka_unit_test(test_longest),       cmocka_unit_test(test_buffers_outside),
        cmocka_unit_test(test_order),         cmocka_unit_test(test_total),
        cmocka_unit_test(test_indirect),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
