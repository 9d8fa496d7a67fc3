// SPDX-License-Identifier: Apache-2.0
/// A virtio block device on a disk with an overlay. Source: VIRTIO 1.2, 5.2.
#ifndef POLYVISOR_DEVICES_VIRTIO_BLK_H
#define POLYVISOR_DEVICES_VIRTIO_BLK_H

#include "devices/overlay.h"
#include "devices/virtio.h"

enum { VIRTIO_BLK_SECTOR = 512, VIRTIO_BLK_CONFIG = 24 };

struct virtio_blk {
    struct virtio virtio;
    struct overlay *disk;
    uint64_t size; ///< bytes, whole sectors
    bool read_only;
    bool full; ///< the message about it has been given
    uint8_t config[VIRTIO_BLK_CONFIG];
    struct virtqueue_chain chain; ///< that is being worked on
};

/// A disk without any room for copies is read-only.
void virtio_blk_init(struct virtio_blk *blk, struct overlay *disk, const struct virtio_host *host);

#endif
