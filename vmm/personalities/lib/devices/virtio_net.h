// SPDX-License-Identifier: Apache-2.0
/// A virtio network device with one pair of queues and no offloads. Source: VIRTIO 1.2, 5.1.
#ifndef POLYVISOR_DEVICES_VIRTIO_NET_H
#define POLYVISOR_DEVICES_VIRTIO_NET_H

#include "devices/virtio.h"

enum { VIRTIO_NET_ADDRESS = 6, VIRTIO_NET_FRAME = 1514, VIRTIO_NET_HEADER = 12 };

/// The cable.
struct virtio_net_link {
    void (*send)(void *context, const uint8_t *frame, uint32_t size);
    /// Takes a frame of at most VIRTIO_NET_FRAME bytes; returns its size, 0 when there is none.
    uint32_t (*receive)(void *context, uint8_t *frame);
    void *context;
};

struct virtio_net {
    struct virtio virtio;
    struct virtio_net_link link;
    uint8_t config[VIRTIO_NET_ADDRESS];
    uint8_t held[VIRTIO_NET_HEADER + VIRTIO_NET_FRAME]; ///< a frame that waits for a buffer, behind its header
    uint32_t held_size;                                 ///< with the header; 0: none
};

void virtio_net_init(struct virtio_net *n, const uint8_t address[VIRTIO_NET_ADDRESS],
                     const struct virtio_net_link *link, const struct virtio_host *host);

/// There may be frames at the link.
void virtio_net_receive(struct virtio_net *n);

#endif
