// SPDX-License-Identifier: Apache-2.0
/*
 * The linux personality as a whole, with a guest that does anything: each exit is made of the input, with any registers, any code at
 * RIP, any page tables. Nothing crashes, what is written stays in the guest's memory, each run of it ends at some time in the future,
 * and one exit says only so much.
 *
 * An input is a list of exits: a byte that says which, and its operands. Addresses and ports are those of devices mostly.
 */
// links: tests/unit/linux_machine.c
// library: cmocka
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/linux_machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    DISK = 5 * 4096 + 700,
    OVERLAY = 3 * 4096,
    TABLES = 0x1000,
    CODE_BYTES = 15,
    EXITS = 300,
    WAITS = 500,
    SAID = 2048
};
#define LONGEST UINT64_C(100000000000) ///< ticks that a run takes: 100 s
enum { LMA = 1 << 10, LME = 1 << 8 };

static struct {
    const uint8_t *data;
    size_t size;
} in;

static struct rtc clock_at_start;
static struct pv_vcpu_state *state; ///< of the vcpu that runs

static void fail(const char *what)
{
    fprintf(stderr, "not so: %s; run until %lu, %zu bytes said: %.300s\n", what, run_deadline, output_size, output);
    abort();
}
#define check(what) ((what) ? (void)0 : fail(#what))

static uint64_t take(uint32_t bytes)
{
    uint64_t value = 0;
    for (uint32_t i = 0; i < bytes && in.size > 0; i++, in.data++, in.size--)
        value |= (uint64_t)*in.data << 8 * i;
    return value;
}

static uint64_t memory_size(void)
{
    return machine.memory.size;
}

/* ---- what the guest does ---- */

static uint16_t port(void)
{
    static const uint16_t ports[] = {0x20,  0x21,  0xa0,  0xa1,  0x4d0, 0x4d1, 0x40,  0x41,  0x42,  0x43,  0x61,  0x70,
                                     0x71,  0x64,  0x92,  0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff, 0x505,
                                     0x600, 0x602, 0x604, 0x605, 0x608, 0xcf8, 0xcf9, 0xcfc, 0xcfd, 0xcfe, 0xcff};
    const uint8_t which = (uint8_t)take(1);
    return which < sizeof(ports) / sizeof(ports[0]) ? ports[which] : (uint16_t)take(2);
}

/// A guest-physical address: of a device's registers or of what is around them, or any.
static uint64_t address(void)
{
    static const uint64_t bases[] = {0xfee00000, 0xfec00000, 0xfe000000, 0xfe004000, 0xfe008000, 0xfe00c000,
                                     0xfe010000, 0xfe014000, 0xfe018000, 0xfe01c000, 0};
    const uint64_t base = bases[take(1) % (sizeof(bases) / sizeof(bases[0]))];
    return base == 0 ? take(8) : base + take(2) % 0x4000;
}

/// One register, and what an instruction or a table of pages is made of.
static void change_state(void)
{
    const uint8_t what = (uint8_t)take(1);
    uint8_t *memory = pv_guest_pointer(&machine.memory, 0, memory_size());
    if (what < 16) {
        state->gpr[what] = take(8);
    } else if (what < 32) {
        const uint64_t at = (what & 1 ? TABLES : 0) + take(2);
        for (uint64_t i = 0, count = take(1) % 32; i < count; i++)
            memory[(at + i) % memory_size()] = (uint8_t)take(1);
    } else if (what < 36) {
        state->cr0 = take(4);
        state->efer = take(2) & ~(uint64_t)LMA;
        state->cr4 = take(4);
        if ((state->cr0 >> 31 & 1) != 0 && (state->efer & LME) != 0)
            state->efer |= LMA;
    } else if (what < 40) {
        state->cr3 = TABLES + take(1);
    } else if (what < 44) {
        state->rip = what < 42 ? CODE : take(8);
    } else if (what < 48) {
        state->rflags = 2 | take(3);
        cs_access = take(2);
    } else {
        state->rsp = take(8);
    }
}

static void put_code(void)
{
    uint8_t bytes[CODE_BYTES];
    for (uint32_t i = 0; i < CODE_BYTES; i++)
        bytes[i] = (uint8_t)take(1);
    memcpy(pv_guest_pointer(&machine.memory, CODE, CODE_BYTES), bytes, CODE_BYTES);
    state->rip = CODE;
}

/// MOV between EBX's memory and EAX, of 1, 2, 4 or 8 bytes, or another instruction.
static int64_t access_memory(uint8_t how)
{
    static const char *const moves[] = {"\x88\x03", "\x66\x89\x03", "\x89\x03", "\x48\x89\x03",
                                        "\x8a\x03", "\x66\x8b\x03", "\x8b\x03", "\x48\x8b\x03"};
    static const char *const strings[] = {"\xf3\x66\xa5", "\xf3\x66\xab", "\xf3\x67\xa4", "\x67\x66\xad"};
    state->guest_physical_address = address();
    state->exit_qualification = how & 0x40 ? take(2) : 0x182;
    state->vectoring_info = (how & 0x70) == 0x70 ? (uint32_t)take(4) : 0;
    if ((how & 8) == 0) {
        set_code(moves[how & 7], 3);
        state->rip = CODE;
        state->cr0 &= UINT32_MAX >> 1;
        state->efer |= (how & 3) == 3 ? LMA : 0; // 8 bytes exist in 64 bits only
        state->cr0 |= (how & 3) == 3 ? UINT64_C(1) << 31 : 0;
        state->gpr[PV_RAX] = take(8);
    } else if ((how & 4) == 0) { // between a device and anything
        set_code(strings[how & 3], 3);
        state->rip = CODE;
        state->gpr[how & 0x10 ? PV_RSI : PV_RDI] = state->guest_physical_address;
        state->gpr[how & 0x10 ? PV_RDI : PV_RSI] = address();
        state->gpr[PV_RCX] = take(2);
    } else {
        put_code();
    }
    return exit_with(PV_EXIT_EPT_VIOLATION);
}

static int64_t access_port(uint8_t how)
{
    static const uint8_t sizes[] = {0, 1, 3, 3};
    state->exit_qualification = (uint64_t)port() << 16 | sizes[how & 3] | (how & 4 ? 8 : 0);
    if ((how & 0x18) == 0x18) {
        state->exit_qualification |= 0x10 | (how & 0x20);
        state->gpr[PV_RSI] = state->gpr[PV_RDI] = how & 0x40 ? take(8) : take(2);
        state->gpr[PV_RCX] = take(2);
        state->exit_instruction_info = (uint32_t)take(2);
    } else {
        state->gpr[PV_RAX] = take(4);
    }
    return exit_with(PV_EXIT_IO);
}

static int64_t access_msr(uint8_t how)
{
    static const uint32_t bases[] = {0x1b, 0x6e0, 0x800, 0x10, 0x200, 0x250, 0x1a0, 0x3a};
    const uint32_t base = how & 8 ? (uint32_t)take(4) : bases[how & 7];
    state->gpr[PV_RCX] = base + (base == 0x800 || base == 0x200 ? (uint32_t)take(1) % 64 : 0);
    state->gpr[PV_RAX] = take(4);
    state->gpr[PV_RDX] = how & 0x10 ? take(4) : 0;
    if (base == 0x1b && (how & 0x20) != 0)
        state->gpr[PV_RAX] = 0xfee00100 | (state->gpr[PV_RAX] & 0xc00);
    return exit_with(how & 0x40 ? PV_EXIT_RDMSR : PV_EXIT_WRMSR);
}

/// Of APIC virtualization: the page holds anything.
static int64_t apic_exit(uint8_t how)
{
    static const uint32_t reasons[] = {PV_EXIT_TPR_BELOW_THRESHOLD, PV_EXIT_APIC_ACCESS, PV_EXIT_APIC_WRITE,
                                       PV_EXIT_VIRTUALIZED_EOI};
    struct cpu *cpu = &machine.cpus[state == s ? 0 : 1];
    if (cpu->virtual_apic.features == 0 || cpu->virtual_apic.registers == NULL)
        return PV_RUN_BUDGET; // these exits do not happen then
    for (uint32_t i = 0, count = (uint32_t)take(1) % 8; i < count; i++)
        cpu->virtual_apic.registers[take(2) % 1024] = (uint32_t)take(4);
    state->exit_qualification = take(2);
    put_code();
    return exit_with(reasons[how & 3]);
}

/// Those that have no operands, and control registers.
static int64_t other_exit(uint8_t how)
{
    const uint32_t reason = how & 2 ? PV_EXIT_CR_ACCESS : (uint32_t)take(1) % 70;
    state->exit_qualification = how & 1 ? take(2) : take(8);
    switch (reason) {
    case PV_EXIT_IO: // the processor says what it likes only where it may
    case PV_EXIT_TPR_BELOW_THRESHOLD:
    case PV_EXIT_APIC_ACCESS:
    case PV_EXIT_APIC_WRITE:
    case PV_EXIT_VIRTUALIZED_EOI:
        return PV_RUN_BUDGET;
    default:
        return exit_with(reason);
    }
}

/// A run of a vcpu.
static int64_t step(unsigned number)
{
    check(output_size < SAID);
    output_size = 0;
    if (in.size == 0 || number > EXITS)
        return end_machine();
    check(run_deadline > written);
    state = machine.cpus[ran == machine.cpus[1].vcpu.id].vcpu.state;
    const uint8_t what = (uint8_t)take(1), how = (uint8_t)take(1);
    state->exit_instruction_length = 1 + what / 16 % 15;
    state->inject = how & 0x80 ? state->inject : 0; // taken, or not
    switch (what % 16) {
    case 0:
    case 1:
    case 2:
        change_state();
        return PV_RUN_BUDGET;
    case 3:
        return run_deadline - pv_tsc() < LONGEST ? run_out() : PV_RUN_BUDGET;
    case 4:
    case 5:
    case 6:
        return access_port(how);
    case 7:
    case 8:
    case 9:
    case 10:
        return access_memory(how);
    case 11:
    case 12:
        return access_msr(how);
    case 13:
        return apic_exit(how);
    case 14:
        return other_exit(how);
    default:
        return exit_with(PV_EXIT_HLT);
    }
}

/* ---- the machine ---- */

static void make_once(void)
{
    static uint8_t disk[DISK];
    static const struct options options = {.console = true, .entropy = true, .overlay = OVERLAY, .cpus = 2};
    check(make_machine(NULL) == 0);
    strcpy(info.modules[1].name, "disk");
    info.modules[1].address = (uintptr_t)disk;
    info.modules[1].size = sizeof(disk);
    info.module_count = 2;
    info.flags |= PV_INFO_NET;
    check(virtio_devices_plan(&options) == NULL);
    most_waits = WAITS;
    clock_at_start = machine.rtc; // from about 0 on
}

/// As it was for the input before, as far as that matters.
static void make_anew(const uint8_t *data, size_t size)
{
    in.data = data;
    in.size = size;
    has_apic = take(1) & 1;
    machine.apic_features = has_apic ? PV_APIC_TPR | PV_APIC_REGISTERS | (in.size & 1 ? PV_APIC_INTERRUPTS : 0) : 0;
    memset(pv_guest_pointer(&machine.memory, 0, 0x20000), 0, 0x20000);
    memset(machine.virtio.overlay.slots, 0, (DISK / 4096 + 1) * sizeof(uint32_t));
    machine.virtio.overlay.used = 0;
    machine.rtc = clock_at_start;
    restart_time();
    written = 0;
    reset_machine(NULL);
    machine.agent_count = 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool made;
    if (!made)
        make_once();
    made = true;
    make_anew(data, size);
    script = step;
    do {
        agent_loop(0);
        if (machine.phase == PHASE_RESET)
            check(machine_await_reset(0) == NULL && cpu_create(&machine.cpus[0], 0) >= 0 &&
                  cpu_create(&machine.cpus[1], 1) >= 0);
    } while (machine.phase != PHASE_ENDED && in.size > 0);
    return 0;
}
