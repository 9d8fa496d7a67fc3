// SPDX-License-Identifier: Apache-2.0
// Virtio over PCI: drivers that break the rules.
// links: vmm/personalities/lib/devices/virtio_pci.c vmm/personalities/lib/devices/virtio.c
// links: vmm/personalities/lib/devices/virtqueue.c vmm/personalities/lib/devices/msix.c
// links: vmm/personalities/lib/devices/pci.c vmm/personalities/lib/devices/pci_function.c
// links: tests/unit/virtio_driver.c vmm/lib/format.c vmm/lib/string.c
#include "virtio_toy.h"

static void assert_broken(const char *why)
{
    assert_int_equal(driver_common(&d, DRIVER_STATUS, 1) & VIRTIO_NEEDS_RESET, VIRTIO_NEEDS_RESET);
    assert_int_equal(d.reports, 1);
    assert_memory_equal(d.report, "toy: ", 5);
    if (strstr(d.report, why) == NULL)
        fail_msg("'%s' says nothing of '%s'", d.report, why);
    assert_false(echo(5));
    d.reports = 0;
}

/// Each of these makes the device need a reset; then it works again.
static void test_bad_queues(void **state)
{
    (void)state;
    static const struct {
        uint64_t descriptors, available, used;
        uint16_t size;
    } bad[] = {
        {0x1008, 0x2000, 0x3000, 4},          {0x1000, 0x2001, 0x3000, 4},         {0x1000, 0x2000, 0x3002, 4},
        {MEMORY - 48, 0x2000, 0x3000, 4},     {0x1000, MEMORY - 12, 0x3000, 4},    {0x1000, 0x2000, MEMORY - 36, 4},
        {0x1000, 0x2000, 0x3000, 3},          {0x1000, 0x2000, 0x3000, 0},         {0x1000, 0x2000, 0x3000, 256},
        {UINT64_MAX - 15, 0x2000, 0x3000, 4}, {0x1000, UINT64_MAX - 1, 0x3000, 4}, {0x1000, 0x2000, UINT64_MAX - 3, 4},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_true(driver_negotiate(&d, UINT64_MAX));
        driver_set_common(&d, DRIVER_QUEUE, 2, 0);
        driver_set_common(&d, DRIVER_QUEUE_SIZE, 2, bad[i].size);
        driver_set_common(&d, DRIVER_QUEUE_DESCRIPTORS, 8, bad[i].descriptors);
        driver_set_common(&d, DRIVER_QUEUE_AVAILABLE, 8, bad[i].available);
        driver_set_common(&d, DRIVER_QUEUE_USED, 8, bad[i].used);
        driver_set_common(&d, DRIVER_QUEUE_ENABLE, 2, 1);
        assert_int_equal(driver_common(&d, DRIVER_QUEUE_ENABLE, 2), 0);
        driver_set_common(&d, DRIVER_QUEUE_ENABLE, 2, 1); // is not told twice
        toy.reports = 0;
        d.queues[0] = (struct driver_queue){.size = 4, .descriptors = 0x1000, .available = 0x2000, .used = 0x3000};
        assert_broken(i >= 6 && i < 9 ? "size" : "rings");
        driver_set_common(&d, DRIVER_STATUS, 1, 0);
    }
    driver_queue(&d, 0, 4); // before FEATURES_OK
    assert_broken("features");
    driver_set_common(&d, DRIVER_STATUS, 1, 0);
    driver_start(&d, 0, 4);
    assert_true(echo(9));
}

/// A queue whose rings end exactly where memory does.
static void test_last_bytes(void **state)
{
    (void)state;
    uint32_t length;
    assert_true(driver_negotiate(&d, VIRTIO_F_VERSION_1));
    driver_queue(&d, 0, 4);
    driver_set_common(&d, DRIVER_STATUS, 1, 0);
    assert_true(driver_negotiate(&d, VIRTIO_F_VERSION_1));
    d.queues[0].descriptors = MEMORY - 64;
    d.queues[0].available = MEMORY - 64 - 14;
    d.queues[0].used = MEMORY - 64 - 16 - 38 - 2;
    memset(d.memory + MEMORY - 256, 0, 256);
    driver_set_common(&d, DRIVER_QUEUE, 2, 0);
    driver_set_common(&d, DRIVER_QUEUE_SIZE, 2, 4);
    driver_set_common(&d, DRIVER_QUEUE_DESCRIPTORS, 8, d.queues[0].descriptors);
    driver_set_common(&d, DRIVER_QUEUE_AVAILABLE, 8, d.queues[0].available);
    driver_set_common(&d, DRIVER_QUEUE_USED, 8, d.queues[0].used);
    driver_set_common(&d, DRIVER_QUEUE_ENABLE, 2, 1);
    driver_set_common(&d, DRIVER_STATUS, 1, GOOD | VIRTIO_DRIVER_OK);
    const struct driver_piece pieces[] = {{0x100, 4}, {0x200, 4}};
    assert_true(driver_add(&d, 0, pieces, 1, 1, 0) >= 0);
    driver_kick(&d, 0);
    assert_true(driver_take(&d, 0, &length) >= 0 && length == 4);
}

/// The device tells the driver, by the interrupt for changes, if it can.
static void test_broken_tells(void **state)
{
    (void)state;
    driver_start(&d, 0, 4);
    driver_msix(&d);
    driver_offer(&d, 0, 4); // no such descriptor
    driver_put(&d, d.notify, 2, 0);
    assert_int_equal(d.message_count, 1);
    assert_int_equal(d.messages[0], 200);
    assert_broken("number");
    driver_config_put(&d, (uint32_t)d.msix + 2, 2, 0);
    driver_set_common(&d, DRIVER_STATUS, 1, 0);
    driver_start(&d, 0, 4);
    driver_offer(&d, 0, 4);
    driver_put(&d, d.notify, 2, 0);
    assert_true(d.pin);
    assert_int_equal(driver_get(&d, d.isr, 1), 2);
    assert_int_equal(toy.counters.broken, 2);
}

/// Who provokes messages gets a few.
static void test_reports_end(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        driver_start(&d, 0, 4);
        d.allocated = DRIVER_PAGE;
        driver_offer(&d, 0, 4);
        driver_put(&d, d.notify, 2, 0);
        driver_set_common(&d, DRIVER_STATUS, 1, 0);
    }
    assert_int_equal(d.reports, VIRTIO_REPORTS + 1);
    assert_int_equal(toy.counters.broken, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_bad_queues),
        TEST(test_last_bytes),
        TEST(test_broken_tells),
        TEST(test_reports_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
