// SPDX-License-Identifier: Apache-2.0
#include "gdb_server.h"

#include "devices/page_walk.h"
#include "gdb_protocol.h"
#include "personality.h"
#include "query.h"
#include "terminal.h"

enum { CHUNK = 256, PAGE = 4096, SEND_SECONDS = 2, NOBODY = UINT32_MAX };

static struct gdb gdb;
static bool is_open, missed_event;
static uint32_t watched, stepping = NOBODY;

static uint64_t id_of(uint32_t vcpu)
{
    return PV_VCPU_ID(watched, vcpu);
}

/* ---- the line ---- */

/// Waits for room; who does not read for so long misses something, and asks again.
static void send(void *context, const char *bytes, size_t size)
{
    (void)context;
    const struct pv_info *info = (const struct pv_info *)PV_INFO_VA;
    const uint64_t deadline = pv_tsc() + SEND_SECONDS * info->tsc_hz;
    while (size > 0) {
        const int64_t taken = pv_debug(PV_DEBUG_LINE_WRITE, 0, 0, (void *)(uintptr_t)bytes, size);
        if (taken < 0)
            return;
        bytes += taken;
        size -= (size_t)taken;
        if (taken == 0) {
            missed_event = true; // whatever else it was about
            if (pv_event_wait(PV_EVENT_DEBUGGER, deadline) < 0)
                return;
        }
    }
}

/* ---- the target ---- */

static size_t list_vcpus(void *context, uint32_t *list, size_t room)
{
    (void)context;
    const struct pv_vcpu_info *vcpus;
    size_t left_out, count = 0;
    const size_t all = query_vcpus(&vcpus, &left_out);
    for (size_t i = 0; i < all; i++) {
        if (vcpus[i].personality != watched)
            continue;
        if (count < room)
            list[count] = vcpus[i].vcpu;
        count++;
    }
    return count;
}

static bool read_registers(void *context, uint32_t vcpu, struct pv_guest_registers *registers)
{
    (void)context;
    return pv_debug(PV_DEBUG_REGISTERS, id_of(vcpu), 0, registers, sizeof(*registers)) == PV_OK;
}

static bool write_registers(void *context, uint32_t vcpu, const struct pv_guest_registers *registers)
{
    (void)context;
    struct pv_guest_registers copy = *registers;
    return pv_debug(PV_DEBUG_SET_REGISTERS, id_of(vcpu), 0, &copy, sizeof(copy)) == PV_OK;
}

static bool read_physical(void *context, uint64_t gpa, void *bytes, size_t size)
{
    const uint32_t *vcpu = context;
    return pv_debug(PV_DEBUG_GUEST_READ, id_of(*vcpu), gpa, bytes, size) == PV_OK;
}

/// Page by page, as each is somewhere else.
static bool copy(uint32_t vcpu, uint64_t address, char *bytes, size_t size, enum pv_debug operation)
{
    struct pv_guest_registers registers;
    if (!read_registers(NULL, vcpu, &registers))
        return false;
    const struct page_walk walk = {.cr0 = registers.cr0,
                                   .cr3 = registers.cr3,
                                   .cr4 = registers.cr4,
                                   .efer = registers.efer,
                                   .read = read_physical,
                                   .context = &vcpu};
    while (size > 0) {
        const size_t rest = PAGE - address % PAGE, part = size < rest ? size : rest;
        uint64_t gpa;
        if (!page_walk(&walk, address, &gpa) || pv_debug(operation, id_of(vcpu), gpa, bytes, part) != PV_OK)
            return false;
        address += part;
        bytes += part;
        size -= part;
    }
    return true;
}

static bool read_memory(void *context, uint32_t vcpu, uint64_t address, void *bytes, size_t size)
{
    (void)context;
    return copy(vcpu, address, bytes, size, PV_DEBUG_GUEST_READ);
}

static bool write_memory(void *context, uint32_t vcpu, uint64_t address, const void *bytes, size_t size)
{
    (void)context;
    return copy(vcpu, address, (char *)(uintptr_t)bytes, size, PV_DEBUG_GUEST_WRITE);
}

static void arm_all(bool watch)
{
    uint32_t list[PV_MAX_VCPUS];
    pv_debug(PV_DEBUG_WATCH, watched, watch, NULL, 0);
    const size_t count = list_vcpus(NULL, list, PV_MAX_VCPUS);
    for (size_t i = 0; i < count && i < PV_MAX_VCPUS; i++)
        pv_debug(PV_DEBUG_ARM, id_of(list[i]), 0, NULL, 0);
}

static bool go_on(void *context)
{
    (void)context;
    return pv_debug(PV_DEBUG_RESUME, watched, 0, NULL, 0) == PV_OK;
}

static bool step(void *context, uint32_t vcpu, bool alone)
{
    (void)context;
    stepping = vcpu;
    return pv_debug(PV_DEBUG_STEP, id_of(vcpu), alone, NULL, 0) == PV_OK;
}

static void interrupt(void *context)
{
    (void)context;
    arm_all(true);
    pv_debug(PV_DEBUG_PAUSE, watched, 0, NULL, 0);
}

static void detached(void *context)
{
    (void)context;
    arm_all(false);
    go_on(NULL);
}

/* ---- events ---- */

static bool has_ended(void)
{
    const struct pv_personality_info *list;
    const size_t count = query_personalities_then(&list);
    for (size_t i = 0; i < count; i++)
        if (list[i].id == watched)
            return list[i].state != PV_STATE_RUNNING && list[i].state != PV_STATE_WAITING &&
                   list[i].state != PV_STATE_PAUSED;
    return true;
}

/// An INT3 of the guest's own is given to it. False: it is the debugger's.
static bool pass_own(uint32_t vcpu)
{
    struct pv_guest_registers registers;
    return read_registers(NULL, vcpu, &registers) && !gdb_has_breakpoint(&gdb, registers.rip) &&
           pv_debug(PV_DEBUG_PASS, id_of(vcpu), 0, NULL, 0) == PV_OK;
}

/// One stops while another one was to make a step: that is given up, or it would be taken for a stop when gdb has forgotten it.
static void tell_stop(uint32_t vcpu, enum pv_stop why)
{
    if (stepping != NOBODY && stepping != vcpu)
        pv_debug(PV_DEBUG_ARM, id_of(stepping), 0, NULL, 0);
    stepping = NOBODY;
    gdb_stopped(&gdb, vcpu, why);
}

static void look_for_stops(void)
{
    uint32_t list[PV_MAX_VCPUS];
    bool passed = false;
    if (has_ended()) {
        gdb_gone(&gdb);
        return;
    }
    const size_t count = list_vcpus(NULL, list, PV_MAX_VCPUS);
    for (size_t i = 0; i < count && i < PV_MAX_VCPUS; i++) {
        const int64_t why = pv_debug(PV_DEBUG_WHY_STOPPED, id_of(list[i]), 0, NULL, 0);
        if (why == PV_STOP_BREAKPOINT && pass_own(list[i])) {
            passed = true;
        } else if (why > PV_STOP_NONE) {
            tell_stop(list[i], (enum pv_stop)why);
            return;
        }
    }
    if (passed)
        go_on(NULL);
}

static void serve(void)
{
    char bytes[CHUNK];
    do {
        missed_event = false;
        int64_t got;
        while (is_open && (got = pv_debug(PV_DEBUG_LINE_READ, 0, 0, bytes, sizeof(bytes))) > 0)
            gdb_receive(&gdb, bytes, (size_t)got);
        if (is_open && gdb.running)
            look_for_stops();
    } while (missed_event);
}

int64_t gdb_server_open(uint32_t personality)
{
    const struct gdb_target target = {.send = send,
                                      .vcpus = list_vcpus,
                                      .read_registers = read_registers,
                                      .write_registers = write_registers,
                                      .read_memory = read_memory,
                                      .write_memory = write_memory,
                                      .go_on = go_on,
                                      .step = step,
                                      .interrupt = interrupt,
                                      .detached = detached};
    gdb_server_close();
    const int64_t result = pv_debug(PV_DEBUG_LINE, 1, 0, NULL, 0);
    if (result != PV_OK)
        return result;
    gdb_init(&gdb, &target);
    watched = personality;
    is_open = true;
    terminal_serve_debugger(serve);
    return PV_OK;
}

void gdb_server_close(void)
{
    if (!is_open)
        return;
    gdb_remove_breakpoints(&gdb);
    if (gdb.connected)
        detached(NULL);
    is_open = false;
    pv_debug(PV_DEBUG_LINE, 0, 0, NULL, 0);
}

bool gdb_server_personality(uint32_t *personality)
{
    *personality = watched;
    return is_open;
}
