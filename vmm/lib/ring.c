// SPDX-License-Identifier: Apache-2.0
#include <polyvisor/ring.h>

#include <polyvisor/string.h>

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/// Bytes from a position to where the buffer wraps.
static size_t before_wrap(const struct pv_ring *ring, uint64_t position)
{
    return ring->size - (size_t)(position & (ring->size - 1));
}

static char *at(const struct pv_ring *ring, uint64_t position)
{
    return ring->buffer + (position & (ring->size - 1));
}

/// Copies size bytes, all of which are in the ring, out from a position.
static void copy_out(const struct pv_ring *ring, uint64_t position, char *data, size_t size)
{
    const size_t first = smaller(size, before_wrap(ring, position));
    memcpy(data, at(ring, position), first);
    memcpy(data + first, ring->buffer, size - first);
}

/// Appends size bytes, at most the ring's size, over whatever was there.
static void copy_in(struct pv_ring *ring, const char *data, size_t size)
{
    const size_t first = smaller(size, before_wrap(ring, ring->head));
    memcpy(at(ring, ring->head), data, first);
    memcpy(ring->buffer, data + first, size - first);
    ring->head += size;
}

void pv_ring_init(struct pv_ring *ring, char *buffer, size_t size)
{
    *ring = (struct pv_ring){.buffer = buffer, .size = size};
}

size_t pv_ring_used(const struct pv_ring *ring)
{
    return (size_t)(ring->head - ring->tail);
}

size_t pv_ring_room(const struct pv_ring *ring)
{
    return ring->size - pv_ring_used(ring);
}

void pv_ring_write(struct pv_ring *ring, const char *data, size_t size)
{
    if (size > ring->size) {
        // Only the end can stay; the beginning passes through in thought, so that positions go on counting every byte.
        const size_t skipped = size - ring->size;
        ring->head += skipped;
        data += skipped;
        size = ring->size;
    }
    copy_in(ring, data, size);
    const uint64_t unread = ring->head - ring->tail;
    if (unread > ring->size) {
        ring->dropped += unread - ring->size;
        ring->tail = ring->head - ring->size;
    }
}

size_t pv_ring_write_some(struct pv_ring *ring, const char *data, size_t size)
{
    const size_t taken = smaller(size, pv_ring_room(ring));
    copy_in(ring, data, taken);
    return taken;
}

size_t pv_ring_read(struct pv_ring *ring, char *data, size_t size)
{
    const size_t taken = smaller(size, pv_ring_used(ring));
    copy_out(ring, ring->tail, data, taken);
    ring->tail += taken;
    return taken;
}

size_t pv_ring_peek(const struct pv_ring *ring, uint64_t *position, char *data, size_t size)
{
    const uint64_t oldest = ring->head > ring->size ? ring->head - ring->size : 0;
    if (*position < oldest)
        *position = oldest;
    if (*position >= ring->head)
        return 0;
    const uint64_t available = ring->head - *position;
    const size_t copied = available < size ? (size_t)available : size;
    copy_out(ring, *position, data, copied);
    return copied;
}
