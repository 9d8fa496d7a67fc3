// SPDX-License-Identifier: Apache-2.0
// A whole personality: runs a real-mode guest, prints what it writes to a port, and ends when it halts.
// docs/writing-a-personality.md walks through it.
#include "vcpu.h"

enum { GUEST_MEMORY = 64 << 10, GUEST_START = 0x1000, GUEST_STACK = 0x8000, PORT_PRINT = 0xe9, BUDGET = 1000000 };

/// guest.asm.
extern const char guest_image[], guest_image_end[];

/// Handles a delivered exit. False: the guest has ended.
static bool handle_exit(struct pv_vcpu_state *state)
{
    const struct pv_io io = pv_io_decode(state->exit_qualification);
    switch (pv_exit_reason(state)) {
    case PV_EXIT_IO:
        if (io.port == PORT_PRINT && !io.in)
            pv_printf("%c", (int)pv_io_value(state, &io));
        pv_skip_instruction(state);
        return true;
    case PV_EXIT_HLT:
        return false;
    default:
        pv_printf("unexpected: %s at %#lx\n", pv_exit_name(pv_exit_reason(state)), state->rip);
        return false;
    }
}

/// Runs the guest until it ends; returns what pv_vcpu_run said last.
static int64_t run(const struct pv_vcpu *vcpu)
{
    for (;;) {
        const int64_t result = pv_vcpu_run(vcpu->id, BUDGET);
        if (result < 0 || (result == PV_RUN_EXIT && !handle_exit(vcpu->state)))
            return result;
    }
}

int main(const struct pv_info *info, uint32_t agent)
{
    struct pv_guest_memory memory;
    struct pv_vcpu vcpu;
    (void)info;
    if (agent != 0)
        return 0;
    int64_t result = pv_guest_memory_create(&memory, GUEST_MEMORY);
    if (result >= 0)
        result = pv_vcpu_open(&vcpu, memory.space);
    if (result >= 0) {
        pv_guest_load_image(&memory, GUEST_START, guest_image, guest_image_end);
        pv_start_real(vcpu.state, 0, GUEST_START, GUEST_STACK);
        result = run(&vcpu);
    }
    if (result < 0)
        pv_printf("failed: %s\n", pv_error_name(result));
    return result < 0;
}
