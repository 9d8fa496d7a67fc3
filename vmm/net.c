// SPDX-License-Identifier: Apache-2.0
#include "vmm/net.h"

#include <polyvisor/string.h>

#include "arch/x86/core.h"
#include "vmm/config.h"
#include "vmm/lock.h"
#include "vmm/net_port.h"
#include "vmm/sched.h"
#include "vmm/user.h"

_Static_assert((int)NET_PORTS == (int)CONFIG_MAX_NET_PORTS, "config_check counts them");

/// A port and its lock, which is held for at most one copy of a frame.
struct net_member {
    uint32_t group; ///< its switch: the number of the first personality there
    struct lock lock;
    struct net_port port;
};

static bool same_name(const struct personality *a, const struct personality *b)
{
    return a->config->net && b->config->net && strcmp(a->config->net, b->config->net) == 0;
}

/// Gives a port to a personality that is on a switch.
static void create(struct personality *p, struct net_member *member)
{
    uint32_t before = 0, ports = 0;
    member->group = p->id;
    for (uint32_t i = personality_count; i-- > 0;) {
        if (same_name(p, &personalities[i])) {
            member->group = i;
            ports++;
            before += i < p->id;
        }
    }
    net_port_init(&member->port, p->id, before, ports);
    p->net = member;
}

void net_create_all(void *(*allocate)(uint64_t size))
{
    for (uint32_t i = 0; i < personality_count; i++) {
        if (personalities[i].config->net) {
            create(&personalities[i], allocate(sizeof(struct net_member)));
        }
    }
}

static void set(struct personality *p, bool up)
{
    if (p->net) {
        lock_take(&p->net->lock);
        net_port_set(&p->net->port, up);
        lock_drop(&p->net->lock);
    }
}

void net_start(struct personality *p)
{
    set(p, true);
}

void net_stop(struct personality *p)
{
    set(p, false);
}

static void deliver(struct personality *to, const struct net_port *from, const uint8_t *frame, size_t size)
{
    lock_take(&to->net->lock);
    const bool tell = net_put(&to->net->port, from, frame, size);
    lock_drop(&to->net->lock);
    if (tell) {
        personality_signal(to, PV_EVENT_NET);
    }
}

/// Whether `to` gets what `p` sends there.
static bool hears(const struct personality *to, const struct personality *p, const uint8_t *frame)
{
    return to != p && to->net && to->net->group == p->net->group && net_is_for(&to->net->port, frame);
}

/// A frame to all that it is for. Returns how many they are, whether they have room or not.
static uint32_t distribute(const struct personality *p, const uint8_t *frame, size_t size)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < personality_count; i++) {
        if (hears(&personalities[i], p, frame)) {
            deliver(&personalities[i], &p->net->port, frame, size);
            found++;
        }
    }
    return found;
}

static void count(struct net_member *member, int64_t result, size_t size, uint32_t found)
{
    struct pv_net_counters *counters = &member->port.counters;
    lock_take(&member->lock); // its owner may have several agents
    counters->forged += result != PV_OK;
    counters->sent += result == PV_OK;
    counters->bytes_sent += result == PV_OK ? size : 0;
    counters->unknown += result == PV_OK && found == 0;
    lock_drop(&member->lock);
}

/// Only what never changes of the sender's own port is read without its lock.
int64_t net_send(struct regs *regs, uint64_t address, uint64_t size, uint64_t a2, uint64_t a3, uint64_t a4)
{
    (void)a2, (void)a3, (void)a4;
    struct personality *p = agent_of(regs)->personality;
    uint8_t frame[PV_NET_FRAME_MAX];
    if (!p->net) {
        return PV_ERR_DENIED;
    }
    if (size < PV_NET_FRAME_MIN || size > PV_NET_FRAME_MAX) {
        return PV_ERR_INVALID;
    }
    if (!user_read(frame, address, size)) {
        return PV_ERR_FAULT;
    }
    const int64_t result = net_may_send(&p->net->port, frame, size);
    const uint32_t found = result == PV_OK ? distribute(p, frame, size) : 0;
    count(p->net, result, size, found);
    if (result != PV_OK) {
        return result;
    }
    regs->rax = PV_OK;
    sched_settle(); // a signal may have woken somebody more important
    return (int64_t)regs->rax;
}

int64_t net_receive(struct regs *regs, uint64_t buffer, uint64_t size, uint64_t a2, uint64_t a3, uint64_t a4)
{
    (void)a2, (void)a3, (void)a4;
    struct personality *p = agent_of(regs)->personality;
    uint8_t frame[PV_NET_FRAME_MAX];
    if (!p->net) {
        return PV_ERR_DENIED;
    }
    if (size > PV_NET_FRAME_MAX) {
        size = PV_NET_FRAME_MAX;
    }
    if (!user_writable(p, buffer, size)) {
        return PV_ERR_FAULT; // before a frame is taken out that could not be delivered
    }
    lock_take(&p->net->lock);
    const bool fits = net_next(&p->net->port) <= size;
    const size_t got = fits ? net_take(&p->net->port, frame) : 0;
    lock_drop(&p->net->lock);
    if (!fits) {
        return PV_ERR_INVALID;
    }
    return user_write(buffer, frame, got) ? (int64_t)got : PV_ERR_FAULT;
}

bool net_info(struct personality *p, struct pv_net_info *info)
{
    if (!p->net) {
        return false;
    }
    *info = (struct pv_net_info){.personality = p->id, .up = p->net->port.up};
    pv_strcopy(info->name, sizeof(info->name), p->config->name);
    pv_strcopy(info->net, sizeof(info->net), p->config->net);
    lock_take(&p->net->lock);
    memcpy(info->address, p->net->port.address, PV_NET_ADDRESS_SIZE);
    info->waiting = pv_ring_used(&p->net->port.ring);
    info->counters = p->net->port.counters;
    lock_drop(&p->net->lock);
    return true;
}
