// SPDX-License-Identifier: Apache-2.0
#include "vmm/net_port.h"

#include <polyvisor/string.h>

/// Where the addresses stand in a frame (IEEE 802.3, 3.2), and the bit of the first byte that marks a group (3.2.3).
enum { DESTINATION = 0, SOURCE = PV_NET_ADDRESS_SIZE, GROUP = 1 };

/// In front of each frame in the ring.
struct header {
    uint16_t size, sender;
};
_Static_assert(sizeof(struct header) == NET_FRAME_OVERHEAD, "");

void net_address(uint32_t personality, uint8_t address[PV_NET_ADDRESS_SIZE])
{
    // Locally administered, one station's: the second and the first bit of the first byte.
    static const uint8_t prefix[] = {0x02, 'P', 'V', 0};
    memcpy(address, prefix, sizeof(prefix));
    address[4] = (uint8_t)(personality >> 8);
    address[5] = (uint8_t)personality;
}

void net_port_init(struct net_port *port, uint32_t personality, uint32_t index, uint32_t ports)
{
    memset(port, 0, sizeof(*port));
    net_address(personality, port->address);
    port->index = index;
    port->share = NET_RING_SIZE / (ports > 1 ? ports - 1 : 1);
    net_port_set(port, false);
}

void net_port_set(struct net_port *port, bool up)
{
    port->up = up;
    port->counters.dropped += port->frames;
    port->frames = 0;
    pv_ring_init(&port->ring, port->buffer, NET_RING_SIZE);
    memset(port->held, 0, sizeof(port->held));
}

int64_t net_may_send(const struct net_port *from, const uint8_t *frame, size_t size)
{
    if (size < PV_NET_FRAME_MIN || size > PV_NET_FRAME_MAX) {
        return PV_ERR_INVALID;
    }
    return memcmp(frame + SOURCE, from->address, PV_NET_ADDRESS_SIZE) == 0 ? PV_OK : PV_ERR_DENIED;
}

bool net_is_for(const struct net_port *to, const uint8_t *frame)
{
    return (frame[DESTINATION] & GROUP) != 0 || memcmp(frame + DESTINATION, to->address, PV_NET_ADDRESS_SIZE) == 0;
}

bool net_put(struct net_port *to, const struct net_port *from, const uint8_t *frame, size_t size)
{
    const struct header header = {(uint16_t)size, (uint16_t)from->index};
    const bool was_empty = pv_ring_used(&to->ring) == 0;
    const uint32_t bytes = (uint32_t)(sizeof(header) + size);
    if (!to->up || to->held[from->index] + bytes > to->share) {
        to->counters.dropped++;
        return false;
    }
    to->held[from->index] += bytes;
    to->frames++;
    pv_ring_write(&to->ring, (const char *)&header, sizeof(header));
    pv_ring_write(&to->ring, (const char *)frame, size);
    return was_empty;
}

/// The header of the oldest frame; its size is 0 when there is none.
static struct header oldest(const struct net_port *port)
{
    struct header header = {0};
    uint64_t position = port->ring.tail;
    if (pv_ring_used(&port->ring) != 0) {
        pv_ring_peek(&port->ring, &position, (char *)&header, sizeof(header));
    }
    return header;
}

size_t net_next(const struct net_port *port)
{
    return oldest(port).size;
}

size_t net_take(struct net_port *port, uint8_t *frame)
{
    struct header header = oldest(port);
    if (header.size == 0) {
        return 0;
    }
    pv_ring_read(&port->ring, (char *)&header, sizeof(header));
    pv_ring_read(&port->ring, (char *)frame, header.size);
    port->held[header.sender] -= (uint32_t)sizeof(header) + header.size;
    port->frames--;
    port->counters.received++;
    port->counters.bytes_received += header.size;
    return header.size;
}
