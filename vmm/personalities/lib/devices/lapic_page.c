// SPDX-License-Identifier: Apache-2.0
// Source: Intel SDM Vol. 3C 30.1 (the page), 30.4.3.2 and 30.5 (what a write leaves there).
#include "devices/lapic_page.h"

enum {
    TASK_PRIORITY = 0x80,
    PROCESSOR_PRIORITY = 0xa0,
    END_OF_INTERRUPT = 0xb0,
    IN_SERVICE = 0x100,
    LEVEL = 0x180,
    REQUESTED = 0x200,
    COMMAND = 0x300,
    COMMAND_HIGH = 0x310
};
enum { INITIAL_COUNT = 0x380, SELF_IPI = 0x3f0, SETS = 8 };

static uint32_t at(uint32_t offset)
{
    return offset / sizeof(uint32_t);
}

/// Word i of a set of vectors.
static uint32_t word(uint32_t set, uint32_t i)
{
    return at(set + 16 * i);
}

void lapic_page_registers(const struct lapic *lapic, uint32_t *page)
{
    static const uint16_t offsets[] = {0x20,  0x30,  0xd0,  0xe0,  0xf0,  0x280, COMMAND, 0x320,
                                       0x330, 0x340, 0x350, 0x360, 0x370, 0x380, 0x3e0};
    for (uint32_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++)
        page[at(offsets[i])] = lapic_peek(lapic, offsets[i]);
    if (lapic_is_x2apic(lapic))
        page[at(COMMAND) + 1] = lapic->icr_high;
    else
        page[at(COMMAND_HIGH)] = lapic->icr_high;
}

uint32_t lapic_page_enter(struct lapic *lapic, uint32_t *page)
{
    uint32_t requested = 0, in_service = 0;
    for (uint32_t i = 0; i < SETS; i++) {
        page[word(REQUESTED, i)] = lapic->requested[i];
        page[word(IN_SERVICE, i)] = lapic->in_service[i];
        requested = lapic->requested[i] != 0 ? i * 32 + 31 - (uint32_t)__builtin_clz(lapic->requested[i]) : requested;
        in_service =
            lapic->in_service[i] != 0 ? i * 32 + 31 - (uint32_t)__builtin_clz(lapic->in_service[i]) : in_service;
        lapic->given[i] = lapic->requested[i];
        lapic->requested[i] = 0;
    }
    page[at(TASK_PRIORITY)] = lapic->task_priority;
    return (lapic_enabled(lapic) ? requested : 0) | in_service << 8;
}

uint32_t lapic_page_leave(struct lapic *lapic, const uint32_t *page)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < SETS; i++) {
        for (uint32_t taken = lapic->given[i] & ~page[word(REQUESTED, i)]; taken != 0; taken &= taken - 1)
            count++;
        lapic->requested[i] |= page[word(REQUESTED, i)];
        lapic->in_service[i] = page[word(IN_SERVICE, i)];
    }
    lapic_page_writes(lapic, page);
    return count;
}

/// By memory, the command's upper half never exits, and the lower one does not if the command is an interrupt for the processor itself.
void lapic_page_writes(struct lapic *lapic, const uint32_t *page)
{
    enum { DELIVERY_STATUS = 1 << 12 };
    lapic->task_priority = page[at(TASK_PRIORITY)] & 0xff;
    if (lapic_is_x2apic(lapic))
        return;
    lapic->icr_low = page[at(COMMAND)] & ~(uint32_t)DELIVERY_STATUS;
    lapic->icr_high = page[at(COMMAND_HIGH)] & 0xff000000;
}

uint32_t lapic_page_show(const struct lapic *lapic, uint32_t *page)
{
    struct lapic lowered = {.base = lapic->base, .spurious = lapic->spurious};
    for (uint32_t i = 0; i < SETS; i++) {
        page[word(REQUESTED, i)] = lowered.requested[i] = lapic->requested[i];
        page[word(IN_SERVICE, i)] = lowered.in_service[i] = lapic->in_service[i];
    }
    page[at(TASK_PRIORITY)] = lapic->task_priority;
    page[at(PROCESSOR_PRIORITY)] = lapic_processor_priority(lapic);
    if (lapic->task_priority >> 4 == 0 || lapic_next(lapic) != LAPIC_NONE)
        return 0;
    const int next = lapic_next(&lowered);
    return next == LAPIC_NONE ? 0 : (uint32_t)next >> 4;
}

void lapic_page_level(const struct lapic *lapic, uint32_t *page)
{
    for (uint32_t i = 0; i < SETS; i++)
        page[word(LEVEL, i)] = lapic->level[i];
}

bool lapic_page_written(struct lapic *lapic, uint32_t *page, uint32_t offset, uint64_t now)
{
    const uint32_t reg = offset & 0xff0;
    if (reg == SELF_IPI) {
        lapic_write_msr(lapic, LAPIC_MSR_FIRST + (SELF_IPI >> 4), page[at(SELF_IPI)], now);
        return false;
    }
    lapic_write(lapic, reg, page[at(reg)], now);
    page[at(reg)] = lapic_peek(lapic, reg);
    return reg == COMMAND || reg == INITIAL_COUNT || reg == END_OF_INTERRUPT; // the frequent ones
}

void lapic_page_ended(const struct lapic *lapic, uint8_t vector)
{
    if ((lapic->level[vector / 32] >> vector % 32 & 1) != 0 && lapic->bus->end != NULL)
        lapic->bus->end(lapic->bus->context, vector);
}
