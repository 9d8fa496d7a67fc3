// SPDX-License-Identifier: Apache-2.0
// Source: VIRTIO 1.2, 2.1 (status), 2.2 (features), 3.1 (initialization).
#include "devices/virtio.h"

#include <polyvisor/format.h>

enum { REPORT_SIZE = 160 };
enum { DRIVER_BITS = VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_DRIVER_OK | VIRTIO_FEATURES_OK | VIRTIO_FAILED };

static void reset(struct virtio *v)
{
    v->status = 0;
    v->accepted = 0;
    v->unfinished = 0;
    for (uint32_t i = 0; i < VIRTIO_QUEUES; i++)
        v->queues[i] = (struct virtqueue){.memory = &v->host.memory, .size = v->kind->queue_size};
    if (v->kind->reset != NULL)
        v->kind->reset(v->device);
}

void virtio_init(struct virtio *v, const struct virtio_kind *kind, void *device, const struct virtio_host *host,
                 uint64_t features, const void *config, uint32_t config_size)
{
    *v = (struct virtio){.kind = kind,
                         .device = device,
                         .host = *host,
                         .offered = features | VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX,
                         .config = config,
                         .config_size = config_size};
    reset(v);
}

/* ---- messages ---- */

void virtio_report(struct virtio *v, const char *format, ...)
{
    char text[REPORT_SIZE];
    va_list args;
    if (v->reports >= VIRTIO_REPORTS)
        return; // a guest that provokes them shall not drown everything else
    const size_t name = pv_snprintf(text, sizeof(text), "%s: ", v->kind->name);
    va_start(args, format);
    pv_vsnprintf(text + name, sizeof(text) - name, format, args);
    va_end(args);
    v->host.report(v->host.context, text);
    if (++v->reports == VIRTIO_REPORTS)
        v->host.report(v->host.context, "further messages of this device are left out");
}

void virtio_break(struct virtio *v, uint32_t queue, const char *why)
{
    if ((v->status & VIRTIO_NEEDS_RESET) != 0)
        return;
    v->status |= VIRTIO_NEEDS_RESET;
    v->unfinished = 0;
    v->counters.broken++;
    virtio_report(v, "queue %u: %s; the device needs a reset by its driver", queue, why);
    if ((v->status & VIRTIO_DRIVER_OK) != 0)
        v->bus.changed(v->bus.context);
}

/* ---- what the driver does ---- */

bool virtio_is_ready(const struct virtio *v)
{
    const uint8_t good = VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK;
    return (v->status & (good | VIRTIO_NEEDS_RESET | VIRTIO_FAILED)) == good;
}

void virtio_accept(struct virtio *v, uint32_t half, uint32_t features)
{
    if ((v->status & VIRTIO_FEATURES_OK) != 0 || half > 1)
        return;
    v->accepted &= ~((uint64_t)UINT32_MAX << 32 * half);
    v->accepted |= (uint64_t)features << 32 * half;
}

/// A driver of the time before version 1.0, or one that accepts what was not offered, finds FEATURES_OK not set (3.1.1).
static bool features_are_good(const struct virtio *v)
{
    return (v->accepted & ~v->offered) == 0 && (v->accepted & VIRTIO_F_VERSION_1) != 0;
}

void virtio_write_status(struct virtio *v, uint8_t value)
{
    const bool was_ready = virtio_is_ready(v);
    if (value == 0) {
        reset(v);
        v->bus.reset(v->bus.context);
        return;
    }
    if (!features_are_good(v))
        value &= (uint8_t)~VIRTIO_FEATURES_OK;
    v->status |= value & DRIVER_BITS; // nothing but a reset takes bits away
    for (uint32_t i = 0; !was_ready && virtio_is_ready(v) && i < v->kind->queues; i++)
        virtio_serve(v, i);
}

void virtio_enable_queue(struct virtio *v, uint32_t queue)
{
    if (queue >= v->kind->queues || v->queues[queue].enabled)
        return;
    struct virtqueue *q = &v->queues[queue];
    q->event_index = (v->accepted & VIRTIO_F_EVENT_IDX) != 0;
    q->indirect = (v->accepted & VIRTIO_F_INDIRECT_DESC) != 0;
    const char *why =
        (v->status & VIRTIO_FEATURES_OK) == 0 ? "enabled before features were agreed upon" : virtqueue_enable(q);
    if (why != NULL)
        virtio_break(v, queue, why);
}

void virtio_notify(struct virtio *v, uint32_t queue)
{
    v->counters.notifications++;
    virtio_serve(v, queue);
}

/* ---- work on queues ---- */

void virtio_serve(struct virtio *v, uint32_t queue)
{
    v->unfinished &= queue < VIRTIO_QUEUES ? ~(UINT32_C(1) << queue) : UINT32_MAX;
    if (queue >= v->kind->queues || !v->queues[queue].enabled || !virtio_is_ready(v) ||
        !v->bus.may_access(v->bus.context))
        return;
    const bool more = v->kind->serve(v->device, queue);
    if (virtqueue_signals(&v->queues[queue])) {
        v->counters.interrupts++;
        v->bus.used(v->bus.context, queue);
    }
    if (!more || !virtio_is_ready(v))
        return;
    v->unfinished |= UINT32_C(1) << queue;
    if (v->host.wake != NULL)
        v->host.wake(v->host.context);
}

bool virtio_pop(struct virtio *v, uint32_t queue, struct virtqueue_chain *chain)
{
    const char *why;
    if (!v->queues[queue].enabled || !virtio_is_ready(v))
        return false;
    const int got = virtqueue_pop(&v->queues[queue], chain, &why);
    if (got < 0)
        virtio_break(v, queue, why);
    if (got <= 0)
        return false;
    v->counters.chains++;
    return true;
}

void virtio_push(struct virtio *v, uint32_t queue, const struct virtqueue_chain *chain, uint32_t written)
{
    v->counters.bytes_in += chain->readable_bytes;
    v->counters.bytes_out += written;
    virtqueue_push(&v->queues[queue], chain->head, written);
}

bool virtio_advance(struct virtio *v)
{
    const uint32_t again = v->unfinished;
    for (uint32_t i = 0; i < v->kind->queues; i++)
        if ((again >> i & 1) != 0)
            virtio_serve(v, i);
    return v->unfinished != 0;
}
