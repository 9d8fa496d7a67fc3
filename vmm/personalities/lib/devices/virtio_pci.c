// SPDX-License-Identifier: Apache-2.0
// Source: VIRTIO 1.2, 4.1.3 (access sizes), 4.1.4 (structures), 4.1.5 (interrupts).
#include "devices/virtio_pci.h"

enum { VENDOR_VIRTIO = 0x1af4, DEVICE_BASE = 0x1040, REVISION = 1, CAP_ID_VENDOR = 9 };
enum { REGISTERS_BAR = 0, MSIX_BAR = 1 };

/// Where the structures are in the first BAR, and the types of the capabilities that tell so.
enum { COMMON = 0x0000, ISR = 0x1000, CONFIG = 0x2000, NOTIFY = 0x3000, BAR_SIZE = 0x4000, PAGE = 0x1000 };
enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4, CAP_PCI = 5 };
enum { COMMON_SIZE = 56, ISR_SIZE = 1, NOTIFY_EACH = 4 };
enum { ISR_QUEUE = 1, ISR_CONFIG = 2 };

/// Bytes of struct virtio_pci_cap after the PCI header (4.1.4), and the data behind it in that of CAP_PCI.
enum { CAP_LENGTH = 0, CAP_TYPE = 1, CAP_BAR = 2, CAP_OFFSET = 6, CAP_SIZE = 10, CAP_BODY = 14, CAP_EXTRA = 14 };

/// The common configuration structure (4.1.4.3).
enum {
    DEVICE_FEATURE_SELECT = 0,
    DEVICE_FEATURE = 4,
    DRIVER_FEATURE_SELECT = 8,
    DRIVER_FEATURE = 12,
    CONFIG_VECTOR = 16,
    NUM_QUEUES = 18,
    STATUS = 20,
    QUEUE_SELECT = 22,
    QUEUE_SIZE = 24,
    QUEUE_VECTOR = 26,
    QUEUE_ENABLE = 28,
    QUEUE_NOTIFY_OFFSET = 30,
    QUEUE_DESCRIPTORS = 32,
    QUEUE_AVAILABLE = 40,
    QUEUE_USED = 48,
};

static void put(uint8_t *at, uint32_t bytes, uint64_t value)
{
    for (uint32_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get(const uint8_t *at, uint32_t bytes)
{
    uint64_t value = 0;
    for (uint32_t i = 0; i < bytes; i++)
        value |= (uint64_t)at[i] << 8 * i;
    return value;
}

/* ---- interrupts ---- */

static void interrupt(struct virtio_pci *p, uint16_t vector, uint8_t cause)
{
    if (msix_enabled(&p->msix)) {
        if (vector != VIRTIO_NO_VECTOR)
            msix_raise(&p->msix, vector);
        return;
    }
    p->isr |= cause;
    pci_function_interrupt(&p->function, true);
}

static void used(void *context, uint32_t queue)
{
    struct virtio_pci *p = context;
    interrupt(p, p->vectors[queue], ISR_QUEUE);
}

static void changed(void *context)
{
    struct virtio_pci *p = context;
    interrupt(p, p->config_vector, ISR_CONFIG);
}

/// Reading tells why, and takes the interrupt back (4.1.4.5).
static uint8_t read_isr(struct virtio_pci *p)
{
    const uint8_t value = p->isr;
    p->isr = 0;
    pci_function_interrupt(&p->function, false);
    return value;
}

static void reset(void *context)
{
    struct virtio_pci *p = context;
    p->device_half = p->driver_half = 0;
    p->selected = 0;
    p->config_vector = VIRTIO_NO_VECTOR;
    for (uint32_t i = 0; i < VIRTIO_QUEUES; i++)
        p->vectors[i] = VIRTIO_NO_VECTOR;
    p->msix.pending = 0;
    read_isr(p);
}

static bool may_access(void *context)
{
    const struct virtio_pci *p = context;
    return pci_function_is_master(&p->function);
}

/* ---- the common structure ---- */

static struct virtqueue *selected_queue(struct virtio_pci *p)
{
    return p->selected < p->virtio->kind->queues ? &p->virtio->queues[p->selected] : NULL;
}

static void describe_queue(struct virtio_pci *p, uint8_t *image)
{
    const struct virtqueue *q = selected_queue(p);
    put(image + QUEUE_SELECT, 2, p->selected);
    put(image + QUEUE_VECTOR, 2, VIRTIO_NO_VECTOR);
    if (q == NULL)
        return; // a size of 0 says that there is no such queue
    put(image + QUEUE_SIZE, 2, q->size);
    put(image + QUEUE_VECTOR, 2, p->vectors[p->selected]);
    put(image + QUEUE_ENABLE, 2, q->enabled);
    put(image + QUEUE_NOTIFY_OFFSET, 2, p->selected);
    put(image + QUEUE_DESCRIPTORS, 8, q->descriptors_at);
    put(image + QUEUE_AVAILABLE, 8, q->available_at);
    put(image + QUEUE_USED, 8, q->used_at);
}

static uint64_t read_common(struct virtio_pci *p, uint32_t offset, uint32_t size)
{
    const struct virtio *v = p->virtio;
    uint8_t image[COMMON_SIZE] = {0};
    put(image + DEVICE_FEATURE_SELECT, 4, p->device_half);
    put(image + DEVICE_FEATURE, 4, p->device_half < 2 ? v->offered >> 32 * p->device_half : 0);
    put(image + DRIVER_FEATURE_SELECT, 4, p->driver_half);
    put(image + DRIVER_FEATURE, 4, p->driver_half < 2 ? v->accepted >> 32 * p->driver_half : 0);
    put(image + CONFIG_VECTOR, 2, p->config_vector);
    put(image + NUM_QUEUES, 2, v->kind->queues);
    image[STATUS] = v->status;
    describe_queue(p, image);
    return offset + size <= COMMON_SIZE ? get(image + offset, size) : 0;
}

/// A vector that the device does not have reads back as none (4.1.5.1.2).
static uint16_t usable_vector(const struct virtio_pci *p, uint64_t value)
{
    return value < p->msix.count ? (uint16_t)value : VIRTIO_NO_VECTOR;
}

/// Half of an address.
static void set_half(uint64_t *address, bool upper, uint32_t value)
{
    *address = upper ? (*address & UINT32_MAX) | (uint64_t)value << 32 : (*address & ~(uint64_t)UINT32_MAX) | value;
}

/// The fields of the selected queue, which can be written until it is enabled.
static void write_queue(struct virtio_pci *p, struct virtqueue *q, uint32_t offset, uint64_t value)
{
    const bool upper = (offset & 4) != 0;
    if (offset == QUEUE_VECTOR)
        p->vectors[p->selected] = usable_vector(p, value);
    else if (q->enabled)
        return;
    else if (offset == QUEUE_SIZE)
        q->size = (uint16_t)value;
    else if (offset == QUEUE_ENABLE && value == 1)
        virtio_enable_queue(p->virtio, p->selected);
    else if (offset >= QUEUE_USED)
        set_half(&q->used_at, upper, (uint32_t)value);
    else if (offset >= QUEUE_AVAILABLE)
        set_half(&q->available_at, upper, (uint32_t)value);
    else if (offset >= QUEUE_DESCRIPTORS)
        set_half(&q->descriptors_at, upper, (uint32_t)value);
}

/// The size of the field at an offset, by which alone it is to be written; 0: none, or it is read-only.
static uint32_t field_size(uint32_t offset)
{
    switch (offset) {
    case STATUS:
        return 1;
    case CONFIG_VECTOR:
    case QUEUE_SELECT:
    case QUEUE_SIZE:
    case QUEUE_VECTOR:
    case QUEUE_ENABLE:
        return 2;
    case DEVICE_FEATURE_SELECT:
    case DRIVER_FEATURE_SELECT:
    case DRIVER_FEATURE:
        return 4;
    default:
        return offset >= QUEUE_DESCRIPTORS && offset < COMMON_SIZE && offset % 4 == 0 ? 4 : 0;
    }
}

static void write_field(struct virtio_pci *p, uint32_t offset, uint64_t value)
{
    struct virtqueue *q = selected_queue(p);
    if (offset == DEVICE_FEATURE_SELECT)
        p->device_half = (uint32_t)value;
    else if (offset == DRIVER_FEATURE_SELECT)
        p->driver_half = (uint32_t)value;
    else if (offset == DRIVER_FEATURE)
        virtio_accept(p->virtio, p->driver_half, (uint32_t)value);
    else if (offset == CONFIG_VECTOR)
        p->config_vector = usable_vector(p, value);
    else if (offset == STATUS)
        virtio_write_status(p->virtio, (uint8_t)value);
    else if (offset == QUEUE_SELECT)
        p->selected = (uint16_t)value;
    else if (q != NULL)
        write_queue(p, q, offset, value);
}

/// 64-bit fields are written as two of 32 bits, or at once.
static void write_common(struct virtio_pci *p, uint32_t offset, uint32_t size, uint64_t value)
{
    if (size == 8 && offset >= QUEUE_DESCRIPTORS && offset % 8 == 0) {
        write_common(p, offset, 4, value & UINT32_MAX);
        write_common(p, offset + 4, 4, value >> 32);
    } else if (size == field_size(offset)) {
        write_field(p, offset, value);
    }
}

/* ---- the BAR ---- */

static uint64_t read_registers(void *context, uint32_t offset, uint32_t size)
{
    struct virtio_pci *p = context;
    const struct virtio *v = p->virtio;
    const uint32_t within = offset % PAGE;
    switch (offset - within) {
    case COMMON:
        return read_common(p, within, size);
    case ISR:
        return within == 0 ? read_isr(p) : 0;
    case CONFIG:
        return within + size <= v->config_size ? get((const uint8_t *)v->config + within, size) : 0;
    default:
        return 0;
    }
}

static void write_registers(void *context, uint32_t offset, uint32_t size, uint64_t value)
{
    struct virtio_pci *p = context;
    const uint32_t within = offset % PAGE;
    if (offset < ISR)
        write_common(p, within, size, value);
    else if (offset >= NOTIFY && within % NOTIFY_EACH == 0)
        virtio_notify(p->virtio, within / NOTIFY_EACH);
}

/* ---- configuration space ---- */

/// What the window (4.1.4.9) shows: false when the guest has made it show nothing.
static bool window(const struct virtio_pci *p, const struct pci_bar **bar, uint32_t *offset, uint32_t *size)
{
    const uint8_t *body = p->function.config + p->window + PCI_CAP_HEADER;
    *offset = (uint32_t)get(body + CAP_OFFSET, 4);
    *size = (uint32_t)get(body + CAP_SIZE, 4);
    if (body[CAP_BAR] >= PCI_BARS || (*size != 1 && *size != 2 && *size != 4) || *offset % *size != 0)
        return false;
    *bar = &p->function.bars[body[CAP_BAR]];
    return (*bar)->size != 0 && *offset < (*bar)->size;
}

static bool touches_window(const struct virtio_pci *p, uint32_t offset, uint32_t size)
{
    const uint32_t data = p->window + PCI_CAP_HEADER + CAP_EXTRA;
    return offset < data + 4 && offset + size > data;
}

static void reading(void *context, uint32_t offset, uint32_t size)
{
    struct virtio_pci *p = context;
    const struct pci_bar *bar;
    uint32_t at, bytes;
    if (touches_window(p, offset, size) && window(p, &bar, &at, &bytes))
        put(p->function.config + p->window + PCI_CAP_HEADER + CAP_EXTRA, bytes, bar->read(bar->context, at, bytes));
}

static void written(void *context, uint32_t offset, uint32_t size)
{
    struct virtio_pci *p = context;
    const struct pci_bar *bar;
    uint32_t at, bytes;
    if (touches_window(p, offset, size) && window(p, &bar, &at, &bytes))
        bar->write(bar->context, at, bytes, get(p->function.config + p->window + PCI_CAP_HEADER + CAP_EXTRA, bytes));
    msix_update(&p->msix);
}

static void add_structure(struct virtio_pci *p, uint8_t type, uint32_t offset, uint32_t size, uint32_t extra)
{
    uint8_t body[CAP_BODY + 4] = {0};
    const uint32_t bytes = type == CAP_NOTIFY ? CAP_BODY + 4 : CAP_BODY;
    body[CAP_LENGTH] = (uint8_t)(bytes + PCI_CAP_HEADER);
    body[CAP_TYPE] = type;
    body[CAP_BAR] = REGISTERS_BAR;
    put(body + CAP_OFFSET, 4, offset);
    put(body + CAP_SIZE, 4, size);
    put(body + CAP_EXTRA, 4, extra);
    pci_function_capability(&p->function, CAP_ID_VENDOR, body, NULL, bytes);
}

static void add_window(struct virtio_pci *p)
{
    uint8_t body[CAP_BODY + 4] = {0}, writable[CAP_BODY + 4] = {0};
    body[CAP_LENGTH] = sizeof(body) + PCI_CAP_HEADER;
    body[CAP_TYPE] = CAP_PCI;
    writable[CAP_BAR] = 0xff;
    memset(writable + CAP_OFFSET, 0xff, CAP_EXTRA + 4 - CAP_OFFSET);
    p->window = pci_function_capability(&p->function, CAP_ID_VENDOR, body, writable, sizeof(body));
}

void virtio_pci_init(struct virtio_pci *p, struct virtio *virtio, struct pci *bus, uint32_t device,
                     void (*send)(void *context, uint64_t address, uint32_t data), void *context)
{
    const struct virtio_kind *kind = virtio->kind;
    *p = (struct virtio_pci){.virtio = virtio};
    const struct pci_identity identity = {.vendor = VENDOR_VIRTIO,
                                          .device = (uint16_t)(DEVICE_BASE + kind->id),
                                          .subsystem_vendor = VENDOR_VIRTIO,
                                          .subsystem = (uint16_t)(DEVICE_BASE + kind->id),
                                          .class_code = kind->pci_class,
                                          .revision = REVISION};
    pci_function_init(&p->function, bus, device, &identity);
    pci_function_bar(&p->function, REGISTERS_BAR, (struct pci_bar){BAR_SIZE, read_registers, write_registers, p});
    msix_init(&p->msix, &p->function, MSIX_BAR, kind->queues + 1U, send, context);
    add_window(p);
    if (virtio->config_size != 0)
        add_structure(p, CAP_DEVICE, CONFIG, virtio->config_size, 0);
    add_structure(p, CAP_ISR, ISR, ISR_SIZE, 0);
    add_structure(p, CAP_NOTIFY, NOTIFY, NOTIFY_EACH * kind->queues, NOTIFY_EACH);
    add_structure(p, CAP_COMMON, COMMON, COMMON_SIZE, 0);
    p->function.reading = reading;
    p->function.changed = written;
    p->function.context = p;
    virtio->bus = (struct virtio_bus){used, changed, reset, may_access, p};
    reset(p);
}
