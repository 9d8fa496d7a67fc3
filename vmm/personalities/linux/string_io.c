// SPDX-License-Identifier: Apache-2.0
// INS and OUTS, repeated or not. Source: SDM Vol. 3C tables 28-5 and 28-9 (what the exit tells), Vol. 2A INS, 2B OUTS.
#include <polyvisor/string.h>

#include "machine.h"

enum { RFLAGS_DF = 1 << 10, ADDRESS_SIZE_SHIFT = 7, EFER_LMA = 1 << 10 };
/// Elements that one exit carries out at most: then the guest may be interrupted, as between any two.
enum { BURST = 256 };

/// The bits of RCX, RSI and RDI that the address size leaves.
static uint64_t address_mask(const struct pv_vcpu_state *state)
{
    static const uint64_t masks[] = {UINT16_MAX, UINT32_MAX, UINT64_MAX};
    const uint32_t code = state->exit_instruction_info >> ADDRESS_SIZE_SHIFT & 7;
    return masks[code <= 2 ? code : 2];
}

/// Sets those bits; 32-bit results clear the upper half.
static void put(uint64_t *gpr, uint64_t value, uint64_t mask)
{
    *gpr = mask == UINT32_MAX ? value & mask : (*gpr & ~mask) | (value & mask);
}

/// Between memory and a port. False: the memory is not there.
static bool move(const struct cpu *cpu, const struct pv_io *io, uint64_t linear)
{
    const struct page_walk walk = cpu_page_walk(cpu);
    uint32_t value = 0;
    if (!io->in) {
        if (page_walk_copy(&walk, linear, &value, io->size) != io->size)
            return false;
        port_write(io->port, io->size, value);
        return true;
    }
    uint8_t *to[4];
    for (uint32_t i = 0; i < io->size; i++) { // all of it must be there before the device is asked
        uint64_t physical;
        to[i] = page_walk(&walk, linear + i, &physical) ? pv_guest_pointer(&machine.memory, physical, 1) : NULL;
        if (to[i] == NULL)
            return false;
    }
    value = port_read(io->port, io->size);
    for (uint32_t i = 0; i < io->size; i++)
        *to[i] = (uint8_t)(value >> 8 * i);
    return true;
}

void cpu_handle_string_io(struct cpu *cpu, const struct pv_io *io)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    const uint64_t mask = address_mask(state), step = (state->rflags & RFLAGS_DF) != 0 ? -(uint64_t)io->size : io->size;
    const uint64_t linear_mask = (state->efer & EFER_LMA) != 0 ? UINT64_MAX : UINT32_MAX;
    uint64_t *index = &state->gpr[io->in ? PV_RDI : PV_RSI];
    const uint64_t left = io->repeated ? state->gpr[PV_RCX] & mask : 1;
    uint64_t done = 0;
    for (; done < left && done < BURST; done++) {
        if (!move(cpu, io, (state->guest_linear_address + done * step) & linear_mask)) {
            cpu_fail(cpu, "string I/O at port %#x with memory at %#lx, which is not there", io->port,
                     state->guest_linear_address + done * step);
            return;
        }
    }
    put(index, *index + done * step, mask);
    if (io->repeated)
        put(&state->gpr[PV_RCX], left - done, mask);
    if (done == left)
        pv_skip_instruction(state);
}
