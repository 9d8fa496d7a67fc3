// SPDX-License-Identifier: Apache-2.0
/// Exceptions in ring 0, NMI, and the #DB that ring 3 can cause in ring 0. Those in ring 3 go to mux_exception.
#include <polyvisor/string.h>

#include "arch/x86/core.h"
#include "arch/x86/registers.h"
#include "arch/x86/trap.h"
#include "vmm/panic.h"

/// Instructions that may fault (entry.asm): their address, and where to go on.
struct fixup {
    uint64_t from, to;
};
extern const struct fixup fixup_table[];
extern const uint8_t sysenter_entry[], sysenter_clean[];

const char *trap_name(uint64_t vector)
{
    static const char *const names[VECTOR_EXCEPTIONS] = {
        "#DE divide error",
        "#DB debug",
        "NMI",
        "#BP breakpoint",
        "#OF overflow",
        "#BR bound range exceeded",
        "#UD invalid opcode",
        "#NM device not available",
        "#DF double fault",
        "coprocessor segment overrun",
        "#TS invalid TSS",
        "#NP segment not present",
        "#SS stack-segment fault",
        "#GP general protection",
        "#PF page fault",
        "reserved exception 15",
        "#MF x87 error",
        "#AC alignment check",
        "#MC machine check",
        "#XM SIMD error",
        "#VE virtualization",
        "#CP control protection",
    };
    return vector < VECTOR_EXCEPTIONS && names[vector] ? names[vector] : "unknown exception";
}

void trap_ring0(struct ring0_frame *frame)
{
    for (const struct fixup *f = fixup_table; f->from; f++) {
        if (frame->rip == f->from &&
            (frame->vector == VECTOR_GP || frame->vector == VECTOR_PF || frame->vector == VECTOR_UD)) {
            frame->rip = f->to;
            return;
        }
    }
    if (frame->vector == VECTOR_PF) {
        uint64_t address = cpu_read_cr2();
        bool guard =
            address >= STACKS_BASE && address < DEVICES_BASE && (address & (STACK_SLOT - 1)) < STACK_SLOT - STACK_SIZE;
        panic_with_frame(frame, "#PF page fault in ring 0: address 0x%lx, error 0x%lx%s", address, frame->error_code,
                         guard ? " (stack overflow: the guard under a stack)" : "");
    }
    if (frame->vector == VECTOR_DF) {
        panic_with_frame(frame, "#DF double fault; last page-fault address 0x%lx", cpu_read_cr2());
    }
    panic_with_frame(frame, "%s in %s: error 0x%lx", trap_name(frame->vector), frame->cs & 3 ? "ring 3" : "ring 0",
                     frame->error_code);
}

/// An NMI may hit anywhere, ring 0 included: only count it, unless a panic calls.
void trap_nmi(struct ring0_frame *frame)
{
    struct core *core = core_self();
    core->nmis++;
    if (panic_running()) {
        panic_park(frame);
    }
}

void trap_debug(struct ring0_frame *frame)
{
    // SYSENTER with TF set traps here, before its first instruction has run or, as the SDM leaves that open, until the
    // flags are cleared. The flag has served its purpose.
    if (frame->rip >= (uint64_t)sysenter_entry && frame->rip <= (uint64_t)sysenter_clean) {
        frame->rflags &= ~RFLAGS_TF;
        return;
    }
    panic_with_frame(frame, "#DB debug exception in ring 0");
}

struct regs *trap_debug_ring3(const struct ring0_frame *frame)
{
    struct regs *regs = core_self()->main_stack->current;
    memcpy(&regs->r15, frame, sizeof(*frame));
    regs->kind = REGS_IRET;
    return regs;
}
