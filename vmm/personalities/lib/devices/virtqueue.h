// SPDX-License-Identifier: Apache-2.0
/*
 * Split virtqueues, the device's side: descriptor chains out, used buffers back, and who has to be told. The guest is not
 * trusted: whatever stands in the rings, and however other processors change it meanwhile, nothing outside of the guest's memory
 * is accessed, and every function ends. Source: Virtual I/O Device (VIRTIO) 1.2, 2.7.
 */
#ifndef POLYVISOR_DEVICES_VIRTQUEUE_H
#define POLYVISOR_DEVICES_VIRTQUEUE_H

#include "devices/device.h"

enum { VIRTQUEUE_MAX = 128 }; ///< entries of a queue, and pieces of a chain

/// A piece of the guest's memory.
struct virtqueue_piece {
    uint8_t *data;
    uint32_t size;
};

/// Buffers that belong together: pieces that the device reads, then pieces that it writes.
struct virtqueue_chain {
    uint16_t head;     ///< names it in virtqueue_push
    uint16_t count;    ///< pieces
    uint16_t readable; ///< of these, the first ones
    uint64_t readable_bytes, writable_bytes;
    struct virtqueue_piece pieces[VIRTQUEUE_MAX];
};

struct virtqueue {
    const struct dev_memory *memory;
    /* what the driver has set up */
    uint16_t size;
    bool enabled, event_index, indirect;
    uint64_t descriptors_at, available_at, used_at; ///< guest-physical
    /* while it is enabled */
    const uint8_t *descriptors;
    uint16_t *available, *used;
    uint16_t next_available, next_used;
    uint16_t signalled; ///< next_used when the driver was last told
};

/// The driver's addresses and size become valid. NULL, or what is wrong with them.
const char *virtqueue_enable(struct virtqueue *queue);

/// Takes the next chain. 1: there it is; 0: there is none, and the driver will notify when there is; -1: the rings are broken, and
/// *why says how.
int virtqueue_pop(struct virtqueue *queue, struct virtqueue_chain *chain, const char **why);

/// Gives a chain back, `written` bytes of whose writable part are filled.
void virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written);

/// Whether the driver wants to be told of what has been given back since this was last asked.
bool virtqueue_signals(struct virtqueue *queue);

/// Copies from the readable part, from byte `offset` of it on; returns how many bytes there were.
uint64_t virtqueue_read(const struct virtqueue_chain *chain, uint64_t offset, void *to, uint64_t size);
/// Copies into the writable part.
uint64_t virtqueue_write(const struct virtqueue_chain *chain, uint64_t offset, const void *from, uint64_t size);

#endif
