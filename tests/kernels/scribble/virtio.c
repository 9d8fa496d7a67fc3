// SPDX-License-Identifier: Apache-2.0
// Virtio devices whose drivers mean no good: rings and tables of anything, in memory and not (VIRTIO 1.2, 2.7, 4.1.4).
#include "scribble.h"

enum {
    DEVICE_FEATURE_SELECT = 0,
    DEVICE_FEATURE = 4,
    DRIVER_FEATURE_SELECT = 8,
    DRIVER_FEATURE = 12,
    CONFIG_VECTOR = 16
};
enum { STATUS = 20, SELECT = 22, SIZE = 24, VECTOR = 26, ENABLE = 28, DESCRIPTORS = 32, AVAILABLE = 40, USED = 48 };
enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8, NEEDS_RESET = 64 };
enum { NEXT = 1, WRITE = 2, INDIRECT = 4, QUEUES = 3, SIZES = 9, BURSTS = 24, DESCRIPTOR = 16, BLOCK = 2, CONSOLE = 3 };
#define VERSION_1 (UINT64_C(1) << 32)

struct descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags, next;
};

static uint32_t starts, chains, requests, breaks, notifications;

static uint64_t at(const struct function *f, uint32_t offset)
{
    return f->bar[0] + f->common + offset;
}

uint8_t virtio_status(const struct function *f)
{
    return (uint8_t)mmio_read(at(f, STATUS), 1);
}

static void add_status(const struct function *f, uint8_t bits)
{
    mmio_write(at(f, STATUS), 1, virtio_status(f) | bits);
}

bool virtio_start(const struct function *f, uint64_t features)
{
    mmio_write(at(f, STATUS), 1, 0);
    if (virtio_status(f) != 0)
        give_up("virtio device %u: status %#x after a reset", f->type, virtio_status(f));
    add_status(f, ACKNOWLEDGE);
    add_status(f, DRIVER);
    for (uint32_t half = 0; half < 2; half++) {
        mmio_write(at(f, DEVICE_FEATURE_SELECT), 4, half);
        const uint64_t offered = mmio_read(at(f, DEVICE_FEATURE), 4);
        mmio_write(at(f, DRIVER_FEATURE_SELECT), 4, half);
        mmio_write(at(f, DRIVER_FEATURE), 4, offered & features >> 32 * half);
    }
    add_status(f, FEATURES_OK);
    return (virtio_status(f) & FEATURES_OK) != 0;
}

void virtio_queue(const struct function *f, uint32_t index, const struct queue *queue, uint16_t vector)
{
    const uint64_t places[] = {queue->descriptors, queue->available, queue->used};
    mmio_write(at(f, SELECT), 2, index);
    mmio_write(at(f, SIZE), 2, queue->size);
    mmio_write(at(f, VECTOR), 2, vector);
    for (uint32_t i = 0; i < 3; i++) {
        mmio_write(at(f, DESCRIPTORS + 8 * i), 4, places[i]);
        mmio_write(at(f, DESCRIPTORS + 8 * i + 4), 4, places[i] >> 32);
    }
    mmio_write(at(f, ENABLE), 2, 1);
}

void virtio_ready(const struct function *f)
{
    add_status(f, DRIVER_OK);
}

void virtio_notify(const struct function *f, uint32_t queue)
{
    mmio_write(f->bar[0] + f->notify + queue * f->notify_multiplier, 2, queue);
    notifications++;
}

/* ---- what a hostile driver does ---- */

/// Of something that a device may write to: in the arenas, or nowhere.
static uint64_t any_address(uint32_t length)
{
    switch (below(100)) {
    case 0:
        return memory_end - below(4096);
    case 1:
        return memory_end + below(4096);
    case 2:
        return random64() | ARENA | (uint64_t)1 << 40;
    case 3:
        return -(uint64_t)below(4096);
    case 4:
        return 0xfee00000 + below(4096);
    default:
        return arena_address(length < PAGE ? length : PAGE, 1);
    }
}

static uint32_t any_length(uint32_t type)
{
    static const uint32_t lengths[] = {0, 1, 12, 16, 16, 20, 511, 512, 512, 1024, 1526, 4096, 65536, 1 << 20};
    if (type == CONSOLE) // what goes there is shown
        return below(32);
    return one_in(16) ? (uint32_t)any_value() : lengths[below(sizeof(lengths) / sizeof(lengths[0]))];
}

/// Where a ring or a table is: well aligned in the arenas, mostly.
static uint64_t place(uint64_t size, uint64_t alignment)
{
    if (one_in(64))
        return any_address((uint32_t)size);
    return arena_address(size, one_in(64) ? 1 : alignment);
}

/// Any descriptors; or, when they are to be good, chains of one to some, what is read in front of what is written.
static void fill_table(uint32_t type, uint64_t table, uint32_t count, bool may_indirect)
{
    const bool good = !one_in(8);
    const uint32_t split = below(count + 1);
    for (uint32_t i = 0; i < count; i++) {
        struct descriptor *d = (struct descriptor *)(table + (uint64_t)i * DESCRIPTOR);
        d->length = any_length(type);
        d->address = any_address(d->length);
        d->flags = (uint16_t)(good         ? (i + 1 < count && !one_in(3) ? NEXT : 0) | (i >= split ? WRITE : 0)
                              : one_in(32) ? below(65536)
                                           : below(4));
        d->next = (uint16_t)(good ? i + 1 : one_in(32) ? below(65536) : below(count));
        if (may_indirect && one_in(8)) {
            d->flags = INDIRECT | (one_in(8) ? NEXT : 0);
            d->length = (1 + below(8)) * DESCRIPTOR + (one_in(16) ? below(16) : 0);
            d->address = arena_address(8 * DESCRIPTOR, one_in(2) ? 16 : 1);
            fill_table(type, d->address, 8, one_in(16));
        }
    }
}

/// A request of a block device that is nearly right, in the first three descriptors.
static void disk_request(uint64_t table)
{
    struct descriptor *d = (struct descriptor *)table;
    const uint64_t header = arena_address(16, 1), data = arena_address(8 * PAGE, 1), status = arena_address(1, 1);
    const uint32_t type = one_in(8) ? below(16) : below(2);
    ((volatile uint32_t *)header)[0] = type;
    ((volatile uint64_t *)header)[1] = one_in(8) ? any_value() : below(512);
    d[0] = (struct descriptor){header, 16, NEXT, 1};
    d[1] = (struct descriptor){data, 512 * below(64), type == 1 ? NEXT : NEXT | WRITE, 2};
    d[2] = (struct descriptor){status, 1, WRITE, 0};
    requests++;
}

static bool in_memory(const struct queue *q)
{
    const uint64_t last = memory_end - PAGE;
    return q->descriptors <= last && q->available <= last && q->used <= last;
}

static void burst(const struct function *f, uint32_t index, struct queue *queue)
{
    volatile uint16_t *available = (volatile uint16_t *)queue->available, *used = (volatile uint16_t *)queue->used;
    const uint16_t before = used[1], step = (uint16_t)(one_in(100) ? below(65536) : 1 + below(4));
    fill_table(f->type, queue->descriptors, queue->size, one_in(2));
    if (f->type == BLOCK && !one_in(4))
        disk_request(queue->descriptors);
    for (uint32_t i = 0; i < step && i < queue->size; i++)
        available[2 + (available[1] + i) % queue->size] = (uint16_t)(one_in(64)  ? below(65536)
                                                                     : one_in(2) ? 0
                                                                                 : below(queue->size));
    available[0] = (uint16_t)below(3);
    available[1] = (uint16_t)(available[1] + step);
    virtio_notify(f, one_in(32) ? below(QUEUES) : index);
    chains += (uint16_t)(used[1] - before) <= queue->size ? (uint16_t)(used[1] - before) : 0; // else scribbled over
}

static void one_life(const struct function *f)
{
    struct queue queues[QUEUES];
    const uint64_t features = one_in(16) ? any_value() : VERSION_1 | (random64() & UINT64_C(0x30000000));
    pci_command(f, 6);
    const bool agreed = virtio_start(f, features);
    if (agreed && (features & VERSION_1) == 0)
        give_up("virtio device %u: agreed without VERSION_1", f->type);
    pci_command(f, (uint16_t)(one_in(16) ? random64() & 0x407 : 6 | (one_in(2) ? 0x400 : 0)));
    for (uint32_t i = 0; i < QUEUES; i++) {
        struct queue *q = &queues[i];
        q->size = one_in(32) ? below(65536) : 1u << below(SIZES - 1);
        q->descriptors = place(PAGE, 16);
        q->available = place(1024, 2);
        q->used = place(PAGE, 4);
        if (in_memory(q))
            ((volatile uint16_t *)q->used)[1] = ((volatile uint16_t *)q->available)[1] = 0;
        virtio_queue(f, i, q, (uint16_t)(one_in(8) ? below(65536) : below(4)));
    }
    mmio_write(at(f, CONFIG_VECTOR), 2, below(4));
    for (uint32_t i = 0; i < 4; i++) // of the MSI-X table: to this processor, any vector that is one
        for (uint32_t word = 0; word < 4; word++)
            mmio_write(f->bar[1] + 16 * i + 4 * word, 4, word == 0 ? 0xfee00000 : word == 2 ? 16 + below(240) : 0);
    virtio_ready(f);
    starts++;
    for (uint32_t i = 0; i < BURSTS; i++) {
        const uint32_t index = below(QUEUES);
        if (queues[index].size != 0 && queues[index].size <= 128 && in_memory(&queues[index]))
            burst(f, index, &queues[index]);
        if (one_in(8))
            let_interrupts_in();
        if ((virtio_status(f) & NEEDS_RESET) != 0) {
            breaks++;
            return;
        }
    }
}

void scribble_virtio(uint32_t rounds)
{
    starts = chains = requests = breaks = notifications = 0;
    if (function_count == 0)
        return;
    for (uint32_t i = 0; i < rounds / 8; i++)
        one_life(&functions[i % function_count]);
    pci_restore();
    for (uint32_t i = 0; i < function_count; i++) { // nothing of them may write any more
        mmio_write(at(&functions[i], STATUS), 1, 0);
        if (virtio_status(&functions[i]) != 0)
            give_up("virtio device %u does not reset", functions[i].type);
    }
    say("virtio: %u starts, %u notifications, %u chains, %u disk requests, %u breaks", starts, notifications, chains,
        requests, breaks);
}
