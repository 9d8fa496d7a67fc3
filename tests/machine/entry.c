// SPDX-License-Identifier: Apache-2.0
/// What arch/x86/entry.asm does: the ways into ring 0 and out of it, and what whoever goes on may rely on.
#include <polyvisor/trace.h>

#include "arch/x86/registers.h"
#include "arch/x86/upcalls.h"
#include "machine.h"
#include "vmm/personality.h"
#include "vmm/sched.h"

/// Interrupts in a row, at most: each may cause another.
enum { PENDING_MAX = 64 };

static struct core *enter(uint32_t core)
{
    machine_self = core;
    return &cores[core];
}

enum machine_place machine_place(uint32_t core)
{
    const struct regs *current = cores[core].main_stack->current;
    return !current ? MACHINE_IDLE : current->kind == REGS_GUEST ? MACHINE_GUEST : MACHINE_RING3;
}

/// Ring 3 sees no guest's FPU, loads selectors from the table itself, and is interrupted when the scheduler wants.
static void check_ring3(struct core *core, const struct regs *regs)
{
    struct machine_core *m = &machine_cores[core->id];
    const struct agent *agent = (const struct agent *)regs;
    MACHINE_CHECK(m->cr0 & CR0_TS, "ring 3 can use the FPU");
    MACHINE_CHECK(m->gdt_narrow, "ring 3 can load selectors from beyond the GDT");
    MACHINE_CHECK(m->cr3 == agent->personality->root && core->loaded_root == m->cr3, "ring 3 with CR3 0x%lx", m->cr3);
    MACHINE_CHECK(agent->core == core && agent->state == AGENT_RUNNING, "an agent runs that should not");
    MACHINE_CHECK(agent->personality->state == PV_STATE_RUNNING || agent->personality->state == PV_STATE_STOPPING,
                  "%s runs in state %d", agent->personality->config->name, (int)agent->personality->state);
    MACHINE_CHECK(core->tss.rsp[0] == (uint64_t)(regs + 1), "interrupts in ring 3 would save registers elsewhere");
    MACHINE_CHECK(regs->kernel_stack == (uint64_t)core->main_stack, "ring 0 would continue on another core's stack");
}

void machine_resume(uint32_t number)
{
    struct core *core = &cores[number];
    do {
        core->stamp = cpu_rdtsc();
    } while (machine_place(number) == MACHINE_GUEST && !machine_enter_guest(number));
    if (machine_place(number) == MACHINE_RING3) {
        check_ring3(core, core->main_stack->current);
    }
    if (machine_place(number) != MACHINE_GUEST) {
        const struct machine_core *m = &machine_cores[number];
        MACHINE_CHECK(m->timer <= core->horizon || m->pending[VECTOR_TIMER], "the APIC timer fires too late");
    }
}

static struct regs *sysenter(struct core *core)
{
    struct regs *regs = core->main_stack->current;
    MACHINE_CHECK(machine_place(core->id) == MACHINE_RING3, "a system call from elsewhere than ring 3");
    regs->kind = REGS_SYSEXIT;
    regs->syscalls++;
    return regs;
}

bool machine_syscall(uint32_t number, uint64_t call, const uint64_t a[5], int64_t *result)
{
    struct core *core = enter(number);
    struct regs *regs = sysenter(core);
    core_clock_enter(core, CLOCK_RING3);
    uint64_t limit = core->call_limit;
    bool known = call < PV_SYSCALL_COUNT;
    *result = (known ? syscall_table[call] : mux_unknown_syscall)(regs, a[0], a[1], a[2], a[3], a[4]);
    // entry.asm looks at the limit before the call, and at `tracing` when the number is unknown
    if (known ? call >= limit : core->tracing) {
        trace_call(core, known ? (uint32_t)call : PV_TRACE_UNKNOWN_CALL);
    }
    regs->rax = (uint64_t)*result;
    return core->main_stack->current == regs && regs->kind == REGS_SYSEXIT;
}

void machine_bad_sysenter(uint32_t core)
{
    mux_bad_sysenter(sysenter(enter(core)));
    machine_resume(core);
}

void machine_exception(uint32_t core, uint64_t vector, uint64_t address)
{
    struct regs *regs = enter(core)->main_stack->current;
    MACHINE_CHECK(machine_place(core) == MACHINE_RING3, "an exception elsewhere than in ring 3");
    regs->kind = REGS_IRET;
    regs->vector = vector;
    regs->error_code = 0;
    machine_cores[core].now.cr2 = vector == VECTOR_PF ? address : machine_cores[core].now.cr2;
    mux_exception(regs, address);
    machine_resume(core);
}

static int take_interrupt(uint32_t core)
{
    struct machine_core *m = &machine_cores[core];
    if (machine_tsc >= m->timer) {
        m->timer = UINT64_MAX;
        m->pending[VECTOR_TIMER] = true;
    }
    for (int vector = 255; vector >= VECTOR_EXCEPTIONS; vector--) {
        if (m->pending[vector]) {
            m->pending[vector] = false;
            return vector;
        }
    }
    return -1;
}

bool machine_interrupt(uint32_t core)
{
    int vector;
    bool any = false;
    for (int i = 0; i < PENDING_MAX && (vector = take_interrupt(core)) >= 0; i++) {
        any = true;
        if (machine_place(core) == MACHINE_GUEST) {
            machine_guest_interrupt(core, (uint32_t)vector);
            continue;
        }
        struct core *c = enter(core);
        if (c->main_stack->current) {
            c->main_stack->current->kind = REGS_IRET;
            c->main_stack->current->vector = (uint64_t)vector;
        }
        mux_interrupt((uint32_t)vector);
        machine_resume(core);
    }
    return any;
}
