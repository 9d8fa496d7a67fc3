// SPDX-License-Identifier: Apache-2.0
/// System calls (abi.h) but for the debug capability's, and what else brings ring 3 here: exceptions and interrupts.
#include <polyvisor/format.h>
#include <polyvisor/string.h>

#include "arch/x86/apic.h"
#include "arch/x86/core.h"
#include "arch/x86/layout.h"
#include "arch/x86/paging.h"
#include "arch/x86/registers.h"
#include "arch/x86/trap.h"
#include "arch/x86/upcalls.h"
#include "vmm/console.h"
#include "vmm/debug.h"
#include "vmm/device_table.h"
#include "vmm/log.h"
#include "vmm/net.h"
#include "vmm/panic.h"
#include "vmm/personality.h"
#include "vmm/sched.h"
#include "vmm/space.h"
#include "vmm/trace.h"
#include "vmm/user.h"
#include "vmm/vcpu.h"

enum { CONSOLE_CHUNK = 512 };

/// After a call that may have taken the core from its caller. The caller's result is in its registers then, now or
/// when it wakes.
static int64_t settle(struct regs *regs)
{
    sched_settle();
    return (int64_t)regs->rax;
}

static int64_t sys_null(struct regs *regs, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
    (void)regs, (void)a0, (void)a1, (void)a2, (void)a3, (void)a4;
    return PV_OK;
}

static int64_t sys_exit(struct regs *regs, uint64_t code, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
    (void)a1, (void)a2, (void)a3, (void)a4;
    struct personality *p = agent_of(regs)->personality;
    lock_take(&p->lock);
    if (p->state == PV_STATE_RUNNING && !p->why[0]) {
        p->exit_code = (int64_t)code;
        pv_snprintf(p->why, sizeof(p->why), "exit code %ld", (int64_t)code);
    }
    lock_drop(&p->lock);
    log_line("%s: exit code %ld", p->config->name, (int64_t)code);
    personality_stop(p, PV_STATE_EXITED, NULL);
    return settle(regs);
}

static int64_t sys_yield(struct regs *regs, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
    (void)a0, (void)a1, (void)a2, (void)a3, (void)a4;
    regs->rax = PV_OK;
    sched_yield();
    return settle(regs);
}

static int64_t sys_console_write(struct regs *regs, uint64_t text, uint64_t size, uint64_t flags, uint64_t a3,
                                 uint64_t a4)
{
    (void)a3, (void)a4;
    struct personality *p = agent_of(regs)->personality;
    if ((flags & ~(uint64_t)(PV_CONSOLE_PARTIAL | PV_CONSOLE_RAW)) || size > PV_CONSOLE_SIZE) {
        return PV_ERR_INVALID;
    }
    if (!user_range(text, size)) {
        return PV_ERR_FAULT;
    }
    char chunk[CONSOLE_CHUNK];
    uint64_t done = 0;
    while (done < size) {
        uint64_t bytes = size - done < sizeof(chunk) ? size - done : sizeof(chunk);
        if (!user_read(chunk, text + done, bytes)) {
            return done ? (int64_t)done : PV_ERR_FAULT;
        }
        uint64_t written = console_write(&p->console, chunk, bytes, (uint32_t)flags);
        done += written;
        if (written < bytes) {
            break;
        }
    }
    regs->rax = done;
    return settle(regs); // another line on the terminal may have woken the monitor
}

static int64_t sys_console_read(struct regs *regs, uint64_t buffer, uint64_t size, uint64_t a2, uint64_t a3,
                                uint64_t a4)
{
    (void)a2, (void)a3, (void)a4;
    char chunk[CONSOLE_CHUNK];
    uint64_t bytes = size < sizeof(chunk) ? size : sizeof(chunk);
    if (!user_writable(agent_of(regs)->personality, buffer, bytes)) {
        return PV_ERR_FAULT; // before input is taken out that could not be delivered
    }
    size_t got = console_read(&agent_of(regs)->personality->console, chunk, bytes);
    return user_write(buffer, chunk, got) ? (int64_t)got : PV_ERR_FAULT;
}

static int64_t sys_event_wait(struct regs *regs, uint64_t mask, uint64_t deadline, uint64_t a2, uint64_t a3,
                              uint64_t a4)
{
    (void)a2, (void)a3, (void)a4;
    if (mask >> 31) { // a result with bit 31 or above set could be taken for an error
        return PV_ERR_INVALID;
    }
    int64_t result = sched_wait((uint32_t)mask, deadline);
    return sched_current() == agent_of(regs) ? result : settle(regs);
}

static int64_t sys_event_signal(struct regs *regs, uint64_t index, uint64_t events, uint64_t a2, uint64_t a3,
                                uint64_t a4)
{
    (void)a2, (void)a3, (void)a4;
    struct personality *p = agent_of(regs)->personality;
    if (index >= p->agent_count || (events & ~(uint64_t)PV_EVENT_USER_MASK)) {
        return PV_ERR_INVALID;
    }
    sched_signal(&p->agents[index], (uint32_t)events);
    regs->rax = PV_OK;
    return settle(regs);
}

static uint64_t alloc_table(void *context)
{
    return quota_alloc(context);
}

static int64_t sys_memory_map(struct regs *regs, uint64_t address, uint64_t offset, uint64_t size, uint64_t writable,
                              uint64_t a4)
{
    (void)a4;
    struct personality *p = agent_of(regs)->personality;
    bool aligned = (address | offset | size) % PAGE_SIZE == 0;
    bool there = address >= PV_USER_MAP_MIN && address < PV_USER_MAP_MAX && size <= PV_USER_MAP_MAX - address;
    if (!aligned || !there || size == 0 || offset > p->pool_size || size > p->pool_size - offset || writable > 1) {
        return PV_ERR_INVALID;
    }
    // Only ever from not present to present: nothing stale can be in another core's TLB.
    uint64_t flags = PAGE_USER | PAGE_NO_EXECUTE | (writable ? PAGE_WRITE : 0);
    int64_t result = PV_OK;
    uint64_t tables, leaves;
    lock_take(&p->lock);
    if (!paging_range_empty(p->root, address, size)) {
        result = PV_ERR_STATE;
    } else {
        paging_cost(p->root, address, p->memory + offset, size, PV_MAP_MAX_PAGES, &tables, &leaves);
        if (leaves > PV_MAP_MAX_PAGES) {
            result = PV_ERR_INVALID; // would keep the core too long
        } else if (tables > quota_left(&p->quota)) {
            result = PV_ERR_QUOTA; // before anything has changed
        } else {
            ASSERT(paging_map(p->root, address, p->memory + offset, size, flags, alloc_table, &p->quota));
        }
    }
    lock_drop(&p->lock);
    return result;
}

syscall_function *const syscall_table[] = {
    [PV_SYS_NULL] = sys_null,
    [PV_SYS_EXIT] = sys_exit,
    [PV_SYS_YIELD] = sys_yield,
    [PV_SYS_CONSOLE_WRITE] = sys_console_write,
    [PV_SYS_CONSOLE_READ] = sys_console_read,
    [PV_SYS_EVENT_WAIT] = sys_event_wait,
    [PV_SYS_EVENT_SIGNAL] = sys_event_signal,
    [PV_SYS_MEMORY_MAP] = sys_memory_map,
    [PV_SYS_DEBUG] = debug_call,
    [PV_SYS_SPACE_CREATE] = space_create,
    [PV_SYS_SPACE_MAP] = space_map,
    [PV_SYS_SPACE_UNMAP] = space_unmap,
    [PV_SYS_SPACE_DESTROY] = space_destroy,
    [PV_SYS_VCPU_CREATE] = vcpu_create,
    [PV_SYS_VCPU_RUN] = vcpu_run,
    [PV_SYS_VCPU_MOVE] = vcpu_move,
    [PV_SYS_VCPU_KICK] = vcpu_kick,
    [PV_SYS_VCPU_DESTROY] = vcpu_destroy,
    [PV_SYS_VMCS_READ] = vcpu_vmcs_read,
    [PV_SYS_VMCS_WRITE] = vcpu_vmcs_write,
    [PV_SYS_VCPU_CPUID] = vcpu_set_cpuid,
    [PV_SYS_VCPU_MSRS] = vcpu_set_msrs,
    [PV_SYS_MSR_ALLOW] = vcpu_msr_allow,
    [PV_SYS_IO_ALLOW] = vcpu_io_allow,
    [PV_SYS_NET_SEND] = net_send,
    [PV_SYS_NET_RECEIVE] = net_receive,
    [PV_SYS_VCPU_APIC] = vcpu_apic,
    [PV_SYS_DEVICES] = device_table_set,
};
_Static_assert(PV_SYSCALL_COUNT == 28 && sizeof(syscall_table) / sizeof(syscall_table[0]) == PV_SYSCALL_COUNT,
               "SYSCALLS in arch/x86/entry.asm");

int64_t mux_unknown_syscall(struct regs *regs, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
    (void)regs, (void)a0, (void)a1, (void)a2, (void)a3, (void)a4;
    return PV_ERR_NO_SYSCALL;
}

void mux_bad_sysenter(struct regs *regs)
{
    struct core *core = core_self();
    core_clock_enter(core, CLOCK_RING3);
    personality_fault(agent_of(regs), VECTOR_GP, 0, 0,
                      "SYSENTER with a stack pointer or return address outside its half");
    sched_settle();
    trace_trap(core, true, VECTOR_GP);
}

/// What the shell and the log say of an exception in ring 3.
static void describe(const struct regs *regs, uint64_t address, char *text, size_t size)
{
    if (regs->vector == VECTOR_PF) {
        const char *access = regs->error_code & 16 ? "execute" : regs->error_code & 2 ? "write" : "read";
        pv_snprintf(text, size, "%s: %s of 0x%lx (%s)", trap_name(regs->vector), access, address,
                    regs->error_code & 1 ? "not allowed" : "not mapped");
    } else {
        pv_snprintf(text, size, "%s, error code 0x%lx", trap_name(regs->vector), regs->error_code);
    }
}

void mux_exception(struct regs *regs, uint64_t address)
{
    char what[PV_WHY_SIZE - 48];
    struct core *core = core_self();
    core_clock_enter(core, CLOCK_RING3);
    describe(regs, address, what, sizeof(what));
    personality_fault(agent_of(regs), regs->vector, regs->error_code, address, what);
    sched_settle();
    trace_trap(core, true, (uint32_t)regs->vector);
}

void mux_interrupt(uint32_t vector)
{
    struct core *core = core_self();
    bool ring3 = core->main_stack->current;
    core_clock_enter(core, ring3 ? CLOCK_RING3 : CLOCK_IDLE);
    mux_handle_interrupt(vector);
    sched_settle();
    trace_trap(core, ring3, vector);
}

void mux_handle_interrupt(uint32_t vector)
{
    core_self()->interrupts++;
    if (vector != VECTOR_SPURIOUS) { // has no EOI (SDM Vol. 3A 11.9)
        apic_eoi();
    }
    switch (vector) {
    case VECTOR_TIMER:
        sched_timer();
        break;
    case VECTOR_MESSAGE:
        message_receive();
        break;
    case VECTOR_COM1:
        console_poll();
        break;
    default:
        break;
    }
}
