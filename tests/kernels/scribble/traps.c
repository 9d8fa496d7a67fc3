// SPDX-License-Identifier: Apache-2.0
#include "scribble.h"

#include <guests/processor.h>
#include <polyvisor/string.h>

enum { CODE_SELECTOR = 8, GATE = 0x8e, VECTORS = 256, STUB = 16, EXCEPTIONS = 32, RFLAGS_IF = 1 << 9, CODE = 64 };
enum { APIC_BASE = 0x1b, APIC_ENABLE = 1 << 11, APIC_X2 = 1 << 10, X2_EOI = 0x80b, APIC = 0xfee00000 };
enum { BUDGET = 64, CLASSES = 16, TIMER_VECTOR = 0x50, TIMER_COUNT = 20000 };

struct gate {
    uint16_t low, selector;
    uint8_t stack, type;
    uint16_t middle;
    uint32_t high, reserved;
};

/// What the processor pushes, without an error code.
struct frame {
    uint64_t rip, cs, rflags, rsp, ss;
};

extern struct gate idt[VECTORS];
extern const uint8_t trap_stubs[];
extern struct frame trap_frame; ///< where it always is
extern uint64_t recover, recover_stack, nmis;
int run_code(const void *code, uint64_t registers[6]);
void trap(uint64_t vector, uint64_t *pushed);

uint64_t interrupts, last_trap;
static uint32_t budget; ///< interrupts that are still to be taken, before they are switched off

void traps_init(void)
{
    const struct table_register table = {.limit = sizeof(idt) - 1, .base = (uintptr_t)idt};
    for (uint32_t i = 0; i < VECTORS; i++) {
        const uintptr_t stub = (uintptr_t)trap_stubs + (uintptr_t)i * STUB;
        idt[i] = (struct gate){.low = (uint16_t)stub,
                               .selector = CODE_SELECTOR,
                               .stack = i == 2 ? 2 : 1,
                               .type = GATE,
                               .middle = (uint16_t)(stub >> 16)};
    }
    load_idtr(&table);
}

static uint64_t apic_mode(void)
{
    return rdmsr(APIC_BASE) & (APIC_ENABLE | APIC_X2);
}

static void apic_write(uint32_t reg, uint32_t value)
{
    if ((apic_mode() & APIC_X2) != 0)
        wrmsr(0x800 + reg, value);
    else
        *(volatile uint32_t *)(uintptr_t)(APIC + 16 * reg) = value;
}

static void end_interrupt(void)
{
    apic_write(X2_EOI - 0x800, 0);
    port_access(0xa0, 1, true, 0x20);
    port_access(0x20, 1, true, 0x20);
}

/// Exceptions happen where interrupts are off, and are told from interrupts with the same vectors by that.
void trap(uint64_t vector, uint64_t *pushed)
{
    struct frame *frame = &trap_frame;
    const bool has_error = pushed != (uint64_t *)frame;
    uint64_t address;
    __asm__ volatile("mov %%cr2, %0" : "=r"(address));
    if (vector < EXCEPTIONS && (has_error || (frame->rflags & RFLAGS_IF) == 0)) {
        if (recover == 0)
            give_up("trap %lu, error %#lx, at %#lx, address %#lx", vector, has_error ? *pushed : 0, frame->rip,
                    address);
        last_trap = vector;
        frame->rip = recover;
        frame->rsp = recover_stack;
        frame->rflags = 2;
        return;
    }
    interrupts++;
    end_interrupt();
    if (budget == 0 || --budget == 0)
        frame->rflags &= ~(uint64_t)RFLAGS_IF; // they come without end
}

bool run_bytes(const uint8_t *code, size_t size, uint64_t registers[6])
{
    static uint8_t place[CODE];
    memcpy(place, code, size);
    place[size] = 0xc3;
    return run_code(place, registers) == 0;
}

bool try_rdmsr(uint32_t msr, uint64_t *value)
{
    uint64_t registers[6] = {0, msr};
    const bool good = run_bytes((const uint8_t[]){0x0f, 0x32}, 2, registers);
    *value = (registers[2] << 32) | (registers[0] & UINT32_MAX);
    return good;
}

bool try_wrmsr(uint32_t msr, uint64_t value)
{
    uint64_t registers[6] = {value & UINT32_MAX, msr, value >> 32};
    return run_bytes((const uint8_t[]){0x0f, 0x30}, 2, registers);
}

void let_interrupts_in(void)
{
    enum { PAUSES = 100 };
    budget = BUDGET;
    interrupts_on();
    for (uint32_t i = 0; i < PAUSES; i++)
        __asm__ volatile("pause");
    interrupts_off();
}

void sleep_shortly(void)
{
    if (apic_mode() == 0)
        wrmsr(APIC_BASE, rdmsr(APIC_BASE) | APIC_ENABLE);
    apic_write(0x0f, 0x1ff);
    apic_write(0x08, 0);
    for (uint32_t i = 0; i < CLASSES; i++)
        apic_write(0x0b, 0); // whatever is in service
    apic_write(0x3e, 0xb);
    apic_write(0x32, TIMER_VECTOR);
    apic_write(0x38, TIMER_COUNT);
    budget = 4;
    wait_for_interrupt();
    interrupts_off();
}
