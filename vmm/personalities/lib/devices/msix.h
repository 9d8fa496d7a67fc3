// SPDX-License-Identifier: Apache-2.0
/// MSI-X of a PCI function: the capability, and a page of memory with the table and the pending bits.
#ifndef POLYVISOR_DEVICES_MSIX_H
#define POLYVISOR_DEVICES_MSIX_H

#include "devices/pci_function.h"

enum { MSIX_MAX = 8, MSIX_ENTRY = 16, MSIX_BAR_SIZE = 4096 };

struct msix {
    struct pci_function *function;
    void (*send)(void *context, uint64_t address, uint32_t data); ///< a message leaves
    void *context;
    uint32_t capability; ///< its offset in configuration space
    uint32_t count;
    uint32_t entries[MSIX_MAX][MSIX_ENTRY / 4]; ///< address, upper address, data, control
    uint32_t pending;                           ///< by vector
};

/// Adds the capability and the base address register `bar` to a function.
void msix_init(struct msix *msix, struct pci_function *function, uint32_t bar, uint32_t count,
               void (*send)(void *context, uint64_t address, uint32_t data), void *context);

/// Whether the guest uses messages and not the interrupt pin.
bool msix_enabled(const struct msix *msix);

/// Sends a vector's message, or keeps it pending as long as it is masked.
void msix_raise(struct msix *msix, uint32_t vector);

/// After a write to the function's configuration space: sends what is not masked any more.
void msix_update(struct msix *msix);

#endif
