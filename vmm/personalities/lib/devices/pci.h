// SPDX-License-Identifier: Apache-2.0
/*
 * PCI configuration space by ports 0xcf8 and 0xcfc (mechanism 1): one bus, device 0 is the host bridge. pci_function.c makes
 * functions with base addresses, capabilities and an interrupt.
 */
#ifndef POLYVISOR_DEVICES_PCI_H
#define POLYVISOR_DEVICES_PCI_H

#include "devices/device.h"

enum {
    PCI_ADDRESS_PORT = 0xcf8,
    PCI_DATA_PORT = 0xcfc,
    PCI_DATA_LAST = 0xcff,
    PCI_DEVICES = 32,
    PCI_CONFIG = 256,
    PCI_BARS = 6,
};

struct pci;

/// Registers of a function in memory: a base address register leads there.
struct pci_bar {
    uint32_t size; ///< a power of two; 0: there is none
    uint64_t (*read)(void *context, uint32_t offset, uint32_t size);
    void (*write)(void *context, uint32_t offset, uint32_t size, uint64_t value);
    void *context;
};

/// A device's function 0.
struct pci_function {
    uint8_t config[PCI_CONFIG];
    uint8_t writable[PCI_CONFIG];                                   ///< bits that the guest can change
    void (*reading)(void *context, uint32_t offset, uint32_t size); ///< before a read; may be NULL
    void (*changed)(void *context, uint32_t offset, uint32_t size); ///< after a write; may be NULL
    void *context;
    struct pci_bar bars[PCI_BARS];
    uint32_t capabilities_end; ///< where the next capability goes
    bool interrupt;            ///< INTx is wanted
    uint64_t reads, writes;    ///< of its registers in memory
    struct pci *bus;
    uint32_t device; ///< its number there
};

struct pci {
    uint32_t address;
    struct pci_function *devices[PCI_DEVICES];
    struct pci_function bridge;
    /// The interrupt pins (INTA) of the devices; dev_line.number is the device's number.
    struct dev_line pins;
    uint32_t asserted; ///< by device
};

/// A bus with the host bridge alone (Intel 440FX).
void pci_init(struct pci *pci, struct dev_line pins);

/// Accesses of 1, 2 or 4 bytes to ports 0xcf8 to 0xcff.
uint32_t pci_read(const struct pci *pci, uint16_t port, uint32_t size);
void pci_write(struct pci *pci, uint16_t port, uint32_t size, uint32_t value);

#endif
