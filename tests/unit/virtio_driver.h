// SPDX-License-Identifier: Apache-2.0
/// The driver's side of a virtio device, for tests: it does all that an operating system does, through configuration space, BARs
/// and memory alone, and keeps rings of its own.
#ifndef POLYVISOR_TESTS_VIRTIO_DRIVER_H
#define POLYVISOR_TESTS_VIRTIO_DRIVER_H

#include "devices/virtio_pci.h"

enum { DRIVER_QUEUES = 4, DRIVER_MESSAGES = 64, DRIVER_DEVICE = 3, DRIVER_PAGE = 4096 };

struct driver_queue {
    uint16_t size, free_head, free_count, next_available, next_used;
    uint16_t kicked;                       ///< next_available when it last thought of notifying
    uint64_t descriptors, available, used; ///< guest-physical
    uint16_t next[VIRTQUEUE_MAX];          ///< the list of free descriptors, and those of chains
    uint16_t length[VIRTQUEUE_MAX];        ///< descriptors of the chain that begins here
};

struct driver {
    struct pci pci;
    struct virtio_pci device;
    uint8_t *memory; ///< the guest's
    uint64_t memory_size, allocated;
    uint32_t bars[PCI_BARS];
    uint64_t common, isr, config, notify, msix; ///< where they are in memory
    uint32_t notify_multiplier, config_size;
    uint64_t features; ///< agreed upon
    bool pin;          ///< INTA
    uint32_t messages[DRIVER_MESSAGES], message_count;
    char report[256]; ///< the last message of the device
    uint32_t reports, wakes;
    struct driver_queue queues[DRIVER_QUEUES];
};

/// A piece of a buffer, in the guest's memory.
struct driver_piece {
    uint64_t address;
    uint32_t size;
};

/// Memory, a bus, and how a device reaches them.
struct virtio_host driver_host(struct driver *d, uint64_t memory_size);
/// Puts the device on the bus, and finds its structures as the specification says. False: they are not right.
bool driver_attach(struct driver *d, struct virtio *virtio);
void driver_free(struct driver *d);

/// Registers in memory.
uint64_t driver_get(const struct driver *d, uint64_t address, uint32_t size);
void driver_put(struct driver *d, uint64_t address, uint32_t size, uint64_t value);
/// Configuration space.
uint32_t driver_config_get(struct driver *d, uint32_t offset, uint32_t size);
void driver_config_put(struct driver *d, uint32_t offset, uint32_t size, uint32_t value);

/// Fields of the common structure, by their offset.
enum {
    DRIVER_FEATURE_SELECT = 0,
    DRIVER_OFFERED = 4,
    DRIVER_ACCEPT_SELECT = 8,
    DRIVER_ACCEPT = 12,
    DRIVER_CONFIG_VECTOR = 16,
    DRIVER_NUM_QUEUES = 18,
    DRIVER_STATUS = 20,
    DRIVER_QUEUE = 22,
    DRIVER_QUEUE_SIZE = 24,
    DRIVER_QUEUE_VECTOR = 26,
    DRIVER_QUEUE_ENABLE = 28,
    DRIVER_QUEUE_DESCRIPTORS = 32,
    DRIVER_QUEUE_AVAILABLE = 40,
    DRIVER_QUEUE_USED = 48,
};
uint64_t driver_common(const struct driver *d, uint32_t field, uint32_t size);
void driver_set_common(struct driver *d, uint32_t field, uint32_t size, uint64_t value);

/// Features up to FEATURES_OK. False: the device does not agree.
bool driver_negotiate(struct driver *d, uint64_t features);
/// Sets a queue up and enables it.
void driver_queue(struct driver *d, uint32_t queue, uint16_t size);
/// Switches MSI-X on: message 100 + i for queue i, 200 for changes.
void driver_msix(struct driver *d);
/// All of it: features, all queues with this size, DRIVER_OK.
void driver_start(struct driver *d, uint64_t features, uint16_t size);

/// Memory of the guest, zeroed.
uint64_t driver_alloc(struct driver *d, uint64_t size, uint64_t alignment);

/// Puts a chain of `out` readable and then `in` writable pieces into a queue; `indirect` is where its table goes, or 0. Returns its
/// head, or -1 when there are not enough descriptors. The driver must notify.
int driver_add(struct driver *d, uint32_t queue, const struct driver_piece *pieces, uint32_t out, uint32_t in,
               uint64_t indirect);
/// Notifies, if the device wants it.
void driver_kick(struct driver *d, uint32_t queue);
/// The next used chain: its head, or -1.
int driver_take(struct driver *d, uint32_t queue, uint32_t *length);

/// Raw access to a descriptor of the queue.
void driver_descriptor(struct driver *d, uint32_t queue, uint16_t index, uint64_t address, uint32_t length,
                       uint16_t flags, uint16_t next);
/// Makes a head available without a look at anything.
void driver_offer(struct driver *d, uint32_t queue, uint16_t head);

#endif
