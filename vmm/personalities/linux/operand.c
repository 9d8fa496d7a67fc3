// SPDX-License-Identifier: Apache-2.0
// Source: SDM Vol. 3A 5.3 to 5.5 (limits, types), 4.6 (rights); Vol. 3C table 25-2 (access rights), 25.4.1 (SS.DPL is the CPL).
#include "operand.h"

#include <polyvisor/string.h>

#include "machine.h"

enum { VMCS_LIMIT = 0x4800, VMCS_ACCESS = 0x4814, VMCS_BASE = 0x6806 }; ///< of ES; the others follow
enum { CR0_PE = 1, RFLAGS_VM = 1 << 17, RFLAGS_AC = 1 << 18, EFER_LMA = 1 << 10 };
enum {
    ACCESS_WRITES_OR_READS = 1 << 1, ///< of data: may be written; of code: may be read
    ACCESS_DOWN = 1 << 2,
    ACCESS_CODE = 1 << 3,
    ACCESS_DPL_SHIFT = 5,
    ACCESS_64 = 1 << 13,
    ACCESS_BIG = 1 << 14,
    ACCESS_UNUSABLE = 1 << 16,
};

static void fields_of(struct pv_vmcs_entry fields[3], uint32_t segment)
{
    fields[0].field = VMCS_BASE + 2 * segment;
    fields[1].field = VMCS_LIMIT + 2 * segment;
    fields[2].field = VMCS_ACCESS + 2 * segment;
}

static struct operand_segment segment_of(const struct pv_vmcs_entry fields[3], uint32_t number)
{
    return (struct operand_segment){.number = number,
                                    .base = fields[0].value,
                                    .limit = (uint32_t)fields[1].value,
                                    .access = (uint32_t)fields[2].value};
}

void operands_begin(struct operands *o, struct cpu *cpu, uint32_t source)
{
    const struct pv_vcpu_state *state = cpu->vcpu.state;
    struct pv_vmcs_entry fields[8] = {
        [6] = {.field = VMCS_ACCESS + 2 * PV_CS}, [7] = {.field = VMCS_ACCESS + 2 * PV_SS}};
    fields_of(fields, source);
    fields_of(fields + 3, PV_ES);
    pv_vmcs_read(cpu->vcpu.id, fields, 8); // what cannot be read is 0, which allows nothing
    *o = (struct operands){.cpu = cpu,
                           .walk = cpu_page_walk(cpu),
                           .flat = (state->efer & EFER_LMA) != 0 && (fields[6].value & ACCESS_64) != 0,
                           .typed = (state->cr0 & CR0_PE) != 0 && (state->rflags & RFLAGS_VM) == 0,
                           .source = segment_of(fields, source),
                           .destination = segment_of(fields + 3, PV_ES)};
    o->rights = (fields[7].value >> ACCESS_DPL_SHIFT & 3) == 3 ? PAGE_USER : 0;
    o->rights |= (state->rflags & RFLAGS_AC) != 0 ? PAGE_AC : 0;
}

static bool type_allows(const struct operand_segment *s, bool write)
{
    if ((s->access & ACCESS_CODE) != 0)
        return !write && (s->access & ACCESS_WRITES_OR_READS) != 0;
    return !write || (s->access & ACCESS_WRITES_OR_READS) != 0;
}

static bool limit_allows(const struct operand_segment *s, uint64_t offset, uint32_t size)
{
    const uint64_t last = offset + size - 1;
    if ((s->access & (ACCESS_CODE | ACCESS_DOWN)) == ACCESS_DOWN)
        return offset > s->limit && last <= ((s->access & ACCESS_BIG) != 0 ? UINT32_MAX : UINT16_MAX);
    return last <= s->limit;
}

/// Whether the address is one that the segment has.
static bool segment_allows(const struct operands *o, const struct operand_segment *s, uint64_t offset, uint32_t size,
                           bool write, uint64_t *linear)
{
    if (o->flat) {
        *linear = (s->number >= PV_FS ? s->base : 0) + offset;
        return page_canonical(&o->walk, *linear) && page_canonical(&o->walk, *linear + size - 1);
    }
    *linear = (s->base + offset) & UINT32_MAX;
    return (s->access & ACCESS_UNUSABLE) == 0 && (!o->typed || type_allows(s, write)) && limit_allows(s, offset, size);
}

bool operand_find(const struct operands *o, const struct operand_segment *segment, uint64_t offset, uint32_t size,
                  bool write, struct operand *operand)
{
    uint64_t linear;
    if (!segment_allows(o, segment, offset, size, write, &linear)) {
        cpu_raise_segment(o->cpu, segment->number == PV_SS);
        return false;
    }
    const uint32_t in_page = PV_PAGE_SIZE - linear % PV_PAGE_SIZE;
    *operand = (struct operand){.size = {size < in_page ? size : in_page}};
    operand->size[1] = size - operand->size[0];
    for (uint32_t i = 0; i < 2 && operand->size[i] != 0; i++) {
        const uint64_t at = linear + (i == 0 ? 0 : operand->size[0]);
        const uint64_t address = o->flat ? at : at & UINT32_MAX;
        uint32_t error;
        if (!page_access(&o->walk, address, o->rights | (write ? PAGE_WRITE : 0), &operand->physical[i], &error)) {
            cpu_raise_page_fault(o->cpu, error, address);
            return false;
        }
    }
    return true;
}

/// Devices are asked for 1, 2, 4 or 8 bytes: a part of an element that has another size is made of bytes.
static uint32_t step_of(uint32_t size)
{
    return (size & (size - 1)) == 0 ? size : 1;
}

static uint64_t read_part(const struct operands *o, uint64_t physical, uint32_t size)
{
    const void *memory = pv_guest_pointer(&machine.memory, physical, size);
    const uint32_t step = step_of(size);
    uint64_t value = 0;
    if (memory != NULL) {
        memcpy(&value, memory, size);
        return value;
    }
    for (uint32_t at = 0; at < size; at += step) {
        const uint64_t read = cpu_read_device(o->cpu, physical + at, step);
        value |= (step == 8 ? read : read & ((UINT64_C(1) << 8 * step) - 1)) << 8 * at;
    }
    return value;
}

static void write_part(const struct operands *o, uint64_t physical, uint32_t size, uint64_t value)
{
    void *memory = pv_guest_pointer(&machine.memory, physical, size);
    const uint32_t step = step_of(size);
    if (memory != NULL) {
        memcpy(memory, &value, size);
        return;
    }
    for (uint32_t at = 0; at < size; at += step)
        cpu_write_device(o->cpu, physical + at, step, value >> 8 * at);
}

uint64_t operand_read(const struct operands *o, const struct operand *operand)
{
    const uint64_t low = read_part(o, operand->physical[0], operand->size[0]);
    return operand->size[1] == 0 ? low
                                 : low | read_part(o, operand->physical[1], operand->size[1]) << 8 * operand->size[0];
}

void operand_write(const struct operands *o, const struct operand *operand, uint64_t value)
{
    write_part(o, operand->physical[0], operand->size[0], value);
    if (operand->size[1] != 0)
        write_part(o, operand->physical[1], operand->size[1], value >> 8 * operand->size[0]);
}

uint64_t operand_address_mask(uint32_t address_size)
{
    return address_size == 8 ? UINT64_MAX : address_size == 4 ? UINT32_MAX : UINT16_MAX;
}

void operand_set_counter(uint64_t *gpr, uint64_t value, uint64_t mask)
{
    *gpr = mask == UINT32_MAX ? value & mask : (*gpr & ~mask) | (value & mask);
}
