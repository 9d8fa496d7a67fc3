// SPDX-License-Identifier: Apache-2.0
/// Memory operands of string instructions that are carried out here. The exit comes before the processor has looked at them (SDM
/// Vol. 3C 26.1.1), so segments, rights and page tables are checked here, with the exceptions that the processor would raise.
#ifndef POLYVISOR_LINUX_OPERAND_H
#define POLYVISOR_LINUX_OPERAND_H

#include "cpu.h"

struct operand_segment {
    uint32_t number; ///< enum pv_segment_index
    uint64_t base;
    uint32_t limit, access;
};

/// What an instruction's operands have in common.
struct operands {
    struct cpu *cpu;
    struct page_walk walk;
    uint32_t rights; ///< enum page_access: of the guest's code
    bool flat;       ///< 64-bit mode: segments have neither limits nor types
    bool typed;      ///< protected mode: they have types
    struct operand_segment source, destination;
};

/// An element in memory, or in a device: in one page, or at the end of one and the beginning of another.
struct operand {
    uint64_t physical[2];
    uint32_t size[2];
};

/// The destination is ES always, the source any segment.
void operands_begin(struct operands *o, struct cpu *cpu, uint32_t source);

/// Where `size` bytes are. False: the guest gets an exception, and the instruction is not carried out.
bool operand_find(const struct operands *o, const struct operand_segment *segment, uint64_t offset, uint32_t size,
                  bool write, struct operand *operand);

uint64_t operand_read(const struct operands *o, const struct operand *operand);
void operand_write(const struct operands *o, const struct operand *operand, uint64_t value);

/* ---- registers of string instructions ---- */

/// The bits of RCX, RSI and RDI that addresses of so many bytes leave.
uint64_t operand_address_mask(uint32_t address_size);
/// Sets those bits; 32-bit results clear the upper half.
void operand_set_counter(uint64_t *gpr, uint64_t value, uint64_t mask);

#endif
