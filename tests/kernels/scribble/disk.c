// SPDX-License-Identifier: Apache-2.0
// Writes a whole disk, of which not all can be kept, and looks at what stands there afterwards.
#include "scribble.h"

#include <polyvisor/string.h>

enum {
    BLOCK_DEVICE = 2,
    SECTOR = 512,
    SECTORS = 8,
    BLOCK = SECTOR * SECTORS,
    QUEUE_SIZE = 4,
    READ = 0,
    WRITE_DATA = 1,
    PATIENCE = 1 << 20
};
enum { NEXT = 1, WRITE = 2, NO_ANSWER = 0xff };
#define VERSION_1 (UINT64_C(1) << 32)

/// One request at a time, in memory that nobody else uses.
static struct {
    struct {
        uint64_t address;
        uint32_t length;
        uint16_t flags, next;
    } descriptors[QUEUE_SIZE] __attribute__((aligned(16)));
    uint16_t available[2 + QUEUE_SIZE + 1];
    uint16_t used[2 + 4 * QUEUE_SIZE + 1] __attribute__((aligned(4)));
    struct {
        uint32_t type, reserved;
        uint64_t sector;
    } header;
    uint8_t data[BLOCK], status;
} volatile r;

static uint8_t request(const struct function *f, uint32_t type, uint64_t sector)
{
    const uint16_t before = r.used[1];
    r.header.type = type;
    r.header.sector = sector;
    r.status = NO_ANSWER;
    r.descriptors[0].address = (uint64_t)&r.header;
    r.descriptors[0].length = sizeof(r.header);
    r.descriptors[0].flags = NEXT;
    r.descriptors[0].next = 1;
    r.descriptors[1].address = (uint64_t)&r.data;
    r.descriptors[1].length = BLOCK;
    r.descriptors[1].flags = type == READ ? NEXT | WRITE : NEXT;
    r.descriptors[1].next = 2;
    r.descriptors[2].address = (uint64_t)&r.status;
    r.descriptors[2].length = 1;
    r.descriptors[2].flags = WRITE;
    r.available[2 + r.available[1] % QUEUE_SIZE] = 0;
    r.available[1]++;
    virtio_notify(f, 0);
    for (uint32_t i = 0; i < PATIENCE && r.used[1] == before; i++)
        __asm__ volatile("pause");
    return r.status;
}

static uint8_t pattern(uint64_t block, uint32_t byte)
{
    return (uint8_t)(block * 37 + byte * 11 + 1);
}

static bool holds(uint64_t block, bool written)
{
    for (uint32_t i = 0; i < BLOCK; i++)
        if (r.data[i] != (written ? pattern(block, i) : 0))
            return false;
    return true;
}

/// The disk's own contents are zeros.
static void fill(const struct function *f)
{
    static uint8_t answers[PAGE];
    const uint64_t blocks = mmio_read(f->bar[0] + f->config, 8) / SECTORS;
    uint32_t written = 0, refused = 0, wrong = 0;
    for (uint64_t block = 0; block < blocks && block < PAGE; block++) {
        for (uint32_t i = 0; i < BLOCK; i++)
            r.data[i] = pattern(block, i);
        answers[block] = request(f, WRITE_DATA, block * SECTORS);
        written += answers[block] == 0;
        refused += answers[block] == 1;
    }
    for (uint64_t block = 0; block < blocks && block < PAGE; block++)
        wrong += request(f, READ, block * SECTORS) != 0 || !holds(block, answers[block] == 0);
    say("disk: %lu blocks, %u written, %u refused, %u wrong", blocks, written, refused, wrong);
}

void fill_disk(void)
{
    for (uint32_t i = 0; i < function_count; i++) {
        const struct function *f = &functions[i];
        if (f->type != BLOCK_DEVICE)
            continue;
        if (!virtio_start(f, VERSION_1))
            give_up("the disk does not agree");
        const struct queue queue = {(uint64_t)&r.descriptors, (uint64_t)&r.available, (uint64_t)&r.used, QUEUE_SIZE};
        virtio_queue(f, 0, &queue, 0);
        virtio_ready(f);
        fill(f);
    }
}
