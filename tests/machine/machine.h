// SPDX-License-Identifier: Apache-2.0
/*
 * A machine made of variables, for host programs that link the multiplexer itself: its C code for system calls, exits
 * and scheduling runs as it is, on one thread, and what the processor would do is done here. Cores take turns: the
 * program says which one acts next.
 *
 *   arch/        headers that stand in for those with inline assembly ('// stand-ins:', docs/testing.md)
 *   processor.c  registers, FPU, APIC, ring 3's memory        vmcs.c   the VMX instructions
 *   entry.c      what entry.asm does                          guest.c  VM entries and exits, what guests rely on
 *   boot.c       from nothing to personalities                ept_walk.c  EPT and what cores cache of it
 *
 * It is stricter than a processor, and than Bochs: what the SDM leaves undefined ends the program (machine_fail).
 */
#ifndef POLYVISOR_TESTS_MACHINE_H
#define POLYVISOR_TESTS_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/x86/core.h"
#include "arch/x86/vmx/vmcs_fields.h"
#include "vmm/vcpu.h"

enum { MACHINE_CORES = 2, MACHINE_PERSONALITIES = 3, MACHINE_MONITOR = 0 };
#define MACHINE_RAM_BASE UINT64_C(0x40000000)
#define MACHINE_RAM_SIZE UINT64_C(0x00a00000)
#define MACHINE_PAGES (MACHINE_RAM_SIZE / PAGE_SIZE)
#define MACHINE_TSC_HZ UINT64_C(2000000000)

/// What guests can find in a core's registers. One number stands for the FPU's.
struct guest_registers {
    uint64_t fpu, cr2, kernel_gs_base, debug[4], dr6, xcr0;
    struct guest_msrs msrs;
};

/// What a core holds besides struct core.
struct machine_core {
    struct guest_registers now;
    uint64_t cr0, cr3, cr4;
    uint64_t vmcs;  ///< current-VMCS pointer, or 0
    uint64_t timer; ///< TSC deadline of the local APIC's timer, or UINT64_MAX
    bool pending[256];
    bool gdt_narrow;
};
extern struct machine_core machine_cores[MACHINE_CORES];
extern uint32_t machine_self; ///< which core executes
extern uint64_t machine_tsc;

/// Something that must not happen has happened: prints it and ends the program.
_Noreturn void machine_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define MACHINE_CHECK(condition, ...) ((condition) ? (void)0 : machine_fail(__VA_ARGS__))

/// Whether [address, +size) is RAM.
bool machine_is_ram(uint64_t address, uint64_t size);
/// A page of a personality's memory that machine_start has to clear, so that every start is the same.
void machine_touch(uint64_t physical);
void machine_clear_touched(void);

/* ---- boot.c ---- */

/// Once: memory, cores, configuration, personalities. They do not run yet.
void machine_boot(void);
/// Starts all personalities anew, always the same way.
void machine_start(void);
/// Ends all of them, whatever they do, and checks that nothing is left.
void machine_stop(void);
/// Delivers interrupts on all cores until there are no more.
void machine_run_messages(void);

/* ---- entry.c: ways into ring 0. Each, but for machine_syscall, ends with machine_resume. ---- */

enum machine_place { MACHINE_IDLE, MACHINE_RING3, MACHINE_GUEST };
/// Where a core is.
enum machine_place machine_place(uint32_t core);
/// A system call of the current agent, which is in ring 3. False: it does not return now (it waits, is in its guest, or has
/// lost the core); the result is in its registers when it comes back. machine_resume has to follow.
bool machine_syscall(uint32_t core, uint64_t call, const uint64_t arguments[5], int64_t *result);
/// SYSENTER with a return address on which SYSEXIT would fault.
void machine_bad_sysenter(uint32_t core);
/// An exception in ring 3; address: of a page fault.
void machine_exception(uint32_t core, uint64_t vector, uint64_t address);
/// Delivers the interrupts that wait for a core. False: there was none.
bool machine_interrupt(uint32_t core);
/// Leaves ring 0: for whoever is current, with everything right that it relies on.
void machine_resume(uint32_t core);

/// Where SYSENTER and VM exits come in: nobody jumps there.
void sysenter_entry(void);
void vmx_exit_entry(void);

/* ---- guest.c ---- */

/// An exit that a guest is to have.
struct machine_exit {
    uint32_t reason; ///< basic
    uint64_t ticks;  ///< that the guest runs before, unless the preemption timer ends that
    uint64_t qualification;
    uint32_t interruption_info, interruption_error;
    uint32_t vectoring_info, vectoring_error;
    uint64_t rax, rcx, rdx;
    uint64_t dirt; ///< what the guest leaves in its registers
};
/// VM entry of the core's current vcpu. False: it was refused, and that was handled.
bool machine_enter_guest(uint32_t core);
/// The guest that a core is in, or is about to enter, uses no translation that has been withdrawn, unless the interrupt that is to
/// end that is on its way.
void machine_check_translations(uint32_t core);
void machine_exit_guest(uint32_t core, const struct machine_exit *exit);
/// The preemption timer's exit.
void machine_end_slice(uint32_t core);
void machine_guest_interrupt(uint32_t core, uint32_t vector);
/// A new vcpu's guest finds what INIT leaves, or the registers of the one that it shares them with.
void machine_expect_new(const struct vcpu *vcpu, const struct vcpu *registers);
/// The personality has set these groups (enum pv_state_group) of a vcpu's state; those of the register file count.
void machine_expect_groups(const struct vcpu *vcpu, const struct pv_vcpu_state *state, uint32_t groups);

/* ---- vmcs.c ---- */

/// A field, whichever core the VMCS is active on.
uint64_t machine_vmcs_peek(uint64_t vmcs, enum vmcs_field field);
void machine_vmcs_set(uint64_t vmcs, enum vmcs_field field, uint64_t value);
/// The core that a VMCS is active on, or -1.
int machine_vmcs_active(uint64_t vmcs);
/// The first active VMCS behind an address, or 0.
uint64_t machine_vmcs_any_active(uint64_t after);
/// Whether VMLAUNCH or VMRESUME suits the current VMCS: 0, or the VM-instruction error.
uint32_t machine_vmcs_enter(bool launch);
void machine_vmcs_launched(void);

/* ---- ept_walk.c ---- */

struct machine_leaf {
    uint64_t gpa, size;
    uint64_t entry; ///< without accessed and dirty bits
};
/// What a hierarchy translates, in order of address; valid until the next call. on_table sees every table page.
const struct machine_leaf *machine_ept(uint64_t root, size_t *count, void (*on_table)(void *context, uint64_t page),
                                       void *context);
/// The next page that was a table until a translation was withdrawn the last time; *from: 0 at first. 0: no more.
uint64_t machine_ept_gone(uint64_t root, size_t *from);
/// Whether a core may still use translations of a hierarchy that have been withdrawn, if it enters a guest.
bool machine_tlb_stale(uint32_t core, uint64_t eptp);
/// An entry: from here on translations are cached.
void machine_tlb_enter(uint64_t eptp, uint16_t vpid, uint64_t life);
/// No core has anything cached.
void machine_tlb_reset(void);

#endif
