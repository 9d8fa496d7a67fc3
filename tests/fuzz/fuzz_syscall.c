// SPDX-License-Identifier: Apache-2.0
// Sequences of system calls, guests' exits, interrupts and exceptions of three personalities on two cores, with any arguments and
// at any moment: the multiplexer's own code on the machine of tests/machine, which checks what the processor demands and what
// guests rely on. After each step the objects must be sound, and a call that failed must have changed nothing.
// stand-ins: tests/machine
// links: tests/fuzz/syscall_*.c tests/machine/*.c vmm/lib/*.c
// links: vmm/config*.c vmm/console.c vmm/replay.c vmm/crash.c vmm/debug.c vmm/debug_[!b]*.c vmm/device_table.c
// links: vmm/elf.c vmm/grants.c vmm/level1.c vmm/load.c vmm/memmap.c vmm/message.c vmm/net*.c vmm/personality.c vmm/quota.c
// links: vmm/sched*.c vmm/space.c vmm/syscall.c vmm/trace.c vmm/user.c vmm/vcpu*.c
// links: arch/x86/paging.c arch/x86/vmx/bitmaps.c arch/x86/vmx/controls.c arch/x86/vmx/entry_check*.c
// links: arch/x86/vmx/ept*.c arch/x86/vmx/event.c arch/x86/vmx/field_policy.c arch/x86/vmx/vmcs_fields.c
// links: arch/x86/vmx/vmcs_names.c arch/x86/vmx/vmcs_setup.c arch/x86/vmx/apic_policy.c
#include "syscall.h"
#include "vmm/personality.h"

enum { STEPS = 400, TRIES = 6, FULL_CHECK = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/// Where the core goes when nobody there does anything.
static void idle(uint32_t core)
{
    machine_tsc = machine_cores[core].timer != UINT64_MAX ? machine_cores[core].timer : machine_tsc + 1000;
    machine_interrupt(core);
}

/// Brings an agent of a personality to the core, if it wants to run: by ends of slices.
static void wait_for(uint32_t core, uint32_t personality)
{
    const uint64_t none[5] = {0};
    int64_t result;
    for (int i = 0; i < TRIES; i++) {
        const struct agent *agent = (const struct agent *)cores[core].main_stack->current;
        if (agent && agent->personality->id == personality) {
            return;
        }
        switch (machine_place(core)) {
        case MACHINE_IDLE:
            idle(core);
            break;
        case MACHINE_RING3:
            machine_syscall(core, PV_SYS_YIELD, none, &result);
            machine_resume(core);
            break;
        case MACHINE_GUEST:
            machine_end_slice(core);
            break;
        }
    }
}

static void step(struct input *in)
{
    uint8_t who = input_byte(in);
    uint32_t core = who & 1, personality = who >> 1 & 3;
    if (who & 0x10) {
        machine_interrupt(core);
    }
    if (personality < personality_count) {
        wait_for(core, personality);
    }
    switch (machine_place(core)) {
    case MACHINE_IDLE:
        idle(core);
        break;
    case MACHINE_RING3:
        do_call(core, in);
        break;
    case MACHINE_GUEST:
        do_exit(core, in);
        break;
    }
    if (who & 0x08) {
        machine_run_messages();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool booted;
    if (!booted) {
        machine_boot();
        booted = true;
    }
    struct input in = {data, size};
    machine_start();
    forget_unfinished();
    for (uint32_t i = 0; i < STEPS && in.size; i++) {
        step(&in);
        check_cores();
        if (i % FULL_CHECK == 0) {
            check_all();
        }
    }
    check_all();
    machine_stop();
    check_all();
    return 0;
}
