// SPDX-License-Identifier: Apache-2.0
#include "virtio_devices.h"

#include "machine.h"
#include "options.h"

enum { FIRST_DEVICE = 1, OVERLAY_DEFAULT = 16 << 20, PCI_MEMORY = 0xfe000000 };

static uint64_t taken;

/// The overlay's memory.
static const char *plan_disk(const struct pv_module *file, uint64_t wanted)
{
    static char why[OPTIONS_WHY];
    struct virtio_devices *d = &machine.virtio;
    const uint64_t size = file->size, table = overlay_table_size(size);
    uint64_t capacity = wanted / OVERLAY_BLOCK;
    if (capacity > table / sizeof(uint32_t))
        capacity = table / sizeof(uint32_t); // more than the disk has
    const uint64_t slots = pv_pool_alloc(table, PV_PAGE_SIZE);
    const uint64_t copies = pv_pool_alloc(capacity * OVERLAY_BLOCK, PV_PAGE_SIZE);
    if (slots == PV_POOL_FULL || copies == PV_POOL_FULL) {
        pv_snprintf(why, sizeof(why), "no memory for the disk's overlay of %luK",
                    (unsigned long)(capacity * (OVERLAY_BLOCK / 1024)));
        return why;
    }
    taken = table + capacity * OVERLAY_BLOCK + PV_PAGE_SIZE;
    overlay_init(&d->overlay, (const void *)(uintptr_t)file->address, size, pv_pool_pointer(slots),
                 pv_pool_pointer(copies), (uint32_t)capacity);
    return NULL;
}

const char *virtio_devices_plan(const struct options *options)
{
    struct virtio_devices *d = &machine.virtio;
    const struct pv_module *disk = machine_module("disk");
    d->wanted[VIRTIO_DISK] = disk != NULL ? &d->disk.virtio : NULL;
    d->wanted[VIRTIO_CONSOLE] = options->console ? &d->console.virtio : NULL;
    d->wanted[VIRTIO_ENTROPY] = options->entropy ? &d->entropy.virtio : NULL;
    d->wanted[VIRTIO_NET] = (machine.info->flags & PV_INFO_NET) != 0 ? &d->net.virtio : NULL;
    if (disk == NULL)
        return NULL;
    return plan_disk(disk, options->overlay == OPTIONS_DEFAULT ? OVERLAY_DEFAULT : options->overlay);
}

uint64_t virtio_devices_memory(void)
{
    return taken;
}

static void *guest_memory(void *context, uint64_t address, uint64_t size)
{
    (void)context;
    return pv_guest_pointer(&machine.memory, address, size);
}

static void report(void *context, const char *text)
{
    (void)context;
    console_flush(&machine.console);
    pv_printf("linux: %s\n", text);
}

/// The first processor's agent looks after deadlines.
static void wake(void *context)
{
    (void)context;
    machine.poll_at = 0;
    machine_wake(0);
}

static void send_message(void *context, uint64_t address, uint32_t data)
{
    apic_deliver_msi(context, address, data);
}

static void send_byte(void *context, uint8_t byte)
{
    console_put(context, (char)byte);
}

static void send_frame(void *context, const uint8_t *frame, uint32_t size)
{
    (void)context;
    pv_net_send(frame, size); // the switch may refuse it; a cable does not tell
}

static uint32_t receive_frame(void *context, uint8_t *frame)
{
    (void)context;
    const int64_t size = pv_net_receive(frame, VIRTIO_NET_FRAME);
    return size > 0 ? (uint32_t)size : 0;
}

void virtio_devices_make(void)
{
    static const struct virtio_net_link link = {.send = send_frame, .receive = receive_frame};
    const struct virtio_host host = {.memory = {.at = guest_memory}, .report = report, .wake = wake};
    struct virtio_devices *d = &machine.virtio;
    uint32_t next = PCI_MEMORY;
    if (d->wanted[VIRTIO_DISK] != NULL)
        virtio_blk_init(&d->disk, &d->overlay, &host);
    if (d->wanted[VIRTIO_CONSOLE] != NULL)
        virtio_console_init(&d->console, send_byte, &machine.console, &host);
    if (d->wanted[VIRTIO_ENTROPY] != NULL)
        virtio_entropy_init(&d->entropy, pv_tsc(), &host);
    if (d->wanted[VIRTIO_NET] != NULL)
        virtio_net_init(&d->net, machine.info->net_address, &link, &host);
    for (uint32_t i = 0; i < VIRTIO_DEVICES; i++)
        if (d->wanted[i] != NULL)
            virtio_pci_init(&d->bus[i], d->wanted[i], &machine.pci, FIRST_DEVICE + i, send_message, &machine.bus);
    pci_assign(&machine.pci, &next);
}

uint64_t virtio_devices_advance(uint64_t now)
{
    bool more = false;
    if (machine.virtio.wanted[VIRTIO_NET] != NULL)
        virtio_net_receive(&machine.virtio.net);
    for (uint32_t i = 0; i < VIRTIO_DEVICES; i++)
        if (machine.virtio.wanted[i] != NULL)
            more = virtio_advance(machine.virtio.wanted[i]) || more;
    return more ? now : DEV_NEVER;
}

bool virtio_devices_take_input(void)
{
    return machine.virtio.wanted[VIRTIO_CONSOLE] != NULL && virtio_is_ready(&machine.virtio.console.virtio);
}

uint32_t virtio_devices_input_room(void)
{
    return virtio_console_room(&machine.virtio.console);
}

void virtio_devices_receive(uint8_t byte)
{
    virtio_console_receive(&machine.virtio.console, &byte, 1);
}

void virtio_devices_sample(void)
{
    if (machine.virtio.wanted[VIRTIO_ENTROPY] != NULL)
        virtio_entropy_sample(&machine.virtio.entropy, pv_tsc());
}
