// SPDX-License-Identifier: Apache-2.0
/// An I/O APIC with 24 inputs.
#ifndef POLYVISOR_DEVICES_IOAPIC_H
#define POLYVISOR_DEVICES_IOAPIC_H

#include "devices/lapic.h"

enum { IOAPIC_INPUTS = 24, IOAPIC_SIZE = 4096 };
#define IOAPIC_ADDRESS UINT64_C(0xfec00000)

struct ioapic {
    struct apic_bus *bus;
    uint32_t id;
    uint32_t selected;
    uint32_t lines;                  ///< levels of the inputs, asserted is 1 whatever their polarity
    uint64_t entries[IOAPIC_INPUTS]; ///< redirection table
    uint64_t sent;                   ///< interrupts
};

void ioapic_init(struct ioapic *ioapic, struct apic_bus *bus, uint32_t id);

/// An input changes its level.
void ioapic_set_line(struct ioapic *ioapic, uint32_t input, bool high);
/// A local APIC has ended a level-triggered interrupt.
void ioapic_end(struct ioapic *ioapic, uint8_t vector);

/// 32-bit accesses at an offset in its page.
uint32_t ioapic_read(struct ioapic *ioapic, uint32_t offset);
void ioapic_write(struct ioapic *ioapic, uint32_t offset, uint32_t value);

#endif
