// SPDX-License-Identifier: Apache-2.0
/*
 * A port of a virtual switch: who may send what, who gets it, and a ring for the frames that have come. Pure; host-tested. net.c
 * has the locks and the system calls.
 *
 * There is nothing to learn and nothing to forge: each port has one address for ever, and sends with that. A ring has an equal part
 * for each of the other ports, so that nobody can fill it for everybody.
 */
#ifndef POLYVISOR_NET_PORT_H
#define POLYVISOR_NET_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <polyvisor/net.h>
#include <polyvisor/ring.h>

enum {
    NET_PORTS = 16,        ///< of one switch
    NET_RING_SIZE = 65536, ///< bytes of frames that wait for a port's owner: a power of two
    NET_FRAME_OVERHEAD = 4,
};
_Static_assert(NET_RING_SIZE / (NET_PORTS - 1) >= PV_NET_FRAME_MAX + NET_FRAME_OVERHEAD,
               "everybody's part has room for a frame");

struct net_port {
    uint8_t address[PV_NET_ADDRESS_SIZE];
    uint32_t index; ///< on its switch
    uint32_t share; ///< bytes of the ring that each of the others may fill
    bool up;        ///< its owner runs
    struct pv_ring ring;
    uint32_t held[NET_PORTS]; ///< bytes in the ring, by sender
    uint32_t frames;          ///< in the ring
    struct pv_net_counters counters;
    char buffer[NET_RING_SIZE];
};

/// The address of a personality's port.
void net_address(uint32_t personality, uint8_t address[PV_NET_ADDRESS_SIZE]);

/// A port, down, of a switch with so many ports (2 to NET_PORTS, or 1, who then is alone).
void net_port_init(struct net_port *port, uint32_t personality, uint32_t index, uint32_t ports);

/// Its owner begins or ends: what was in the ring is forgotten, and counted as dropped.
void net_port_set(struct net_port *port, bool up);

/// Whether a port may send this: PV_OK, PV_ERR_INVALID (no frame has this size), PV_ERR_DENIED (not its source address).
int64_t net_may_send(const struct net_port *from, const uint8_t *frame, size_t size);

/// Whether a frame is for this port: its own address, or a group's.
bool net_is_for(const struct net_port *to, const uint8_t *frame);

/// Puts a frame that may be sent into the ring of a port that it is for, or counts that there was no room, or nobody. True: the ring
/// was empty, so that its owner has to be told.
bool net_put(struct net_port *to, const struct net_port *from, const uint8_t *frame, size_t size);

/// The size of the oldest frame, 0 when there is none.
size_t net_next(const struct net_port *port);

/// Takes the oldest frame out; `frame` has room for it. Returns its size, or 0.
size_t net_take(struct net_port *port, uint8_t *frame);

#endif
