// SPDX-License-Identifier: Apache-2.0
/// A virtio console with one port. Source: VIRTIO 1.2, 5.3.
#ifndef POLYVISOR_DEVICES_VIRTIO_CONSOLE_H
#define POLYVISOR_DEVICES_VIRTIO_CONSOLE_H

#include "devices/virtio.h"

enum { VIRTIO_CONSOLE_INPUT = 64 };

struct virtio_console {
    struct virtio virtio;
    void (*send)(void *context, uint8_t byte); ///< a byte leaves
    void *context;
    uint8_t input[VIRTIO_CONSOLE_INPUT]; ///< that no buffer has taken yet
    uint32_t waiting;
    struct virtqueue_chain output; ///< that is being sent, from `sent` on
    uint64_t sent;
    bool sending;
};

void virtio_console_init(struct virtio_console *c, void (*send)(void *context, uint8_t byte), void *context,
                         const struct virtio_host *host);

/// How many bytes virtio_console_receive takes now: none as long as no driver drives the device.
uint32_t virtio_console_room(const struct virtio_console *c);
/// Bytes arrive.
void virtio_console_receive(struct virtio_console *c, const uint8_t *bytes, uint32_t count);

#endif
