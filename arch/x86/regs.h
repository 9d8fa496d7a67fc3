// SPDX-License-Identifier: Apache-2.0
/// The registers of ring 3 while ring 0 (or another agent) has the core. Entry code pushes straight into it: TSS.RSP0
/// points to its end while its agent is current. Offsets are known to regs.inc.
#ifndef POLYVISOR_ARCH_REGS_H
#define POLYVISOR_ARCH_REGS_H

#include <stddef.h>
#include <stdint.h>

enum regs_kind {
    REGS_SYSEXIT = 0, ///< came by SYSENTER: rax, rbx, rbp, rsp, r12 to r15 and rip count; goes back by SYSEXIT
    REGS_GUEST = 2, ///< inside vcpu_run: goes back into its guest; the rest as REGS_SYSEXIT, for when the call returns
    REGS_IRET = 1,  ///< came by an interrupt or exception, or never ran: everything counts; goes back by IRETQ
};

struct vcpu;

struct regs {
    uint64_t kernel_stack; ///< what rsp becomes after the registers are saved (the core's struct stack_top)
    uint64_t kind;         ///< enum regs_kind
    uint64_t syscalls;     ///< how many, for the statistics
    uint64_t ticks;        ///< in ring 3
    uint64_t reserved;
    struct vcpu *guest; ///< with REGS_GUEST: which vcpu it runs
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax;
    uint64_t vector, error_code;
    uint64_t rip, cs, rflags, rsp, ss; ///< as the processor pushes them (SDM Vol. 3A 6.14.2)
} __attribute__((aligned(16)));        // the processor aligns the stack to 16 before it pushes

_Static_assert(sizeof(struct regs) == 224 && offsetof(struct regs, r15) == 48, "regs.inc");
_Static_assert(offsetof(struct regs, rax) == 160 && offsetof(struct regs, rip) == 184, "regs.inc");

/// What an exception or interrupt in ring 0 leaves on the stack.
struct ring0_frame {
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax;
    uint64_t vector, error_code;
    uint64_t rip, cs, rflags, rsp, ss;
};

#endif
