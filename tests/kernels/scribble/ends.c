// SPDX-License-Identifier: Apache-2.0
// What ends a machine: one of them, or any ("end=any"), which is another one in each life.
#include "scribble.h"

#include <guests/processor.h>

enum { LIVES = 0x300000, MAGIC = 0x6c697665, PORTS = 3, RESETS = PORTS + 1 };

/// Survives resets of the machine, not the end of the personality: nothing else is there.
static volatile struct {
    uint32_t magic, count;
} *const lives = (void *)(uintptr_t)LIVES;

static uint32_t life(void)
{
    if (lives->magic != MAGIC) {
        lives->magic = MAGIC;
        lives->count = 0;
    }
    return lives->count++;
}

/// By a port, or by INIT for the first processor.
static void reset(uint32_t how)
{
    static const struct {
        uint16_t port;
        uint8_t value;
    } ways[PORTS] = {{0x64, 0xfe}, {0x92, 1}, {0xcf9, 6}};
    if (how == PORTS) {
        say("reset by INIT");
        mmio_write(0xfee00310, 4, 0);
        mmio_write(0xfee00300, 4, 0x4500);
        return;
    }
    say("reset by port %#x", ways[how].port);
    port_access(ways[how].port, 1, true, ways[how].value);
}

static void triple_fault(void)
{
    const struct table_register none = {0};
    say("triple fault");
    load_idtr(&none);
    __asm__ volatile("ud2");
}

static void panic(void)
{
    say("panic");
    port_access(0x505, 1, true, 1);
}

/// What is not emulated: a string instruction on registers, code among them, string I/O to memory that is not there.
static void strange(uint32_t how)
{
    uint64_t from = 0xfec00000, to = ARENA, count = 4;
    say("strange %u", how);
    if (how == 0)
        __asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
    else if (how == 1)
        ((void (*)(void))from)();
    else
        __asm__ volatile("rep insb" : "+D"(from), "+c"(count) : "d"(0x70) : "memory");
}

/// Nothing interrupts this processor any more.
static void stop(void)
{
    say("stop");
    __asm__ volatile("cli; hlt");
}

/// Interrupts and exceptions with an IDT that leads nowhere.
static void lost_table(void)
{
    const struct table_register far = {.limit = 4095, .base = 0xfec00000};
    say("lost table");
    load_idtr(&far);
    __asm__ volatile("int3");
}

static void any(void)
{
    const uint32_t lived = life();
    for (uint32_t i = 0; i < lived; i++) // other numbers in each life
        random64();
    switch (below(8)) {
    case 0:
        triple_fault();
        break;
    case 1:
        panic();
        break;
    case 2:
        strange(below(3));
        break;
    case 3:
        lost_table();
        break;
    case 4:
        power_off();
    default:
        reset(below(RESETS));
        break;
    }
}

void end_machine(void)
{
    if (option_is("end", "triple"))
        triple_fault();
    if (option_is("end", "panic"))
        panic();
    if (option_is("end", "strange"))
        strange((uint32_t)option("how", 0));
    if (option_is("end", "table"))
        lost_table();
    if (option_is("end", "stop"))
        stop();
    if (option_is("end", "reset")) {
        const uint32_t lived = life();
        if (lived < RESETS)
            reset(lived);
    }
    if (option_is("end", "any"))
        any();
}
