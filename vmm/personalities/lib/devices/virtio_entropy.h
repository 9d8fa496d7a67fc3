// SPDX-License-Identifier: Apache-2.0
/// A virtio entropy device; entropy.h tells what its bytes are worth. Source: VIRTIO 1.2, 5.4.
#ifndef POLYVISOR_DEVICES_VIRTIO_ENTROPY_H
#define POLYVISOR_DEVICES_VIRTIO_ENTROPY_H

#include "devices/entropy.h"
#include "devices/virtio.h"

struct virtio_entropy {
    struct virtio virtio;
    struct entropy source;
};

void virtio_entropy_init(struct virtio_entropy *e, uint64_t now, const struct virtio_host *host);

/// Something has happened at a time that others cannot foresee.
void virtio_entropy_sample(struct virtio_entropy *e, uint64_t now);

#endif
