// SPDX-License-Identifier: Apache-2.0
/*
 * vcpus: VMX contexts. One VMCS each, bound to one core, and a register file that holds what the VMCS does not.
 *
 * A vcpu belongs to an agent, which finds it in its table. It is touched on that agent's core only: in the agent's system
 * calls, in exits, and in messages to the agent. Ring 0 is not preempted, so there nobody else makes it disappear or run,
 * and no lock is needed. Other cores look at a vcpu, and set `kicked`, under its personality's lock; its agent's core takes
 * that to give it away and to destroy it.
 */
#ifndef POLYVISOR_VMM_VCPU_H
#define POLYVISOR_VMM_VCPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <polyvisor/vcpu.h>

#include "arch/x86/core.h"
#include "arch/x86/upcalls.h"
#include "vmm/sched.h"

struct personality;
struct core;
struct space;
struct cpuid_slot;

enum { EXIT_REASONS = 80 }; ///< basic exit reasons that are counted; higher ones share the last

/// What a VMCS does not hold. One or several vcpus' (nesting: L1 and L2 are the same registers).
struct register_file {
    uint64_t *gprs;    ///< in the owner's state page
    void *fpu;         ///< XSAVE area, a page of the quota
    uint64_t fpu_page; ///< its physical address
    uint64_t xcr0;
    struct guest_msrs msrs;
    uint64_t kernel_gs_base;
    uint64_t cr2;      ///< since the last exit that ring 0 did more about than answering it
    uint64_t debug[4]; ///< DR0 to DR3
    uint64_t dr6;
    bool uses_debug; ///< the guest has touched them: they are swapped too
    uint32_t users;  ///< vcpus
};

struct vcpu {
    uint64_t launched; ///< first, known to entry.asm: 0 after VMCLEAR, so VMLAUNCH; then VMRESUME
    uint64_t run_time; ///< second: ticks in the guest
    uint64_t *gprs;
    uint16_t vpid; ///< fourth
    uint32_t id;
    bool kicked;                         ///< its run is to end; set by any core
    bool flush_vpid;                     ///< this core may hold translations of an earlier vcpu with the same VPID
    bool long_way;                       ///< vmm/vcpu_hot.c is not for it
    bool cleared;                        ///< its VMCS was VMCLEARed: host_core is NULL
    bool has_msr_bitmap, has_io_bitmaps; ///< of its own; otherwise the ones that intercept everything
    struct personality *owner;
    uint64_t root;          ///< the owner's
    struct agent *agent;    ///< whose it is; NULL: on its way to another one, and its VMCS is nobody's
    struct core *core;      ///< the agent's; changed under the lock
    struct core *host_core; ///< whose host state the VMCS holds; NULL from VMCLEAR on until it is current again
    struct space *space;
    struct register_file *registers;
    struct register_file own_registers;
    struct pv_vcpu_state *state; ///< shared with the personality: read once, trusted never
    uint64_t vmcs;               ///< physical
    uint64_t page;               ///< its own, physical
    uint64_t msr_bitmap, io_bitmaps[2];
    const struct cpuid_slot *cpuid_table; ///< vmm/vcpu_table.h
    const void *msr_table;                ///< NULL: none
    uint64_t cpuid_page, msr_page;        ///< their pages, physical; 0: none
    uint32_t primary, secondary;          ///< controls, as they stand in the VMCS
    uint32_t apic;                        ///< enum vmx_apic: APIC virtualization that is on
    uint32_t wanted_windows;              ///< window exiting that the personality itself asked for, in vmcs_write
    uint32_t wanted_exceptions;           ///< the exception bitmap that it asked for
    uint64_t wanted_cr4_mask;             ///< the guest/host mask of CR4 that it asked for
    bool wants_mov_dr;
    bool wants_step;      ///< the monitor trap flag, likewise
    bool armed;           ///< a debugger looks at its exits (vmm/vcpu_debug.h)
    bool steps;           ///< makes a step for it
    enum pv_stop stop;    ///< why it stopped last; others set it under the lock when it is held
    uint64_t held_vector; ///< that the guest's local APIC requests, and that waits for the end of the step; 0: none
    uint64_t step_from;   ///< RIP where the step began
    uint64_t budget_end;  ///< run_time at which vcpu_run's budget is used up, UINT64_MAX: without limit
    uint64_t timer_end;   ///< TSC at which the preemption timer is to fire
    uint64_t run_until;   ///< the last tick before vcpu_run's deadline; UINT64_MAX: none
    uint64_t moves;
    uint64_t absorbed[EXIT_REASONS], delivered[EXIT_REASONS];
};
_Static_assert(offsetof(struct vcpu, launched) == 0 && offsetof(struct vcpu, run_time) == 8 &&
                   offsetof(struct vcpu, vpid) == 24,
               "arch/x86/regs.inc");
_Static_assert(sizeof(struct vcpu) <= 4096, "a vcpu is one page");

/// Any vcpu of a personality, under its lock.
struct vcpu *vcpu_find(const struct personality *p, uint64_t number);
/// The agent's vcpu with a number, or NULL. On its core. It does not run when the agent makes a system call.
static inline struct vcpu *vcpu_of(const struct agent *agent, uint64_t number)
{
    return number < PV_MAX_VCPUS ? agent->vcpus[number] : NULL;
}
/// Why there is none: PV_ERR_STATE if another agent has it, otherwise PV_ERR_NOT_FOUND.
int64_t vcpu_why_not(const struct agent *agent, uint64_t number);

/// Whether its budget is used up, or its deadline has come.
static inline bool vcpu_time_is_over(const struct vcpu *vcpu, uint64_t now)
{
    return vcpu->run_time >= vcpu->budget_end || now > vcpu->run_until;
}

/* vcpu_run.c: all on the vcpu's core */
/// The core is about to run an agent that is inside its guest: VMCS, register file, timer. May end the run instead.
void vcpu_switch_in(struct agent *agent);
/// Ends vcpu_run with a result: the agent goes on in ring 3.
void vcpu_finish_run(struct agent *agent, int64_t result);
/// vcpu_run of a vcpu that needs more than vcpu_hot.c does.
int64_t vcpu_run_slowly(struct agent *agent, struct vcpu *vcpu);
/// vcpu_run whose events are other ones than the agent's last run's.
int64_t vcpu_run_for_events(struct regs *regs, uint64_t number, uint64_t budget, uint64_t deadline, uint64_t events,
                            uint64_t a4);
/// The preemption timer fired in the current agent's guest.
void vcpu_timer(struct core *core, struct vcpu *vcpu);
/// vcpu_exit.c: every exit but the ones that vcpu_hot.c handles at once.
enum vcpu_exit_to vcpu_other_exit(struct vcpu *vcpu, struct core *core, uint32_t reason);
/// The same for the end of a slice that level 1 has decided about.
enum vcpu_exit_to vcpu_timer_slowly(struct vcpu *vcpu, struct core *core);
/// An NMI took the core out of a guest: it is ours.
void vcpu_take_nmi(void);
/// The time at which the core has to look again has changed: arms the timer anew.
void vcpu_rearm(struct agent *agent);
/// Ends the run of an agent (or NULL) whose vcpu was kicked.
void vcpu_check_kick(struct agent *agent);
/// Has the run of an agent, which may be inside its guest, end if there are events that end it. They stay pending.
void vcpu_kick_if_due(struct agent *agent);
/// VMPTRLD, unless it is current: to run it, after its registers were loaded too.
void vcpu_make_current(struct core *core, struct vcpu *vcpu);
/// VMPTRLD to read and write its fields; then none counts as current, unless it was already: what else a run needs is not loaded.
void vcpu_open_vmcs(struct core *core, struct vcpu *vcpu);
/// VMCLEAR: its data are in memory then, and no core's.
void vcpu_clear_vmcs(struct core *core, struct vcpu *vcpu);
/// Writes one of struct guest_msrs' MSRs for the loaded register file. False: no such MSR, or WRMSR refuses the value (#GP).
bool vcpu_write_msr(struct vcpu *vcpu, uint32_t msr, uint64_t value);
/// From now on the debug registers of the vcpu's register file are swapped too. On its core.
void vcpu_use_debug_registers(struct vcpu *vcpu);
/// Saves the loaded register file; none is loaded then.
void vcpu_unload_registers(struct core *core);

/* vcpu_create.c */
/// An agent has stopped: VMCLEARs its vcpus, which are nobody's then.
void vcpu_release(struct agent *agent);
/// An agent leaves this core for another: its vcpus are cleared and go with it.
void vcpu_follow(struct agent *agent, struct core *target);
/// Forgets all vcpus and spaces of a personality that has ended: their pages go back with the quota.
void vcpu_forget_all(struct personality *p);

/* the system calls, polyvisor/vcpu.h */
int64_t vcpu_create(struct regs *regs, uint64_t space, uint64_t state_page, uint64_t registers, uint64_t a3,
                    uint64_t a4);
int64_t vcpu_run(struct regs *regs, uint64_t number, uint64_t budget, uint64_t deadline, uint64_t events, uint64_t a4);
int64_t vcpu_move(struct regs *regs, uint64_t number, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4);
int64_t vcpu_kick(struct regs *regs, uint64_t number, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4);
int64_t vcpu_destroy(struct regs *regs, uint64_t number, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4);
int64_t vcpu_vmcs_read(struct regs *regs, uint64_t number, uint64_t entries, uint64_t count, uint64_t a3, uint64_t a4);
int64_t vcpu_vmcs_write(struct regs *regs, uint64_t number, uint64_t entries, uint64_t count, uint64_t a3, uint64_t a4);
int64_t vcpu_set_cpuid(struct regs *regs, uint64_t number, uint64_t entries, uint64_t count, uint64_t a3, uint64_t a4);
int64_t vcpu_set_msrs(struct regs *regs, uint64_t number, uint64_t entries, uint64_t count, uint64_t a3, uint64_t a4);
int64_t vcpu_msr_allow(struct regs *regs, uint64_t number, uint64_t first, uint64_t count, uint64_t how, uint64_t a4);
int64_t vcpu_io_allow(struct regs *regs, uint64_t number, uint64_t first, uint64_t count, uint64_t how, uint64_t a4);
int64_t vcpu_apic(struct regs *regs, uint64_t number, uint64_t features, uint64_t page, uint64_t access, uint64_t a4);

#endif
