// SPDX-License-Identifier: Apache-2.0
/// A byte ring over a buffer whose size is a power of two. Positions count bytes since the beginning and never wrap in
/// practice (64 bits). Not locked: the owner does that.
#ifndef POLYVISOR_RING_H
#define POLYVISOR_RING_H

#include <stddef.h>
#include <stdint.h>

struct pv_ring {
    char *buffer;
    size_t size;      ///< a power of two
    uint64_t head;    ///< bytes ever written
    uint64_t tail;    ///< bytes ever read or dropped
    uint64_t dropped; ///< bytes that were overwritten before they were read
};

void pv_ring_init(struct pv_ring *ring, char *buffer, size_t size);
size_t pv_ring_used(const struct pv_ring *ring);
size_t pv_ring_room(const struct pv_ring *ring);
/// Writes everything; where there is no room the oldest unread bytes are dropped and counted.
void pv_ring_write(struct pv_ring *ring, const char *data, size_t size);
/// Writes at most as much as there is room for; returns how much.
size_t pv_ring_write_some(struct pv_ring *ring, const char *data, size_t size);
/// Takes up to size bytes out; returns how many.
size_t pv_ring_read(struct pv_ring *ring, char *data, size_t size);
/// Copies bytes from an absolute position on without taking them out, also ones that were read but are still there (at
/// most `size` of the ring back from head). *position is moved up to the oldest byte still there; returns how many
/// bytes were copied.
size_t pv_ring_peek(const struct pv_ring *ring, uint64_t *position, char *data, size_t size);

#endif
