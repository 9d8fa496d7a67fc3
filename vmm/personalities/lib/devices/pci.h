// SPDX-License-Identifier: Apache-2.0
/// PCI configuration space by ports 0xcf8 and 0xcfc (mechanism 1): one bus, device 0 is the host bridge.
#ifndef POLYVISOR_DEVICES_PCI_H
#define POLYVISOR_DEVICES_PCI_H

#include "devices/device.h"

enum { PCI_ADDRESS_PORT = 0xcf8, PCI_DATA_PORT = 0xcfc, PCI_DATA_LAST = 0xcff, PCI_DEVICES = 32, PCI_CONFIG = 256 };

/// A device's function 0.
struct pci_function {
    uint8_t config[PCI_CONFIG];
    uint8_t writable[PCI_CONFIG];                                   ///< bits that the guest can change
    void (*changed)(void *context, uint32_t offset, uint32_t size); ///< after a write; may be NULL
    void *context;
};

struct pci {
    uint32_t address;
    struct pci_function *devices[PCI_DEVICES];
    struct pci_function bridge;
};

/// A bus with the host bridge alone (Intel 440FX).
void pci_init(struct pci *pci);

/// Accesses of 1, 2 or 4 bytes to ports 0xcf8 to 0xcff.
uint32_t pci_read(const struct pci *pci, uint16_t port, uint32_t size);
void pci_write(struct pci *pci, uint16_t port, uint32_t size, uint32_t value);

#endif
