// SPDX-License-Identifier: Apache-2.0
// The virtio block device and its overlay, seen by a driver, against a disk that is an array.
// links: vmm/personalities/lib/devices/virtio_blk.c vmm/personalities/lib/devices/overlay.c
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

#include "devices/virtio_blk.h"
#include "tests/unit/random.h"
#include "tests/unit/virtio_driver.h"

enum { MEMORY = 1 << 20, HEADER = 0x100, STATUS_BYTE = 0x200, TABLE = 0x400, DATA = 0x20000, DATA_SIZE = 0x40000 };
enum { READ = 0, WRITE = 1, FLUSH = 4, GET_ID = 8, OK = 0, ERROR = 1, UNSUPPORTED = 2 };
enum { SECTOR = 512 };
#define READ_ONLY (UINT64_C(1) << 5)

static struct driver d;
static struct virtio_blk blk;
static struct overlay disk;
static uint8_t *image, *copies, *expected;
static uint32_t *slots;
static uint64_t disk_size;

/// A disk with an image of so many bytes, and room for so many changed blocks.
static void make(uint64_t size, uint32_t capacity)
{
    uint64_t random = size + 1;
    const uint64_t blocks = overlay_table_size(size) / sizeof(uint32_t);
    disk_size = (size + SECTOR - 1) / SECTOR * SECTOR;
    image = malloc(size);
    copies = malloc(capacity * (size_t)OVERLAY_BLOCK + 1);
    memset(copies, 0xa5, capacity * (size_t)OVERLAY_BLOCK);
    slots = calloc(blocks, sizeof(uint32_t));
    expected = calloc(1, disk_size);
    for (uint64_t i = 0; i < size; i++)
        image[i] = expected[i] = (uint8_t)random_below(&random, 256);
    overlay_init(&disk, image, size, slots, copies, capacity);
    const struct virtio_host host = driver_host(&d, MEMORY);
    virtio_blk_init(&blk, &disk, &host);
    assert_true(driver_attach(&d, &blk.virtio));
    driver_start(&d, UINT64_MAX, 64);
}

static int tear_down(void **state)
{
    (void)state;
    free(image);
    free(copies);
    free(slots);
    free(expected);
    driver_free(&d);
    return 0;
}

/// Has a chain worked on. -1: it did not come back; else the bytes written.
static int64_t submit(const struct driver_piece *pieces, uint32_t out, uint32_t in, uint64_t indirect)
{
    uint32_t length;
    assert_true(driver_add(&d, 0, pieces, out, in, indirect) >= 0);
    driver_kick(&d, 0);
    while (virtio_advance(&blk.virtio))
        continue;
    return driver_take(&d, 0, &length) >= 0 ? (int64_t)length : -1;
}

static void put_header(uint64_t address, uint32_t type, uint64_t sector)
{
    const uint32_t words[4] = {type, 0, (uint32_t)sector, (uint32_t)(sector >> 32)};
    memcpy(d.memory + address, words, sizeof(words));
}

/// A request in its usual form: header, data, status. Returns the status.
static uint8_t request(uint32_t type, uint64_t sector, uint32_t size)
{
    const bool in = type == READ || type == GET_ID;
    const struct driver_piece pieces[] = {{HEADER, 16}, {DATA, size}, {STATUS_BYTE, 1}};
    put_header(HEADER, type, sector);
    d.memory[STATUS_BYTE] = 0xee;
    const int64_t written = submit(pieces, in ? 1 : 2, in ? 2 : 1, 0);
    assert_int_equal(written, d.memory[STATUS_BYTE] != OK && in && size != 0 ? 0 : in ? size + 1 : 1);
    return d.memory[STATUS_BYTE];
}

static void test_configuration(void **state)
{
    (void)state;
    make(10000, 3);
    assert_int_equal(driver_get(&d, d.config, 8), 20);
    assert_int_equal(driver_get(&d, d.config + 12, 4), VIRTQUEUE_MAX - 2);
    assert_int_equal(driver_get(&d, d.config + 20, 4), SECTOR);
    assert_int_equal(driver_config_get(&d, 0, 4), 0x10421af4);
    assert_int_equal(d.features & READ_ONLY, 0);
    assert_int_equal(request(GET_ID, 0, 20), OK);
    assert_string_equal((char *)d.memory + DATA, "polyvisor disk");
    assert_int_equal(request(GET_ID, 0, 19), ERROR);
    assert_int_equal(request(FLUSH, 0, 0), OK);
    assert_int_equal(request(11, 0, SECTOR), UNSUPPORTED);
}

/// Cuts a buffer into random pieces.
static uint32_t cut(uint64_t *random, struct driver_piece *pieces, uint64_t address, uint32_t size, uint32_t most)
{
    uint32_t count = 0;
    while (size > 0 && count + 1 < most) {
        const uint32_t part = 1 + (uint32_t)random_below(random, random_below(random, 2) ? size : size % 64 + 1);
        pieces[count++] = (struct driver_piece){address, part < size ? part : size};
        address += pieces[count - 1].size;
        size -= pieces[count - 1].size;
    }
    if (size > 0)
        pieces[count++] = (struct driver_piece){address, size};
    return count;
}

/// Header, data and status in any pieces (2.7.4.1), direct or by a table.
static void random_request(uint64_t *random)
{
    struct driver_piece pieces[96];
    const bool write = random_below(random, 2) != 0, inside = random_below(random, 8) != 0;
    const uint64_t sectors = disk_size / SECTOR, sector = random_below(random, sectors + 2);
    const uint64_t most = sector < sectors ? sectors - sector : 0;
    const uint32_t size = SECTOR * (uint32_t)random_below(random, inside ? most + 1 : 64);
    const uint64_t header = DATA, start = DATA + (write ? 16 : 0x10000);
    uint32_t out, in;
    put_header(header, write ? WRITE : READ, sector);
    d.memory[start + size] = 0xee;
    for (uint32_t i = 0; write && i < size; i++)
        d.memory[start + i] = (uint8_t)random_below(random, 256);
    if (write) { // header and data are one buffer
        out = cut(random, pieces, header, 16 + size, 24);
        pieces[out] = (struct driver_piece){start + size, 1};
        in = 1;
    } else { // data and status are
        out = cut(random, pieces, header, 16, 4);
        in = cut(random, pieces + out, start, size + 1, 24);
    }
    const bool good = size <= most * SECTOR && sector <= sectors;
    const int64_t written = submit(pieces, out, in, random_below(random, 2) ? TABLE : 0);
    const uint8_t status = d.memory[start + size];
    assert_int_equal(status, good ? OK : ERROR);
    assert_int_equal(written, write ? 1 : good || size == 0 ? size + 1 : 0);
    if (good && write)
        memcpy(expected + sector * SECTOR, d.memory + start, size);
    else if (good && size != 0)
        assert_memory_equal(d.memory + start, expected + sector * SECTOR, size);
}

static void test_random(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 511, 512, 4095, 4096, 4097, 100000, 65536};
    uint64_t random = 21;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        make(sizes[i], 64);
        uint8_t *before = malloc(sizes[i]);
        memcpy(before, image, sizes[i]);
        for (unsigned k = 0; k < 1500; k++)
            random_request(&random);
        assert_memory_equal(image, before, sizes[i]); // never changes
        assert_int_equal(d.reports, 0);
        free(before);
        if (i + 1 < sizeof(sizes) / sizeof(sizes[0]))
            tear_down(state);
    }
}

/// A full overlay fails writes to other blocks, as a whole, says so once, and everything else goes on.
static void test_full(void **state)
{
    (void)state;
    make(16 * OVERLAY_BLOCK, 3);
    memset(d.memory + DATA, 0x55, DATA_SIZE);
    assert_int_equal(request(WRITE, 0, OVERLAY_BLOCK), OK);
    assert_int_equal(request(WRITE, 15 * 8, SECTOR), OK);
    assert_int_equal(disk.used, 2);
    assert_int_equal(request(WRITE, 4 * 8, 2 * OVERLAY_BLOCK), ERROR); // needs two, there is one: neither is written
    assert_int_equal(disk.used, 2);
    assert_int_equal(d.reports, 1);
    assert_string_equal(d.report, "virtio-blk: the overlay is full (8 of 12 KiB): writes to unchanged blocks fail");
    assert_int_equal(request(READ, 4 * 8, 2 * OVERLAY_BLOCK), OK);
    assert_memory_equal(d.memory + DATA, image + 4 * OVERLAY_BLOCK, 2 * OVERLAY_BLOCK);
    assert_int_equal(request(WRITE, 5 * 8 + 1, SECTOR), OK);
    assert_int_equal(disk.used, 3);
    assert_int_equal(request(WRITE, 6 * 8, SECTOR), ERROR);
    assert_int_equal(request(WRITE, 5 * 8 + 7, SECTOR), OK); // changed already
    assert_int_equal(request(WRITE, 0, SECTOR), OK);
    assert_int_equal(d.reports, 1);
    assert_int_equal(blk.virtio.counters.errors, 2);
    assert_int_equal(driver_common(&d, DRIVER_STATUS, 1) & VIRTIO_NEEDS_RESET, 0);
}

static void test_read_only(void **state)
{
    (void)state;
    make(8192, 0);
    assert_int_equal(d.features & READ_ONLY, READ_ONLY);
    assert_int_equal(request(WRITE, 0, SECTOR), ERROR);
    assert_int_equal(request(READ, 0, 8192), OK);
    assert_memory_equal(d.memory + DATA, image, 8192);
    assert_int_equal(d.reports, 0); // the driver's fault, not a lack of room
}

static void test_bad_ranges(void **state)
{
    (void)state;
    make(8192, 4);
    static const struct {
        uint64_t sector;
        uint32_t size;
    } bad[] = {{16, SECTOR},    {15, 2 * SECTOR}, {UINT64_MAX, SECTOR}, {UINT64_MAX / SECTOR + 1, SECTOR}, {0, 100},
               {0, SECTOR + 1}, {1, 8192},        {UINT64_MAX, 0}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(request(READ, bad[i].sector, bad[i].size), ERROR);
        assert_int_equal(request(WRITE, bad[i].sector, bad[i].size), ERROR);
    }
    assert_int_equal(disk.used, 0);
    assert_int_equal(request(READ, 16, 0), OK); // nothing, at the end
}

/// Without a header or a place for the status there is no way to answer.
static void test_no_request(void **state)
{
    (void)state;
    const struct driver_piece pieces[] = {{HEADER, 16}, {HEADER, 15}, {DATA, SECTOR}, {HEADER, 1}};
    make(8192, 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(i == 0   ? submit(pieces, 1, 0, 0)          // no status
                         : i == 1 ? submit(pieces + 1, 1, 1, 0)      // a short header
                         : i == 2 ? submit(pieces + 2, 0, 1, 0)      // none
                                  : submit(pieces + 3, 1, 0, TABLE), // neither
                         -1);
        assert_int_equal(driver_common(&d, DRIVER_STATUS, 1) & VIRTIO_NEEDS_RESET, VIRTIO_NEEDS_RESET);
        assert_string_equal(
            d.report,
            "virtio-blk: queue 0: a request without header or status; the device needs a reset by its driver");
        driver_set_common(&d, DRIVER_STATUS, 1, 0);
        driver_start(&d, UINT64_MAX, 64);
    }
    assert_int_equal(request(READ, 0, SECTOR), OK);
}

/// What is read often and at length is read in steps, and all of it.
static void test_steps(void **state)
{
    (void)state;
    struct driver_piece pieces[100];
    make(64 * OVERLAY_BLOCK, 1);
    uint32_t length, total = 64 * OVERLAY_BLOCK;
    for (unsigned i = 0; i < 60; i++) {
        put_header(HEADER, READ, 0);
        pieces[0] = (struct driver_piece){HEADER, 16};
        pieces[1] = (struct driver_piece){DATA, total};
        pieces[2] = (struct driver_piece){STATUS_BYTE, 1};
        assert_true(driver_add(&d, 0, pieces, 1, 2, TABLE + 48 * i) >= 0);
    }
    driver_kick(&d, 0);
    unsigned steps = 1;
    while (virtio_advance(&blk.virtio))
        steps++;
    assert_in_range(steps, 2, 8);
    for (unsigned i = 0; i < 60; i++)
        assert_true(driver_take(&d, 0, &length) >= 0 && length == total + 1);
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_configuration), TEST(test_random),     TEST(test_full),  TEST(test_read_only),
        TEST(test_bad_ranges),    TEST(test_no_request), TEST(test_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
