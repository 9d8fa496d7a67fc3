// SPDX-License-Identifier: Apache-2.0
// Source: PCI Local Bus Specification 3.0, 6.1 to 6.7.
#include "devices/pci_function.h"

/// Offsets in a header of type 0.
enum {
    VENDOR = 0x00,
    DEVICE = 0x02,
    COMMAND = 0x04,
    STATUS = 0x06,
    REVISION = 0x08,
    CLASS = 0x09,
    BAR = 0x10,
    SUBSYSTEM_VENDOR = 0x2c,
    SUBSYSTEM = 0x2e,
    CAPABILITIES = 0x34,
    INTERRUPT_LINE = 0x3c,
    INTERRUPT_PIN = 0x3d,
    HEADER_END = 0x40,
};

enum { COMMAND_MEMORY = 1 << 1, COMMAND_MASTER = 1 << 2, COMMAND_NO_INTX = 1 << 10 };
enum { STATUS_INTERRUPT = 1 << 3, STATUS_CAPABILITIES = 1 << 4, INTA = 1 };
enum { BAR_ADDRESS = ~15 };

static void put(uint8_t *at, uint32_t bytes, uint32_t value)
{
    for (uint32_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static uint32_t get(const uint8_t *at, uint32_t bytes)
{
    uint32_t value = 0;
    for (uint32_t i = 0; i < bytes; i++)
        value |= (uint32_t)at[i] << 8 * i;
    return value;
}

void pci_function_init(struct pci_function *function, struct pci *bus, uint32_t device,
                       const struct pci_identity *identity)
{
    *function = (struct pci_function){.bus = bus, .device = device, .capabilities_end = HEADER_END};
    uint8_t *config = function->config;
    put(config + VENDOR, 2, identity->vendor);
    put(config + DEVICE, 2, identity->device);
    put(config + SUBSYSTEM_VENDOR, 2, identity->subsystem_vendor);
    put(config + SUBSYSTEM, 2, identity->subsystem);
    put(config + CLASS, 3, identity->class_code);
    config[REVISION] = identity->revision;
    config[INTERRUPT_PIN] = INTA;
    put(function->writable + COMMAND, 2, COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_INTX);
    function->writable[INTERRUPT_LINE] = 0xff;
    bus->devices[device] = function;
}

void pci_function_bar(struct pci_function *function, uint32_t index, struct pci_bar bar)
{
    function->bars[index] = bar;
    put(function->writable + BAR + 4 * index, 4, ~(bar.size - 1) & (uint32_t)BAR_ADDRESS);
}

uint32_t pci_function_capability(struct pci_function *function, uint8_t id, const void *body, const void *writable,
                                 uint32_t size)
{
    uint8_t *config = function->config;
    const uint32_t at = function->capabilities_end;
    config[at] = id;
    config[at + 1] = config[CAPABILITIES]; // in front of the others
    config[CAPABILITIES] = (uint8_t)at;
    config[STATUS] |= STATUS_CAPABILITIES;
    memcpy(config + at + PCI_CAP_HEADER, body, size);
    if (writable != NULL)
        memcpy(function->writable + at + PCI_CAP_HEADER, writable, size);
    function->capabilities_end = (at + PCI_CAP_HEADER + size + 3) & ~3U;
    return at;
}

void pci_assign(struct pci *pci, uint32_t *next)
{
    for (uint32_t d = 1; d < PCI_DEVICES; d++) {
        struct pci_function *function = pci->devices[d];
        for (uint32_t i = 0; function != NULL && i < PCI_BARS; i++) {
            const uint32_t size = function->bars[i].size;
            if (size == 0)
                continue;
            *next = (*next + size - 1) & ~(size - 1);
            put(function->config + BAR + 4 * i, 4, *next);
            function->config[COMMAND] |= COMMAND_MEMORY;
            *next += size;
        }
        if (function != NULL)
            function->config[INTERRUPT_LINE] = (uint8_t)pci_pic_input(d);
    }
}

bool pci_function_is_master(const struct pci_function *function)
{
    return (function->config[COMMAND] & COMMAND_MASTER) != 0;
}

/* ---- INTx ---- */

void pci_function_update(struct pci_function *function)
{
    struct pci *bus = function->bus;
    if (bus == NULL)
        return; // the host bridge
    const uint32_t bit = UINT32_C(1) << function->device;
    const bool open = (get(function->config + COMMAND, 2) & COMMAND_NO_INTX) == 0;
    const bool high = function->interrupt && open;
    function->config[STATUS] &= (uint8_t)~STATUS_INTERRUPT;
    if (function->interrupt)
        function->config[STATUS] |= STATUS_INTERRUPT;
    if (high == ((bus->asserted & bit) != 0))
        return;
    bus->asserted ^= bit;
    if (bus->pins.set != NULL)
        bus->pins.set(bus->pins.context, function->device, high);
}

void pci_function_interrupt(struct pci_function *function, bool wanted)
{
    function->interrupt = wanted;
    pci_function_update(function);
}

/* ---- memory ---- */

/// The bar that an access lies in, whole; the offset in it. NULL: none.
static const struct pci_bar *find(const struct pci *pci, uint64_t address, uint32_t size, uint32_t *offset,
                                  struct pci_function **owner)
{
    for (uint32_t d = 0; d < PCI_DEVICES; d++) {
        struct pci_function *function = pci->devices[d];
        if (function == NULL || (function->config[COMMAND] & COMMAND_MEMORY) == 0)
            continue;
        for (uint32_t i = 0; i < PCI_BARS; i++) {
            const struct pci_bar *bar = &function->bars[i];
            const uint32_t base = get(function->config + BAR + 4 * i, 4) & (uint32_t)BAR_ADDRESS;
            if (bar->size == 0 || address < base || address - base >= bar->size || bar->size - (address - base) < size)
                continue;
            *offset = (uint32_t)(address - base);
            *owner = function;
            return bar;
        }
    }
    return NULL;
}

bool pci_memory_read(const struct pci *pci, uint64_t address, uint32_t size, uint64_t *value)
{
    uint32_t offset;
    struct pci_function *owner;
    const struct pci_bar *bar = find(pci, address, size, &offset, &owner);
    *value = UINT64_MAX;
    if (bar == NULL)
        return false;
    owner->reads++;
    *value = bar->read(bar->context, offset, size);
    return true;
}

bool pci_memory_write(const struct pci *pci, uint64_t address, uint32_t size, uint64_t value)
{
    uint32_t offset;
    struct pci_function *owner;
    const struct pci_bar *bar = find(pci, address, size, &offset, &owner);
    if (bar == NULL)
        return false;
    owner->writes++;
    bar->write(bar->context, offset, size, value);
    return true;
}
