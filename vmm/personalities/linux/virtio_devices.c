// SPDX-License-Identifier: Apache-2.0
#include "virtio_devices.h"

#include "machine.h"
#include "options.h"

enum { DISK_DEVICE = 1, OVERLAY_DEFAULT = 16 << 20, PCI_MEMORY = 0xfe000000 };

static uint64_t taken;

const char *virtio_devices_plan(const struct pv_info *info)
{
    static char why[OPTIONS_WHY];
    struct virtio_devices *d = &machine.virtio;
    struct options options;
    if (!options_parse(info->args, &options, why))
        return why;
    d->disk_file = machine_module("disk");
    if (d->disk_file == NULL)
        return NULL;
    const uint64_t size = d->disk_file->size, table = overlay_table_size(size);
    const uint64_t wanted = options.overlay == OPTIONS_DEFAULT ? OVERLAY_DEFAULT : options.overlay;
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
    overlay_init(&d->overlay, (const void *)(uintptr_t)d->disk_file->address, size, pv_pool_pointer(slots),
                 pv_pool_pointer(copies), (uint32_t)capacity);
    return NULL;
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

void virtio_devices_make(void)
{
    const struct virtio_host host = {.memory = {.at = guest_memory}, .report = report, .wake = wake};
    struct virtio_devices *d = &machine.virtio;
    uint32_t next = PCI_MEMORY;
    if (d->disk_file != NULL) {
        virtio_blk_init(&d->disk, &d->overlay, &host);
        virtio_pci_init(&d->disk_pci, &d->disk.virtio, &machine.pci, DISK_DEVICE, send_message, &machine.bus);
    }
    pci_assign(&machine.pci, &next);
}

uint64_t virtio_devices_advance(uint64_t now)
{
    struct virtio_devices *d = &machine.virtio;
    bool more = false;
    if (d->disk_file != NULL)
        more = virtio_advance(&d->disk.virtio);
    return more ? now : DEV_NEVER;
}
