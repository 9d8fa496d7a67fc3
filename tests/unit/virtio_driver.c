// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/virtio_driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };
enum { CAP_VENDOR = 9, CAP_MSIX = 0x11 };

/* ---- the surroundings ---- */

static void *at(void *context, uint64_t address, uint64_t size)
{
    const struct driver *d = context;
    return address <= d->memory_size && size <= d->memory_size - address ? d->memory + address : NULL;
}

static void report(void *context, const char *text)
{
    struct driver *d = context;
    snprintf(d->report, sizeof(d->report), "%s", text);
    d->reports++;
}

static void wake(void *context)
{
    struct driver *d = context;
    d->wakes++;
}

static void set_pin(void *context, uint32_t number, bool high)
{
    struct driver *d = context;
    if (number == DRIVER_DEVICE)
        d->pin = high;
}

static void send(void *context, uint64_t address, uint32_t data)
{
    struct driver *d = context;
    if (address == 0xfee00000 && d->message_count < DRIVER_MESSAGES)
        d->messages[d->message_count++] = data;
}

struct virtio_host driver_host(struct driver *d, uint64_t memory_size)
{
    *d = (struct driver){.memory_size = memory_size, .allocated = DRIVER_PAGE};
    d->memory = aligned_alloc(DRIVER_PAGE, memory_size);
    if (d->memory == NULL)
        abort();
    memset(d->memory, 0, memory_size);
    pci_init(&d->pci, (struct dev_line){set_pin, d, 0});
    return (struct virtio_host){.memory = {at, d}, .report = report, .wake = wake, .context = d};
}

void driver_free(struct driver *d)
{
    free(d->memory);
}

/* ---- registers ---- */

uint64_t driver_get(const struct driver *d, uint64_t address, uint32_t size)
{
    uint64_t value;
    pci_memory_read(&d->pci, address, size, &value);
    return value;
}

void driver_put(struct driver *d, uint64_t address, uint32_t size, uint64_t value)
{
    pci_memory_write(&d->pci, address, size, value);
}

uint32_t driver_config_get(struct driver *d, uint32_t offset, uint32_t size)
{
    pci_write(&d->pci, 0xcf8, 4, 0x80000000U | DRIVER_DEVICE << 11 | (offset & 0xfc));
    return pci_read(&d->pci, (uint16_t)(0xcfc + (offset & 3)), size);
}

void driver_config_put(struct driver *d, uint32_t offset, uint32_t size, uint32_t value)
{
    pci_write(&d->pci, 0xcf8, 4, 0x80000000U | DRIVER_DEVICE << 11 | (offset & 0xfc));
    pci_write(&d->pci, (uint16_t)(0xcfc + (offset & 3)), size, value);
}

uint64_t driver_common(const struct driver *d, uint32_t field, uint32_t size)
{
    return driver_get(d, d->common + field, size);
}

void driver_set_common(struct driver *d, uint32_t field, uint32_t size, uint64_t value)
{
    driver_put(d, d->common + field, size, value);
}

static void take_capability(struct driver *d, uint32_t cap)
{
    const uint64_t place = d->bars[driver_config_get(d, cap + 4, 1) % PCI_BARS] + driver_config_get(d, cap + 8, 4);
    switch (driver_config_get(d, cap + 3, 1)) {
    case 1:
        d->common = place;
        break;
    case 2:
        d->notify = place;
        d->notify_multiplier = driver_config_get(d, cap + 16, 4);
        break;
    case 3:
        d->isr = place;
        break;
    case 4:
        d->config = place;
        d->config_size = driver_config_get(d, cap + 12, 4);
        break;
    default:
        break;
    }
}

bool driver_attach(struct driver *d, struct virtio *virtio)
{
    uint32_t next = 0xfe000000, caps = 0;
    virtio_pci_init(&d->device, virtio, &d->pci, DRIVER_DEVICE, send, d);
    pci_assign(&d->pci, &next);
    driver_config_put(d, 4, 2, 6); // memory, bus master
    for (uint32_t i = 0; i < PCI_BARS; i++)
        d->bars[i] = driver_config_get(d, 0x10 + 4 * i, 4) & ~15U;
    for (uint32_t cap = driver_config_get(d, 0x34, 1); cap != 0 && caps < 16; caps++) {
        if (driver_config_get(d, cap, 1) == CAP_VENDOR)
            take_capability(d, cap);
        if (driver_config_get(d, cap, 1) == CAP_MSIX)
            d->msix = cap;
        cap = driver_config_get(d, cap + 1, 1);
    }
    return d->common != 0 && d->notify != 0 && d->isr != 0 && d->msix != 0 && caps < 16;
}

/* ---- the driver ---- */

bool driver_negotiate(struct driver *d, uint64_t features)
{
    uint64_t offered = 0;
    driver_set_common(d, DRIVER_STATUS, 1, VIRTIO_ACKNOWLEDGE);
    driver_set_common(d, DRIVER_STATUS, 1, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    for (uint32_t half = 0; half < 2; half++) {
        driver_set_common(d, DRIVER_FEATURE_SELECT, 4, half);
        offered |= driver_common(d, DRIVER_OFFERED, 4) << 32 * half;
    }
    d->features = offered & features;
    for (uint32_t half = 0; half < 2; half++) {
        driver_set_common(d, DRIVER_ACCEPT_SELECT, 4, half);
        driver_set_common(d, DRIVER_ACCEPT, 4, d->features >> 32 * half & UINT32_MAX);
    }
    driver_set_common(d, DRIVER_STATUS, 1, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
    return (driver_common(d, DRIVER_STATUS, 1) & VIRTIO_FEATURES_OK) != 0;
}

uint64_t driver_alloc(struct driver *d, uint64_t size, uint64_t alignment)
{
    const uint64_t start = (d->allocated + alignment - 1) / alignment * alignment;
    if (start > d->memory_size || size > d->memory_size - start)
        abort();
    d->allocated = start + size;
    memset(d->memory + start, 0, size);
    return start;
}

void driver_queue(struct driver *d, uint32_t queue, uint16_t size)
{
    struct driver_queue *q = &d->queues[queue];
    *q = (struct driver_queue){.size = size, .free_count = size};
    q->descriptors = driver_alloc(d, 16U * size, 16);
    q->available = driver_alloc(d, 6U + 2U * size, 2);
    q->used = driver_alloc(d, 6U + 8U * size, 4);
    for (uint16_t i = 0; i < size; i++)
        q->next[i] = (uint16_t)(i + 1);
    driver_set_common(d, DRIVER_QUEUE, 2, queue);
    driver_set_common(d, DRIVER_QUEUE_SIZE, 2, size);
    driver_set_common(d, DRIVER_QUEUE_DESCRIPTORS, 4, q->descriptors);
    driver_set_common(d, DRIVER_QUEUE_DESCRIPTORS + 4, 4, 0);
    driver_set_common(d, DRIVER_QUEUE_AVAILABLE, 8, q->available);
    driver_set_common(d, DRIVER_QUEUE_USED, 8, q->used);
    driver_set_common(d, DRIVER_QUEUE_ENABLE, 2, 1);
}

void driver_msix(struct driver *d)
{
    const uint32_t count = (driver_config_get(d, (uint32_t)d->msix + 2, 2) & 0x7ff) + 1;
    const uint64_t table = d->bars[driver_config_get(d, (uint32_t)d->msix + 4, 4) & 7];
    driver_config_put(d, (uint32_t)d->msix + 2, 2, 0x8000);
    for (uint32_t i = 0; i < count; i++) {
        driver_put(d, table + 16ULL * i, 8, 0xfee00000);
        driver_put(d, table + 16ULL * i + 8, 8, i == 0 ? 200 : 99 + i);
        if (i > 0) {
            driver_set_common(d, DRIVER_QUEUE, 2, i - 1);
            driver_set_common(d, DRIVER_QUEUE_VECTOR, 2, i);
        }
    }
    driver_set_common(d, DRIVER_CONFIG_VECTOR, 2, 0);
}

void driver_start(struct driver *d, uint64_t features, uint16_t size)
{
    if (!driver_negotiate(d, features | VIRTIO_F_VERSION_1))
        abort();
    const uint32_t count = (uint32_t)driver_common(d, DRIVER_NUM_QUEUES, 2);
    for (uint32_t i = 0; i < count; i++)
        driver_queue(d, i, size);
    driver_set_common(d, DRIVER_STATUS, 1, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK);
}

/* ---- rings ---- */

static void put_word(struct driver *d, uint64_t address, uint16_t value)
{
    memcpy(d->memory + address, &value, sizeof(value));
}

static uint16_t get_word(const struct driver *d, uint64_t address)
{
    uint16_t value;
    memcpy(&value, d->memory + address, sizeof(value));
    return value;
}

static void put_descriptor(struct driver *d, uint64_t table, uint16_t index, uint64_t address, uint32_t length,
                           uint16_t flags, uint16_t next)
{
    const struct {
        uint64_t address;
        uint32_t length;
        uint16_t flags, next;
    } descriptor = {address, length, flags, next};
    memcpy(d->memory + table + 16ULL * index, &descriptor, sizeof(descriptor));
}

void driver_descriptor(struct driver *d, uint32_t queue, uint16_t index, uint64_t address, uint32_t length,
                       uint16_t flags, uint16_t next)
{
    put_descriptor(d, d->queues[queue].descriptors, index, address, length, flags, next);
}

void driver_offer(struct driver *d, uint32_t queue, uint16_t head)
{
    struct driver_queue *q = &d->queues[queue];
    put_word(d, q->available + 4 + 2ULL * (q->next_available % q->size), head);
    put_word(d, q->available + 2, ++q->next_available);
}

int driver_add(struct driver *d, uint32_t queue, const struct driver_piece *pieces, uint32_t out, uint32_t in,
               uint64_t indirect)
{
    struct driver_queue *q = &d->queues[queue];
    const uint32_t count = out + in, needed = indirect != 0 ? 1 : count;
    if (needed > q->free_count)
        return -1;
    const uint16_t head = q->free_head;
    for (uint32_t i = 0; i < count; i++) {
        const uint16_t index = indirect != 0 ? (uint16_t)i : q->free_head;
        const uint16_t next = indirect != 0 ? (uint16_t)(i + 1) : q->next[index];
        const uint16_t flags = (uint16_t)((i >= out ? WRITE : 0) | (i + 1 < count ? NEXT : 0));
        put_descriptor(d, indirect != 0 ? indirect : q->descriptors, index, pieces[i].address, pieces[i].size, flags,
                       next);
        if (indirect == 0) {
            q->free_head = next;
        }
    }
    if (indirect != 0) {
        put_descriptor(d, q->descriptors, head, indirect, 16 * count, INDIRECT, 0);
        q->free_head = q->next[head];
    }
    q->free_count = (uint16_t)(q->free_count - needed);
    q->length[head] = (uint16_t)needed;
    driver_offer(d, queue, head);
    return head;
}

void driver_kick(struct driver *d, uint32_t queue)
{
    struct driver_queue *q = &d->queues[queue];
    const uint16_t before = q->kicked, now = q->next_available;
    const uint16_t event = get_word(d, q->used + 4 + 8ULL * q->size);
    q->kicked = now;
    if ((d->features & VIRTIO_F_EVENT_IDX) != 0 ? (uint16_t)(now - event - 1) >= (uint16_t)(now - before)
                                                : (get_word(d, q->used) & 1) != 0)
        return;
    driver_put(d, d->notify + (uint64_t)d->notify_multiplier * queue, 2, queue);
}

int driver_take(struct driver *d, uint32_t queue, uint32_t *length)
{
    struct driver_queue *q = &d->queues[queue];
    if (get_word(d, q->used + 2) == q->next_used)
        return -1;
    uint32_t pair[2];
    memcpy(pair, d->memory + q->used + 4 + 8ULL * (q->next_used % q->size), sizeof(pair));
    q->next_used++;
    put_word(d, q->available + 4 + 2ULL * q->size, q->next_used); // the event: tell me of the next one
    *length = pair[1];
    const uint16_t head = (uint16_t)pair[0];
    uint16_t tail = head;
    for (uint16_t i = 1; i < q->length[head]; i++)
        tail = q->next[tail];
    q->next[tail] = q->free_head;
    q->free_head = head;
    q->free_count = (uint16_t)(q->free_count + q->length[head]);
    return head;
}
