// SPDX-License-Identifier: Apache-2.0
/// A virtio device on the PCI bus, of version 1.0 and later (not transitional), with MSI-X or INTx. Source: VIRTIO 1.2, 4.1.
#ifndef POLYVISOR_DEVICES_VIRTIO_PCI_H
#define POLYVISOR_DEVICES_VIRTIO_PCI_H

#include "devices/msix.h"
#include "devices/virtio.h"

enum { VIRTIO_NO_VECTOR = 0xffff };

struct virtio_pci {
    struct virtio *virtio;
    struct pci_function function;
    struct msix msix;
    uint32_t window; ///< offset of the capability by which BARs are accessed from configuration space
    uint32_t device_half, driver_half;
    uint16_t selected; ///< queue
    uint16_t config_vector, vectors[VIRTIO_QUEUES];
    uint8_t isr;
};

/// Puts a device, which virtio_init has made, on the bus. `send` is how messages leave.
void virtio_pci_init(struct virtio_pci *p, struct virtio *virtio, struct pci *bus, uint32_t device,
                     void (*send)(void *context, uint64_t address, uint32_t data), void *context);

#endif
