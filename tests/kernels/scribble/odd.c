// SPDX-License-Identifier: Apache-2.0
// Instructions that a hypervisor hears of, with random operands; and control and debug registers.
#include "scribble.h"

#include <guests/processor.h>

enum { EXECUTED_MAX = 8, CR0_CD = 1 << 30, CR0_NW = 1 << 29, GP = 13, UD = 6 };
#define CR0_PG (UINT64_C(1) << 31)

/// RBX and RSI lead into the arena, the others hold anything.
static const struct {
    uint8_t size, bytes[EXECUTED_MAX];
} instructions[] = {
    {2, {0x0f, 0xa2}},                   // CPUID
    {2, {0x0f, 0x33}},                   // RDPMC
    {2, {0x0f, 0x08}},                   // INVD
    {2, {0x0f, 0x09}},                   // WBINVD
    {3, {0xf3, 0x0f, 0x09}},             // WBNOINVD
    {3, {0x0f, 0x01, 0xc1}},             // VMCALL
    {3, {0x0f, 0x01, 0xc2}},             // VMLAUNCH
    {3, {0x0f, 0x01, 0xc3}},             // VMRESUME
    {3, {0x0f, 0x01, 0xc4}},             // VMXOFF
    {3, {0x0f, 0x01, 0xd4}},             // VMFUNC
    {4, {0xf3, 0x0f, 0xc7, 0x33}},       // VMXON [RBX]
    {3, {0x0f, 0xc7, 0x33}},             // VMPTRLD [RBX]
    {3, {0x0f, 0xc7, 0x3b}},             // VMPTRST [RBX]
    {4, {0x66, 0x0f, 0xc7, 0x33}},       // VMCLEAR [RBX]
    {3, {0x0f, 0x78, 0xc8}},             // VMREAD RAX, RCX
    {3, {0x0f, 0x79, 0xc8}},             // VMWRITE RCX, RAX
    {5, {0x66, 0x0f, 0x38, 0x80, 0x03}}, // INVEPT RAX, [RBX]
    {5, {0x66, 0x0f, 0x38, 0x81, 0x03}}, // INVVPID RAX, [RBX]
    {5, {0x66, 0x0f, 0x38, 0x82, 0x03}}, // INVPCID RAX, [RBX]
    {3, {0x0f, 0x01, 0xc8}},             // MONITOR
    {3, {0x0f, 0x01, 0xc9}},             // MWAIT
    {3, {0x0f, 0x01, 0xd1}},             // XSETBV
    {3, {0x0f, 0x01, 0xd0}},             // XGETBV
    {2, {0x0f, 0x37}},                   // GETSEC
    {2, {0x0f, 0xaa}},                   // RSM
    {3, {0x0f, 0x01, 0xcf}},             // ENCLS
    {3, {0x0f, 0x01, 0xd7}},             // ENCLU
    {3, {0x0f, 0x01, 0xc5}},             // PCONFIG
    {3, {0x0f, 0x01, 0xf9}},             // RDTSCP
    {4, {0xf3, 0x0f, 0xc7, 0xf8}},       // RDPID RAX
    {3, {0x0f, 0xc7, 0xf0}},             // RDRAND EAX
    {3, {0x0f, 0xc7, 0xf8}},             // RDSEED EAX
    {4, {0xf2, 0x0f, 0xae, 0xf0}},       // UMWAIT EAX
    {4, {0x66, 0x0f, 0xae, 0xf0}},       // TPAUSE EAX
    {4, {0x48, 0x0f, 0xc7, 0x1b}},       // XRSTORS [RBX]
    {4, {0x48, 0x0f, 0xc7, 0x2b}},       // XSAVES [RBX]
    {2, {0x0f, 0x06}},                   // CLTS
    {3, {0x0f, 0x01, 0x3b}},             // INVLPG [RBX]
    {4, {0x44, 0x0f, 0x20, 0xc0}},       // MOV RAX, CR8
    {4, {0x44, 0x0f, 0x22, 0xc0}},       // MOV CR8, RAX
    {3, {0x0f, 0x20, 0xd0}},             // MOV RAX, CR2
    {3, {0x0f, 0x22, 0xd0}},             // MOV CR2, RAX
    {3, {0x0f, 0x21, 0xf8}},             // MOV RAX, DR7
    {3, {0x0f, 0x23, 0xf0}},             // MOV DR6, RAX
    {3, {0x0f, 0x23, 0xc0}},             // MOV DR0, RAX
    {2, {0x0f, 0x0b}},                   // UD2
    {1, {0xcc}},                         // INT3
    {1, {0xf1}},                         // INT1
    {2, {0xcd, 0x0d}},                   // INT 13
    {2, {0xcd, 0x80}},                   // INT 0x80
    {3, {0x48, 0x8b, 0x00}},             // MOV RAX, [RAX]
    {2, {0xff, 0xd0}},                   // CALL RAX
    {3, {0x48, 0xf7, 0xf1}},             // DIV RCX
    {2, {0xf3, 0x90}},                   // PAUSE
    {3, {0x0f, 0x00, 0xd8}},             // LTR AX
    {3, {0x0f, 0x00, 0xd0}},             // LLDT AX
    {2, {0x8e, 0xe8}},                   // MOV GS, EAX
    {2, {0x0f, 0xc8}},                   // BSWAP EAX
};
enum { INSTRUCTIONS = sizeof(instructions) / sizeof(instructions[0]) };

static uint32_t executed, faults, registers;

static void instruction(void)
{
    const uint32_t which = below(INSTRUCTIONS);
    const uint8_t *bytes = instructions[which].bytes;
    uint64_t r[6] = {any_value(),
                     any_value(),
                     any_value(),
                     arena_address(PAGE, one_in(2) ? PAGE : 1),
                     arena_address(PAGE, 1),
                     arena_address(PAGE, 1)};
    if (bytes[0] == 0xff) // nothing is mapped there
        r[0] |= UINT64_C(1) << 45;
    faults += !run_bytes(bytes, instructions[which].size, r);
    executed++;
}

/// Sets a control register to `value`, and back; false: that faulted.
static bool control(uint8_t number, uint64_t value, uint64_t before)
{
    uint64_t r[6] = {value};
    const uint8_t set[] = {0x0f, 0x22, (uint8_t)(0xc0 | number << 3)}; // MOV CRn, RAX
    const bool good = run_bytes(set, sizeof(set), r);
    registers++;
    if (number == 0)
        write_cr0(before);
    else
        write_cr4(before);
    return good;
}

static void control_register(void)
{
    const uint64_t cr0 = read_cr0(), cr4 = read_cr4();
    const uint64_t value = any_value();
    if (one_in(2)) { // caches go off and on, which exits; without paging in 64-bit mode there is a #GP
        uint64_t wanted = cr0 ^ (value & (CR0_CD | CR0_NW | 0x5003e));
        wanted ^= one_in(4) ? CR0_PG : one_in(8) ? 1 : one_in(8) ? value << 32 : 0;
        const bool legal = wanted >> 32 == 0 && (wanted & CR0_PG) != 0 && (wanted & 1) != 0 &&
                           ((wanted & CR0_NW) == 0 || (wanted & CR0_CD) != 0);
        if (control(0, wanted, cr0) != legal)
            give_up("CR0 = %#lx was %s", wanted, legal ? "refused" : "accepted");
    } else {
        control(4, cr4 ^ (value & ~UINT64_C(0x1020)), cr4); // PAE stays, and 4 levels
    }
}

/// XCR0 and debug registers as they are after a reset.
static void tidy(void)
{
    uint64_t r[6] = {0x400};
    run_bytes((const uint8_t[]){0x0f, 0x23, 0xf8}, 3, r); // MOV DR7, RAX
    r[0] = r[1] = r[2] = 0;
    r[0] = 1;
    run_bytes((const uint8_t[]){0x0f, 0x01, 0xd1}, 3, r);
    __asm__ volatile("mov %0, %%gs" : : "r"(0));
}

void scribble_instructions(uint32_t rounds)
{
    executed = faults = registers = 0;
    write_cr4(read_cr4() | ((cpuid_ecx(1) >> 26 & 1) != 0 ? 1 << 18 : 0)); // OSXSAVE
    for (uint32_t i = 0; i < rounds; i++) {
        if (one_in(4))
            control_register();
        else
            instruction();
        if (one_in(16))
            tidy();
        if (one_in(100))
            sleep_shortly();
    }
    tidy();
    say("odd: %u instructions, %u faults, %u control registers", executed, faults, registers);
}
