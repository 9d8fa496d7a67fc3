// SPDX-License-Identifier: Apache-2.0
// Delivered exits: the ports of guests/protocol.h, CPUID, MSRs and HLT.
#include "cpu.h"

#include "../../../guests/protocol.h"

enum { RFLAGS_IF = 1 << 9, MICROSECONDS = 1000000 };

/// "general register 3" and the like.
static const char *error_text(enum guest_error kind)
{
    static const char *const names[] = {
        [GUEST_ERROR_GPR] = "general register",
        [GUEST_ERROR_FLAGS] = "RFLAGS",
        [GUEST_ERROR_FPU] = "FPU register",
        [GUEST_ERROR_XMM] = "XMM",
        [GUEST_ERROR_YMM] = "upper half of YMM",
        [GUEST_ERROR_DR] = "DR",
        [GUEST_ERROR_CR] = "CR",
        [GUEST_ERROR_TABLE] = "descriptor table register",
        [GUEST_ERROR_SEGMENT] = "segment",
        [GUEST_ERROR_MSR] = "MSR",
        [GUEST_ERROR_CPUID] = "CPUID register",
        [GUEST_ERROR_MEMORY] = "memory page",
        [GUEST_ERROR_TSC] = "TSC",
        [GUEST_ERROR_TIMER] = "HLT without an interrupt",
        [GUEST_ERROR_IPI] = "IPI to vcpu",
        [GUEST_ERROR_VECTOR] = "unexpected vector",
    };
    const size_t count = sizeof(names) / sizeof(names[0]);
    return kind < count && names[kind] != NULL ? names[kind] : "unknown error";
}

static void report_error(struct cpu *cpu, uint32_t what)
{
    const enum guest_error kind = (enum guest_error)(what >> 16);
    cpu_error(cpu, false, "%s %u is %#lx, should be %#lx", error_text(kind), what & 0xffff, cpu->found, cpu->expected);
}

static void start_timer(struct cpu *cpu, uint32_t microseconds)
{
    const struct pv_info *info = (const struct pv_info *)PV_INFO_VA;
    cpu->timer_period = info->tsc_hz * microseconds / MICROSECONDS;
    cpu->timer_next = pv_tsc() + cpu->timer_period;
}

/// Interrupts another vcpu of the guest, wherever it is: in its guest (kick), halted with nothing else to run (signal), or neither.
static void send_ipi(struct cpu *cpu, uint32_t target)
{
    if (target >= cpu->team->count) {
        cpu_error(cpu, false, "IPI to vcpu %u, which there is not", target);
        return;
    }
    cpu->team->ipi_due[target] = true;
    const struct cpu *other = cpu->team->cpus[target];
    if (other == NULL || other->agent == cpu->agent)
        return;
    pv_vcpu_kick(other->vcpu.id);
    pv_event_signal(other->agent, PV_EVENT_USER);
}

static void write_port(struct cpu *cpu, uint16_t port, uint32_t value)
{
    switch (port) {
    case GUEST_PORT_HEARTBEAT:
        cpu->rounds = value;
        break;
    case GUEST_PORT_FOUND:
        cpu->found = cpu->found << 32 | value;
        break;
    case GUEST_PORT_EXPECTED:
        cpu->expected = cpu->expected << 32 | value;
        break;
    case GUEST_PORT_ERROR:
        report_error(cpu, value);
        break;
    case GUEST_PORT_TIMER:
        start_timer(cpu, value);
        break;
    case GUEST_PORT_IPI:
        send_ipi(cpu, value);
        break;
    case GUEST_PORT_ECHO:
        break;
    default:
        cpu_error(cpu, false, "write of %#x to port %#x", value, port);
        break;
    }
}

static uint32_t read_port(struct cpu *cpu, uint16_t port)
{
    switch (port) {
    case GUEST_PORT_SEED:
        return cpu->seed;
    case GUEST_PORT_CPU:
        return cpu->index | cpu->team->count << 16;
    default:
        cpu_error(cpu, false, "read of port %#x", port);
        return UINT32_MAX;
    }
}

static void handle_io(struct cpu *cpu)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    const struct pv_io io = pv_io_decode(state->exit_qualification);
    if (io.string)
        cpu_error(cpu, true, "string I/O");
    else if (io.in)
        pv_io_answer(state, &io, read_port(cpu, io.port));
    else
        write_port(cpu, io.port, pv_io_value(state, &io));
    pv_skip_instruction(state);
}

static void handle_cpuid(struct cpu *cpu)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    const uint32_t leaf = (uint32_t)state->gpr[PV_RAX];
    struct pv_cpuid answer = {0};
    if (leaf == GUEST_LEAF_DELIVERED)
        answer = (struct pv_cpuid){
            .eax = (uint32_t)guest_answer(cpu->seed, leaf, 0),
            .ebx = (uint32_t)guest_answer(cpu->seed, leaf, 1),
            .ecx = (uint32_t)guest_answer(cpu->seed, leaf, 2),
            .edx = (uint32_t)guest_answer(cpu->seed, leaf, 3),
        };
    pv_cpuid_answer(state, answer);
    pv_skip_instruction(state);
}

static void handle_rdmsr(struct cpu *cpu)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    const uint32_t msr = (uint32_t)state->gpr[PV_RCX];
    uint64_t value = guest_answer(cpu->seed, msr, 0);
    if (msr != GUEST_MSR_DELIVERED && !pv_msr_state_read(state, msr, &value)) {
        pv_inject_error(state, PV_VECTOR_GP, 0);
        return;
    }
    pv_msr_answer(state, value);
    pv_skip_instruction(state);
}

static void handle_wrmsr(struct cpu *cpu)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    if (pv_msr_state_write(state, (uint32_t)state->gpr[PV_RCX], pv_msr_value(state)))
        pv_skip_instruction(state);
    else
        pv_inject_error(state, PV_VECTOR_GP, 0);
}

static void handle_hlt(struct cpu *cpu)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    if ((state->rflags & RFLAGS_IF) == 0)
        cpu_error(cpu, true, "halted for ever");
    cpu->halted = true;
    pv_skip_instruction(state);
}

void cpu_handle_exit(struct cpu *cpu)
{
    const struct pv_vcpu_state *state = cpu->vcpu.state;
    const uint32_t reason = pv_exit_reason(state);
    switch (reason) {
    case PV_EXIT_IO:
        handle_io(cpu);
        break;
    case PV_EXIT_CPUID:
        handle_cpuid(cpu);
        break;
    case PV_EXIT_RDMSR:
        handle_rdmsr(cpu);
        break;
    case PV_EXIT_WRMSR:
        handle_wrmsr(cpu);
        break;
    case PV_EXIT_HLT:
        handle_hlt(cpu);
        break;
    default:
        cpu_error(cpu, true, "exit %u (%s), qualification %#lx, address %#lx, at %#lx", reason, pv_exit_name(reason),
                  state->exit_qualification, state->guest_physical_address, state->rip);
        break;
    }
}
