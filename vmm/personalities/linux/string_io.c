// SPDX-License-Identifier: Apache-2.0
// INS and OUTS, repeated or not. Source: SDM Vol. 3C tables 28-5 and 28-9 (what the exit tells), Vol. 2A INS, 2B OUTS. The exit has
// priority over everything that may be wrong with the memory (Vol. 3C 26.1.1).
#include "machine.h"
#include "operand.h"

enum { RFLAGS_DF = 1 << 10, ADDRESS_SIZE_SHIFT = 7, SEGMENT_SHIFT = 15 };
/// Elements that one exit carries out at most: then the guest may be interrupted, as between any two.
enum { BURST = 256 };

/// Instruction information: addresses of 2, 4 or 8 bytes; OUTS's segment.
static uint32_t address_size(const struct pv_vcpu_state *state)
{
    const uint32_t code = state->exit_instruction_info >> ADDRESS_SIZE_SHIFT & 7;
    return 2u << (code <= 2 ? code : 2);
}

static uint32_t source_segment(const struct pv_vcpu_state *state)
{
    const uint32_t segment = state->exit_instruction_info >> SEGMENT_SHIFT & 7;
    return segment <= PV_GS ? segment : PV_DS;
}

/// Between memory and a port. False: an exception.
static bool move(const struct operands *o, const struct pv_io *io, uint64_t offset)
{
    struct operand operand;
    if (!operand_find(o, io->in ? &o->destination : &o->source, offset, io->size, io->in, &operand))
        return false;
    if (io->in)
        operand_write(o, &operand, port_read(io->port, io->size));
    else
        port_write(io->port, io->size, (uint32_t)operand_read(o, &operand));
    return true;
}

void cpu_handle_string_io(struct cpu *cpu, const struct pv_io *io)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    const uint64_t mask = operand_address_mask(address_size(state));
    const uint64_t step = (state->rflags & RFLAGS_DF) != 0 ? -(uint64_t)io->size : io->size;
    uint64_t *index = &state->gpr[io->in ? PV_RDI : PV_RSI];
    const uint64_t left = io->repeated ? state->gpr[PV_RCX] & mask : 1;
    const uint64_t start = *index;
    struct operands o;
    uint64_t done = 0;
    operands_begin(&o, cpu, source_segment(state));
    while (done < left && done < BURST && move(&o, io, (start + done * step) & mask))
        done++;
    if (done > 0)
        operand_set_counter(index, start + done * step, mask);
    if (done > 0 && io->repeated)
        operand_set_counter(&state->gpr[PV_RCX], left - done, mask);
    if (done == left)
        pv_skip_instruction(state);
}
