// SPDX-License-Identifier: Apache-2.0
/// PCI functions: header, base addresses, capabilities, INTx. They are made once, before the guest runs.
#ifndef POLYVISOR_DEVICES_PCI_FUNCTION_H
#define POLYVISOR_DEVICES_PCI_FUNCTION_H

#include "devices/pci.h"

struct pci_identity {
    uint16_t vendor, device, subsystem_vendor, subsystem;
    uint32_t class_code; ///< base class, sub-class, programming interface
    uint8_t revision;
};

enum { PCI_CAP_HEADER = 2 };

/// A function with nothing but its header; puts it on the bus as device `device`.
void pci_function_init(struct pci_function *function, struct pci *bus, uint32_t device,
                       const struct pci_identity *identity);

/// A base address register for memory, 32 bits, not prefetchable. Accesses to the bar's functions lie in it as a whole.
void pci_function_bar(struct pci_function *function, uint32_t index, struct pci_bar bar);

/// Adds a capability: `size` bytes after its two bytes of header, and which bits of them can be written (NULL: none).
/// Returns the offset of its header.
uint32_t pci_function_capability(struct pci_function *function, uint8_t id, const void *body, const void *writable,
                                 uint32_t size);

/// What firmware does: gives each memory register that has none an address from *next on, lets the devices answer there, and
/// names their interrupt line (10 or 11 at the PIC) in the header.
void pci_assign(struct pci *pci, uint32_t *next);

/// Whether it may access the guest's memory and send messages (bus master enable).
bool pci_function_is_master(const struct pci_function *function);

/// Sets what the function wants of its interrupt pin; it appears there as far as the guest lets it.
void pci_function_interrupt(struct pci_function *function, bool wanted);

/// pci.c: the guest has written the command register.
void pci_function_update(struct pci_function *function);

/// Accesses of 1, 2, 4 or 8 bytes to memory. False: no function answers there (it reads as ones).
bool pci_memory_read(const struct pci *pci, uint64_t address, uint32_t size, uint64_t *value);
bool pci_memory_write(const struct pci *pci, uint64_t address, uint32_t size, uint64_t value);

/// The inputs that device `device` comes in at: of the I/O APIC (16 to 23), and of the PIC (10 or 11).
static inline uint32_t pci_ioapic_input(uint32_t device)
{
    return 16 + device % 8;
}
static inline uint32_t pci_pic_input(uint32_t device)
{
    return 10 + device % 2;
}

#endif
