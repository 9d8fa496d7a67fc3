// SPDX-License-Identifier: Apache-2.0
/// What the processor's part calls in the multiplexer (vmm/). The arrows of dependency point the other way for
/// everything else.
#ifndef POLYVISOR_ARCH_UPCALLS_H
#define POLYVISOR_ARCH_UPCALLS_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/regs.h"

struct boot_info;
struct core;
struct vcpu;

/// From the boot loader by entry.asm, on the boot stack, with the loader's page tables.
_Noreturn void mux_main(uint64_t boot_info);
/// An application processor, on its own stack, with everything of arch/x86 set up. Must end in core_resume().
_Noreturn void mux_core_main(void);
/// System calls by number (enum pv_syscall): (registers of the caller, arguments 0 to 4) -> result.
typedef int64_t syscall_function(struct regs *regs, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4);
extern syscall_function *const syscall_table[];
/// A SYSENTER with a number beyond the table.
int64_t mux_unknown_syscall(struct regs *regs, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4);
/// SYSENTER with a return address or stack pointer that SYSEXIT could not go back to.
void mux_bad_sysenter(struct regs *regs);
/// An exception in ring 3; address: CR2 for #PF. The registers are the current agent's.
void mux_exception(struct regs *regs, uint64_t address);
/// An external interrupt, in ring 3 or while the core idled. Before EOI.
void mux_interrupt(uint32_t vector);

/// What an external interrupt asks for, without accounting and switching: for one that came by a VM exit.
void mux_handle_interrupt(uint32_t vector);
/// How core_resume's work is done after a VM exit. entry.asm knows the numbers.
enum vcpu_exit_to {
    EXIT_TO_CURRENT = 0, ///< whoever is current, in whatever way
    EXIT_TO_RING3 = 1,   ///< the current agent is unchanged, and has left its guest: vcpu_run returns
    EXIT_TO_GUEST = 2,   ///< a guest is loaded (core_set_guest)
};

/// A VM exit of the current agent's guest; its general registers are in its file. reason: the whole exit-reason field.
enum vcpu_exit_to vcpu_exit(struct vcpu *vcpu, struct core *core, uint32_t reason);
/// An exit for CPUID, before registers that C keeps are saved. True: answered, and the guest goes on. False: nothing was done.
bool vcpu_exit_cpuid(struct vcpu *vcpu, struct core *core);
/* The same while the core traces (vmm/trace.c): after what is to be done was done. */
void trace_call(struct core *core, uint32_t number);
enum vcpu_exit_to trace_exit(struct core *core, uint32_t reason, uint32_t vpid, enum vcpu_exit_to to);
/// vcpu_exit_cpuid, and records it if it has answered.
bool trace_exit_cpuid(struct vcpu *vcpu, struct core *core);
/// VMREAD of the exit reason failed: a bug.
_Noreturn void vcpu_no_exit_reason(void);
/// VMLAUNCH or VMRESUME failed (invalid: VMfailInvalid).
void vcpu_entry_failed(struct vcpu *vcpu, bool invalid);

#endif
