// SPDX-License-Identifier: Apache-2.0
/// The PC's virtio devices, as far as the configuration wants them.
#ifndef POLYVISOR_LINUX_VIRTIO_DEVICES_H
#define POLYVISOR_LINUX_VIRTIO_DEVICES_H

#include "devices/virtio_blk.h"
#include "devices/virtio_console.h"
#include "devices/virtio_entropy.h"
#include "devices/virtio_net.h"
#include "devices/virtio_pci.h"
#include "personality.h"

enum { VIRTIO_DISK, VIRTIO_CONSOLE, VIRTIO_ENTROPY, VIRTIO_NET, VIRTIO_DEVICES };

struct options;

struct virtio_devices {
    struct virtio *wanted[VIRTIO_DEVICES]; ///< those that are there, by what they are
    struct virtio_pci bus[VIRTIO_DEVICES];
    struct overlay overlay;
    struct virtio_blk disk;
    struct virtio_console console;
    struct virtio_entropy entropy;
    struct virtio_net net;
};

/// Takes memory for the devices from the pool, once, before the guest gets the rest. NULL, or what is wrong.
const char *virtio_devices_plan(const struct options *options);

/// Bytes of the pool that the devices have.
uint64_t virtio_devices_memory(void);

/// Puts them on the bus, after power-on and after every reset; what is on the disk stays.
void virtio_devices_make(void);

/// Goes on with unfinished work, and has frames come in. Returns when it wants to be called again.
uint64_t virtio_devices_advance(uint64_t now);

/// Whether console input goes to the virtio console: when a driver drives it. How many bytes it has room for; one of them.
bool virtio_devices_take_input(void);
uint32_t virtio_devices_input_room(void);
void virtio_devices_receive(uint8_t byte);

/// An exit has come: at a time that depends on more than the guest.
void virtio_devices_sample(void);

#endif
