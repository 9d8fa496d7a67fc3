// SPDX-License-Identifier: Apache-2.0
// Who gets an interrupt: destinations, lowest priority, IPIs. Source: Intel SDM Vol. 3A 11.6.
#include "devices/lapic.h"

enum {
    LOGICAL = 1 << 11,
    ASSERT = 1 << 14,
    LEVEL = 1 << 15,
    SHORTHAND_SHIFT = 18,
    TO_NAMED = 0,
    TO_SELF = 1,
    TO_ALL = 2,
    TO_OTHERS = 3,
    FLAT = 15, ///< the destination format's model
};

static bool logical_match(const struct lapic *lapic, uint32_t destination)
{
    if (lapic_is_x2apic(lapic)) {
        const uint32_t own = (lapic->id & 0xffff0) << 12 | UINT32_C(1) << (lapic->id & 15);
        return own >> 16 == destination >> 16 && (own & destination & 0xffff) != 0;
    }
    const uint32_t own = lapic->logical >> 24;
    if (lapic->format >> 28 == FLAT)
        return (own & destination & 0xff) != 0;
    return own >> 4 == (destination >> 4 & 15) && (own & destination & 15) != 0;
}

static bool match(const struct lapic *lapic, const struct apic_message *m)
{
    if (m->destination == APIC_BROADCAST)
        return true;
    return m->logical ? logical_match(lapic, m->destination) : lapic->id == m->destination;
}

/// Whether a processor waits for a start-up IPI, or is about to: then it hears nothing else.
static bool is_deaf(const struct lapic *lapic)
{
    return lapic->init || (lapic->waits_for_startup && !lapic->startup);
}

/// To one local APIC.
static void deliver_to(struct apic_bus *bus, uint32_t index, const struct apic_message *m)
{
    struct lapic *lapic = bus->lapics[index];
    switch (m->mode) {
    case APIC_FIXED:
    case APIC_LOWEST:
        lapic_raise(lapic, m->vector, m->level);
        break;
    case APIC_NMI:
        if (is_deaf(lapic))
            return;
        lapic->nmi = true;
        break;
    case APIC_INIT:
        lapic->init = true;
        lapic->startup = false;
        break;
    case APIC_STARTUP:
        if (!is_deaf(lapic) || lapic->startup)
            return;
        lapic->startup = true;
        lapic->startup_vector = m->vector;
        break;
    default: // SMI: there is no SMM; ExtINT: the PIC's interrupts go by lapic_passes_extint
        return;
    }
    if (bus->wake != NULL)
        bus->wake(bus->context, index);
}

/// The one with the lowest priority among those that are meant and enabled; of equals the first after the last chosen.
static void deliver_to_lowest(struct apic_bus *bus, const struct apic_message *m)
{
    int best = -1;
    uint32_t best_priority = UINT32_MAX;
    for (uint32_t i = 0; i < bus->count; i++) {
        const struct lapic *lapic = bus->lapics[i];
        if (!match(lapic, m) || !lapic_enabled(lapic))
            continue;
        const uint32_t priority = lapic_processor_priority(lapic);
        if (priority < best_priority) {
            best = (int)i;
            best_priority = priority;
        }
    }
    if (best >= 0)
        deliver_to(bus, (uint32_t)best, m);
}

void apic_deliver(struct apic_bus *bus, const struct apic_message *message)
{
    if (message->mode == APIC_LOWEST) {
        deliver_to_lowest(bus, message);
        return;
    }
    for (uint32_t i = 0; i < bus->count; i++)
        if (match(bus->lapics[i], message))
            deliver_to(bus, i, message);
}

void apic_deliver_msi(struct apic_bus *bus, uint64_t address, uint32_t data)
{
    enum { HINT = 1 << 3, DESTINATION_MODE = 1 << 2, LEVEL_TRIGGERED = 1 << 15 };
    if ((address & ~UINT64_C(0xfffff)) != LAPIC_ADDRESS)
        return;
    const uint32_t destination = (uint32_t)(address >> 12 & 0xff);
    struct apic_message m = {
        .destination = destination == 0xff ? APIC_BROADCAST : destination,
        .logical = (address & DESTINATION_MODE) != 0,
        .level = (data & LEVEL_TRIGGERED) != 0,
        .vector = (uint8_t)data,
        .mode = (enum apic_mode)(data >> 8 & 7),
    };
    // A redirection hint with a logical destination: to one of those that are meant.
    if (m.mode == APIC_FIXED && m.logical && (address & HINT) != 0)
        m.mode = APIC_LOWEST;
    apic_deliver(bus, &m);
}

static void deliver_to_others(const struct lapic *sender, const struct apic_message *m)
{
    struct apic_bus *bus = sender->bus;
    for (uint32_t i = 0; i < bus->count; i++)
        if (bus->lapics[i] != sender)
            deliver_to(bus, i, m);
}

/// The interrupt command register has been written.
void lapic_send(struct lapic *lapic)
{
    const uint32_t low = lapic->icr_low;
    struct apic_message m = {
        .destination = lapic_is_x2apic(lapic) ? lapic->icr_high : lapic->icr_high >> 24,
        .logical = (low & LOGICAL) != 0,
        .vector = (uint8_t)low,
        .mode = (enum apic_mode)(low >> 8 & 7),
    };
    if (!lapic_is_x2apic(lapic) && m.destination == 0xff)
        m.destination = APIC_BROADCAST;
    if (m.mode == APIC_INIT && (low & LEVEL) != 0 && (low & ASSERT) == 0)
        return; // "INIT level de-assert" is for processors of the past
    const uint32_t shorthand = low >> SHORTHAND_SHIFT & 3;
    if (shorthand == TO_SELF) {
        if (m.mode == APIC_FIXED) // nothing else can be sent so (table 11-3)
            lapic_raise_itself(lapic, m.vector);
        return;
    }
    if ((m.mode == APIC_FIXED || m.mode == APIC_LOWEST) && m.vector < LAPIC_FIRST_VECTOR) {
        lapic_sent_illegally(lapic);
        return;
    }
    switch (shorthand) {
    case TO_OTHERS:
        deliver_to_others(lapic, &m);
        break;
    case TO_ALL:
        m.destination = APIC_BROADCAST;
        apic_deliver(lapic->bus, &m);
        break;
    default:
        apic_deliver(lapic->bus, &m);
        break;
    }
}
