// SPDX-License-Identifier: Apache-2.0
// Source: VIRTIO 1.2, 5.1.2 (queues), 5.1.4 (configuration), 5.1.6 (operation).
#include "devices/virtio_net.h"

enum { ID = 1, CLASS_ETHERNET = 0x020000, QUEUE_SIZE = VIRTQUEUE_MAX, BUDGET = 64, FRAME_MIN = 14 };
enum { RECEIVE = 0, TRANSMIT = 1 };
enum { HEADER_BUFFERS = 10 }; ///< num_buffers; the rest of the header is about offloads, which are not offered
#define F_ADDRESS (UINT64_C(1) << 5)

/// A frame of a size that no link has is lost, as on a cable.
static void send_one(struct virtio_net *n, const struct virtqueue_chain *chain)
{
    uint8_t frame[VIRTIO_NET_FRAME];
    const uint64_t size = chain->readable_bytes - VIRTIO_NET_HEADER;
    if (chain->readable_bytes < VIRTIO_NET_HEADER + FRAME_MIN || size > sizeof(frame)) {
        n->virtio.counters.errors++;
        return;
    }
    virtqueue_read(chain, VIRTIO_NET_HEADER, frame, size);
    n->link.send(n->link.context, frame, (uint32_t)size);
}

static bool transmit(struct virtio_net *n)
{
    struct virtqueue_chain chain;
    for (uint32_t i = 0; i < BUDGET; i++) {
        if (!virtio_pop(&n->virtio, TRANSMIT, &chain))
            return false;
        send_one(n, &chain);
        virtio_push(&n->virtio, TRANSMIT, &chain, 0);
    }
    return true;
}

/// Whether there is a frame for a buffer.
static bool hold(struct virtio_net *n)
{
    if (n->held_size == 0) {
        const uint32_t size = n->link.receive(n->link.context, n->held + VIRTIO_NET_HEADER);
        n->held_size = size == 0 ? 0 : VIRTIO_NET_HEADER + size;
    }
    return n->held_size != 0;
}

static bool receive(struct virtio_net *n)
{
    struct virtqueue_chain chain;
    for (uint32_t i = 0; i < BUDGET; i++) {
        if (!hold(n) || !virtio_pop(&n->virtio, RECEIVE, &chain))
            return false;
        if (chain.writable_bytes < n->held_size) { // without merged buffers each must take any frame (5.1.6.3.1)
            virtio_break(&n->virtio, RECEIVE, "a buffer is too small for a frame");
            return false;
        }
        virtqueue_write(&chain, 0, n->held, n->held_size);
        virtio_push(&n->virtio, RECEIVE, &chain, n->held_size);
        n->held_size = 0;
    }
    return true;
}

static bool serve(void *device, uint32_t queue)
{
    return queue == TRANSMIT ? transmit(device) : receive(device);
}

static void reset(void *device)
{
    struct virtio_net *n = device;
    n->held_size = 0;
}

void virtio_net_receive(struct virtio_net *n)
{
    virtio_serve(&n->virtio, RECEIVE);
}

void virtio_net_init(struct virtio_net *n, const uint8_t address[VIRTIO_NET_ADDRESS],
                     const struct virtio_net_link *link, const struct virtio_host *host)
{
    static const struct virtio_kind kind = {.name = "virtio-net",
                                            .id = ID,
                                            .pci_class = CLASS_ETHERNET,
                                            .queues = 2,
                                            .queue_size = QUEUE_SIZE,
                                            .serve = serve,
                                            .reset = reset};
    *n = (struct virtio_net){.link = *link};
    memcpy(n->config, address, VIRTIO_NET_ADDRESS);
    n->held[HEADER_BUFFERS] = 1;
    virtio_init(&n->virtio, &kind, n, host, F_ADDRESS, n->config, VIRTIO_NET_ADDRESS);
}
