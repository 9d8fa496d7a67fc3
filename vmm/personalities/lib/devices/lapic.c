// SPDX-License-Identifier: Apache-2.0
// Registers and priorities. Source: Intel SDM Vol. 3A chapter 11; table 11-1 for addresses, 11.12 for x2APIC.
#include "devices/lapic.h"

/// Registers by number: address in the page / 16, MSR - 0x800.
enum {
    ID = 0x02,
    VERSION = 0x03,
    TASK_PRIORITY = 0x08,
    ARBITRATION = 0x09,
    PROCESSOR_PRIORITY = 0x0a,
    END_OF_INTERRUPT = 0x0b,
    REMOTE_READ = 0x0c,
    LOGICAL = 0x0d,
    FORMAT = 0x0e,
    SPURIOUS = 0x0f,
    IN_SERVICE = 0x10,
    LEVEL = 0x18,
    REQUESTED = 0x20,
    ERRORS = 0x28,
    COMMAND = 0x30,
    COMMAND_HIGH = 0x31,
    LVT_FIRST = 0x32,
    LVT_LAST = 0x37,
    INITIAL_COUNT = 0x38,
    CURRENT_COUNT = 0x39,
    DIVIDE = 0x3e,
    SELF = 0x3f,
};

enum {
    BASE_BOOTSTRAP = 1 << 8,
    BASE_X2APIC = 1 << 10,
    BASE_ENABLE = 1 << 11,
    SPURIOUS_ENABLE = 1 << 8,
    SPURIOUS_WRITABLE = 0x3ff,
    LVT_MASKED = 1 << 16,
    ERROR_SENT_VECTOR = 1 << 5,
    ERROR_RECEIVED_VECTOR = 1 << 6,
    ERROR_ADDRESS = 1 << 7,
    VERSION_VALUE = 0x14 | (LVT_COUNT - 1) << 16,
    DELIVERY_STATUS = 1 << 12, ///< of LVT entries and commands: always idle
    REMOTE_IRR = 1 << 14,
    COMMAND_WRITABLE_X2APIC = 0xcdfff, ///< figure 11-28; bit 12 is ignored
    DIVIDE_WRITABLE = 0xb,
};

/// Bits of the LVT entries that can be written: vector, mode, polarity and trigger, mask, timer mode.
static const uint32_t lvt_writable[LVT_COUNT] = {0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff};

/* ---- sets of vectors ---- */

static void set_bit(uint32_t set[8], uint8_t vector, bool value)
{
    const uint32_t bit = UINT32_C(1) << vector % 32;
    set[vector / 32] = value ? set[vector / 32] | bit : set[vector / 32] & ~bit;
}

static bool get_bit(const uint32_t set[8], uint8_t vector)
{
    return (set[vector / 32] >> vector % 32 & 1) != 0;
}

static int highest(const uint32_t set[8])
{
    for (int i = 7; i >= 0; i--)
        if (set[i] != 0)
            return i * 32 + 31 - __builtin_clz(set[i]);
    return LAPIC_NONE;
}

/* ---- states ---- */

bool lapic_is_x2apic(const struct lapic *lapic)
{
    return (lapic->base & BASE_X2APIC) != 0;
}

bool lapic_is_bootstrap(const struct lapic *lapic)
{
    return (lapic->base & BASE_BOOTSTRAP) != 0;
}

bool lapic_is_memory(const struct lapic *lapic)
{
    return (lapic->base & (BASE_ENABLE | BASE_X2APIC)) == BASE_ENABLE;
}

bool lapic_enabled(const struct lapic *lapic)
{
    return (lapic->base & BASE_ENABLE) != 0 && (lapic->spurious & SPURIOUS_ENABLE) != 0;
}

void lapic_reset(struct lapic *lapic)
{
    const struct lapic old = *lapic;
    *lapic = (struct lapic){
        .bus = old.bus,
        .id = old.id,
        .base = old.base,
        .format = UINT32_MAX,
        .spurious = 0xff,
        .deadline = DEV_NEVER,
        .init = old.init,
        .startup = old.startup,
        .startup_vector = old.startup_vector,
        .waits_for_startup = old.waits_for_startup,
        .no_x2apic = old.no_x2apic,
    };
    for (uint32_t i = 0; i < LVT_COUNT; i++)
        lapic->lvt[i] = LVT_MASKED;
}

void lapic_init(struct lapic *lapic, struct apic_bus *bus, uint32_t id)
{
    const bool first = bus->count == 0;
    *lapic = (struct lapic){.bus = bus, .id = id, .base = LAPIC_ADDRESS | BASE_ENABLE | (first ? BASE_BOOTSTRAP : 0)};
    lapic_reset(lapic);
    if (bus->count < LAPIC_MAX)
        bus->lapics[bus->count++] = lapic;
}

void lapic_virtual_wire(struct lapic *lapic)
{
    lapic->spurious |= SPURIOUS_ENABLE;
    lapic->lvt[LVT_LINT0] = APIC_EXTINT << 8;
    lapic->lvt[LVT_LINT1] = APIC_NMI << 8;
}

bool lapic_passes_extint(const struct lapic *lapic)
{
    if ((lapic->base & BASE_ENABLE) == 0)
        return true; // then LINT0 is the processor's own INTR (11.4.3)
    const uint32_t lint0 = lapic->lvt[LVT_LINT0];
    return (lint0 & LVT_MASKED) == 0 && (lint0 >> 8 & 7) == APIC_EXTINT;
}

/* ---- interrupts ---- */

/// Classes are compared, that is upper halves (11.8.3.1).
uint32_t lapic_processor_priority(const struct lapic *lapic)
{
    const int serving = highest(lapic->in_service);
    const uint32_t served = serving == LAPIC_NONE ? 0 : (uint32_t)serving & 0xf0;
    return (lapic->task_priority & 0xf0) >= served ? lapic->task_priority : served;
}

int lapic_next(const struct lapic *lapic)
{
    const int wanted = highest(lapic->requested);
    if (wanted == LAPIC_NONE || !lapic_enabled(lapic))
        return LAPIC_NONE;
    return ((uint32_t)wanted & 0xf0) > (lapic_processor_priority(lapic) & 0xf0) ? wanted : LAPIC_NONE;
}

void lapic_offer(struct lapic *lapic, uint8_t vector)
{
    set_bit(lapic->requested, vector, false);
}

void lapic_settle(struct lapic *lapic, uint8_t vector, bool taken)
{
    set_bit(taken ? lapic->in_service : lapic->requested, vector, true);
}

void lapic_accept(struct lapic *lapic, uint8_t vector)
{
    lapic_offer(lapic, vector);
    lapic_settle(lapic, vector, true);
}

static void note_error(struct lapic *lapic, uint32_t error)
{
    const uint32_t lvt = lapic->lvt[LVT_ERROR];
    lapic->new_errors |= error;
    if ((lvt & LVT_MASKED) == 0 && (lvt & 0xff) >= LAPIC_FIRST_VECTOR)
        set_bit(lapic->requested, (uint8_t)lvt, true);
}

void lapic_raise(struct lapic *lapic, uint8_t vector, bool level)
{
    if (!lapic_enabled(lapic))
        return;
    if (vector < LAPIC_FIRST_VECTOR) {
        note_error(lapic, ERROR_RECEIVED_VECTOR);
        return;
    }
    set_bit(lapic->requested, vector, true);
    set_bit(lapic->level, vector, level);
}

void lapic_sent_illegally(struct lapic *lapic)
{
    note_error(lapic, ERROR_SENT_VECTOR);
}

void lapic_raise_itself(struct lapic *lapic, uint8_t vector)
{
    if (vector < LAPIC_FIRST_VECTOR)
        lapic_sent_illegally(lapic);
    lapic_raise(lapic, vector, false);
}

static void end_interrupt(struct lapic *lapic)
{
    const int vector = highest(lapic->in_service);
    if (vector == LAPIC_NONE)
        return;
    set_bit(lapic->in_service, (uint8_t)vector, false);
    if (get_bit(lapic->level, (uint8_t)vector) && lapic->bus->end != NULL)
        lapic->bus->end(lapic->bus->context, (uint8_t)vector);
}

/* ---- registers ---- */

static uint32_t logical_id(const struct lapic *lapic)
{
    if (!lapic_is_x2apic(lapic))
        return lapic->logical;
    return (lapic->id & 0xffff0) << 12 | UINT32_C(1) << (lapic->id & 15); // 11.12.10.2
}

/// Present in both modes. False: no such register.
static bool read_register(const struct lapic *lapic, uint32_t reg, uint32_t *value, uint64_t now)
{
    if (reg >= IN_SERVICE && reg < ERRORS) {
        const uint32_t *sets[] = {lapic->in_service, lapic->level, lapic->requested};
        *value = sets[(reg - IN_SERVICE) / 8][reg % 8];
        return true;
    }
    if (reg >= LVT_FIRST && reg <= LVT_LAST) {
        *value = lapic->lvt[reg - LVT_FIRST];
        return true;
    }
    switch (reg) {
    case ID:
        *value = lapic_is_x2apic(lapic) ? lapic->id : lapic->id << 24;
        return true;
    case VERSION:
        *value = VERSION_VALUE;
        return true;
    case TASK_PRIORITY:
        *value = lapic->task_priority;
        return true;
    case PROCESSOR_PRIORITY:
        *value = lapic_processor_priority(lapic);
        return true;
    case LOGICAL:
        *value = logical_id(lapic);
        return true;
    case SPURIOUS:
        *value = lapic->spurious;
        return true;
    case ERRORS:
        *value = lapic->errors;
        return true;
    case COMMAND:
        *value = lapic->icr_low;
        return true;
    case INITIAL_COUNT:
        *value = lapic->initial;
        return true;
    case CURRENT_COUNT:
        *value = lapic_timer_count(lapic, now);
        return true;
    case DIVIDE:
        *value = lapic->divide;
        return true;
    default:
        return false;
    }
}

static void write_lvt(struct lapic *lapic, uint32_t index, uint32_t value, uint64_t now)
{
    value &= lvt_writable[index];
    if ((lapic->spurious & SPURIOUS_ENABLE) == 0)
        value |= LVT_MASKED; // 11.4.7.2
    if (index == LVT_TIMER)
        lapic_timer_mode(lapic, value, now);
    lapic->lvt[index] = value;
}

static void write_spurious(struct lapic *lapic, uint32_t value)
{
    lapic->spurious = value & SPURIOUS_WRITABLE;
    if ((value & SPURIOUS_ENABLE) != 0)
        return;
    for (uint32_t i = 0; i < LVT_COUNT; i++)
        lapic->lvt[i] |= LVT_MASKED;
}

/// Present in both modes. False: no such register, or read-only.
static bool write_register(struct lapic *lapic, uint32_t reg, uint32_t value, uint64_t now)
{
    if (reg >= LVT_FIRST && reg <= LVT_LAST) {
        write_lvt(lapic, reg - LVT_FIRST, value, now);
        return true;
    }
    switch (reg) {
    case TASK_PRIORITY:
        lapic->task_priority = value & 0xff;
        return true;
    case END_OF_INTERRUPT:
        end_interrupt(lapic);
        return true;
    case SPURIOUS:
        write_spurious(lapic, value);
        return true;
    case ERRORS: // a write makes the errors since the last one visible (11.5.3)
        lapic->errors = lapic->new_errors;
        lapic->new_errors = 0;
        return true;
    case COMMAND:
        lapic->icr_low = value & ~(uint32_t)DELIVERY_STATUS;
        lapic_send(lapic);
        return true;
    case INITIAL_COUNT:
        lapic_timer_write(lapic, value, now);
        return true;
    case DIVIDE:
        lapic_timer_divide(lapic, value, now);
        return true;
    default:
        return false;
    }
}

uint32_t lapic_peek(const struct lapic *lapic, uint32_t offset)
{
    uint32_t value = 0;
    if (offset >> 4 == FORMAT)
        return lapic->format;
    read_register(lapic, offset >> 4, &value, 0);
    return value;
}

/* ---- by memory ---- */

uint32_t lapic_read(struct lapic *lapic, uint32_t offset, uint64_t now)
{
    const uint32_t reg = offset >> 4;
    uint32_t value = 0;
    if (offset % 16 != 0)
        return 0;
    if (reg == FORMAT)
        return lapic->format;
    if (reg == COMMAND_HIGH)
        return lapic->icr_high;
    if (reg == END_OF_INTERRUPT || reg == ARBITRATION || reg == REMOTE_READ)
        return 0;
    if (!read_register(lapic, reg, &value, now))
        note_error(lapic, ERROR_ADDRESS);
    return value;
}

void lapic_write(struct lapic *lapic, uint32_t offset, uint32_t value, uint64_t now)
{
    const uint32_t reg = offset >> 4;
    if (offset % 16 != 0)
        return;
    if (reg == FORMAT)
        lapic->format = value | 0x0fffffff;
    else if (reg == LOGICAL)
        lapic->logical = value & 0xff000000;
    else if (reg == COMMAND_HIGH)
        lapic->icr_high = value & 0xff000000;
    else if (reg != ID &&
             !write_register(lapic, reg, value, now)) // the ID could be written on some processors; here it cannot
        note_error(lapic, ERROR_ADDRESS);
}

/* ---- by MSRs ---- */

static bool read_x2apic(struct lapic *lapic, uint32_t reg, uint64_t *value, uint64_t now)
{
    uint32_t low = 0;
    if (!lapic_is_x2apic(lapic) || !read_register(lapic, reg, &low, now))
        return false;
    *value = reg == COMMAND ? (uint64_t)lapic->icr_high << 32 | low : low;
    return true;
}

/// Bits that are not reserved (11.12.1.2, and the figures it names). Those that are read-only can be written, and stay as they are.
static uint64_t x2apic_bits(uint32_t reg)
{
    if (reg >= LVT_FIRST && reg <= LVT_LAST) {
        const uint32_t index = reg - LVT_FIRST;
        const bool pin = index == LVT_LINT0 || index == LVT_LINT1;
        return lvt_writable[index] | DELIVERY_STATUS | (pin ? REMOTE_IRR : 0);
    }
    switch (reg) {
    case END_OF_INTERRUPT:
    case ERRORS:
        return 0;
    case TASK_PRIORITY:
    case SELF:
        return 0xff;
    case SPURIOUS:
        return SPURIOUS_WRITABLE;
    case COMMAND:
        return (uint64_t)UINT32_MAX << 32 | COMMAND_WRITABLE_X2APIC;
    case DIVIDE:
        return DIVIDE_WRITABLE;
    default:
        return UINT32_MAX;
    }
}

static bool write_x2apic(struct lapic *lapic, uint32_t reg, uint64_t value, uint64_t now)
{
    if (!lapic_is_x2apic(lapic) || (value & ~x2apic_bits(reg)) != 0)
        return false;
    if (reg == SELF) {
        lapic_raise_itself(lapic, (uint8_t)value);
        return true;
    }
    if (reg == COMMAND)
        lapic->icr_high = (uint32_t)(value >> 32);
    return write_register(lapic, reg, (uint32_t)value, now);
}

/// Modes change in a circle only: off, xAPIC, x2APIC, off (figure 11-27). The address cannot be changed here.
static bool write_base(struct lapic *lapic, uint64_t value)
{
    const uint64_t modes = BASE_ENABLE | BASE_X2APIC, before = lapic->base & modes, after = value & modes;
    if ((value & ~modes) != (lapic->base & ~modes) || after == BASE_X2APIC || (after == modes && lapic->no_x2apic))
        return false;
    if ((before == modes && after == BASE_ENABLE) || (before == 0 && after == modes))
        return false;
    lapic->base = value;
    if (after == 0)
        lapic_reset(lapic);
    return true;
}

bool lapic_read_msr(struct lapic *lapic, uint32_t msr, uint64_t *value, uint64_t now)
{
    if (msr == LAPIC_MSR_BASE)
        *value = lapic->base;
    else if (msr == LAPIC_MSR_TSC_DEADLINE)
        *value = lapic_timer_tsc_read(lapic);
    else
        return msr >= LAPIC_MSR_FIRST && msr <= LAPIC_MSR_LAST && read_x2apic(lapic, msr - LAPIC_MSR_FIRST, value, now);
    return true;
}

bool lapic_write_msr(struct lapic *lapic, uint32_t msr, uint64_t value, uint64_t now)
{
    if (msr == LAPIC_MSR_BASE)
        return write_base(lapic, value);
    if (msr == LAPIC_MSR_TSC_DEADLINE) {
        lapic_timer_tsc(lapic, value);
        return true;
    }
    return msr >= LAPIC_MSR_FIRST && msr <= LAPIC_MSR_LAST && write_x2apic(lapic, msr - LAPIC_MSR_FIRST, value, now);
}

uint64_t lapic_read_cr8(const struct lapic *lapic)
{
    return lapic->task_priority >> 4;
}

void lapic_write_cr8(struct lapic *lapic, uint64_t value)
{
    lapic->task_priority = (uint32_t)(value & 15) << 4;
}
