// SPDX-License-Identifier: Apache-2.0
// The virtio console and the entropy device, seen by a driver; SHA-256 and the health tests of the entropy.
// links: vmm/personalities/lib/devices/virtio_console.c vmm/personalities/lib/devices/virtio_entropy.c
// links: vmm/personalities/lib/devices/entropy.c vmm/personalities/lib/devices/sha256.c
// links: vmm/personalities/lib/devices/virtio_pci.c vmm/personalities/lib/devices/virtio.c
// links: vmm/personalities/lib/devices/virtqueue.c vmm/personalities/lib/devices/msix.c
// links: vmm/personalities/lib/devices/pci.c vmm/personalities/lib/devices/pci_function.c
// links: tests/unit/virtio_driver.c vmm/lib/format.c vmm/lib/string.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "devices/virtio_console.h"
#include "devices/virtio_entropy.h"
#include "tests/unit/random.h"
#include "tests/unit/virtio_driver.h"

enum { MEMORY = 1 << 20, RECEIVE = 0, TRANSMIT = 1, DATA = 0x10000, TABLE = 0x8000 };

static struct driver d;
static struct virtio_console console;
static struct virtio_entropy entropy;
static char *sent;
static size_t sent_size;

static void take_byte(void *context, uint8_t byte)
{
    assert_ptr_equal(context, &console);
    sent = realloc(sent, sent_size + 1);
    sent[sent_size++] = (char)byte;
}

static int make_console(void **state)
{
    (void)state;
    const struct virtio_host host = driver_host(&d, MEMORY);
    virtio_console_init(&console, take_byte, &console, &host);
    assert_true(driver_attach(&d, &console.virtio));
    sent_size = 0;
    return 0;
}

static int make_entropy(void **state)
{
    (void)state;
    const struct virtio_host host = driver_host(&d, MEMORY);
    virtio_entropy_init(&entropy, 0, &host);
    assert_true(driver_attach(&d, &entropy.virtio));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    driver_free(&d);
    free(sent);
    sent = NULL;
    return 0;
}

/* ---- console ---- */

static void test_sends(void **state)
{
    (void)state;
    uint32_t length;
    driver_start(&d, UINT64_MAX, 16);
    assert_int_equal(driver_config_get(&d, 0, 4), 0x10431af4);
    memcpy(d.memory + DATA, "hello, world\n", 13);
    const struct driver_piece pieces[] = {{DATA, 7}, {DATA + 7, 0}, {DATA + 7, 6}};
    for (unsigned i = 0; i < 3; i++) {
        assert_true(driver_add(&d, TRANSMIT, pieces, 3, 0, i == 1 ? TABLE : 0) >= 0);
        driver_kick(&d, TRANSMIT);
        assert_true(driver_take(&d, TRANSMIT, &length) >= 0 && length == 0);
    }
    assert_int_equal(sent_size, 39);
    assert_memory_equal(sent, "hello, world\nhello, world\nhello, world\n", 39);
}

/// A chain of any length is sent in steps of a bounded size, and given back at its end; the next one follows.
static void test_long_output(void **state)
{
    (void)state;
    struct driver_piece pieces[50];
    uint32_t length;
    driver_start(&d, UINT64_MAX, 16);
    for (unsigned i = 0; i < 50; i++)
        pieces[i] = (struct driver_piece){DATA + i, 1001};
    for (unsigned i = 0; i < 2000; i++)
        d.memory[DATA + i] = (uint8_t)(i * 13);
    assert_true(driver_add(&d, TRANSMIT, pieces, 50, 0, TABLE) >= 0);
    pieces[0] = (struct driver_piece){DATA, 3};
    assert_true(driver_add(&d, TRANSMIT, pieces, 1, 0, 0) >= 0);
    driver_kick(&d, TRANSMIT);
    assert_int_equal(sent_size, 4096);
    assert_int_equal(d.wakes, 1);
    assert_int_equal(driver_take(&d, TRANSMIT, &length), -1);
    size_t before = sent_size;
    unsigned steps = 0;
    while (virtio_advance(&console.virtio)) {
        assert_in_range(sent_size - before, 1, 4096);
        before = sent_size;
        steps++;
    }
    assert_int_equal(steps, 50 * 1001 / 4096 - 1);
    assert_int_equal(sent_size, 50 * 1001 + 3);
    for (unsigned i = 0, at = 0; i < 50; i++)
        for (unsigned k = 0; k < 1001; k++)
            assert_int_equal((uint8_t)sent[at++], (uint8_t)((i + k) * 13));
    assert_true(driver_take(&d, TRANSMIT, &length) >= 0 && driver_take(&d, TRANSMIT, &length) >= 0);
}

/// A reset in the middle forgets the chain.
static void test_reset_while_sending(void **state)
{
    (void)state;
    uint32_t length;
    driver_start(&d, UINT64_MAX, 16);
    const struct driver_piece piece = {DATA, 10000};
    assert_true(driver_add(&d, TRANSMIT, &piece, 1, 0, 0) >= 0);
    driver_kick(&d, TRANSMIT);
    driver_set_common(&d, DRIVER_STATUS, 1, 0);
    assert_false(virtio_advance(&console.virtio));
    assert_int_equal(sent_size, 4096);
    driver_start(&d, UINT64_MAX, 16);
    const struct driver_piece second = {DATA, 5};
    assert_true(driver_add(&d, TRANSMIT, &second, 1, 0, 0) >= 0);
    driver_kick(&d, TRANSMIT);
    assert_int_equal(sent_size, 4096 + 5);
    assert_true(driver_take(&d, TRANSMIT, &length) >= 0);
}

/// Input waits for buffers, buffers wait for input; nothing is lost, and there is never more taken than there is room for.
static void test_receives(void **state)
{
    (void)state;
    uint64_t random = 3;
    uint32_t length, outstanding = 0;
    uint8_t next_in = 0, next_out = 0;
    uint64_t places[16], buffers = 0; // used in order, so that 16 places suffice
    int taken;
    assert_int_equal(virtio_console_room(&console), 0);
    virtio_console_receive(&console, (const uint8_t *)"lost", 4); // nobody is there
    driver_start(&d, UINT64_MAX, 16);
    for (unsigned round = 0; round < 20000; round++) {
        if (random_below(&random, 2) == 0 && outstanding < 16) {
            const struct driver_piece piece = {DATA + 32 * (buffers++ % 16), (uint32_t)random_below(&random, 20)};
            const int head = driver_add(&d, RECEIVE, &piece, 0, 1, 0);
            assert_true(head >= 0);
            places[head] = piece.address;
            outstanding++;
            driver_kick(&d, RECEIVE);
        } else {
            uint8_t bytes[VIRTIO_CONSOLE_INPUT];
            const uint32_t room = virtio_console_room(&console);
            const uint32_t count = (uint32_t)random_below(&random, (room < 12 ? room : 12) + 1);
            for (uint32_t i = 0; i < count; i++)
                bytes[i] = next_in++;
            virtio_console_receive(&console, bytes, count);
        }
        while ((taken = driver_take(&d, RECEIVE, &length)) >= 0) {
            outstanding--;
            for (uint32_t i = 0; i < length; i++)
                assert_int_equal(d.memory[places[taken] + i], next_out++);
        }
    }
    assert_int_equal((uint8_t)(next_in - next_out), console.waiting);
    assert_in_range(console.virtio.counters.bytes_out, 30000, 200000);
}

/* ---- entropy ---- */

/// Examples of FIPS 180-4 (NIST, "Cryptographic Standards and Guidelines: Examples").
static void test_sha256(void **state)
{
    (void)state;
    static const struct {
        const char *text, *digest;
    } known[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqr"
         "stu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    };
    for (size_t i = 0; i < 4; i++) {
        uint8_t digest[SHA256_SIZE];
        char text[2 * SHA256_SIZE + 1];
        sha256(known[i].text, strlen(known[i].text), digest);
        for (unsigned k = 0; k < SHA256_SIZE; k++)
            snprintf(text + 2 * k, 3, "%02x", digest[k]);
        assert_string_equal(text, known[i].digest);
    }
}

/// A clock whose low bits are disturbed.
static uint64_t jitter(uint64_t *random, uint64_t *now)
{
    *now += 1000 + random_below(random, 200);
    return *now;
}

static void test_credit(void **state)
{
    (void)state;
    struct entropy e;
    uint64_t random = 8, now = 0;
    uint8_t block[ENTROPY_BLOCK], other[ENTROPY_BLOCK];
    entropy_init(&e, 0);
    for (unsigned i = 0; i < ENTROPY_STARTUP + ENTROPY_SAMPLES; i++) {
        assert_false(entropy_take(&e, block));
        entropy_sample(&e, jitter(&random, &now));
    }
    assert_true(entropy_take(&e, block));
    assert_false(entropy_take(&e, other));
    for (unsigned i = 0; i < 100 * ENTROPY_SAMPLES; i++)
        entropy_sample(&e, jitter(&random, &now));
    for (unsigned i = 0; i < ENTROPY_STORE; i++) {
        assert_true(entropy_take(&e, other));
        assert_memory_not_equal(block, other, ENTROPY_BLOCK);
        memcpy(block, other, ENTROPY_BLOCK);
    }
    assert_false(entropy_take(&e, other));
    assert_int_equal(e.failures, 0);
}

/// One sample that differs, at any place, makes other bytes.
static void test_every_sample_counts(void **state)
{
    (void)state;
    uint8_t first[ENTROPY_BLOCK], block[ENTROPY_BLOCK];
    for (unsigned changed = 0; changed <= ENTROPY_STARTUP + ENTROPY_SAMPLES; changed += 37) {
        struct entropy e;
        uint64_t random = 4, now = 0;
        entropy_init(&e, 0);
        for (unsigned i = 0; i < ENTROPY_STARTUP + ENTROPY_SAMPLES; i++)
            entropy_sample(&e, jitter(&random, &now) + (changed != 0 && i == changed - 1));
        assert_true(entropy_take(&e, block));
        if (changed == 0)
            memcpy(first, block, sizeof(first));
        else
            assert_memory_not_equal(block, first, sizeof(first));
    }
}

/// A clock that stands still, ticks evenly, or mostly does, gives nothing; when it is disturbed again, everything begins anew.
static void test_health(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 4; kind++) {
        struct entropy e;
        uint64_t random = 6, now = 0;
        uint8_t block[ENTROPY_BLOCK];
        entropy_init(&e, 0);
        for (unsigned i = 0; i < 20000; i++) {
            if (kind == 1)
                now += 4096;
            else if (kind == 2) // 5 of 6 intervals have the same low byte
                now += i % 6 != 0 ? 1000 : random_below(&random, 1000);
            else if (kind == 3 && i % 1000 < 40) // 40 equal ones in a row are not too many yet
                now += 1000;
            else if (kind == 3)
                jitter(&random, &now);
            entropy_sample(&e, now);
            if (kind < 3)
                assert_false(entropy_take(&e, block));
        }
        assert_int_equal(entropy_take(&e, block), kind == 3);
        assert_int_equal(e.failures == 0, kind == 3);
        for (unsigned i = 0; i < ENTROPY_STARTUP + ENTROPY_SAMPLES + 600; i++)
            entropy_sample(&e, jitter(&random, &now));
        assert_true(entropy_take(&e, block));
    }
}

/// Buffers wait for samples.
static void test_device(void **state)
{
    (void)state;
    uint64_t random = 9, now = 0;
    uint32_t length;
    driver_start(&d, UINT64_MAX, 8);
    assert_int_equal(driver_config_get(&d, 0, 4), 0x10441af4);
    const struct driver_piece pieces[] = {{DATA, 5}, {DATA + 0x100, 100}, {DATA + 0x200, 0}};
    for (unsigned i = 0; i < 3; i++)
        assert_true(driver_add(&d, 0, pieces + i, 0, 1, 0) >= 0);
    driver_kick(&d, 0);
    static const uint32_t lengths[] = {5, 32, 0};
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned k = 0; k < ENTROPY_SAMPLES + (i == 0 ? ENTROPY_STARTUP : 0); k++) {
            assert_int_equal(driver_take(&d, 0, &length), -1);
            virtio_entropy_sample(&entropy, jitter(&random, &now));
        }
        assert_true(driver_take(&d, 0, &length) >= 0);
        assert_int_equal(length, lengths[i]);
    }
    static const uint8_t zeros[32];
    assert_memory_not_equal(d.memory + DATA + 0x100, zeros, 32);
    assert_memory_equal(d.memory + DATA + 0x100 + 32, zeros, 32);
    for (unsigned i = 0; i < 10000; i++) { // a clock that stands still: one message
        virtio_entropy_sample(&entropy, now);
        assert_true(d.reports <= 1);
    }
    assert_string_equal(d.report, "virtio-rng: points of time are too regular here: no random bytes until that ends");
}

#define CONSOLE(name) cmocka_unit_test_setup_teardown(name, make_console, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONSOLE(test_sends),
        CONSOLE(test_long_output),
        CONSOLE(test_reset_while_sending),
        CONSOLE(test_receives),
        cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_credit),
        cmocka_unit_test(test_every_sample_counts),
        cmocka_unit_test(test_health),
        cmocka_unit_test_setup_teardown(test_device, make_entropy, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
