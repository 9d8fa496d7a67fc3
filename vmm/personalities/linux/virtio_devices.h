// SPDX-License-Identifier: Apache-2.0
/// The PC's virtio devices, as far as the configuration wants them.
#ifndef POLYVISOR_LINUX_VIRTIO_DEVICES_H
#define POLYVISOR_LINUX_VIRTIO_DEVICES_H

#include "devices/virtio_blk.h"
#include "devices/virtio_pci.h"
#include "personality.h"

struct virtio_devices {
    const struct pv_module *disk_file; ///< NULL: no disk
    struct overlay overlay;
    struct virtio_blk disk;
    struct virtio_pci disk_pci;
};

/// Takes memory for the devices from the pool, once, before the guest gets the rest. NULL, or what is wrong.
const char *virtio_devices_plan(const struct pv_info *info);

/// Bytes of the pool that the devices have.
uint64_t virtio_devices_memory(void);

/// Puts them on the bus, after power-on and after every reset; what is on the disk stays.
void virtio_devices_make(void);

/// Goes on with unfinished work. Returns when it wants to be called again.
uint64_t virtio_devices_advance(uint64_t now);

#endif
