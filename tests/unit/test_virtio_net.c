// SPDX-License-Identifier: Apache-2.0
// The virtio network device, seen by a driver; at the other end of the cable is this test.
// links: vmm/personalities/lib/devices/virtio_net.c
// links: vmm/personalities/lib/devices/virtio_pci.c vmm/personalities/lib/devices/virtio.c
// links: vmm/personalities/lib/devices/virtqueue.c vmm/personalities/lib/devices/msix.c
// links: vmm/personalities/lib/devices/pci.c vmm/personalities/lib/devices/pci_function.c
// links: tests/unit/virtio_driver.c vmm/lib/format.c vmm/lib/string.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "devices/virtio_net.h"
#include "tests/unit/random.h"
#include "tests/unit/virtio_driver.h"

enum { MEMORY = 1 << 20, RECEIVE = 0, TRANSMIT = 1, DATA = 0x20000, BUFFER = 2048, BUFFERS = 64, HEADER = 12 };

static const uint8_t address[] = {2, 'P', 'V', 0, 1, 2};
static struct driver d;
static struct virtio_net net;
static uint8_t sent[VIRTIO_NET_FRAME], coming[BUFFERS][VIRTIO_NET_FRAME];
static uint32_t sent_size, sent_count, coming_size[BUFFERS], coming_first, coming_count, asked;

static void take_frame(void *context, const uint8_t *frame, uint32_t size)
{
    assert_ptr_equal(context, &net);
    assert_in_range(size, 14, VIRTIO_NET_FRAME);
    memcpy(sent, frame, size);
    sent_size = size;
    sent_count++;
}

static uint32_t give_frame(void *context, uint8_t *frame)
{
    assert_ptr_equal(context, &net);
    asked++;
    if (coming_count == 0)
        return 0;
    const uint32_t size = coming_size[coming_first];
    memcpy(frame, coming[coming_first], size);
    coming_first = (coming_first + 1) % BUFFERS;
    coming_count--;
    return size;
}

static int set_up(void **state)
{
    (void)state;
    const struct virtio_net_link link = {take_frame, give_frame, &net};
    const struct virtio_host host = driver_host(&d, MEMORY);
    virtio_net_init(&net, address, &link, &host);
    assert_true(driver_attach(&d, &net.virtio));
    sent_size = sent_count = coming_first = coming_count = asked = 0;
    driver_start(&d, UINT64_MAX, 64);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    driver_free(&d);
    return 0;
}

/// A frame comes over the cable.
static void arrive(uint32_t size, uint8_t byte)
{
    const uint32_t at = (coming_first + coming_count++) % BUFFERS;
    coming_size[at] = size;
    memset(coming[at], byte, size);
}

static void test_configuration(void **state)
{
    (void)state;
    assert_int_equal(driver_config_get(&d, 0, 4), 0x10411af4);
    assert_int_equal(driver_config_get(&d, 8, 4) >> 8, 0x020000);
    assert_int_equal(d.config_size, 6);
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(driver_get(&d, d.config + i, 1), address[i]);
    assert_int_equal(d.features & 0xffffff, 1 << 5); // the address, no offloads
}

static void test_transmit(void **state)
{
    (void)state;
    uint64_t random = 2;
    uint32_t length;
    for (unsigned round = 0; round < 3000; round++) {
        const uint32_t size = 14 + (uint32_t)random_below(&random, VIRTIO_NET_FRAME - 13);
        const uint32_t first = (uint32_t)random_below(&random, HEADER + size + 1);
        for (uint32_t i = 0; i < size; i++)
            d.memory[DATA + HEADER + i] = (uint8_t)random_below(&random, 256);
        const struct driver_piece pieces[] = {{DATA, first}, {DATA + first, HEADER + size - first}};
        assert_true(driver_add(&d, TRANSMIT, pieces, 2, 0, 0) >= 0);
        driver_kick(&d, TRANSMIT);
        assert_true(driver_take(&d, TRANSMIT, &length) >= 0 && length == 0);
        assert_int_equal(sent_count, round + 1);
        assert_int_equal(sent_size, size);
        assert_memory_equal(sent, d.memory + DATA + HEADER, size);
    }
}

/// What is no frame gets lost, and nothing else happens.
static void test_wrong_sizes(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0, 1, 11, 12, 25, HEADER + VIRTIO_NET_FRAME + 1, 65536, 500000};
    uint32_t length;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const struct driver_piece piece = {0, sizes[i]};
        assert_true(driver_add(&d, TRANSMIT, &piece, 1, 0, 0) >= 0);
        driver_kick(&d, TRANSMIT);
        assert_true(driver_take(&d, TRANSMIT, &length) >= 0);
        assert_int_equal(net.virtio.counters.errors, i + 1);
    }
    assert_int_equal(sent_count, 0);
    assert_int_equal(d.reports, 0);
}

/// Frames wait for buffers, buffers for frames; each frame in one buffer, behind its header, in order.
static void test_receive(void **state)
{
    (void)state;
    uint64_t random = 5;
    uint32_t length, posted = 0, outstanding = 0;
    uint32_t expected_size[256];
    uint8_t next_in = 0, next_out = 0;
    uint64_t places[64];
    for (unsigned round = 0; round < 20000; round++) {
        if (random_below(&random, 2) != 0 && outstanding < 60) {
            const struct driver_piece piece = {DATA + BUFFER * (posted++ % BUFFERS), HEADER + VIRTIO_NET_FRAME};
            const int head = driver_add(&d, RECEIVE, &piece, 0, 1, 0);
            assert_true(head >= 0);
            places[head] = piece.address;
            outstanding++;
            driver_kick(&d, RECEIVE);
        } else if (coming_count < BUFFERS - 4) {
            const uint32_t size = 14 + (uint32_t)random_below(&random, VIRTIO_NET_FRAME - 13);
            expected_size[next_in] = size;
            arrive(size, next_in++);
            virtio_net_receive(&net);
        }
        for (int head; (head = driver_take(&d, RECEIVE, &length)) >= 0; outstanding--) {
            const uint8_t *buffer = d.memory + places[head];
            static const uint8_t header[HEADER] = {[10] = 1};
            assert_int_equal(length, HEADER + expected_size[next_out]);
            assert_memory_equal(buffer, header, HEADER);
            assert_int_equal(buffer[HEADER], next_out);
            assert_int_equal(buffer[length - 1], next_out++);
        }
        assert_true(outstanding == 0 || (coming_count == 0 && net.held_size == 0)); // nobody waits for nothing
    }
    assert_in_range(net.virtio.counters.chains, 5000, 20000);
}

/// Without buffers the device takes one frame and leaves the others where they are: who sends too much fills no memory here.
static void test_no_buffers(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++)
        arrive(60, (uint8_t)i);
    for (unsigned i = 0; i < 100; i++)
        virtio_net_receive(&net);
    assert_int_equal(coming_count, 9);
    driver_set_common(&d, DRIVER_STATUS, 1, 0);
    asked = 0;
    virtio_net_receive(&net); // nobody drives it
    assert_int_equal(asked, 0);
}

/// A peer that sends without end keeps the device for one budget at a time.
static void test_flood(void **state)
{
    (void)state;
    uint32_t length;
    for (unsigned i = 0; i < 64; i++) {
        const struct driver_piece piece = {DATA, BUFFER};
        assert_true(driver_add(&d, RECEIVE, &piece, 0, 1, 0) >= 0);
    }
    driver_kick(&d, RECEIVE); // finds none
    for (unsigned i = 0; i < 64; i++)
        arrive(60, 1);
    const uint32_t before = asked;
    virtio_net_receive(&net);
    assert_int_equal(asked - before, 64);
    assert_int_equal(d.wakes, 1);
    while (driver_take(&d, RECEIVE, &length) >= 0)
        continue;
    assert_false(virtio_advance(&net.virtio));
}

static void test_small_buffer(void **state)
{
    (void)state;
    const struct driver_piece piece = {DATA, HEADER + 59};
    assert_true(driver_add(&d, RECEIVE, &piece, 0, 1, 0) >= 0);
    driver_kick(&d, RECEIVE);
    arrive(60, 1);
    virtio_net_receive(&net);
    assert_int_equal(driver_common(&d, DRIVER_STATUS, 1) & VIRTIO_NEEDS_RESET, VIRTIO_NEEDS_RESET);
    assert_non_null(strstr(d.report, "too small"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_configuration), TEST(test_transmit), TEST(test_wrong_sizes),  TEST(test_receive),
        TEST(test_no_buffers),    TEST(test_flood),    TEST(test_small_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
