// SPDX-License-Identifier: Apache-2.0
// Source: PCI Local Bus Specification 3.0, 3.2.2.3.2 (mechanism 1), 6.1 (header).
#include "devices/pci.h"

#include "devices/pci_function.h"

enum { VENDOR = 0x00, DEVICE = 0x02, COMMAND = 0x04, STATUS = 0x06, CLASS = 0x0b };
enum { VENDOR_INTEL = 0x8086, DEVICE_440FX = 0x1237, CLASS_BRIDGE = 6 };
enum { BUS_SHIFT = 16, DEVICE_SHIFT = 11, FUNCTION_SHIFT = 8, REGISTER_MASK = 0xfc };
#define ADDRESS_ENABLE (UINT32_C(1) << 31)
#define ADDRESS_WRITABLE UINT32_C(0x80fffffc)

void pci_init(struct pci *pci, struct dev_line pins)
{
    *pci = (struct pci){.pins = pins};
    pci->devices[0] = &pci->bridge;
    pci->bridge.config[VENDOR] = (uint8_t)VENDOR_INTEL;
    pci->bridge.config[VENDOR + 1] = VENDOR_INTEL >> 8;
    pci->bridge.config[DEVICE] = (uint8_t)DEVICE_440FX;
    pci->bridge.config[DEVICE + 1] = DEVICE_440FX >> 8;
    pci->bridge.config[CLASS] = CLASS_BRIDGE;
}

/// The function that the address register selects, or NULL.
static struct pci_function *selected(const struct pci *pci)
{
    if ((pci->address & ADDRESS_ENABLE) == 0 || (pci->address >> BUS_SHIFT & 0xff) != 0 ||
        (pci->address >> FUNCTION_SHIFT & 7) != 0)
        return NULL;
    return pci->devices[pci->address >> DEVICE_SHIFT & 31];
}

/// All bits of an access of so many bytes.
static uint32_t ones(uint32_t size)
{
    return size >= 4 ? UINT32_MAX : (UINT32_C(1) << 8 * size) - 1;
}

uint32_t pci_read(const struct pci *pci, uint16_t port, uint32_t size)
{
    if (port == PCI_ADDRESS_PORT && size == 4)
        return pci->address;
    const struct pci_function *function = selected(pci);
    if (port < PCI_DATA_PORT || function == NULL)
        return ones(size);
    const uint32_t offset = (pci->address & REGISTER_MASK) + (port - PCI_DATA_PORT);
    uint32_t value = 0;
    if (function->reading != NULL)
        function->reading(function->context, offset, size);
    for (uint32_t i = 0; i < size && offset + i < PCI_CONFIG; i++)
        value |= (uint32_t)function->config[offset + i] << 8 * i;
    return value;
}

void pci_write(struct pci *pci, uint16_t port, uint32_t size, uint32_t value)
{
    if (port == PCI_ADDRESS_PORT && size == 4)
        pci->address = value & ADDRESS_WRITABLE;
    struct pci_function *function = selected(pci);
    if (port < PCI_DATA_PORT || function == NULL)
        return;
    const uint32_t offset = (pci->address & REGISTER_MASK) + (port - PCI_DATA_PORT);
    for (uint32_t i = 0; i < size && offset + i < PCI_CONFIG; i++) {
        const uint8_t mask = function->writable[offset + i];
        uint8_t *byte = &function->config[offset + i];
        *byte = (uint8_t)((*byte & ~mask) | (value >> 8 * i & mask));
    }
    if (offset < STATUS && offset + size > COMMAND)
        pci_function_update(function);
    if (function->changed != NULL)
        function->changed(function->context, offset, size);
}
