// SPDX-License-Identifier: Apache-2.0
// Accesses to control registers that exit: of CR0 where CD, NW or NE differ from what the guest has seen, of CR4 where a bit does
// that CPUID does not offer, and all of CR8. Source: SDM Vol. 3C table 28-3; Vol. 3A 2.5, Vol. 2B MOV for the checks.
#include <polyvisor/string.h>

#include "cpuid.h"
#include "machine.h"

enum { QUALIFICATION_NUMBER = 15, TYPE_SHIFT = 4, TYPE_MASK = 3, TYPE_MOV_TO = 0, TYPE_MOV_FROM = 1, GPR_SHIFT = 8 };
enum { CR0_PE = 1, CR0_WP = 1 << 16, CR0_NW = 1 << 29, CR0_CD = 1 << 30 };
enum { CR4_PAE = 1 << 5, CR4_VMXE = 1 << 13, CR4_PCIDE = 1 << 17, CR4_CET = 1 << 23 };
enum { EFER_LME = 1 << 8, EFER_LMA = 1 << 10, VMCS_CS_ACCESS_RIGHTS = 0x4816, ACCESS_CODE_64 = 1 << 13 };
enum { VMCS_TR_ACCESS_RIGHTS = 0x4822, VMCS_CR4_GUEST_HOST_MASK = 0x6002 };
/// Of CR4 the guest changes without exits what CPUID offers: VME, PVI, TSD, DE, PSE, PAE, PGE, OSFXSR, OSXMMEXCPT, UMIP, FSGSBASE, PCIDE,
/// OSXSAVE, SMEP, SMAP; and PCE, which processors have always. MCE is the multiplexer's, who answers it.
#define CR4_OFFERED UINT64_C(0x370fff)
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

/// IA-32e mode begins with a TSS of 64 bits (in the form of one of 32), not of 16.
static bool has_tss_16(const struct cpu *cpu)
{
    enum { TYPE = 15, BUSY_16 = 3 };
    struct pv_vmcs_entry tr = {.field = VMCS_TR_ACCESS_RIGHTS};
    return pv_vmcs_read(cpu->vcpu.id, &tr, 1) == 1 && (tr.value & TYPE) == BUSY_16;
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
    return (state->efer & EFER_LME) == 0 || ((state->cr4 & CR4_PAE) != 0 && !has_code_64(cpu) && !has_tss_16(cpu));
}

/// Bits of physical addresses, as the guest is told.
static uint32_t address_width(const struct cpu *cpu)
{
    const struct cpuid_machine view = cpu_cpuid_view(cpu);
    return view.host(0x80000008, 0).eax & 0xff;
}

/// Whether the four entries of the root of PAE paging are good. The processor reads them when CR0 is written, not later, and in VMX
/// operation has them in the VMCS: where it exits instead, that is to be done here (SDM Vol. 3A 4.4.1, Vol. 3C 27.3.2.4).
static bool load_pdptes(const struct cpu *cpu, uint64_t cr0)
{
    enum { COUNT = 4, PRESENT = 1, RESERVED = 0x1e6, CR3_ROOT = ~31, VMCS_PDPTE0 = 0x280a };
    const struct pv_vcpu_state *state = cpu->vcpu.state;
    struct pv_vmcs_entry entries[COUNT];
    if ((cr0 & CR0_PG) == 0 || (state->cr4 & CR4_PAE) == 0 || (state->efer & EFER_LME) != 0)
        return true;
    const void *root = pv_guest_pointer(&machine.memory, state->cr3 & (uint32_t)CR3_ROOT, COUNT * sizeof(uint64_t));
    uint64_t table[COUNT];
    if (root == NULL)
        return false; // ones, which are not good
    memcpy(table, root, sizeof(table));
    for (uint32_t i = 0; i < COUNT; i++) {
        if ((table[i] & PRESENT) != 0 && ((table[i] & RESERVED) != 0 || table[i] >> address_width(cpu) != 0))
            return false;
        entries[i] = (struct pv_vmcs_entry){.field = VMCS_PDPTE0 + 2 * i, .value = table[i]};
    }
    return pv_vmcs_write(cpu->vcpu.id, entries, COUNT) == COUNT;
}

static void write_cr(struct cpu *cpu, uint32_t number, uint64_t value)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    if (number == 8 && value < 16) {
        lapic_write_cr8(&cpu->lapic, value);
        pv_skip_instruction(state);
    } else if (number == 0 && cr0_valid(cpu, value) && load_pdptes(cpu, value)) {
        state->cr0 = value;
        state->dirty |= PV_GROUP_CONTROL; // EFER.LMA follows
        pv_skip_instruction(state);
    } else {
        cpu_raise_gp(cpu); // CR4: what is hidden, VMX above all, does not exist
    }
}

int64_t cr_create(const struct cpu *cpu)
{
    struct pv_vmcs_entry mask = {.field = VMCS_CR4_GUEST_HOST_MASK, .value = ~CR4_OFFERED};
    const int64_t result = pv_vmcs_write(cpu->vcpu.id, &mask, 1);
    return result < 0 ? result : result == 1 ? PV_OK : mask.status;
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
