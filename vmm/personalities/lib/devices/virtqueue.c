// SPDX-License-Identifier: Apache-2.0
// Source: VIRTIO 1.2, 2.7 (split virtqueues); the numbers below name its subsections.
#include "devices/virtqueue.h"

#include <stdatomic.h>

enum { NEXT = 1, WRITE = 2, INDIRECT = 4, NO_INTERRUPT = 1 };
enum { DESCRIPTOR_SIZE = 16, DESCRIPTOR_ALIGNMENT = 16, AVAILABLE_ALIGNMENT = 2, USED_ALIGNMENT = 4 };
enum { USED_ELEMENT = 8 };

/// Both rings are words: flags, index, elements (2.7.6, 2.7.8), and the index of an event.
enum { RING_FLAGS, RING_INDEX, RING_ELEMENTS };

struct descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags, next;
};
_Static_assert(sizeof(struct descriptor) == DESCRIPTOR_SIZE, "as in memory");

static uint16_t load(const uint16_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void store(uint16_t *word, uint16_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/// Where the driver says at which index it wants an interrupt (2.7.7), and where the device says the same of notifications (2.7.10).
static const uint16_t *used_event(const struct virtqueue *queue)
{
    return queue->available + RING_ELEMENTS + queue->size;
}

static uint16_t *available_event(const struct virtqueue *queue)
{
    return queue->used + RING_ELEMENTS + queue->size * (USED_ELEMENT / sizeof(uint16_t));
}

/* ---- setting up ---- */

static void *ring(const struct virtqueue *queue, uint64_t address, uint64_t size, uint64_t alignment)
{
    return address % alignment == 0 ? queue->memory->at(queue->memory->context, address, size) : NULL;
}

const char *virtqueue_enable(struct virtqueue *queue)
{
    const uint64_t size = queue->size;
    if (size == 0 || size > VIRTQUEUE_MAX || (size & (size - 1)) != 0)
        return "its size is no power of two, or too large";
    queue->descriptors = ring(queue, queue->descriptors_at, size * DESCRIPTOR_SIZE, DESCRIPTOR_ALIGNMENT);
    queue->available =
        ring(queue, queue->available_at, (RING_ELEMENTS + size + 1) * sizeof(uint16_t), AVAILABLE_ALIGNMENT);
    queue->used =
        ring(queue, queue->used_at, (RING_ELEMENTS + 1) * sizeof(uint16_t) + size * USED_ELEMENT, USED_ALIGNMENT);
    if (queue->descriptors == NULL || queue->available == NULL || queue->used == NULL)
        return "its rings are not in memory, or not aligned";
    queue->next_available = queue->next_used = queue->signalled = 0;
    queue->enabled = true;
    return NULL;
}

/* ---- chains ---- */

/// A table of descriptors: the queue's, or an indirect one.
struct table {
    const uint8_t *at;
    uint32_t count;
    bool indirect;
};

static struct descriptor fetch(const struct table *table, uint32_t index)
{
    struct descriptor d;
    memcpy(&d, table->at + (size_t)index * DESCRIPTOR_SIZE, sizeof(d));
    atomic_signal_fence(memory_order_acq_rel); // not read again: another processor may have changed it
    return d;
}

static const char *add_piece(const struct virtqueue *queue, struct virtqueue_chain *chain, const struct descriptor *d)
{
    const bool writable = (d->flags & WRITE) != 0;
    if (chain->count == VIRTQUEUE_MAX)
        return "a chain has too many descriptors, or is a loop";
    if (!writable && chain->readable != chain->count)
        return "a readable descriptor stands behind a writable one"; // 2.7.4.2
    uint8_t *data = queue->memory->at(queue->memory->context, d->address, d->length);
    if (data == NULL)
        return "a buffer is not in memory";
    chain->pieces[chain->count++] = (struct virtqueue_piece){data, d->length};
    if (writable) {
        chain->writable_bytes += d->length;
    } else {
        chain->readable++;
        chain->readable_bytes += d->length;
    }
    return chain->readable_bytes + chain->writable_bytes > UINT32_MAX ? "a chain has 4 GiB or more" : NULL; // 2.7.5
}

/// A descriptor that leads to a table of others (2.7.5.3).
static const char *enter_indirect(const struct virtqueue *queue, const struct descriptor *d, struct table *table)
{
    if (!queue->indirect)
        return "an indirect descriptor, which was not agreed upon";
    if (table->indirect || (d->flags & NEXT) != 0)
        return "an indirect descriptor where none may be";
    if (d->length == 0 || d->length % DESCRIPTOR_SIZE != 0)
        return "an indirect table has a wrong length";
    table->at = queue->memory->at(queue->memory->context, d->address, d->length);
    table->count = d->length / DESCRIPTOR_SIZE;
    table->indirect = true;
    return table->at == NULL ? "an indirect table is not in memory" : NULL;
}

/// Every step adds a piece or enters the one indirect table that a chain can have, so that loops end.
static const char *walk(const struct virtqueue *queue, uint32_t index, struct virtqueue_chain *chain)
{
    struct table table = {queue->descriptors, queue->size, false};
    for (;;) {
        if (index >= table.count)
            return "a descriptor's number is too large";
        const struct descriptor d = fetch(&table, index);
        const bool indirect = (d.flags & INDIRECT) != 0;
        const char *why = indirect ? enter_indirect(queue, &d, &table) : add_piece(queue, chain, &d);
        if (why != NULL)
            return why;
        if (!indirect && (d.flags & NEXT) == 0)
            return NULL;
        index = indirect ? 0 : d.next;
    }
}

/// How many chains wait. None: asks for a notification, and looks once more.
static uint16_t waiting(const struct virtqueue *queue)
{
    uint16_t count = (uint16_t)(load(&queue->available[RING_INDEX]) - queue->next_available);
    if (count == 0 && queue->event_index) {
        store(available_event(queue), queue->next_available);
        atomic_thread_fence(memory_order_seq_cst);
        count = (uint16_t)(load(&queue->available[RING_INDEX]) - queue->next_available);
    }
    return count;
}

int virtqueue_pop(struct virtqueue *queue, struct virtqueue_chain *chain, const char **why)
{
    const uint16_t count = waiting(queue);
    if (count == 0)
        return 0;
    *why = "the available index runs ahead";
    if (count > queue->size)
        return -1;
    chain->head = load(&queue->available[RING_ELEMENTS + (queue->next_available & (queue->size - 1))]);
    chain->count = chain->readable = 0;
    chain->readable_bytes = chain->writable_bytes = 0;
    *why = walk(queue, chain->head, chain);
    if (*why != NULL)
        return -1;
    queue->next_available++;
    return 1;
}

void virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written)
{
    uint16_t *element =
        queue->used + RING_ELEMENTS + (queue->next_used & (queue->size - 1)) * (USED_ELEMENT / sizeof(uint16_t));
    const uint32_t pair[2] = {head, written};
    memcpy(element, pair, sizeof(pair));
    store(&queue->used[RING_INDEX], ++queue->next_used);
}

bool virtqueue_signals(struct virtqueue *queue)
{
    const uint16_t now = queue->next_used, before = queue->signalled;
    if (now == before)
        return false;
    queue->signalled = now;
    atomic_thread_fence(memory_order_seq_cst); // the used index before what the driver wants
    if (!queue->event_index)
        return (load(&queue->available[RING_FLAGS]) & NO_INTERRUPT) == 0;
    const uint16_t event = load(used_event(queue));
    return (uint16_t)(now - event - 1) < (uint16_t)(now - before);
}

/* ---- contents ---- */

/// Copies from or to pieces, beginning at byte `offset` of them all.
static uint64_t transfer(const struct virtqueue_piece *pieces, uint32_t count, uint64_t offset, uint8_t *out,
                         const uint8_t *in, uint64_t size)
{
    uint64_t done = 0;
    for (uint32_t i = 0; i < count && done < size; i++) {
        const uint64_t length = pieces[i].size;
        if (offset >= length) {
            offset -= length;
            continue;
        }
        const uint64_t part = size - done < length - offset ? size - done : length - offset;
        if (out != NULL)
            dev_copy(out + done, pieces[i].data + offset, part);
        else
            dev_copy(pieces[i].data + offset, in + done, part);
        done += part;
        offset = 0;
    }
    return done;
}

uint64_t virtqueue_read(const struct virtqueue_chain *chain, uint64_t offset, void *to, uint64_t size)
{
    return transfer(chain->pieces, chain->readable, offset, to, NULL, size);
}

uint64_t virtqueue_write(const struct virtqueue_chain *chain, uint64_t offset, const void *from, uint64_t size)
{
    return transfer(chain->pieces + chain->readable, chain->count - chain->readable, offset, NULL, from, size);
}
