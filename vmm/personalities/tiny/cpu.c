// SPDX-License-Identifier: Apache-2.0
#include "cpu.h"

#include "../../../guests/protocol.h"

enum { MAX_PRINTED_ERRORS = 5, ERROR_TEXT = 128 };

/* ---- setting up ---- */

/// Bits of CPUID that guests must not see: what they have not got (SDM Vol. 2A, CPUID).
enum {
    ECX_MONITOR = 1 << 3,
    ECX_VMX = 1 << 5,
    ECX_SMX = 1 << 6,
    ECX_X2APIC = 1 << 21,
    ECX_TSC_DEADLINE = 1 << 24,
};
#define ECX_HYPERVISOR (UINT32_C(1) << 31)

static struct pv_cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct pv_cpuid r;
    __asm__("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}

static struct pv_cpuid_entry host_leaf(uint32_t leaf, uint32_t subleaf)
{
    const struct pv_cpuid r = cpuid(leaf, subleaf == PV_CPUID_ANY ? 0 : subleaf);
    return (struct pv_cpuid_entry){
        .leaf = leaf, .subleaf = subleaf, .eax = r.eax, .ebx = r.ebx, .ecx = r.ecx, .edx = r.edx};
}

static int64_t give_cpuid(const struct cpu *cpu)
{
    const uint32_t hidden = ECX_MONITOR | ECX_VMX | ECX_SMX | ECX_X2APIC | ECX_TSC_DEADLINE;
    const uint32_t leaf = GUEST_LEAF_ABSORBED;
    struct pv_cpuid_entry table[] = {
        host_leaf(0, PV_CPUID_ANY),
        host_leaf(1, PV_CPUID_ANY),
        {.leaf = leaf,
         .subleaf = PV_CPUID_ANY,
         .eax = (uint32_t)guest_answer(cpu->seed, leaf, 0),
         .ebx = (uint32_t)guest_answer(cpu->seed, leaf, 1),
         .ecx = (uint32_t)guest_answer(cpu->seed, leaf, 2),
         .edx = (uint32_t)guest_answer(cpu->seed, leaf, 3)},
    };
    table[1].ecx = (table[1].ecx & ~hidden) | ECX_HYPERVISOR;
    return pv_vcpu_cpuid(cpu->vcpu.id, table, sizeof(table) / sizeof(table[0]));
}

static int64_t give_msrs(const struct cpu *cpu)
{
    const struct pv_msr_entry table[] = {
        {.msr = GUEST_MSR_ABSORBED, .value = guest_answer(cpu->seed, GUEST_MSR_ABSORBED, 0)},
    };
    return pv_vcpu_msrs(cpu->vcpu.id, table, sizeof(table) / sizeof(table[0]));
}

/// Has the MSRs that are the guest's own exit, so that exits.c emulates them.
static int64_t intercept_msrs(const struct cpu *cpu)
{
    static const struct {
        uint32_t first, count;
    } ranges[] = {{0x174, 3}, {0xc0000081, 4}, {0xc0000100, 4}}; // SYSENTER, SYSCALL, segment bases and TSC_AUX
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        const int64_t result = pv_msr_allow(cpu->vcpu.id, ranges[i].first, ranges[i].count, PV_GRANT_NONE);
        if (result < 0)
            return result;
    }
    cpu->vcpu.state->fill |= PV_GROUP_SEGMENTS | PV_GROUP_SYSENTER | PV_GROUP_MSRS;
    return PV_OK;
}

int64_t cpu_create(struct cpu *cpu, const struct options *options, const struct pv_info *info)
{
    cpu->seed = (uint32_t)guest_mix((uint64_t)info->id << 32 | cpu->agent << 16 | cpu->index, (uintptr_t)cpu->program);
    int64_t result = pv_vcpu_open(&cpu->vcpu, cpu->team->memory.space);
    if (result < 0)
        return result;
    program_start(cpu->program, &cpu->team->memory, cpu->index, cpu->vcpu.state);
    result = give_cpuid(cpu);
    if (result >= 0)
        result = give_msrs(cpu);
    if (result >= 0 && options->intercept_msrs)
        result = intercept_msrs(cpu);
    return result;
}

/* ---- running ---- */

void cpu_error(struct cpu *cpu, bool stop, const char *format, ...)
{
    char text[ERROR_TEXT];
    va_list args;
    va_start(args, format);
    pv_vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    cpu->stopped |= stop;
    if (atomic_fetch_add(&cpu->errors, 1) < MAX_PRINTED_ERRORS)
        pv_printf("error: %s vcpu %u on agent %u, round %lu: %s%s\n", cpu->program->name, cpu->index, cpu->agent,
                  cpu->rounds + 1, text, stop ? "; stopped" : "");
}

void cpu_timer_expired(struct cpu *cpu, uint64_t now)
{
    cpu->timer_due = true;
    cpu->timer_next += cpu->timer_period;
    if (cpu->timer_next <= now) // several periods are one interrupt, like those of a real timer
        cpu->timer_next = now + cpu->timer_period;
}

static _Atomic bool *ipi_due(const struct cpu *cpu)
{
    return &cpu->team->ipi_due[cpu->index];
}

bool cpu_is_runnable(const struct cpu *cpu)
{
    return !cpu->stopped && (!cpu->halted || cpu->timer_due || *ipi_due(cpu) || pv_inject_pending(cpu->vcpu.state));
}

/// Hands an interrupt that is due to the multiplexer, which delivers it as soon as the guest can take it.
static void inject_interrupt(struct cpu *cpu)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    if (atomic_exchange(ipi_due(cpu), false)) {
        if (!pv_inject(state, PV_TYPE_INTERRUPT, GUEST_VECTOR_IPI))
            *ipi_due(cpu) = true;
    } else if (cpu->timer_due) {
        cpu->timer_due = !pv_inject(state, PV_TYPE_INTERRUPT, GUEST_VECTOR_TIMER);
    }
}

void cpu_run(struct cpu *cpu, uint64_t budget)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    cpu->halted = false;
    inject_interrupt(cpu);
    state->vectoring_info = 0; // what it was about is repeated by this entry
    const int64_t result = pv_vcpu_run(cpu->vcpu.id, budget);
    if (result == PV_RUN_EXIT)
        cpu_handle_exit(cpu);
    else if (result == PV_ERR_ENTRY)
        cpu_error(cpu, true, "VM entry refused, %#x, at %#lx", state->entry_error, state->rip);
    else if (result < 0)
        cpu_error(cpu, true, "pv_vcpu_run: %s", pv_error_name(result));
}
