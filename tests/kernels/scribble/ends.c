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

/// What is not emulated, code among it, is a #UD; strings are copied where there are no registers, too. Nothing of that is an end.
static void strange(uint32_t how)
{
    enum { UD = 6 };
    static const uint8_t jump[] = {0xff, 0xe0}, increment[] = {0xff, 0x03}; // JMP RAX; INC DWORD [RBX]
    uint64_t from = 0xfec00000, to = ARENA, count = 40;
    uint64_t r[6] = {from, 0, 0, from};
    bool good = true;
    if (how == 0)
        __asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
    else if (how == 1)
        good = !run_bytes(jump, sizeof(jump), r) && last_trap == UD;
    else if (how == 2)
        __asm__ volatile("rep insb" : "+D"(from), "+c"(count) : "d"(0x70) : "memory");
    else
        good = !run_bytes(increment, sizeof(increment), r) && last_trap == UD;
    if ((how == 0 || how == 2) && (count != 0 || from != 0xfec00000 + 40))
        good = false;
    say("strange %u: %s", how, good ? "as it should be" : "wrong");
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
        strange(below(4));
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
