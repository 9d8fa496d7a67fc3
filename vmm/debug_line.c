// SPDX-License-Identifier: Apache-2.0
#include "vmm/debug_line.h"

#include <polyvisor/ring.h>

#include "arch/x86/uart.h"
#include "vmm/debug_call.h"
#include "vmm/grants.h"
#include "vmm/lock.h"
#include "vmm/personality.h"
#include "vmm/user.h"

enum { RING_SIZE = 4096, CHUNK = 256, COM2_FIRST = 0x2f8, COM2_PORTS = 8 };

static struct lock lock;
static struct personality *owner; ///< NULL: closed
static char in_buffer[RING_SIZE], out_buffer[RING_SIZE];
static struct pv_ring in, out;
static bool wants_room;

/// Under the lock. Whether the owner has to hear of it.
static bool move_bytes(void)
{
    bool news = false;
    for (int c; (c = uart_get(UART_COM2)) >= 0;) {
        char byte = (char)c;
        pv_ring_write(&in, &byte, 1);
        news = true;
    }
    for (size_t room; pv_ring_used(&out) && (room = uart_transmit_room(UART_COM2)) > 0;) {
        char bytes[CHUNK];
        size_t size = pv_ring_read(&out, bytes, room < CHUNK ? room : CHUNK);
        for (size_t i = 0; i < size; i++) {
            uart_put(UART_COM2, bytes[i]);
        }
    }
    if (wants_room && pv_ring_room(&out) >= RING_SIZE / 2) {
        wants_room = false;
        news = true;
    }
    return news;
}

bool debug_line_poll(void)
{
    if (!__atomic_load_n(&owner, __ATOMIC_RELAXED)) {
        return false;
    }
    lock_take(&lock);
    struct personality *p = owner;
    bool news = p && move_bytes();
    lock_drop(&lock);
    if (news) {
        personality_signal(p, PV_EVENT_DEBUGGER);
    }
    return p;
}

static bool is_granted(void)
{
    for (uint32_t i = 0; i < personality_count; i++) {
        for (uint64_t port = COM2_FIRST; port < COM2_FIRST + COM2_PORTS; port++) {
            if (grants_allow_ports(personalities[i].config, port, 1)) {
                return true;
            }
        }
    }
    return false;
}

int64_t debug_line(const struct debug_call *call)
{
    if (call->a1 == 0) {
        lock_take(&lock);
        owner = NULL;
        lock_drop(&lock);
        return PV_OK;
    }
    if (is_granted()) {
        return PV_ERR_STATE;
    }
    lock_take(&lock);
    bool there = uart_init(UART_COM2);
    pv_ring_init(&in, in_buffer, RING_SIZE);
    pv_ring_init(&out, out_buffer, RING_SIZE);
    wants_room = false;
    owner = there ? agent_of(call->regs)->personality : NULL;
    lock_drop(&lock);
    if (there) {
        sched_poll_lines();
    }
    return there ? PV_OK : PV_ERR_NOT_FOUND;
}

int64_t debug_read_line(const struct debug_call *call)
{
    char bytes[CHUNK];
    lock_take(&lock);
    bool open = owner;
    size_t size = open ? pv_ring_read(&in, bytes, call->size < CHUNK ? call->size : CHUNK) : 0;
    lock_drop(&lock);
    if (!open) {
        return PV_ERR_STATE;
    }
    return user_write(call->buffer, bytes, size) ? (int64_t)size : PV_ERR_FAULT;
}

int64_t debug_write_line(const struct debug_call *call)
{
    char bytes[CHUNK];
    size_t size = call->size < CHUNK ? call->size : CHUNK;
    if (!user_read(bytes, call->buffer, size)) {
        return PV_ERR_FAULT;
    }
    lock_take(&lock);
    bool open = owner;
    size_t taken = open ? pv_ring_write_some(&out, bytes, size) : 0;
    if (open) {
        wants_room |= taken < size;
        move_bytes();
    }
    lock_drop(&lock);
    return open ? (int64_t)taken : PV_ERR_STATE;
}
