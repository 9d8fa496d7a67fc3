// SPDX-License-Identifier: Apache-2.0
/*
 * A hostile line: any bytes, from somebody who pretends to be a debugger, and stops of the target at any moment. The address sanitizer
 * watches the buffers; what goes out are whole packets and acknowledgements; vcpus that the target is asked about are there.
 *
 * The byte 0xff followed by another one is a stop; all others are what comes. A '#' is followed by the right checksum.
 */
// links: vmm/personalities/monitor/gdb_commands.c vmm/personalities/monitor/gdb_packets.c
// links: vmm/personalities/monitor/gdb_registers.c vmm/personalities/lib/devices/page_walk.c
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/page_walk.h"
#include "vmm/personalities/monitor/gdb_protocol.h"

enum { VCPUS = 3, MEMORY = 8192, STOP = 0xff };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t memory[MEMORY];
static struct pv_guest_registers registers;

static void check(bool right, const char *what)
{
    if (!right) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

static void send(void *context, const char *bytes, size_t size)
{
    (void)context;
    if (size == 1) {
        check(bytes[0] == '+' || bytes[0] == '-', "neither a packet nor an acknowledgement");
        return;
    }
    check(size >= 4 && size <= GDB_PACKET + 4 && bytes[0] == '$' && bytes[size - 3] == '#', "no packet");
    check(memchr(bytes + 1, '$', size - 1) == NULL && memchr(bytes, '#', size - 3) == NULL, "a packet in a packet");
}

static size_t vcpus(void *context, uint32_t *list, size_t room)
{
    (void)context;
    for (uint32_t i = 0; i < VCPUS && i < room; i++)
        list[i] = 2 * i;
    return VCPUS;
}

static bool exists(uint32_t vcpu)
{
    return vcpu % 2 == 0 && vcpu < 2 * VCPUS;
}

static bool read_registers(void *context, uint32_t vcpu, struct pv_guest_registers *to)
{
    (void)context;
    *to = registers;
    return exists(vcpu);
}

static bool write_registers(void *context, uint32_t vcpu, const struct pv_guest_registers *from)
{
    (void)context;
    registers = *from;
    return exists(vcpu);
}

static bool physical(void *context, uint64_t gpa, void *bytes, size_t size)
{
    (void)context;
    if (gpa >= MEMORY || size > MEMORY - gpa)
        return false;
    memcpy(bytes, memory + gpa, size);
    return true;
}

static bool read_memory(void *context, uint32_t vcpu, uint64_t address, void *bytes, size_t size)
{
    const struct page_walk walk = {.cr0 = registers.cr0,
                                   .cr3 = registers.cr3,
                                   .cr4 = registers.cr4,
                                   .efer = registers.efer,
                                   .read = physical,
                                   .context = context};
    uint64_t gpa;
    check(size <= GDB_MEMORY_MAX, "more than a packet holds");
    return exists(vcpu) && page_walk(&walk, address, &gpa) && physical(context, gpa, bytes, size);
}

static bool write_memory(void *context, uint32_t vcpu, uint64_t address, const void *bytes, size_t size)
{
    (void)context;
    check(size <= GDB_MEMORY_MAX, "more than a packet holds");
    if (!exists(vcpu) || address >= MEMORY || size > MEMORY - address)
        return false;
    memcpy(memory + address, bytes, size);
    return true;
}

static bool go_on(void *context)
{
    (void)context;
    return true;
}

static bool step(void *context, uint32_t vcpu, bool alone)
{
    (void)context, (void)alone;
    return exists(vcpu);
}

static void nothing(void *context)
{
    (void)context;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gdb gdb;
    const struct gdb_target target = {.send = send,
                                      .vcpus = vcpus,
                                      .read_registers = read_registers,
                                      .write_registers = write_registers,
                                      .read_memory = read_memory,
                                      .write_memory = write_memory,
                                      .go_on = go_on,
                                      .step = step,
                                      .interrupt = nothing,
                                      .detached = nothing};
    gdb_init(&gdb, &target);
    memset(memory, 0, sizeof(memory));
    memset(&registers, 0, sizeof(registers));
    if (size > 0 && (data[0] & 1))
        registers = (struct pv_guest_registers){.cr0 = 0x80000001, .efer = data[0] & 2 ? 0x400 : 0};
    for (size_t i = 0; i < size; i++) {
        if (data[i] == STOP && i + 1 < size) {
            i++;
            gdb_stopped(&gdb, data[i] & 1 ? UINT32_MAX : data[i] >> 2, (enum pv_stop)(data[i] >> 1 & 1));
            continue;
        }
        const char byte = (char)data[i];
        gdb_receive(&gdb, &byte, 1);
        if (byte == '#') {
            char sum[3];
            snprintf(sum, sizeof(sum), "%02x", gdb.sum);
            gdb_receive(&gdb, sum, 2);
        }
    }
    gdb_remove_breakpoints(&gdb);
    return 0;
}
