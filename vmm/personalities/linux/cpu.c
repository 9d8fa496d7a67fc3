// SPDX-License-Identifier: Apache-2.0
// A virtual processor's life: offer it an interrupt, run it, see whether it took it, handle the exit.
#include "cpu.h"

#include "cpuid.h"
#include "machine.h"

enum { RFLAGS_IF = 1 << 9, FAIL_TEXT = 160, POLLS_PER_SECOND = 200 };

static struct pv_cpuid host_cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct pv_cpuid r;
    __asm__("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}

struct cpuid_machine cpu_cpuid_view(const struct cpu *cpu)
{
    return (struct cpuid_machine){
        .host = host_cpuid, .tsc_hz = machine.info->tsc_hz, .cpus = machine.cpu_count, .apic_id = cpu->index};
}

int64_t cpu_create(struct cpu *cpu, uint32_t index)
{
    struct pv_cpuid_entry table[PV_MAX_CPUID];
    cpu->index = index;
    int64_t result = pv_vcpu_open(&cpu->vcpu, machine.memory.space);
    if (result < 0)
        return result;
    cpu->vcpu.state->fill = PV_GROUP_CONTROL | PV_GROUP_STATE;
    msr_init(&cpu->msrs);
    const struct cpuid_machine view = cpu_cpuid_view(cpu);
    return pv_vcpu_cpuid(cpu->vcpu.id, table, cpuid_table(&view, table));
}

void cpu_fail(struct cpu *cpu, const char *format, ...)
{
    const struct pv_vcpu_state *s = cpu->vcpu.state;
    char text[FAIL_TEXT];
    va_list args;
    va_start(args, format);
    pv_vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    console_flush(&machine.console);
    pv_printf("\nlinux: cpu %u at %#lx: %s\n", cpu->index, s->rip, text);
    pv_printf("linux: rax %#lx rbx %#lx rcx %#lx rdx %#lx rsi %#lx rdi %#lx rsp %#lx rflags %#lx cr0 %#lx cr3 %#lx cr4 "
              "%#lx\n",
              s->gpr[PV_RAX], s->gpr[PV_RBX], s->gpr[PV_RCX], s->gpr[PV_RDX], s->gpr[PV_RSI], s->gpr[PV_RDI], s->rsp,
              s->rflags, s->cr0, s->cr3, s->cr4);
    cpu->stopped = true;
    machine_end(1);
}

void cpu_wake(const struct cpu *cpu)
{
    pv_vcpu_kick(cpu->vcpu.id);
    pv_event_signal(cpu->index, PV_EVENT_USER);
}

/* ---- events ---- */

static void raise(struct cpu *cpu, uint8_t vector, bool error_code)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    if (error_code ? !pv_inject_error(state, vector, 0) : !pv_inject(state, PV_TYPE_EXCEPTION, vector))
        cpu_fail(cpu, "exception %u while another event is delivered", vector);
}

void cpu_raise_gp(struct cpu *cpu)
{
    raise(cpu, PV_VECTOR_GP, true);
}

void cpu_raise_ud(struct cpu *cpu)
{
    raise(cpu, PV_VECTOR_UD, false);
}

/// The interrupt that the processor would be told now. False: none.
static bool choose(struct cpu *cpu, uint8_t *vector)
{
    const int input = cpu->index == 0 ? pic_next(&machine.pic) : PIC_NONE;
    if (input == PIC_NONE)
        return false;
    cpu->offer = OFFER_PIC;
    cpu->offered = (uint32_t)input;
    *vector = pic_vector(&machine.pic, (uint32_t)input);
    return true;
}

/// Puts the most important interrupt into the slot, from which the multiplexer takes it when the guest can be interrupted. Until
/// then nothing has happened to it: at the next exit another one may be more important.
static void offer(struct cpu *cpu)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    uint8_t vector;
    cpu->offer = OFFER_NONE;
    if (pv_inject_pending(state)) // an exception goes first
        return;
    if (choose(cpu, &vector) && !pv_inject(state, PV_TYPE_INTERRUPT, vector))
        cpu->offer = OFFER_NONE;
}

/// After a run: if the offer was taken, the controller gets its acknowledge; if not, the slot is free again.
static void settle(struct cpu *cpu)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    if (cpu->offer == OFFER_NONE)
        return;
    if (pv_inject_pending(state))
        state->inject = 0;
    else
        pic_accept(&machine.pic, cpu->offered);
    cpu->offer = OFFER_NONE;
}

/// Whether there is something for which a halted processor goes on.
static bool wakes(struct cpu *cpu)
{
    uint8_t vector;
    return pv_inject_pending(cpu->vcpu.state) || ((cpu->vcpu.state->rflags & RFLAGS_IF) != 0 && choose(cpu, &vector));
}

/* ---- the loop ---- */

static void wait(uint64_t deadline)
{
    console_flush(&machine.console);
    machine_unlock();
    pv_event_wait(PV_EVENT_USER | PV_EVENT_CONSOLE_INPUT, deadline);
    machine_lock();
}

static void run(struct cpu *cpu, uint64_t budget)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    offer(cpu);
    state->vectoring_info = 0; // what it was about is repeated by this entry
    machine_unlock();
    const int64_t result = pv_vcpu_run(cpu->vcpu.id, budget);
    machine_lock();
    settle(cpu);
    if (result == PV_RUN_EXIT)
        cpu_handle_exit(cpu);
    else if (result == PV_ERR_ENTRY)
        cpu_fail(cpu, "VM entry refused, %#x: %s", state->entry_error, state->entry_rule);
    else if (result < 0)
        cpu_fail(cpu, "pv_vcpu_run: %s", pv_error_name(result));
}

void cpu_loop(struct cpu *cpu)
{
    const uint64_t poll = machine.info->tsc_hz / POLLS_PER_SECOND;
    machine_lock();
    while (!machine.ended && !cpu->stopped) {
        const uint64_t now = pv_tsc();
        uint64_t deadline = cpu->index == 0 ? machine_poll(now) : DEV_NEVER;
        if (cpu->halted && !wakes(cpu)) {
            wait(deadline);
            continue;
        }
        cpu->halted = false;
        if (deadline - now > poll)
            deadline = now + poll; // console input does not end a run
        run(cpu, deadline > now ? deadline - now : 1);
    }
    machine_unlock();
}
