// SPDX-License-Identifier: Apache-2.0
// Ports: those of devices again and again, and every port there is.
#include "scribble.h"

#include <polyvisor/string.h>

enum { KEYBOARD = 0x64, KEYBOARD_RESET = 0xfe, PORT_A = 0x92, PVPANIC = 0x505, PM_CONTROL_HIGH = 0x605, RESET = 0xcf9 };
enum { COM1 = 0x3f8, PCI_ADDRESS = 0xcf8, PCI_DATA = 0xcfc, MOST_STRING = 40 };

static const struct {
    uint16_t first, count;
} devices[] = {{0x20, 2}, {0xa0, 2},        {0x4d0, 2},  {0x40, 4},    {0x61, 1},     {0x70, 2},
               {COM1, 8}, {PCI_ADDRESS, 8}, {0x600, 12}, {PVPANIC, 1}, {KEYBOARD, 1}, {PORT_A, 1}};
enum { DEVICES = sizeof(devices) / sizeof(devices[0]) };

static uint32_t writes, reads, strings;

static uint8_t harmless_byte(uint16_t port, uint8_t value)
{
    if (port == KEYBOARD && value == KEYBOARD_RESET)
        return 0;
    if (port == PORT_A || port == PVPANIC)
        return value & 0xfe;
    if (port == RESET)
        return value & 0xfb;
    return port == PM_CONTROL_HIGH ? value & 0xdf : value; // without SLP_EN
}

uint32_t harmless(uint16_t port, uint32_t size, uint32_t value)
{
    uint32_t result = 0;
    if (port == PCI_ADDRESS && size == 4)
        return value; // the address, not the register at 0xcf9
    for (uint32_t i = 0; i < size; i++)
        result |= (uint32_t)harmless_byte((uint16_t)(port + i), (uint8_t)(value >> 8 * i)) << 8 * i;
    return result;
}

void port_access(uint16_t port, uint32_t size, bool write, uint32_t value)
{
    if (size == 1 && write)
        __asm__ volatile("outb %b0, %1" : : "a"(value), "Nd"(port));
    else if (size == 1)
        __asm__ volatile("inb %1, %b0" : "=a"(value) : "Nd"(port));
    else if (size == 2 && write)
        __asm__ volatile("outw %w0, %1" : : "a"(value), "Nd"(port));
    else if (size == 2)
        __asm__ volatile("inw %1, %w0" : "=a"(value) : "Nd"(port));
    else if (write)
        __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
    else
        __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
}

/// INS or OUTS, between the port and the arena, upwards or downwards.
static void string_access(uint16_t port, uint32_t size, bool write, uint32_t count)
{
    const uint64_t start = arena_address((uint64_t)size * (count + 1), 1);
    const bool down = one_in(4);
    uint64_t at = start + (down ? (uint64_t)size * count : 0), left = count;
    for (uint32_t i = 0; write && i <= count; i++) { // each element as an access by itself would be
        const uint32_t value = harmless(port, size, (uint32_t)any_value());
        memcpy((void *)(start + (uint64_t)i * size), &value, size);
    }
    if (down)
        __asm__ volatile("std");
    if (write && size == 1)
        __asm__ volatile("rep outsb" : "+S"(at), "+c"(left) : "d"(port) : "memory");
    else if (write && size == 2)
        __asm__ volatile("rep outsw" : "+S"(at), "+c"(left) : "d"(port) : "memory");
    else if (write)
        __asm__ volatile("rep outsl" : "+S"(at), "+c"(left) : "d"(port) : "memory");
    else if (size == 1)
        __asm__ volatile("rep insb" : "+D"(at), "+c"(left) : "d"(port) : "memory");
    else if (size == 2)
        __asm__ volatile("rep insw" : "+D"(at), "+c"(left) : "d"(port) : "memory");
    else
        __asm__ volatile("rep insl" : "+D"(at), "+c"(left) : "d"(port) : "memory");
    __asm__ volatile("cld");
    if (left != 0 || at != start + (down ? (uint64_t)size * count : 0) + (down ? -(uint64_t)size : size) * count)
        give_up("a string of %u elements ended with %lu left, at %#lx from %#lx", count, left, at, start);
    strings++;
}

static void count_access(uint16_t port, bool write)
{
    const uint32_t size = 1u << below(3);
    port_access(port, size, write, harmless(port, size, (uint32_t)any_value()));
    *(write ? &writes : &reads) += 1;
}

/// Configuration space, of functions that are there mostly.
static void configuration(void)
{
    const uint32_t address =
        0x80000000 | below(6) << 11 | (one_in(16) ? below(8) << 8 : 0) | (one_in(16) ? below(256) << 16 : 0);
    port_access(PCI_ADDRESS, 4, true, address | below(64) * 4);
    count_access((uint16_t)(PCI_DATA + below(4)), !one_in(3));
}

static void device_port(void)
{
    const uint32_t device = below(DEVICES + 4);
    if (device >= DEVICES) {
        configuration();
        return;
    }
    const uint16_t port = (uint16_t)(devices[device].first + below(devices[device].count));
    const bool write = !one_in(3) && (port != COM1 || one_in(8)); // what it writes there is shown
    if (one_in(64) && port != COM1)
        string_access(port, 1u << below(3), write, below(MOST_STRING));
    else
        count_access(port, write);
}

void scribble_ports(uint32_t rounds)
{
    writes = reads = strings = 0;
    for (uint32_t i = 0; i < rounds; i++) {
        device_port();
        if (one_in(32))
            let_interrupts_in();
    }
    pci_restore();
    say("ports: %u writes, %u reads, %u strings", writes, reads, strings);
}

/// Of each `step` groups of four ports one: at once, or in parts.
void scribble_all_ports(uint32_t first, uint32_t step)
{
    enum { GROUP = 4 };
    uint32_t ports = 0;
    writes = reads = 0;
    for (uint32_t group = first * GROUP; group < 0x10000; group += step * GROUP) {
        const uint32_t size = one_in(4) ? 1u << below(3) : GROUP;
        for (uint32_t i = 0; i < GROUP; i += size) {
            const uint16_t port = (uint16_t)(group + i);
            const bool write = one_in(2) && port != COM1;
            port_access(port, size, write, harmless(port, size, (uint32_t)any_value()));
            *(write ? &writes : &reads) += 1;
            ports += size;
        }
    }
    pci_restore();
    say("all ports: %u ports, %u writes, %u reads", ports, writes, reads);
}
