// SPDX-License-Identifier: Apache-2.0
// Accesses to guest-physical addresses that are not memory: the registers of the local and the I/O APIC, and of PCI devices.
#include "devices/instruction.h"
#include "devices/pci_function.h"
#include "machine.h"

enum { EFER_LMA = 1 << 10, ACCESS_CODE_32 = 1 << 14, CR0_PE = 1 };
enum { VMCS_CS_ACCESS_RIGHTS = 0x4816, VMCS_CS_BASE = 0x6808 };

/// Where code runs: its segment's base, and 16, 32 or 64 bits. Compatibility mode counts as 64 bits, in which no kernel touches
/// device registers.
static uint32_t code_mode(const struct cpu *cpu, uint64_t *base)
{
    struct pv_vmcs_entry cs[] = {{.field = VMCS_CS_BASE}, {.field = VMCS_CS_ACCESS_RIGHTS}};
    *base = 0;
    if ((cpu->vcpu.state->efer & EFER_LMA) != 0)
        return 64;
    if (pv_vmcs_read(cpu->vcpu.id, cs, 2) == 2)
        *base = cs[0].value;
    return (cs[1].value & ACCESS_CODE_32) != 0 ? 32 : 16;
}

static bool fetch(const struct cpu *cpu, struct instruction *instruction)
{
    const struct pv_vcpu_state *state = cpu->vcpu.state;
    const struct page_walk walk = cpu_page_walk(cpu);
    uint8_t bytes[INSTRUCTION_MAX];
    uint64_t base;
    const uint32_t mode = code_mode(cpu, &base);
    const size_t available = page_walk_copy(&walk, base + state->rip, bytes, sizeof(bytes));
    return instruction_decode(bytes, available, mode, instruction);
}

static bool is_apic(uint64_t address)
{
    return address - LAPIC_ADDRESS < LAPIC_SIZE || address - IOAPIC_ADDRESS < IOAPIC_SIZE;
}

/// Who is at an address, PCI functions aside.
static struct pv_device *row_at(const struct cpu *cpu, uint64_t address)
{
    if (address - IOAPIC_ADDRESS < IOAPIC_SIZE)
        return device_row(DEVICE_IOAPIC);
    return is_apic(address) ? device_lapic(cpu->index) : device_row(DEVICE_NONE);
}

static uint32_t read_register(struct cpu *cpu, uint64_t address)
{
    if (address - LAPIC_ADDRESS < LAPIC_SIZE && lapic_is_memory(&cpu->lapic))
        return lapic_read(&cpu->lapic, (uint32_t)(address - LAPIC_ADDRESS), pv_tsc());
    if (address - IOAPIC_ADDRESS < IOAPIC_SIZE)
        return ioapic_read(&machine.ioapic, (uint32_t)(address - IOAPIC_ADDRESS));
    return UINT32_MAX; // nobody answers
}

static void write_register(struct cpu *cpu, uint64_t address, uint32_t value)
{
    if (address - LAPIC_ADDRESS < LAPIC_SIZE && lapic_is_memory(&cpu->lapic)) {
        lapic_write(&cpu->lapic, (uint32_t)(address - LAPIC_ADDRESS), value, pv_tsc());
        virtual_apic_changed(cpu);
    } else if (address - IOAPIC_ADDRESS < IOAPIC_SIZE) {
        ioapic_write(&machine.ioapic, (uint32_t)(address - IOAPIC_ADDRESS), value);
    }
}

/// Any access as those to the 32-bit registers that it touches. Parts of registers can be read but not written.
uint64_t cpu_read_device(struct cpu *cpu, uint64_t address, uint32_t size)
{
    const uint64_t first = address & ~UINT64_C(3);
    uint64_t value;
    if (!is_apic(address) && pci_memory_read(&machine.pci, address, size, &value))
        return value;
    row_at(cpu, address)->reads++;
    value = read_register(cpu, first);
    if ((address & 3) + size > 4)
        value |= (uint64_t)read_register(cpu, first + 4) << 32;
    return value >> 8 * (address & 3);
}

void cpu_write_device(struct cpu *cpu, uint64_t address, uint32_t size, uint64_t value)
{
    if (!is_apic(address) && pci_memory_write(&machine.pci, address, size, value))
        return;
    row_at(cpu, address)->writes++;
    for (uint32_t i = 0; i + 4 <= size; i += 4)
        if (address % 4 == 0)
            write_register(cpu, address + i, (uint32_t)(value >> 8 * i));
}

void cpu_handle_access(struct cpu *cpu, uint64_t address)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    struct instruction instruction;
    if ((state->vectoring_info & PV_INJECT_VALID) !=
        0) { // an IDT, a TSS, a stack: the access is none of the instruction's
        cpu_fail(cpu, "an event cannot be delivered: it needs memory at %#lx, which is not there", address);
        return;
    }
    if (!fetch(cpu, &instruction)) {
        cpu_fail(cpu, "access to %#lx (qualification %#lx) by an instruction that is not emulated", address,
                 state->exit_qualification);
        return;
    }
    state->gpr[PV_RSP] = state->rsp;
    const uint64_t read = instruction_reads(&instruction) ? cpu_read_device(cpu, address, instruction.size) : 0;
    const uint64_t rflags = state->rflags;
    const uint64_t result = instruction_execute(&instruction, read, state->gpr, &state->rflags);
    if (instruction_writes(&instruction))
        cpu_write_device(cpu, address, instruction.size, result);
    if (state->rflags != rflags || state->gpr[PV_RSP] != state->rsp)
        state->dirty |= PV_GROUP_FLAGS;
    state->rsp = state->gpr[PV_RSP];
    state->exit_instruction_length = instruction.length; // EPT violations need not report it
    pv_skip_instruction(state);
}
