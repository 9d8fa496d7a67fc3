// SPDX-License-Identifier: Apache-2.0
/*
 * What all virtio devices have in common, whatever bus they are on: status, features, queues, and what happens when the driver
 * breaks the rules. virtio_pci.c is the bus; virtio_blk.c and others are devices. Source: VIRTIO 1.2, chapter 2.
 */
#ifndef POLYVISOR_DEVICES_VIRTIO_H
#define POLYVISOR_DEVICES_VIRTIO_H

#include "devices/virtqueue.h"

enum { VIRTIO_QUEUES = 4, VIRTIO_REPORTS = 8 };

enum virtio_status { // 2.1
    VIRTIO_ACKNOWLEDGE = 1,
    VIRTIO_DRIVER = 2,
    VIRTIO_DRIVER_OK = 4,
    VIRTIO_FEATURES_OK = 8,
    VIRTIO_NEEDS_RESET = 64,
    VIRTIO_FAILED = 128,
};

#define VIRTIO_F_INDIRECT_DESC (UINT64_C(1) << 28)
#define VIRTIO_F_EVENT_IDX (UINT64_C(1) << 29)
#define VIRTIO_F_VERSION_1 (UINT64_C(1) << 32)

/// A kind of device.
struct virtio_kind {
    const char *name;
    uint16_t id; ///< chapter 5
    uint32_t pci_class;
    uint16_t queues;
    uint16_t queue_size; ///< at most VIRTQUEUE_MAX
    /// Works on a queue in which there may be buffers; gives back how it ended: true when buffers may be left although the
    /// device could go on. Does a bounded amount of work, at most a queue full of chains.
    bool (*serve)(void *device, uint32_t queue);
    void (*reset)(void *device); ///< forgets what it holds of queues; may be NULL
};

struct virtio_counters {
    uint64_t notifications; ///< from the driver
    uint64_t chains;        ///< taken from its queues
    uint64_t bytes_in;      ///< from the driver
    uint64_t bytes_out;     ///< to it
    uint64_t interrupts;
    uint64_t errors; ///< requests that failed
    uint64_t broken; ///< how often it needed a reset
};

/// Where a device meets its surroundings.
struct virtio_host {
    struct dev_memory memory;
    void (*report)(void *context, const char *text); ///< a message for the person who looks after the guest
    void (*wake)(void *context);                     ///< virtio_advance wants to be called; may be NULL
    void *context;
};

/// How the bus tells the driver.
struct virtio_bus {
    void (*used)(void *context, uint32_t queue); ///< buffers have been given back
    void (*changed)(void *context);              ///< the configuration (or the status) has changed
    void (*reset)(void *context);                ///< the driver has reset the device
    bool (*may_access)(void *context);           ///< whether the device may access memory
    void *context;
};

struct virtio {
    const struct virtio_kind *kind;
    void *device;
    struct virtio_host host;
    struct virtio_bus bus;
    uint64_t offered, accepted; ///< features
    const void *config;         ///< the device's own configuration, which drivers read
    uint32_t config_size;
    uint8_t status;
    uint32_t unfinished; ///< queues on which work goes on later
    uint32_t reports;
    struct virtqueue queues[VIRTIO_QUEUES];
    struct virtio_counters counters;
};

/// A device that has just been reset; `features` are those besides the ones all devices here have.
void virtio_init(struct virtio *v, const struct virtio_kind *kind, void *device, const struct virtio_host *host,
                 uint64_t features, const void *config, uint32_t config_size);

/* ---- for the bus ---- */

/// The driver writes the status; 0 resets the device.
void virtio_write_status(struct virtio *v, uint8_t value);
/// Half of the features that the driver accepts, from bit 32 * `half` on.
void virtio_accept(struct virtio *v, uint32_t half, uint32_t features);
/// The driver enables a queue that it has set up.
void virtio_enable_queue(struct virtio *v, uint32_t queue);
/// The driver has put buffers into a queue.
void virtio_notify(struct virtio *v, uint32_t queue);

/* ---- for devices ---- */

/// Whether the driver drives the device.
bool virtio_is_ready(const struct virtio *v);
/// Has the device work on a queue, since something has come from outside.
void virtio_serve(struct virtio *v, uint32_t queue);
/// The next chain of a queue. False: there is none.
bool virtio_pop(struct virtio *v, uint32_t queue, struct virtqueue_chain *chain);
/// Gives it back.
void virtio_push(struct virtio *v, uint32_t queue, const struct virtqueue_chain *chain, uint32_t written);
/// The driver has broken the rules: until it resets the device, nothing happens any more (2.1.2).
void virtio_break(struct virtio *v, uint32_t queue, const char *why);
/// A message about the device, at most VIRTIO_REPORTS of them.
void virtio_report(struct virtio *v, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- for whoever owns it ---- */

/// Goes on with what was too much for one time. True: it has to be called again.
bool virtio_advance(struct virtio *v);

#endif
