// SPDX-License-Identifier: Apache-2.0
/*
 * A hostile guest with virtio devices: any accesses to configuration space, registers and memory, in any order. The devices access
 * nothing but the guest's memory, which the address sanitizer watches, do a bounded amount of work, and never forget that they need
 * a reset.
 *
 * An input is a byte that says which device, and a list of steps: a byte that says which, and its operands. Some steps set up what would take an input long to find
 * out: a queue as it should be, and requests that are nearly right.
 */
// links: vmm/personalities/lib/devices/virtio_blk.c vmm/personalities/lib/devices/overlay.c
// links: vmm/personalities/lib/devices/virtio_console.c vmm/personalities/lib/devices/virtio_entropy.c
// links: vmm/personalities/lib/devices/virtio_net.c vmm/personalities/lib/devices/entropy.c vmm/personalities/lib/devices/sha256.c
// links: vmm/personalities/lib/devices/virtio_pci.c vmm/personalities/lib/devices/virtio.c
// links: vmm/personalities/lib/devices/virtqueue.c vmm/personalities/lib/devices/msix.c
// links: vmm/personalities/lib/devices/pci.c vmm/personalities/lib/devices/pci_function.c
// links: tests/unit/virtio_driver.c vmm/lib/format.c vmm/lib/string.c
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio_blk.h"
#include "devices/virtio_console.h"
#include "devices/virtio_entropy.h"
#include "devices/virtio_net.h"
#include "tests/unit/virtio_driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY = 1 << 14, IMAGE = 5 * OVERLAY_BLOCK + 700, CAPACITY = 3, STEPS = 400, ADVANCES = 64 };

static struct driver d;
static struct virtio_blk blk;
static struct virtio_console console;
static struct virtio_entropy entropy;
static struct virtio_net net;
static struct virtio *device; ///< one of these
static struct overlay disk;
static uint64_t now, sent, frames; ///< frames: that are still to come

/// The input, and what is left of it; zeros behind its end.
struct input {
    const uint8_t *data;
    size_t size;
};

static uint64_t take(struct input *in, uint32_t bytes)
{
    uint64_t value = 0;
    for (uint32_t i = 0; i < bytes && in->size > 0; i++, in->data++, in->size--)
        value |= (uint64_t)*in->data << 8 * i;
    return value;
}

static uint64_t place(struct input *in)
{
    return take(in, 2) % MEMORY;
}

static void write_memory(struct input *in)
{
    const uint64_t at = place(in), bytes = take(in, 1) % 17;
    for (uint64_t i = 0; i < bytes && at + i < MEMORY; i++)
        d.memory[at + i] = (uint8_t)take(in, 1);
}

/// As a driver does it that means well.
static void start(struct input *in)
{
    const uint64_t features = (take(in, 1) & 1 ? VIRTIO_F_EVENT_IDX : 0) | VIRTIO_F_INDIRECT_DESC;
    d.allocated = DRIVER_PAGE;
    driver_config_put(&d, 4, 2, 6);
    driver_set_common(&d, DRIVER_STATUS, 1, 0);
    if (driver_negotiate(&d, features | VIRTIO_F_VERSION_1))
        for (uint32_t i = 0; i < device->kind->queues; i++)
            driver_queue(&d, i, (uint16_t)(1 << take(in, 1) % 4));
    driver_set_common(&d, DRIVER_STATUS, 1, 15);
}

static void descriptor(uint16_t index, uint64_t table, uint64_t address, uint32_t length, uint16_t flags)
{
    const struct {
        uint64_t address;
        uint32_t length;
        uint16_t flags, next;
    } entry = {address, length, flags, (uint16_t)(index + 1)};
    if (table <= MEMORY - 16ULL * (index + 1))
        memcpy(d.memory + table + 16ULL * index, &entry, sizeof(entry));
}

/// A request as it should be, or nearly: direct or by a table, in one of which a byte is changed.
static void request(struct input *in)
{
    enum { HEADER = 0x100, STATUS = 0x180, INDIRECT_TABLE = 0x200, NEXT = 1, WRITE = 2, INDIRECT = 4 };
    static const uint32_t lengths[] = {512, 0, 1, 20, 511, 1024, 4096, 8192};
    const uint8_t how = (uint8_t)take(in, 1);
    const uint32_t queue = (how >> 7) % device->kind->queues;
    const struct driver_queue *q = &d.queues[queue];
    const uint64_t table = (how & 1) != 0 ? INDIRECT_TABLE : q->descriptors;
    const uint64_t header[2] = {take(in, 1) % 12, take(in, 1) % 64}, change = take(in, (how & 2) != 0 ? 2 : 0);
    if (q->size == 0 || q->available + 6 + 2 * q->size > MEMORY)
        return;
    memcpy(d.memory + HEADER, header, sizeof(header));
    descriptor(0, table, HEADER, 16, NEXT);
    descriptor(1, table, place(in), lengths[how / 4 % 8], NEXT | (header[0] == 1 ? 0 : WRITE));
    descriptor(2, table, STATUS, 1, WRITE);
    if ((how & 1) != 0)
        descriptor(0, q->descriptors, INDIRECT_TABLE, 48, INDIRECT);
    if ((how & 2) != 0)
        d.memory[((how & 32) != 0 ? q->descriptors : table) % (MEMORY - 64) + change % 64] ^= (uint8_t)(change >> 8);
    driver_offer(&d, queue, 0);
    if ((how & 64) == 0)
        driver_put(&d, d.notify + 4ULL * queue, 2, 0);
}

static void offer(struct input *in)
{
    const uint16_t head = (uint16_t)take(in, 1);
    const struct driver_queue *q = &d.queues[0];
    if (q->size != 0 && q->available + 6 + 2 * q->size <= MEMORY)
        driver_offer(&d, 0, head);
}

static void send(void *context, uint8_t byte)
{
    (void)context, (void)byte;
    sent++;
}

static void send_frame(void *context, const uint8_t *frame, uint32_t size)
{
    uint8_t copy[VIRTIO_NET_FRAME];
    (void)context;
    memcpy(copy, frame, size); // the address sanitizer looks on
}

static uint32_t receive_frame(void *context, uint8_t *frame)
{
    (void)context;
    memset(frame, 1, VIRTIO_NET_FRAME);
    return frames == 0 ? 0 : 14 + (uint32_t)(frames-- * 77 % (VIRTIO_NET_FRAME - 13));
}

/// Things that come from outside.
static void happen(struct input *in)
{
    const uint8_t bytes[VIRTIO_CONSOLE_INPUT] = {0};
    if (device == &console.virtio)
        virtio_console_receive(&console, bytes, (uint32_t)take(in, 1) % (VIRTIO_CONSOLE_INPUT + 1));
    if (device == &net.virtio) {
        frames += take(in, 1);
        virtio_net_receive(&net);
    }
    for (uint32_t i = 0; device == &entropy.virtio && i < ENTROPY_SAMPLES; i++)
        virtio_entropy_sample(&entropy, now += 1000 + i * i % 251);
}

/// Returns whether the step may have reset the device: it wrote registers.
static bool step(struct input *in)
{
    const uint8_t what = (uint8_t)take(in, 1);
    switch (what % 12) {
    case 0:
        write_memory(in);
        break;
    case 1:
        driver_config_put(&d, (uint32_t)take(in, 1), 1U << what / 16 % 3, (uint32_t)take(in, 4));
        break;
    case 2:
        driver_config_get(&d, (uint32_t)take(in, 1), 1U << what / 16 % 3);
        break;
    case 3:
        driver_put(&d, d.bars[0] + take(in, 2) % 0x5000, 1U << what / 16 % 4, take(in, 8));
        break;
    case 4:
        driver_get(&d, d.bars[0] + take(in, 2) % 0x5000, 1U << what / 16 % 4);
        break;
    case 5:
        start(in);
        break;
    case 6:
    case 7:
        request(in);
        break;
    case 8:
        offer(in);
        break;
    case 9:
        driver_put(&d, d.notify + what / 16 % 2 * 4, 2, 0);
        break;
    case 10:
        happen(in);
        break;
    default:
        virtio_advance(device);
        break;
    }
    return what % 12 == 1 || what % 12 == 3 || what % 12 == 5;
}

static void check(bool good)
{
    if (!good)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t image[IMAGE], copies[CAPACITY * OVERLAY_BLOCK]; // the image is zeros, and stays so
    static const uint8_t zeros[IMAGE];
    static uint32_t slots[IMAGE / OVERLAY_BLOCK + 1];
    struct input in = {data, size};
    memset(slots, 0, sizeof(slots));
    overlay_init(&disk, image, IMAGE, slots, copies, CAPACITY);
    const struct virtio_host host = driver_host(&d, MEMORY);
    static const struct virtio_net_link link = {.send = send_frame, .receive = receive_frame};
    struct virtio *const devices[] = {&blk.virtio, &console.virtio, &entropy.virtio, &net.virtio};
    frames = 0;
    virtio_blk_init(&blk, &disk, &host);
    virtio_console_init(&console, send, NULL, &host);
    virtio_entropy_init(&entropy, now = 0, &host);
    virtio_net_init(&net, (const uint8_t[]){2, 0, 0, 0, 0, 1}, &link, &host);
    device = devices[take(&in, 1) % 4];
    check(driver_attach(&d, device));
    for (uint32_t i = 0; i < STEPS && in.size > 0; i++) {
        const bool was_broken = (device->status & VIRTIO_NEEDS_RESET) != 0;
        const uint64_t chains = device->counters.chains, resets = device->counters.broken, before = sent;
        const bool may_reset = step(&in);
        check(device->counters.chains - chains <= 2 * VIRTQUEUE_MAX && sent - before <= 2 * 4096); // once a queue
        check(device->counters.broken - resets <= 2); // a queue that is enabled, and what stands in it
        check(!was_broken || may_reset || device->counters.chains == chains);
        check(!was_broken || may_reset || (device->status & VIRTIO_NEEDS_RESET) != 0);
    }
    bool more = true;
    for (uint32_t i = 0; more && i < ADVANCES; i++) { // unfinished work goes on
        const uint64_t before = device->counters.chains + sent;
        more = virtio_advance(device);
        check(!more || device->counters.chains + sent > before);
    }
    check(d.reports <= VIRTIO_REPORTS + 1 && disk.used <= CAPACITY);
    check(memcmp(image, zeros, IMAGE) == 0);
    driver_free(&d);
    return 0;
}
