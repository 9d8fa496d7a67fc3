// SPDX-License-Identifier: Apache-2.0
// Accesses to control registers that exit: of CR0 where CD, NW or NE differ from what the guest has seen, of CR4 where
// VMXE does, and all of CR8. Source: SDM Vol. 3C table 28-3; Vol. 3A 2.5 for the checks.
#include "machine.h"

enum { QUALIFICATION_NUMBER = 15, TYPE_SHIFT = 4, TYPE_MASK = 3, TYPE_MOV_TO = 0, TYPE_MOV_FROM = 1, GPR_SHIFT = 8 };
enum { CR0_PE = 1, CR0_WP = 1 << 16, CR0_NW = 1 << 29, CR0_CD = 1 << 30 };
enum { CR4_PAE = 1 << 5, CR4_VMXE = 1 << 13, CR4_PCIDE = 1 << 17, CR4_CET = 1 << 23 };
enum { EFER_LME = 1 << 8, EFER_LMA = 1 << 10, VMCS_CS_ACCESS_RIGHTS = 0x4816, ACCESS_CODE_64 = 1 << 13 };
#define CR0_PG (UINT64_C(1) << 31)

static uint64_t read_gpr(const struct pv_vcpu_state *state, uint32_t number)
{
    return number == PV_RSP ? state->rsp : state->gpr[number];
}

static void write_gpr(struct pv_vcpu_state *state, uint32_t number, uint64_t value)
{
    if (number == PV_RSP) {
        state->rsp = value;
        state->dirty |= PV_GROUP_FLAGS;
    } else {
        state->gpr[number] = value;
    }
}

/// Whether the code segment is one of 64 bits. Without IA-32e mode that means nothing yet, but forbids to enter it.
static bool has_code_64(const struct cpu *cpu)
{
    struct pv_vmcs_entry cs = {.field = VMCS_CS_ACCESS_RIGHTS};
    return pv_vmcs_read(cpu->vcpu.id, &cs, 1) == 1 && (cs.value & ACCESS_CODE_64) != 0;
}

/// The checks that the processor would make, as far as the exit came before them.
static bool cr0_valid(const struct cpu *cpu, uint64_t value)
{
    const struct pv_vcpu_state *state = cpu->vcpu.state;
    const bool paging = (value & CR0_PG) != 0, had_paging = (state->cr0 & CR0_PG) != 0;
    if (value > UINT32_MAX || (paging && (value & CR0_PE) == 0) || ((value & CR0_NW) != 0 && (value & CR0_CD) == 0) ||
        ((value & CR0_WP) == 0 && (state->cr4 & CR4_CET) != 0))
        return false;
    if (paging == had_paging)
        return true;
    if (!paging)
        return (state->cr4 & CR4_PCIDE) == 0 && ((state->efer & EFER_LMA) == 0 || !has_code_64(cpu));
    return (state->efer & EFER_LME) == 0 || ((state->cr4 & CR4_PAE) != 0 && !has_code_64(cpu));
}

static void write_cr(struct cpu *cpu, uint32_t number, uint64_t value)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    if (number == 8 && value < 16) {
        lapic_write_cr8(&cpu->lapic, value);
        pv_skip_instruction(state);
    } else if (number == 0 && cr0_valid(cpu, value)) {
        state->cr0 = value;
        state->dirty |= PV_GROUP_CONTROL; // EFER.LMA follows
        pv_skip_instruction(state);
    } else {
        cpu_raise_gp(cpu); // CR4.VMXE: there is no VMX
    }
}

void cr_handle_exit(struct cpu *cpu)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    const uint64_t q = state->exit_qualification;
    const uint32_t number = q & QUALIFICATION_NUMBER, type = q >> TYPE_SHIFT & TYPE_MASK, gpr = q >> GPR_SHIFT & 15;
    if (type == TYPE_MOV_TO && (number == 0 || number == 4 || number == 8)) {
        write_cr(cpu, number, read_gpr(state, gpr));
    } else if (type == TYPE_MOV_FROM && number == 8) {
        write_gpr(state, gpr, lapic_read_cr8(&cpu->lapic));
        pv_skip_instruction(state);
    } else {
        cpu_fail(cpu, "access to a control register, qualification %#lx", q);
    }
}
