// SPDX-License-Identifier: Apache-2.0
// Source: VIRTIO 1.2, 5.2.4 (configuration), 5.2.6 (requests).
#include "devices/virtio_blk.h"

enum { ID = 2, CLASS_STORAGE = 0x010000, BUDGET = 4 << 20 };
enum { HEADER = 16, TYPE_READ = 0, TYPE_WRITE = 1, TYPE_FLUSH = 4, TYPE_GET_ID = 8, ID_SIZE = 20 };
enum { STATUS_OK = 0, STATUS_ERROR = 1, STATUS_UNSUPPORTED = 2 };
enum { CONFIG_CAPACITY = 0, CONFIG_SEG_MAX = 12, CONFIG_BLOCK = 20 };
#define F_SEG_MAX (UINT64_C(1) << 2)
#define F_READ_ONLY (UINT64_C(1) << 5)
#define F_BLOCK_SIZE (UINT64_C(1) << 6)
#define F_FLUSH (UINT64_C(1) << 9)

/// A request's header, as it stands in the guest's memory.
struct header {
    uint32_t type, reserved;
    uint64_t sector;
};
_Static_assert(sizeof(struct header) == HEADER, "as in memory");

/// Whether that many bytes, whole sectors, are on the disk from a sector on.
static bool on_disk(const struct virtio_blk *blk, uint64_t sector, uint64_t size)
{
    const uint64_t sectors = blk->size / VIRTIO_BLK_SECTOR;
    return size % VIRTIO_BLK_SECTOR == 0 && sector <= sectors && size / VIRTIO_BLK_SECTOR <= sectors - sector;
}

static uint8_t do_read(const struct virtio_blk *blk, const struct virtqueue_chain *chain, uint64_t sector,
                       uint64_t size)
{
    if (!on_disk(blk, sector, size))
        return STATUS_ERROR;
    const uint64_t start = sector * VIRTIO_BLK_SECTOR;
    for (uint64_t done = 0, run; done < size; done += run) {
        const uint8_t *from = overlay_read(blk->disk, start + done, size - done, &run);
        virtqueue_write(chain, done, from, run);
    }
    return STATUS_OK;
}

/// All of it or nothing: whether there is room is known before the first byte is copied.
static uint8_t do_write(struct virtio_blk *blk, const struct virtqueue_chain *chain, uint64_t sector, uint64_t size)
{
    struct overlay *disk = blk->disk;
    const uint64_t start = sector * VIRTIO_BLK_SECTOR;
    if (!on_disk(blk, sector, size) || blk->read_only)
        return STATUS_ERROR;
    if (overlay_needs(disk, start, size) > disk->capacity - disk->used) {
        if (!blk->full)
            virtio_report(&blk->virtio, "the overlay is full (%u of %u KiB): writes to unchanged blocks fail",
                          disk->used * (OVERLAY_BLOCK / 1024), disk->capacity * (OVERLAY_BLOCK / 1024));
        blk->full = true;
        return STATUS_ERROR;
    }
    for (uint64_t done = 0, run; done < size; done += run) {
        uint8_t *to = overlay_write(disk, start + done, size - done, &run);
        virtqueue_read(chain, HEADER + done, to, run);
    }
    return STATUS_OK;
}

static uint8_t get_id(const struct virtqueue_chain *chain, uint64_t size)
{
    static const char id[ID_SIZE] = "polyvisor disk";
    if (size < ID_SIZE)
        return STATUS_ERROR;
    virtqueue_write(chain, 0, id, ID_SIZE);
    return STATUS_OK;
}

/// Carries a request out. False: it is none, since there is no header, or no place for the status.
static bool handle(struct virtio_blk *blk, const struct virtqueue_chain *chain)
{
    struct header header;
    if (chain->writable_bytes == 0 || virtqueue_read(chain, 0, &header, HEADER) != HEADER)
        return false;
    const uint64_t in = chain->readable_bytes - HEADER, out = chain->writable_bytes - 1;
    uint8_t status = STATUS_UNSUPPORTED;
    if (header.type == TYPE_READ)
        status = do_read(blk, chain, header.sector, out);
    else if (header.type == TYPE_WRITE)
        status = do_write(blk, chain, header.sector, in);
    else if (header.type == TYPE_GET_ID)
        status = get_id(chain, out);
    else if (header.type == TYPE_FLUSH)
        status = STATUS_OK; // nothing is ever more durable than the pool
    blk->virtio.counters.errors += status != STATUS_OK;
    virtqueue_write(chain, out, &status, 1);
    // What precedes the status has been written only when all went well (2.7.8.2).
    virtio_push(&blk->virtio, 0, chain, status == STATUS_OK || out == 0 ? (uint32_t)out + 1 : 0);
    return true;
}

static bool serve(void *device, uint32_t queue)
{
    struct virtio_blk *blk = device;
    struct virtqueue_chain *chain = &blk->chain;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < VIRTQUEUE_MAX && bytes < BUDGET; i++) {
        if (!virtio_pop(&blk->virtio, queue, chain))
            return false;
        bytes += chain->readable_bytes + chain->writable_bytes;
        if (!handle(blk, chain)) {
            virtio_break(&blk->virtio, queue, "a request without header or status");
            return false;
        }
    }
    return true;
}

void virtio_blk_init(struct virtio_blk *blk, struct overlay *disk, const struct virtio_host *host)
{
    static const struct virtio_kind kind = {.name = "virtio-blk",
                                            .id = ID,
                                            .pci_class = CLASS_STORAGE,
                                            .queues = 1,
                                            .queue_size = VIRTQUEUE_MAX,
                                            .serve = serve};
    const uint64_t sectors = disk->image_size / VIRTIO_BLK_SECTOR + (disk->image_size % VIRTIO_BLK_SECTOR != 0);
    const uint32_t seg_max = VIRTQUEUE_MAX - 2, block = VIRTIO_BLK_SECTOR;
    *blk = (struct virtio_blk){.disk = disk, .size = sectors * VIRTIO_BLK_SECTOR, .read_only = disk->capacity == 0};
    memcpy(blk->config + CONFIG_CAPACITY, &sectors, sizeof(sectors));
    memcpy(blk->config + CONFIG_SEG_MAX, &seg_max, sizeof(seg_max));
    memcpy(blk->config + CONFIG_BLOCK, &block, sizeof(block));
    virtio_init(&blk->virtio, &kind, blk, host, F_SEG_MAX | F_BLOCK_SIZE | (blk->read_only ? F_READ_ONLY : F_FLUSH),
                blk->config, VIRTIO_BLK_CONFIG);
}
