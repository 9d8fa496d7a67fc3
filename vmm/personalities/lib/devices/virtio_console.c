// SPDX-License-Identifier: Apache-2.0
// Source: VIRTIO 1.2, 5.3.2 (queues), 5.3.6 (operation).
#include "devices/virtio_console.h"

enum { ID = 3, CLASS_COMMUNICATION = 0x078000, QUEUE_SIZE = 64 };
enum { RECEIVE = 0, TRANSMIT = 1, BUDGET = 4096, PIECE = 64 };

/// Sends of the present chain what the budget allows; whether it has all been sent.
static bool send_some(struct virtio_console *c, uint32_t *budget)
{
    uint8_t bytes[PIECE];
    while (c->sent < c->output.readable_bytes && *budget > 0) {
        const uint32_t most = *budget < PIECE ? *budget : PIECE;
        const uint32_t count = (uint32_t)virtqueue_read(&c->output, c->sent, bytes, most);
        for (uint32_t i = 0; i < count; i++)
            c->send(c->context, bytes[i]);
        c->sent += count;
        *budget -= count;
    }
    return c->sent == c->output.readable_bytes;
}

static bool transmit(struct virtio_console *c)
{
    uint32_t budget = BUDGET;
    for (uint32_t i = 0; i < QUEUE_SIZE; i++) {
        if (!c->sending) {
            if (!virtio_pop(&c->virtio, TRANSMIT, &c->output))
                return false;
            c->sent = 0;
        }
        c->sending = !send_some(c, &budget);
        if (c->sending)
            return true;
        virtio_push(&c->virtio, TRANSMIT, &c->output, 0);
    }
    return true;
}

/// A buffer is given back with what is there, full or not.
static bool receive(struct virtio_console *c)
{
    struct virtqueue_chain chain;
    for (uint32_t i = 0; i < QUEUE_SIZE && c->waiting > 0; i++) {
        if (!virtio_pop(&c->virtio, RECEIVE, &chain))
            return false;
        const uint32_t count = (uint32_t)virtqueue_write(&chain, 0, c->input, c->waiting);
        c->waiting -= count;
        memmove(c->input, c->input + count, c->waiting);
        virtio_push(&c->virtio, RECEIVE, &chain, count);
    }
    return c->waiting > 0;
}

static bool serve(void *device, uint32_t queue)
{
    return queue == TRANSMIT ? transmit(device) : receive(device);
}

static void reset(void *device)
{
    struct virtio_console *c = device;
    c->sending = false;
    c->waiting = 0;
}

uint32_t virtio_console_room(const struct virtio_console *c)
{
    return virtio_is_ready(&c->virtio) ? VIRTIO_CONSOLE_INPUT - c->waiting : 0;
}

void virtio_console_receive(struct virtio_console *c, const uint8_t *bytes, uint32_t count)
{
    const uint32_t room = virtio_console_room(c), taken = count < room ? count : room;
    memcpy(c->input + c->waiting, bytes, taken);
    c->waiting += taken;
    virtio_serve(&c->virtio, RECEIVE);
}

void virtio_console_init(struct virtio_console *c, void (*send)(void *context, uint8_t byte), void *context,
                         const struct virtio_host *host)
{
    static const struct virtio_kind kind = {.name = "virtio-console",
                                            .id = ID,
                                            .pci_class = CLASS_COMMUNICATION,
                                            .queues = 2,
                                            .queue_size = QUEUE_SIZE,
                                            .serve = serve,
                                            .reset = reset};
    *c = (struct virtio_console){.send = send, .context = context};
    virtio_init(&c->virtio, &kind, c, host, 0, NULL, 0);
}
