// SPDX-License-Identifier: Apache-2.0
/// One logical processor: what the hardware needs of it, and how to find it from any stack.
#ifndef POLYVISOR_ARCH_CORE_H
#define POLYVISOR_ARCH_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include <polyvisor/abi.h>

#include "arch/x86/cpu.h"
#include "arch/x86/layout.h"
#include "arch/x86/regs.h"

/// 64-bit task-state segment, SDM Vol. 3A 8.7.
struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t ist[8]; ///< ist[0] is reserved
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t io_map_base; ///< beyond the limit: no port is open to ring 3
} __attribute__((packed));
_Static_assert(sizeof(struct tss) == 104, "SDM Vol. 3A figure 8-11");

/// MSRs that VM entry and exit leave alone and that only WRMSR changes: guests' writes exit, so these copies are always right.
struct guest_msrs {
    uint64_t star, lstar, sfmask, tsc_aux;
};

struct vcpu;
struct register_file;
struct sched;
struct trace;

/// Interrupt stack table slots; each of these stacks is a core's own.
enum { IST_NONE = 0, IST_DF = 1, IST_MC = 2, IST_NMI = 3, IST_DB = 4, IST_COUNT = 4 };

enum { GDT_ENTRIES = 9 };

struct core;
struct vcpu;

/// The last bytes of every stack slot.
struct stack_top {
    struct regs *current; ///< on the main stack: registers of the agent that the core runs, NULL when it idles
    struct core *core;
    uint64_t *gprs;    ///< with an agent inside its guest: where the guest's general registers go at an exit
    struct vcpu *vcpu; ///< and the guest's vcpu
};

/// Who a core's time goes to. Every tick since the core started is in exactly one.
enum core_clock { CLOCK_IDLE, CLOCK_RING3, CLOCK_GUEST, CLOCK_MUX, CLOCKS };

struct core {
    uint64_t stamp;         ///< TSC up to which time is charged; entry.asm knows the offsets of this and the next few
    uint64_t clock[CLOCKS]; ///< ticks
    uint64_t call_limit;    ///< system calls from that number on go another way: all, while tracing
    uint32_t quick_reason;  ///< exits for that go to vcpu_exit_cpuid at once: CPUID, or none while tracing
    uint32_t tracing;       ///< not 0: vmm/trace.h
    uint32_t id;            ///< dense, from 0
    uint32_t apic_id;       ///< the hardware's
    uint32_t state;         ///< enum pv_core_state
#ifdef POLYVISOR_COUNT_VMX
    uint64_t vmx_instructions; ///< entry.asm knows its offset
#endif
    bool gdt_wide; ///< a VM exit has widened the GDT's limit
    bool bsp;
    volatile bool alive;   ///< reached C code
    volatile bool ready;   ///< set up, takes messages
    volatile bool stopped; ///< parked by a panic or by power-off

    struct stack_top *main_stack;           ///< SYSENTER_ESP, and where TSS entries go on to
    struct stack_top *ist_stack[IST_COUNT]; ///< index IST_x - 1
    uint64_t loaded_root;                   ///< CR3

    struct sched *sched;       ///< vmm/sched.c
    struct trace *trace;       ///< vmm/trace.c
    uint64_t horizon;          ///< TSC at which the scheduler wants the core back at the latest, whoever has it
    struct guest_msrs msrs;    ///< what the hardware holds
    struct vcpu *current_vcpu; ///< whose VMCS is current, NULL: none
    struct register_file *loaded_registers; ///< whose FPU, SYSCALL MSRs and debug registers are loaded
    uint64_t xcr0;                          ///< what XCR0 holds

    uint64_t vmxon_count, vmxoff_count;
    uint64_t vmxon_region; ///< physical
    char why[PV_WHY_SIZE]; ///< why not in VMX operation

    uint64_t tsc_start;
    uint64_t interrupts;
    uint64_t nmis;

    struct tss tss __attribute__((aligned(64)));
    uint64_t gdt[GDT_ENTRIES];
    struct table_pointer gdt_pointer; ///< LGDT's operand
    struct ring0_frame *panic_frame;  ///< registers when a panic stopped this core, or NULL
};

extern struct core cores[PV_MAX_CORES];
extern uint32_t core_count; ///< entries of cores[] in use, absent ones included

static inline struct stack_top *stack_top_of(uint64_t stack_pointer)
{
    return (struct stack_top *)((stack_pointer | (STACK_SLOT - 1)) + 1) - 1;
}

/// Ring 0 was entered: charges the time since it was left. Leaving charges CLOCK_MUX (core_resume).
static inline uint64_t core_clock_enter(struct core *core, enum core_clock clock)
{
    uint64_t now = cpu_rdtsc();
    core->clock[clock] += now - core->stamp;
    if (clock == CLOCK_RING3) {
        core->main_stack->current->ticks += now - core->stamp;
    }
    core->stamp = now;
    return now;
}

/// The core that executes this. Found from the stack, never from a segment base that ring 3 could have changed.
static inline struct core *core_self(void)
{
    return stack_top_of(cpu_stack_pointer())->core;
}

/// What ring 0 or its system calls cannot do without and this processor lacks, as a sentence; NULL: nothing.
const char *core_missing_feature(void);
/// Core 0's descriptors and early stack; before paging is ours.
void core_early_init(void);
/// This core's control registers, GDT, TSS, IDT, SYSENTER MSRs. Its stacks must be mapped.
void core_load(struct core *core);
/// Sets CR0.TS again after the FPU was touched without a VM entry and exit: ring 3 must not see a guest's FPU state.
void core_hide_fpu(void);
/// A VM exit leaves the GDT's limit at 64 KiB (SDM Vol. 3C 28.5.2), far beyond the table: before ring 3 can load a
/// selector it is brought back.
static inline void core_load_gdt(struct core *core)
{
    core->gdt_wide = false;
    cpu_load_gdt(&core->gdt_pointer);
}
static inline void core_narrow_gdt(struct core *core)
{
    if (core->gdt_wide) {
        core_load_gdt(core);
    }
}
/// Linear address of the IDT that all cores share.
uint64_t core_idt_base(void);
/// Whose guest the current agent is inside; before that agent is resumed.
static inline void core_set_guest(struct core *core, struct vcpu *vcpu, uint64_t *gprs)
{
    core->main_stack->vcpu = vcpu;
    core->main_stack->gprs = gprs;
}

/// Which registers come back when ring 3 is entered next; NULL: idle.
static inline void core_set_current(struct core *core, struct regs *regs)
{
    core->main_stack->current = regs;
    if (regs) {
        core->tss.rsp[0] = (uint64_t)(regs + 1);
    }
}

/// Both at once.
static inline void core_set_guest_agent(struct core *core, struct regs *regs, struct vcpu *vcpu, uint64_t *gprs)
{
    struct stack_top *top = core->main_stack;
    top->current = regs;
    top->gprs = gprs;
    top->vcpu = vcpu;
}

/// Makes a page-table root current unless it is.
static inline void core_load_root(struct core *core, uint64_t root)
{
    if (core->loaded_root != root) {
        core->loaded_root = root;
        cpu_write_cr3(root);
    }
}

/* entry.asm */
/// Leaves ring 0: resumes the core's current registers, or idles. Drops everything on the stack.
_Noreturn void core_resume(void);
/// Goes to the core's main stack and calls a function there that does not return.
_Noreturn void core_switch_stack(struct stack_top *top, void (*function)(void));

/// Reads an MSR that may not exist. False: #GP.
bool msr_read_safe(uint32_t msr, uint64_t *value);
/// Writes an MSR. False: #GP, nothing written.
bool msr_write_safe(uint32_t msr, uint64_t value);
/// Copies to or from ring 3's memory, under SMAP. Returns false, with an unknown part copied, when a page is not there
/// or not allowed. The address range must have been checked to lie below USER_TOP.
bool user_copy_in(void *to, uint64_t from, uint64_t size);
bool user_copy_out(uint64_t to, const void *from, uint64_t size);

#endif
