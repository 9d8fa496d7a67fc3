// SPDX-License-Identifier: Apache-2.0
// Delivered exits, by reason (SDM Vol. 3C 26.1.2 and appendix C).
#include "cpuid.h"
#include "machine.h"

enum {
    EXIT_NMI_WINDOW = 8,
    EXIT_INVD = 13,
    EXIT_RDPMC = 15,
    EXIT_MWAIT = 36,
    EXIT_MONITOR = 39,
    EXIT_WBINVD = 54,
    EXIT_GETSEC = 11
};
enum { RFLAGS_IF = 1 << 9 };
enum { MSR_TSC = 0x10 };

static void handle_io(struct cpu *cpu)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    const struct pv_io io = pv_io_decode(state->exit_qualification);
    if (io.string) {
        cpu_handle_string_io(cpu, &io);
        return;
    }
    if (io.in)
        pv_io_answer(state, &io, port_read(io.port, io.size));
    else
        port_write(io.port, io.size, pv_io_value(state, &io));
    pv_skip_instruction(state);
}

static void handle_cpuid(struct cpu *cpu)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    const struct cpuid_machine view = cpu_cpuid_view(cpu);
    const uint64_t xcr0 = state->xcr0 != 0 ? state->xcr0 : 1; // not written yet: as after reset
    pv_cpuid_answer(state, cpuid_delivered(&view, (uint32_t)state->gpr[PV_RAX], (uint32_t)state->gpr[PV_RCX], xcr0));
    pv_skip_instruction(state);
}

static void handle_rdmsr(struct cpu *cpu)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    const uint32_t msr = (uint32_t)state->gpr[PV_RCX];
    uint64_t value;
    if (msr == MSR_TSC) {
        value = pv_tsc();
    } else if (lapic_read_msr(&cpu->lapic, msr, &value, pv_tsc())) {
        device_lapic(cpu->index)->reads++;
    } else if (!msr_read(&cpu->msrs, msr, &value)) {
        device_row(DEVICE_MSR)->reads++;
        cpu_raise_gp(cpu);
        return;
    }
    pv_msr_answer(state, value);
    pv_skip_instruction(state);
}

static void handle_wrmsr(struct cpu *cpu)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    const uint32_t msr = (uint32_t)state->gpr[PV_RCX];
    const uint64_t value = pv_msr_value(state);
    if (msr != LAPIC_MSR_TSC_DEADLINE)
        virtual_apic_changed(cpu);
    const bool lapic = lapic_write_msr(&cpu->lapic, msr, value, pv_tsc());
    if (lapic)
        device_lapic(cpu->index)->writes++;
    if (lapic || msr_write(&cpu->msrs, msr, value)) {
        pv_skip_instruction(state);
    } else {
        device_row(DEVICE_MSR)->writes++;
        cpu_raise_gp(cpu);
    }
}

static void handle_hlt(struct cpu *cpu)
{
    cpu->halted = true;
    pv_skip_instruction(cpu->vcpu.state);
}

static void handle_pause(struct cpu *cpu)
{
    cpu->spins = true;
    pv_skip_instruction(cpu->vcpu.state);
}

void cpu_handle_exit(struct cpu *cpu)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    const uint32_t reason = pv_exit_reason(state);
    switch (reason) {
    case PV_EXIT_INTERRUPT_WINDOW: // what waits is offered by the next run
    case EXIT_NMI_WINDOW:
        break;
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
    case PV_EXIT_PAUSE:
        handle_pause(cpu);
        break;
    case PV_EXIT_EPT_VIOLATION:
        cpu_handle_ept_violation(cpu);
        break;
    case PV_EXIT_TPR_BELOW_THRESHOLD:
    case PV_EXIT_APIC_ACCESS:
    case PV_EXIT_APIC_WRITE:
    case PV_EXIT_VIRTUALIZED_EOI:
        virtual_apic_handle_exit(cpu, reason);
        break;
    case PV_EXIT_CR_ACCESS:
        cr_handle_exit(cpu);
        break;
    case EXIT_WBINVD: // guest memory is coherent whatever it does
    case EXIT_INVD:
        pv_skip_instruction(state);
        break;
    case EXIT_RDPMC:
        cpu_raise_gp(cpu);
        break;
    case EXIT_MWAIT: // hidden by CPUID, as all that follow
    case EXIT_MONITOR:
    case EXIT_GETSEC:
    case PV_EXIT_VMCALL:
        cpu_raise_ud(cpu);
        break;
    case PV_EXIT_TRIPLE_FAULT:
        cpu_fail(cpu, "triple fault");
        break;
    default:
        if ((reason >= PV_EXIT_VMCLEAR && reason <= PV_EXIT_VMXON) || reason == PV_EXIT_INVEPT ||
            reason == PV_EXIT_INVVPID)
            cpu_raise_ud(cpu);
        else
            cpu_fail(cpu, "exit %u (%s), qualification %#lx", reason, pv_exit_name(reason), state->exit_qualification);
        break;
    }
}
