// SPDX-License-Identifier: Apache-2.0
// Virtio over PCI, what all devices share: configuration space, BARs, MSI-X and INTx, status, features, queues.
// links: vmm/personalities/lib/devices/virtio_pci.c vmm/personalities/lib/devices/virtio.c
// links: vmm/personalities/lib/devices/virtqueue.c vmm/personalities/lib/devices/msix.c
// links: vmm/personalities/lib/devices/pci.c vmm/personalities/lib/devices/pci_function.c
// links: tests/unit/virtio_driver.c vmm/lib/format.c vmm/lib/string.c
#include "virtio_toy.h"

/* ---- PCI ---- */

static void test_header(void **state)
{
    (void)state;
    assert_int_equal(driver_config_get(&d, 0, 4), 0x107f1af4);
    assert_int_equal(driver_config_get(&d, 8, 4), 0xff010201);
    assert_int_equal(driver_config_get(&d, 0x2c, 4), 0x107f1af4);
    assert_int_equal(driver_config_get(&d, 0x3c, 2), 0x010b); // INTA, at 11 like all odd devices
    assert_int_equal(driver_config_get(&d, STATUS, 2), 0x10);
    driver_config_put(&d, 0, 4, 0); // read-only
    assert_int_equal(driver_config_get(&d, 0, 4), 0x107f1af4);
}

/// Sizes by writing ones; a device that has been moved answers at its new place only, and nowhere while memory is off.
static void test_bars(void **state)
{
    (void)state;
    assert_int_equal(d.bars[0], 0xfe000000);
    assert_int_equal(d.bars[1], 0xfe004000);
    driver_config_put(&d, 0x10, 4, UINT32_MAX);
    assert_int_equal(driver_config_get(&d, 0x10, 4), 0xffffc000);
    driver_config_put(&d, 0x14, 4, UINT32_MAX);
    assert_int_equal(driver_config_get(&d, 0x14, 4), 0xfffff000);
    driver_config_put(&d, 0x18, 4, UINT32_MAX);
    assert_int_equal(driver_config_get(&d, 0x18, 4), 0);
    driver_config_put(&d, 0x10, 4, 0xc0000000);
    assert_int_equal(driver_get(&d, d.common + DRIVER_NUM_QUEUES, 2), UINT64_MAX);
    d.common -= 0xfe000000 - 0xc0000000;
    assert_int_equal(driver_common(&d, DRIVER_NUM_QUEUES, 2), 2);
    driver_config_put(&d, COMMAND, 2, 4);
    uint64_t value;
    assert_false(pci_memory_read(&d.pci, d.common, 4, &value));
    assert_false(pci_memory_write(&d.pci, d.common, 4, 0));
}

/// An access that reaches beyond a BAR is nobody's.
static void test_bar_ends(void **state)
{
    (void)state;
    uint64_t value;
    assert_true(pci_memory_read(&d.pci, 0xfe003ffc, 4, &value));
    assert_false(pci_memory_read(&d.pci, 0xfe004ffc, 8, &value));
    assert_false(pci_memory_read(&d.pci, 0xfdffffff, 2, &value));
    for (uint32_t size = 1; size <= 8; size *= 2) // unaligned, odd, in the gaps: nothing happens
        for (uint64_t a = 0xfe000000; a + size <= 0xfe005000; a += a < 0xfe000100 ? 1 : 61)
            driver_get(&d, a, size);
}

/// The capability that leads to BARs from configuration space.
static void test_window(void **state)
{
    (void)state;
    uint32_t cap = driver_config_get(&d, 0x34, 1);
    while (driver_config_get(&d, cap, 1) != 9 || driver_config_get(&d, cap + 3, 1) != 5)
        cap = driver_config_get(&d, cap + 1, 1);
    const struct {
        uint32_t bar, offset, size, value;
    } reads[] = {{0, DRIVER_NUM_QUEUES, 2, 2}, {0, 0x2000, 4, 0x666e6f63}, {0, 0x2004, 1, 0x69}};
    for (size_t i = 0; i < 3; i++) {
        driver_config_put(&d, cap + 4, 1, reads[i].bar);
        driver_config_put(&d, cap + 8, 4, reads[i].offset);
        driver_config_put(&d, cap + 12, 4, reads[i].size);
        assert_int_equal(driver_config_get(&d, cap + 16, reads[i].size), reads[i].value);
    }
    driver_config_put(&d, cap + 8, 4, DRIVER_STATUS);
    driver_config_put(&d, cap + 16, 1, 3);
    assert_int_equal(driver_common(&d, DRIVER_STATUS, 1), 3);
    static const uint32_t wrong[][3] = {{2, 0, 4}, {6, 0, 4}, {255, 0, 4}, {0, 0x4000, 4}, {0, UINT32_MAX - 3, 4},
                                        {0, 2, 4}, {0, 0, 8}, {0, 0, 0},   {0, 17, 2}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        driver_config_put(&d, cap + 4, 1, wrong[i][0]);
        driver_config_put(&d, cap + 8, 4, wrong[i][1]);
        driver_config_put(&d, cap + 12, 4, wrong[i][2]);
        driver_config_put(&d, cap + 16, 4, 0);
        assert_int_equal(driver_config_get(&d, cap + 16, 4), 0); // shows what was written there
    }
    assert_int_equal(toy.counters.notifications, 0);
    assert_int_equal(driver_common(&d, DRIVER_STATUS, 1), 3); // nothing has reached the device
}

/* ---- status and features ---- */

static void test_features(void **state)
{
    (void)state;
    const uint64_t all = TOY_FEATURE | VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX;
    assert_false(driver_negotiate(&d, all & ~VIRTIO_F_VERSION_1)); // a driver of the past
    driver_set_common(&d, DRIVER_STATUS, 1, 0);
    assert_int_equal(driver_common(&d, DRIVER_STATUS, 1), 0);
    assert_true(driver_negotiate(&d, UINT64_MAX));
    assert_int_equal(d.features, all);
    driver_set_common(&d, DRIVER_ACCEPT, 4, 0); // too late
    assert_int_equal(toy.accepted, all);
    driver_set_common(&d, DRIVER_STATUS, 1, 0);
    assert_int_equal(toy.accepted, 0);
    driver_set_common(&d, DRIVER_ACCEPT_SELECT, 4, 0);
    driver_set_common(&d, DRIVER_ACCEPT, 4, 1); // was not offered
    driver_set_common(&d, DRIVER_ACCEPT_SELECT, 4, 1);
    driver_set_common(&d, DRIVER_ACCEPT, 4, 1);
    driver_set_common(&d, DRIVER_STATUS, 1, GOOD);
    assert_int_equal(driver_common(&d, DRIVER_STATUS, 1), GOOD & ~VIRTIO_FEATURES_OK);
    driver_set_common(&d, DRIVER_FEATURE_SELECT, 4, 2); // there are no more than 64
    assert_int_equal(driver_common(&d, DRIVER_OFFERED, 4), 0);
    driver_set_common(&d, DRIVER_STATUS, 1, VIRTIO_NEEDS_RESET); // the device's own
    assert_int_equal(driver_common(&d, DRIVER_STATUS, 1) & VIRTIO_NEEDS_RESET, 0);
    assert_int_equal(resets, 2);
}

static void test_config(void **state)
{
    (void)state;
    assert_int_equal(d.config_size, 12);
    assert_int_equal(driver_get(&d, d.config, 4), 0x666e6f63);
    assert_int_equal(driver_get(&d, d.config + 11, 1), 'e');
    assert_int_equal(driver_get(&d, d.config + 11, 2), 0); // beyond the end
    driver_put(&d, d.config, 4, 0);
    assert_int_equal(driver_get(&d, d.config, 1), 'c');
}

/* ---- queues ---- */

static void test_queue_registers(void **state)
{
    (void)state;
    assert_true(driver_negotiate(&d, UINT64_MAX));
    driver_set_common(&d, DRIVER_QUEUE, 2, 2); // there is none
    assert_int_equal(driver_common(&d, DRIVER_QUEUE_SIZE, 2), 0);
    driver_set_common(&d, DRIVER_QUEUE_SIZE, 2, 4);
    driver_set_common(&d, DRIVER_QUEUE_ENABLE, 2, 1);
    driver_set_common(&d, DRIVER_QUEUE_VECTOR, 2, 1);
    assert_int_equal(driver_common(&d, DRIVER_QUEUE_VECTOR, 2), VIRTIO_NO_VECTOR);
    driver_set_common(&d, DRIVER_QUEUE, 2, 1);
    assert_int_equal(driver_common(&d, DRIVER_QUEUE_SIZE, 2), 16);
    driver_queue(&d, 1, 8);
    assert_int_equal(driver_common(&d, DRIVER_QUEUE_SIZE, 2), 8);
    assert_int_equal(driver_common(&d, DRIVER_QUEUE_ENABLE, 2), 1);
    assert_int_equal(driver_common(&d, DRIVER_QUEUE_USED, 4), d.queues[1].used);
    driver_set_common(&d, DRIVER_QUEUE_USED, 4, 0); // enabled: too late
    driver_set_common(&d, DRIVER_QUEUE_SIZE, 2, 2);
    assert_int_equal(driver_common(&d, DRIVER_QUEUE_USED, 4), d.queues[1].used);
    assert_int_equal(driver_common(&d, DRIVER_QUEUE_SIZE, 2), 8);
    driver_set_common(&d, DRIVER_STATUS, 1, 0);
    driver_set_common(&d, DRIVER_QUEUE, 2, 1);
    assert_int_equal(driver_common(&d, DRIVER_QUEUE_SIZE, 2), 16);
    assert_int_equal(driver_common(&d, DRIVER_QUEUE_ENABLE, 2), 0);
    assert_int_equal(driver_common(&d, DRIVER_QUEUE_DESCRIPTORS, 8), 0);
}

static void test_echo(void **state)
{
    (void)state;
    for (unsigned features = 0; features < 4; features++) {
        driver_start(&d, (features & 1 ? VIRTIO_F_EVENT_IDX : 0) | (features & 2 ? VIRTIO_F_INDIRECT_DESC : 0), 4);
        for (unsigned i = 0; i < 1000; i++)
            assert_true(echo((uint8_t)i));
        driver_set_common(&d, DRIVER_STATUS, 1, 0);
    }
    assert_int_equal(d.reports, 0);
    assert_int_equal(toy.counters.chains, 4000);
    assert_int_equal(toy.counters.bytes_in, 16000);
    assert_int_equal(toy.counters.bytes_out, 16000);
}

/// Buffers that are there before DRIVER_OK wait for it.
static void test_before_driver_ok(void **state)
{
    (void)state;
    uint32_t length;
    assert_true(driver_negotiate(&d, VIRTIO_F_VERSION_1));
    driver_queue(&d, 0, 4);
    assert_false(echo(1));
    driver_set_common(&d, DRIVER_STATUS, 1, GOOD | VIRTIO_DRIVER_OK);
    assert_true(driver_take(&d, 0, &length) >= 0);
    driver_set_common(&d, DRIVER_STATUS, 1, VIRTIO_FAILED);
    assert_false(echo(2));
}

/// Without bus master enable a device neither reads nor writes memory.
static void test_bus_master(void **state)
{
    (void)state;
    driver_start(&d, 0, 4);
    driver_config_put(&d, COMMAND, 2, 2);
    assert_false(echo(1));
    driver_config_put(&d, COMMAND, 2, 6);
    driver_put(&d, d.notify, 2, 0);
    uint32_t length;
    assert_true(driver_take(&d, 0, &length) >= 0);
}

/// More than the device does at a time is done later.
static void test_unfinished(void **state)
{
    (void)state;
    uint32_t length;
    driver_start(&d, 0, 8);
    const uint64_t place = driver_alloc(&d, 64, 8);
    const struct driver_piece piece = {place, 4};
    for (unsigned i = 0; i < 5; i++)
        assert_true(driver_add(&d, 0, &piece, 1, 0, 0) >= 0);
    budget = 2;
    driver_kick(&d, 0);
    assert_int_equal(d.wakes, 1);
    assert_true(driver_take(&d, 0, &length) >= 0 && driver_take(&d, 0, &length) >= 0);
    assert_int_equal(driver_take(&d, 0, &length), -1);
    assert_true(virtio_advance(&toy));
    assert_false(virtio_advance(&toy));
    for (unsigned i = 0; i < 3; i++)
        assert_true(driver_take(&d, 0, &length) >= 0);
    assert_false(virtio_advance(&toy));
}

/// Unfinished work without access to memory is not asked for again and again; the next notification goes on with it.
static void test_unfinished_without_access(void **state)
{
    (void)state;
    uint32_t length;
    const struct driver_piece piece = {0x100, 4};
    driver_start(&d, 0, 8);
    for (unsigned i = 0; i < 3; i++)
        assert_true(driver_add(&d, 0, &piece, 1, 0, 0) >= 0);
    budget = 2;
    driver_kick(&d, 0);
    driver_config_put(&d, COMMAND, 2, 2);
    assert_false(virtio_advance(&toy));
    driver_config_put(&d, COMMAND, 2, 6);
    driver_put(&d, d.notify, 2, 0);
    for (unsigned i = 0; i < 3; i++)
        assert_true(driver_take(&d, 0, &length) >= 0);
    driver_put(&d, d.notify + 4 * 40, 2, 0); // no such queue
}

/* ---- interrupts ---- */

static void test_intx(void **state)
{
    (void)state;
    driver_start(&d, 0, 4);
    assert_false(d.pin);
    assert_true(echo(1));
    assert_true(d.pin);
    assert_int_equal(driver_config_get(&d, STATUS, 2) & 8, 8);
    assert_int_equal(driver_get(&d, d.isr, 1), 1);
    assert_false(d.pin);
    assert_int_equal(driver_get(&d, d.isr, 1), 0);
    assert_true(echo(2));
    driver_config_put(&d, COMMAND, 2, 6 | 1 << 10); // the pin is switched off, the reason stays
    assert_false(d.pin);
    assert_int_equal(driver_config_get(&d, STATUS, 2) & 8, 8);
    driver_config_put(&d, COMMAND, 2, 6);
    assert_true(d.pin);
    driver_set_common(&d, DRIVER_STATUS, 1, 0);
    assert_false(d.pin);
    assert_int_equal(d.message_count, 0);
}

static void test_msix(void **state)
{
    (void)state;
    driver_msix(&d);
    assert_true(driver_negotiate(&d, VIRTIO_F_VERSION_1));
    driver_set_common(&d, DRIVER_STATUS, 1, 0); // takes the vectors back
    driver_set_common(&d, DRIVER_QUEUE, 2, 0);
    assert_int_equal(driver_common(&d, DRIVER_QUEUE_VECTOR, 2), VIRTIO_NO_VECTOR);
    driver_start(&d, 0, 4);
    assert_true(echo(1));
    assert_int_equal(d.message_count, 0);
    driver_set_common(&d, DRIVER_QUEUE, 2, 0);
    driver_set_common(&d, DRIVER_QUEUE_VECTOR, 2, 3); // beyond the table
    assert_int_equal(driver_common(&d, DRIVER_QUEUE_VECTOR, 2), VIRTIO_NO_VECTOR);
    driver_msix(&d);
    assert_true(echo(2));
    assert_int_equal(d.message_count, 1);
    assert_int_equal(d.messages[0], 100);
    assert_false(d.pin);
    assert_int_equal(driver_get(&d, d.isr, 1), 0);
}

/// Masked messages wait, by vector and by function.
static void test_msix_masks(void **state)
{
    (void)state;
    const uint64_t table = d.bars[1], pending = table + 0x800;
    driver_start(&d, 0, 4);
    driver_msix(&d);
    driver_put(&d, table + 16 + 12, 4, UINT32_MAX);
    assert_int_equal(driver_get(&d, table + 16 + 12, 4), 1); // one bit can be written
    assert_true(echo(1));
    assert_int_equal(d.message_count, 0);
    assert_int_equal(driver_get(&d, pending, 4), 2);
    driver_put(&d, table + 16 + 12, 4, 0);
    assert_int_equal(d.message_count, 1);
    assert_int_equal(driver_get(&d, pending, 8), 0);
    driver_config_put(&d, (uint32_t)d.msix + 2, 2, 0xc000);
    assert_true(echo(2));
    assert_true(echo(3));
    assert_int_equal(driver_get(&d, pending, 4), 2);
    driver_put(&d, table + 16 + 8, 4, 77);
    assert_int_equal(d.message_count, 1);
    driver_config_put(&d, (uint32_t)d.msix + 2, 2, 0x8000);
    assert_int_equal(d.message_count, 2); // once, with what stands there now
    assert_int_equal(d.messages[1], 77);
    driver_put(&d, table + 13, 1, 1); // parts of words are no accesses
    assert_int_equal(driver_get(&d, table + 12, 4), 0);
}

/// The driver decides which used buffers it is told of.
static void test_suppression(void **state)
{
    (void)state;
    driver_msix(&d);
    driver_start(&d, 0, 4);
    driver_msix(&d);
    memset(d.memory + d.queues[0].available, 1, 1); // no interrupts
    assert_true(echo(1));
    assert_int_equal(d.message_count, 0);
    driver_set_common(&d, DRIVER_STATUS, 1, 0);
    driver_start(&d, VIRTIO_F_EVENT_IDX, 4);
    driver_msix(&d);
    for (unsigned i = 0; i < 20; i++) {
        const uint16_t event = 9;
        memcpy(d.memory + d.queues[0].available + 4 + 8, &event, 2); // when index 9 is used
        assert_true(echo((uint8_t)i));
        assert_int_equal(d.message_count, i >= 9);
    }
    assert_int_equal(toy.counters.interrupts, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_header),
        TEST(test_bars),
        TEST(test_bar_ends),
        TEST(test_window),
        TEST(test_features),
        TEST(test_config),
        TEST(test_queue_registers),
        TEST(test_echo),
        TEST(test_before_driver_ok),
        TEST(test_bus_master),
        TEST(test_unfinished),
        TEST(test_unfinished_without_access),
        TEST(test_intx),
        TEST(test_msix),
        TEST(test_msix_masks),
        TEST(test_suppression),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
