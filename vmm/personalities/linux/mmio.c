// SPDX-License-Identifier: Apache-2.0
// Accesses to guest-physical addresses that are not memory: the registers of the local and the I/O APIC, and of PCI devices.
#include <polyvisor/format.h>

#include "devices/instruction.h"
#include "devices/pci_function.h"
#include "machine.h"
#include "operand.h"

enum { EFER_LMA = 1 << 10, ACCESS_CODE_64 = 1 << 13, ACCESS_CODE_32 = 1 << 14 };
enum { VMCS_CS_ACCESS_RIGHTS = 0x4816, VMCS_CS_BASE = 0x6808 };

/// Where code runs: its segment's base, and 16, 32 or 64 bits. Above 4 GiB it is of 64 bits; so the segment of a kernel's code, which
/// makes nearly all of these accesses, need not be asked for.
static uint32_t code_mode(const struct cpu *cpu, uint64_t *base)
{
    const struct pv_vcpu_state *state = cpu->vcpu.state;
    struct pv_vmcs_entry cs[] = {{.field = VMCS_CS_BASE}, {.field = VMCS_CS_ACCESS_RIGHTS}};
    *base = 0;
    if (state->rip > UINT32_MAX)
        return 64;
    const bool known = pv_vmcs_read(cpu->vcpu.id, cs, 2) == 2;
    if ((state->efer & EFER_LMA) != 0 && (cs[1].value & ACCESS_CODE_64) != 0)
        return 64;
    if (known)
        *base = cs[0].value;
    return (cs[1].value & ACCESS_CODE_32) != 0 ? 32 : 16;
}

/// What stands at RIP.
struct code {
    uint64_t linear;
    size_t available;
    uint8_t bytes[INSTRUCTION_MAX];
};

static bool fetch(const struct cpu *cpu, struct code *code, struct instruction *instruction)
{
    const struct page_walk walk = cpu_page_walk(cpu);
    uint64_t base;
    const uint32_t mode = code_mode(cpu, &base);
    code->linear = base + cpu->vcpu.state->rip;
    code->linear &= mode == 64 ? UINT64_MAX : UINT32_MAX;
    code->available = page_walk_copy(&walk, code->linear, code->bytes, sizeof(code->bytes));
    return instruction_decode(code->bytes, code->available, mode, instruction);
}

/// What cannot be carried out here does not exist for the guest: #UD. The first time that is said, later only counted.
static void refuse(struct cpu *cpu, uint64_t address, const struct code *code)
{
    char bytes[3 * INSTRUCTION_MAX + 1] = "";
    device_row(DEVICE_INSTRUCTION)->reads++;
    if (machine.refusals++ == 0) {
        for (size_t i = 0; i < code->available; i++)
            pv_snprintf(bytes + 3 * i, sizeof(bytes) - 3 * i, " %02x", code->bytes[i]);
        console_flush(&machine.console);
        pv_printf("\nlinux: cpu %u at %#lx: access to %#lx by an instruction that is not emulated:%s; #UD, and no more "
                  "is said "
                  "of such\n",
                  cpu->index, cpu->vcpu.state->rip, address, code->available == 0 ? " code" : bytes);
    }
    cpu_raise_ud(cpu);
}

/// The instruction is not all there any more: another processor has taken its page away since it began. It is to begin anew; #PF now,
/// as the processor would raise it, since one that still has the old translation would come here again and again.
static void fetch_again(struct cpu *cpu, uint64_t address, const struct code *code)
{
    const uint64_t missing = code->linear + code->available;
    struct operands o;
    uint64_t physical;
    uint32_t error;
    operands_begin(&o, cpu, PV_DS);
    if (!page_canonical(&o.walk, missing))
        cpu_raise_gp(cpu);
    else if (!page_access(&o.walk, missing, (o.rights & PAGE_USER) | PAGE_FETCH, &physical, &error))
        cpu_raise_page_fault(cpu, error, missing);
    else if (pv_guest_pointer(&machine.memory, physical, 1) == NULL)
        refuse(cpu, address, code);
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

/// Elements that one exit carries out at most: few, since a device may have much to do for each.
enum { BURST = 16 };
enum { RFLAGS_DF = 1 << 10 };

/// One element of a string instruction. False: an exception.
static bool move(const struct operands *o, const struct instruction *i, uint64_t from, uint64_t to)
{
    struct pv_vcpu_state *state = o->cpu->vcpu.state;
    struct operand source, destination;
    const bool reads = instruction_reads(i), writes = instruction_writes(i);
    if ((reads && !operand_find(o, &o->source, from, i->size, false, &source)) ||
        (writes && !operand_find(o, &o->destination, to, i->size, true, &destination)))
        return false;
    const uint64_t value = reads ? operand_read(o, &source) : 0;
    const uint64_t result = instruction_execute(i, value, state->gpr, &state->rflags);
    if (writes)
        operand_write(o, &destination, result);
    return true;
}

/// MOVS, STOS, LODS: either operand may be the device, or both.
static void handle_string(struct cpu *cpu, const struct instruction *i)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    const uint64_t mask = operand_address_mask(i->address_size);
    const uint64_t step = (state->rflags & RFLAGS_DF) != 0 ? -(uint64_t)i->size : i->size;
    const uint64_t from = state->gpr[PV_RSI], to = state->gpr[PV_RDI];
    const uint64_t left = i->repeat ? state->gpr[PV_RCX] & mask : 1;
    struct operands o;
    uint64_t done = 0;
    operands_begin(&o, cpu, i->segment);
    while (done < left && done < BURST && move(&o, i, (from + done * step) & mask, (to + done * step) & mask))
        done++;
    if (done > 0 && instruction_reads(i))
        operand_set_counter(&state->gpr[PV_RSI], from + done * step, mask);
    if (done > 0 && instruction_writes(i))
        operand_set_counter(&state->gpr[PV_RDI], to + done * step, mask);
    if (done > 0 && i->repeat)
        operand_set_counter(&state->gpr[PV_RCX], left - done, mask);
    state->exit_instruction_length = i->length; // EPT violations need not report it
    if (done == left)
        pv_skip_instruction(state);
}

static void handle_instruction(struct cpu *cpu, const struct instruction *i, uint64_t address)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    state->gpr[PV_RSP] = state->rsp;
    const uint64_t read = instruction_reads(i) ? cpu_read_device(cpu, address, i->size) : 0;
    const uint64_t rflags = state->rflags;
    const uint64_t result = instruction_execute(i, read, state->gpr, &state->rflags);
    if (instruction_writes(i))
        cpu_write_device(cpu, address, i->size, result);
    if (state->rflags != rflags || state->gpr[PV_RSP] != state->rsp)
        state->dirty |= PV_GROUP_FLAGS;
    state->rsp = state->gpr[PV_RSP];
    state->exit_instruction_length = i->length; // EPT violations need not report it
    pv_skip_instruction(state);
}

/// Whether the access is none of an instruction's, but of an event's delivery: an IDT, a TSS, a stack.
static bool delivers_event(struct cpu *cpu, uint64_t address)
{
    if ((cpu->vcpu.state->vectoring_info & PV_INJECT_VALID) == 0)
        return false;
    cpu_fail(cpu, "an event cannot be delivered: it needs memory at %#lx, which is not there", address);
    return true;
}

void cpu_handle_access(struct cpu *cpu, uint64_t address)
{
    struct instruction instruction;
    struct code code;
    if (delivers_event(cpu, address))
        return;
    if (fetch(cpu, &code, &instruction)) {
        if (instruction_is_string(&instruction))
            handle_string(cpu, &instruction);
        else
            handle_instruction(cpu, &instruction, address);
    } else if (instruction.incomplete) {
        fetch_again(cpu, address, &code);
    } else {
        refuse(cpu, address, &code);
    }
}

/// Qualification: SDM Vol. 3C table 28-7.
void cpu_handle_ept_violation(struct cpu *cpu)
{
    enum { FETCH = 1 << 2, HAS_LINEAR = 1 << 7, OF_INSTRUCTION = 1 << 8, ERROR_TABLES = 1 | 1 << 3 };
    const struct pv_vcpu_state *state = cpu->vcpu.state;
    const uint64_t address = state->guest_physical_address, q = state->exit_qualification;
    const bool of_tables = (q & (HAS_LINEAR | OF_INSTRUCTION)) == HAS_LINEAR;
    if ((q & FETCH) == 0 && !of_tables) {
        cpu_handle_access(cpu, address);
    } else if (delivers_event(cpu, address)) {
        return;
    } else if (of_tables) { // where there is no memory, a table of pages reads as ones
        struct operands o;
        operands_begin(&o, cpu, PV_DS);
        cpu_raise_page_fault(cpu, ERROR_TABLES | (o.rights & PAGE_USER), state->guest_linear_address);
    } else {
        const struct code none = {0};
        refuse(cpu, address, &none);
    }
}
