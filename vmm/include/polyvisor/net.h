// SPDX-License-Identifier: Apache-2.0
/*
 * Virtual switches between personalities. The multiplexer copies frames from the sender's memory into a ring of its own for each
 * receiver, and from there into the receiver's: no memory is shared, nobody waits for anybody. docs/network.md tells more.
 */
#ifndef POLYVISOR_NET_H
#define POLYVISOR_NET_H

#include <stdint.h>

#include <polyvisor/abi.h>

/// Sizes, in bytes.
enum {
    PV_NET_ADDRESS_SIZE = 6, ///< an address
    PV_NET_FRAME_MIN = 14,   ///< a frame: the two addresses and the type
    PV_NET_FRAME_MAX = 1514, ///< and 1500 of contents; without the check sequence, which a copy needs not
};

/// Numbers after those of enum pv_vcpu_syscall.
enum pv_net_syscall {
    /// (frame, bytes): 0, whether anybody gets it or not. Sends a frame to the port that has its destination address, to all
    /// others of the switch when that is a group's.
    /// Errors: PV_ERR_DENIED: the configuration gives no port, or the source address is not the caller's own;
    /// PV_ERR_INVALID: no frame has that size; PV_ERR_FAULT: not the caller's memory.
    PV_SYS_NET_SEND = 24,
    /// (buffer, bytes): its size, or 0 when there is none. Takes the oldest frame that has come; to wait for the next one, wait for
    /// PV_EVENT_NET when this has answered 0.
    /// Errors: PV_ERR_DENIED: the configuration gives no port; PV_ERR_INVALID: the frame is larger than the buffer, and stays;
    /// PV_ERR_FAULT: not the caller's memory, and the frame stays.
    PV_SYS_NET_RECEIVE = 25,
};

/// What has gone through a port.
struct pv_net_counters {
    uint64_t sent;     ///< frames
    uint64_t received; ///< frames that its owner has taken
    uint64_t bytes_sent;
    uint64_t bytes_received;
    uint64_t dropped; ///< frames that came and found no room or nobody, or were left when their owner ended
    uint64_t forged;  ///< frames that were not sent because of their source address
    uint64_t unknown; ///< frames that were sent to an address that no other port of the switch has
};

/// A port (PV_DEBUG_NET).
struct pv_net_info {
    uint32_t personality;            ///< its owner
    uint32_t up;                     ///< 1: its owner runs
    uint64_t waiting;                ///< bytes in its ring
    struct pv_net_counters counters; ///< since the machine started
    uint8_t address[8];              ///< the first 6
    char name[PV_NAME_SIZE];         ///< of the personality
    char net[PV_NAME_SIZE];          ///< of the switch
};

#endif
