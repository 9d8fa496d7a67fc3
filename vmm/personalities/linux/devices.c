// SPDX-License-Identifier: Apache-2.0
#include "devices.h"

#include "machine.h"

static const struct {
    const char *name, *place;
} fixed[DEVICE_FIXED] = {
    [DEVICE_UART] = {"uart", "port 0x3f8, irq 4"},
    [DEVICE_PIC] = {"pic", "ports 0x20, 0xa0"},
    [DEVICE_PIT] = {"pit", "port 0x40, irq 0"},
    [DEVICE_RTC] = {"rtc", "port 0x70, irq 8"},
    [DEVICE_PM] = {"acpi-pm", "port 0x600"},
    [DEVICE_PVPANIC] = {"pvpanic", "port 0x505"},
    [DEVICE_PCI] = {"pci", "port 0xcf8"},
    [DEVICE_IOAPIC] = {"ioapic", "0xfec00000"},
    [DEVICE_NONE] = {"none", "other ports, other memory"},
    [DEVICE_MSR] = {"no msr", "#GP"},
    [DEVICE_INSTRUCTION] = {"not emulated", "#UD"},
};
static const char *const virtio_names[VIRTIO_DEVICES] = {
    [VIRTIO_DISK] = "virtio-blk",
    [VIRTIO_CONSOLE] = "virtio-console",
    [VIRTIO_ENTROPY] = "virtio-rng",
    [VIRTIO_NET] = "virtio-net",
};
_Static_assert(DEVICE_FIXED + VIRTIO_DEVICES + MAX_CPUS <= PV_MAX_DEVICES, "the table is large enough");

static struct pv_device unseen;
static struct pv_device *table, *virtio_rows[VIRTIO_DEVICES], *lapics;
static uint32_t isa_levels;

static struct pv_device *add(uint32_t *count, const char *name)
{
    struct pv_device *row = &table[(*count)++];
    pv_strcopy(row->name, sizeof(row->name), name);
    return row;
}

const char *devices_publish(void)
{
    uint32_t count = 0;
    if (table != NULL)
        return NULL;
    const uint64_t offset = pv_pool_alloc(PV_MAX_DEVICES * sizeof(*table), PV_PAGE_SIZE);
    if (offset == PV_POOL_FULL)
        return "no memory for the table of devices";
    table = pv_pool_pointer(offset);
    for (uint32_t i = 0; i < DEVICE_FIXED; i++)
        pv_strcopy(add(&count, fixed[i].name)->place, sizeof(table->place), fixed[i].place);
    for (uint32_t i = 0; i < VIRTIO_DEVICES; i++) {
        if (machine.virtio.wanted[i] == NULL)
            continue;
        virtio_rows[i] = add(&count, virtio_names[i]);
        pv_snprintf(virtio_rows[i]->place, sizeof(table->place), "pci 00:%02x.0",
                    machine.virtio.bus[i].function.device);
    }
    lapics = &table[count];
    for (uint32_t i = 0; i < machine.cpu_count; i++) {
        struct pv_device *row = add(&count, "");
        pv_snprintf(row->name, sizeof(row->name), "lapic %u", i);
        pv_strcopy(row->place, sizeof(row->place), "0xfee00000, MSRs 0x800");
    }
    return pv_devices(offset, count) < 0 ? "the table of devices is refused" : NULL;
}

struct pv_device *device_row(enum device_row row)
{
    return table != NULL && row < DEVICE_FIXED ? &table[row] : &unseen;
}

struct pv_device *device_lapic(uint32_t cpu)
{
    return table != NULL ? &lapics[cpu] : &unseen;
}

void devices_isa_line(uint32_t number, bool high)
{
    static const enum device_row owners[] = {[PIT_IRQ] = DEVICE_PIT, [UART_IRQ] = DEVICE_UART, [RTC_IRQ] = DEVICE_RTC};
    const uint32_t bit = UINT32_C(1) << number;
    if (high && (isa_levels & bit) == 0)
        device_row(owners[number])->interrupts++;
    isa_levels = high ? isa_levels | bit : isa_levels & ~bit;
}

void devices_update(void)
{
    for (uint32_t i = 0; i < VIRTIO_DEVICES && table != NULL; i++) {
        struct pv_device *row = virtio_rows[i];
        if (row == NULL)
            continue;
        const struct virtio_counters *counters = &machine.virtio.wanted[i]->counters;
        row->reads = machine.virtio.bus[i].function.reads;
        row->writes = machine.virtio.bus[i].function.writes;
        row->interrupts = counters->interrupts;
        row->bytes_in = counters->bytes_out; // the device's in and out are seen from its side
        row->bytes_out = counters->bytes_in;
    }
    device_row(DEVICE_IOAPIC)->interrupts = machine.ioapic.sent;
}
