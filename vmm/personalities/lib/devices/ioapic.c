// SPDX-License-Identifier: Apache-2.0
// Source: Intel, 82093AA data sheet (order 290566); the end-of-interrupt register: I/O Controller Hub 6 data sheet, 10.5.
#include "devices/ioapic.h"

enum { SELECT = 0x00, WINDOW = 0x10, END = 0x40 };
enum {
    REG_ID = 0,
    REG_VERSION = 1,
    REG_ARBITRATION = 2,
    REG_TABLE = 0x10,
    VERSION_VALUE = 0x20 | (IOAPIC_INPUTS - 1) << 16
};

#define ENTRY_LOGICAL (UINT64_C(1) << 11)
#define ENTRY_REMOTE (UINT64_C(1) << 14) ///< remote IRR: sent, not ended yet
#define ENTRY_LEVEL (UINT64_C(1) << 15)
#define ENTRY_MASKED (UINT64_C(1) << 16)
#define ENTRY_WRITABLE UINT64_C(0xff0000000001afff)

void ioapic_init(struct ioapic *ioapic, struct apic_bus *bus, uint32_t id)
{
    *ioapic = (struct ioapic){.bus = bus, .id = id};
    for (uint32_t i = 0; i < IOAPIC_INPUTS; i++)
        ioapic->entries[i] = ENTRY_MASKED;
}

static void send(struct ioapic *ioapic, uint32_t input)
{
    uint64_t *entry = &ioapic->entries[input];
    const uint32_t destination = (uint32_t)(*entry >> 56);
    const bool level = (*entry & ENTRY_LEVEL) != 0;
    const struct apic_message m = {
        .destination = destination == 0xff ? APIC_BROADCAST : destination,
        .logical = (*entry & ENTRY_LOGICAL) != 0,
        .level = level,
        .vector = (uint8_t)*entry,
        .mode = (enum apic_mode)(*entry >> 8 & 7),
    };
    if (level)
        *entry |= ENTRY_REMOTE;
    ioapic->sent++;
    apic_deliver(ioapic->bus, &m);
}

/// A level-triggered input that is asserted, not masked, and whose last interrupt has ended.
static void send_if_due(struct ioapic *ioapic, uint32_t input)
{
    const uint64_t entry = ioapic->entries[input];
    if ((entry & (ENTRY_LEVEL | ENTRY_MASKED | ENTRY_REMOTE)) == ENTRY_LEVEL && (ioapic->lines >> input & 1) != 0)
        send(ioapic, input);
}

void ioapic_set_line(struct ioapic *ioapic, uint32_t input, bool high)
{
    if (input >= IOAPIC_INPUTS)
        return;
    const uint32_t bit = UINT32_C(1) << input;
    const bool rises = high && (ioapic->lines & bit) == 0;
    ioapic->lines = high ? ioapic->lines | bit : ioapic->lines & ~bit;
    if ((ioapic->entries[input] & ENTRY_LEVEL) != 0)
        send_if_due(ioapic, input);
    else if (rises && (ioapic->entries[input] & ENTRY_MASKED) == 0)
        send(ioapic, input);
}

void ioapic_end(struct ioapic *ioapic, uint8_t vector)
{
    for (uint32_t i = 0; i < IOAPIC_INPUTS; i++) {
        uint64_t *entry = &ioapic->entries[i];
        if ((uint8_t)*entry != vector || (*entry & ENTRY_LEVEL) == 0)
            continue;
        *entry &= ~ENTRY_REMOTE;
        send_if_due(ioapic, i);
    }
}

static void write_entry(struct ioapic *ioapic, uint32_t reg, uint32_t value)
{
    const uint32_t input = (reg - REG_TABLE) / 2;
    if (input >= IOAPIC_INPUTS)
        return;
    uint64_t *entry = &ioapic->entries[input];
    const uint64_t kept = *entry & ENTRY_REMOTE;
    const uint64_t wanted =
        (reg & 1) == 0 ? (*entry & ~(uint64_t)UINT32_MAX) | value : (*entry & UINT32_MAX) | (uint64_t)value << 32;
    *entry = (wanted & ENTRY_WRITABLE) | kept;
    if ((*entry & ENTRY_LEVEL) == 0)
        *entry &= ~ENTRY_REMOTE;
    send_if_due(ioapic, input);
}

static uint32_t read_selected(const struct ioapic *ioapic)
{
    const uint32_t reg = ioapic->selected;
    if (reg == REG_ID || reg == REG_ARBITRATION)
        return ioapic->id << 24;
    if (reg == REG_VERSION)
        return VERSION_VALUE;
    if (reg < REG_TABLE || (reg - REG_TABLE) / 2 >= IOAPIC_INPUTS)
        return 0;
    const uint64_t entry = ioapic->entries[(reg - REG_TABLE) / 2];
    return (uint32_t)((reg & 1) == 0 ? entry : entry >> 32);
}

uint32_t ioapic_read(struct ioapic *ioapic, uint32_t offset)
{
    return offset == SELECT ? ioapic->selected : offset == WINDOW ? read_selected(ioapic) : 0;
}

void ioapic_write(struct ioapic *ioapic, uint32_t offset, uint32_t value)
{
    if (offset == SELECT)
        ioapic->selected = value & 0xff;
    else if (offset == END)
        ioapic_end(ioapic, (uint8_t)value);
    else if (offset == WINDOW && ioapic->selected == REG_ID)
        ioapic->id = value >> 24 & 15;
    else if (offset == WINDOW && ioapic->selected >= REG_TABLE)
        write_entry(ioapic, ioapic->selected, value);
}
