// SPDX-License-Identifier: Apache-2.0
// Source: VIRTIO 1.2, 5.4.6: a buffer need not be filled, but gets a byte at least.
#include "devices/virtio_entropy.h"

enum { ID = 4, CLASS_OTHER = 0xff0000, QUEUE_SIZE = 16 };

/// Buffers wait until there is something for them.
static bool serve(void *device, uint32_t queue)
{
    struct virtio_entropy *e = device;
    struct virtqueue_chain chain;
    uint8_t block[ENTROPY_BLOCK];
    while (entropy_has_block(&e->source)) { // each one takes a block away
        if (!virtio_pop(&e->virtio, queue, &chain))
            return false;
        entropy_take(&e->source, block);
        virtio_push(&e->virtio, queue, &chain, (uint32_t)virtqueue_write(&chain, 0, block, sizeof(block)));
    }
    return false;
}

void virtio_entropy_sample(struct virtio_entropy *e, uint64_t now)
{
    const bool had = entropy_has_block(&e->source);
    const uint32_t failures = e->source.failures;
    entropy_sample(&e->source, now);
    if (failures == 0 && e->source.failures != 0)
        virtio_report(&e->virtio, "points of time are too regular here: no random bytes until that ends");
    if (!had && entropy_has_block(&e->source))
        virtio_serve(&e->virtio, 0);
}

void virtio_entropy_init(struct virtio_entropy *e, uint64_t now, const struct virtio_host *host)
{
    static const struct virtio_kind kind = {.name = "virtio-rng",
                                            .id = ID,
                                            .pci_class = CLASS_OTHER,
                                            .queues = 1,
                                            .queue_size = QUEUE_SIZE,
                                            .serve = serve};
    entropy_init(&e->source, now);
    virtio_init(&e->virtio, &kind, e, host, 0, NULL, 0);
}
