// SPDX-License-Identifier: Apache-2.0
/// A virtio device on PCI that gives back what it gets, complemented.
#ifndef POLYVISOR_TESTS_VIRTIO_TOY_H
#define POLYVISOR_TESTS_VIRTIO_TOY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/virtio_driver.h"

enum { MEMORY = 1 << 20, GOOD = VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK, COMMAND = 4, STATUS = 6 };
#define TOY_FEATURE (UINT64_C(1) << 3)

static struct driver d;
static struct virtio toy;
static uint32_t resets, budget;

static bool serve(void *device, uint32_t queue)
{
    struct virtqueue_chain chain;
    assert_ptr_equal(device, &toy);
    for (uint32_t i = 0; i < budget; i++) {
        uint8_t bytes[64];
        if (!virtio_pop(&toy, queue, &chain))
            return false;
        const uint64_t got = virtqueue_read(&chain, 0, bytes, sizeof(bytes));
        for (uint64_t k = 0; k < got; k++)
            bytes[k] = (uint8_t)~bytes[k];
        virtio_push(&toy, queue, &chain, (uint32_t)virtqueue_write(&chain, 0, bytes, got));
    }
    return true;
}

static void count_reset(void *device)
{
    assert_ptr_equal(device, &toy);
    resets++;
}

static inline int set_up(void **state)
{
    static const struct virtio_kind kind = {.name = "toy",
                                            .id = 0x3f,
                                            .pci_class = 0xff0102,
                                            .queues = 2,
                                            .queue_size = 16,
                                            .serve = serve,
                                            .reset = count_reset};
    static const uint8_t config[12] = "configure me";
    (void)state;
    const struct virtio_host host = driver_host(&d, MEMORY);
    virtio_init(&toy, &kind, &toy, &host, TOY_FEATURE, config, sizeof(config));
    assert_true(driver_attach(&d, &toy));
    resets = 0;
    budget = 16;
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    driver_free(&d);
    return 0;
}

/// Sends bytes through queue 0 and gets them back, in the first page, which nothing else uses.
static inline bool echo(uint8_t byte)
{
    enum { OUT = 0x100, IN = 0x200 };
    const struct driver_piece pieces[] = {{OUT, 4}, {IN, 4}};
    const uint8_t wanted = byte ^ 0xff;
    uint32_t length = 0;
    memset(d.memory + OUT, byte, 4);
    if (driver_add(&d, 0, pieces, 1, 1, 0) < 0)
        return false;
    driver_kick(&d, 0);
    return driver_take(&d, 0, &length) >= 0 && length == 4 && d.memory[IN] == wanted && d.memory[IN + 3] == wanted;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
