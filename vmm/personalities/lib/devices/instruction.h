// SPDX-License-Identifier: Apache-2.0
/*
 * Instructions that access device registers in memory: what they read or write, and the effect of that on the processor. The
 * address is known from the exit, so it is not computed. Taken apart are those that compilers make of accesses to volatile
 * memory: MOV in all forms, MOVZX, MOVSX, XCHG, and ADD, ADC, OR, AND, SUB, SBB, XOR, CMP, TEST; and MOVS, STOS, LODS, which copy
 * blocks: of them the exit tells one address of two, so their operands are the caller's to find.
 * Source: Intel SDM Vol. 2A chapter 2, Vol. 2D appendix A.
 */
#ifndef POLYVISOR_DEVICES_INSTRUCTION_H
#define POLYVISOR_DEVICES_INSTRUCTION_H

#include "devices/device.h"

enum { INSTRUCTION_MAX = 15 };

enum instruction_operation {
    INSTRUCTION_MOV, ///< MOVZX and MOVSX, too
    INSTRUCTION_XCHG,
    INSTRUCTION_ADD,
    INSTRUCTION_OR,
    INSTRUCTION_AND,
    INSTRUCTION_SUB,
    INSTRUCTION_XOR,
    INSTRUCTION_CMP,
    INSTRUCTION_TEST,
    INSTRUCTION_ADC,
    INSTRUCTION_SBB,
    INSTRUCTION_MOVS, ///< from here on: string instructions
    INSTRUCTION_STOS,
    INSTRUCTION_LODS,
};

struct instruction {
    enum instruction_operation operation;
    uint8_t length;
    uint8_t size;       ///< bytes of the memory operand
    bool to_memory;     ///< the memory operand is the first one
    bool has_immediate; ///< the second operand
    bool sign_extends;
    uint8_t reg;      ///< the register operand, in the processor's numbering
    uint8_t reg_size; ///< bytes of it
    bool reg_high;    ///< AH, CH, DH, BH: bits 15:8 of register 0 to 3
    uint64_t immediate;
    // Of string instructions; the register operand of STOS and LODS is the accumulator.
    bool repeat;          ///< RCX times
    uint8_t segment;      ///< of the source: ES, CS, SS, DS, FS, GS
    uint8_t address_size; ///< bytes of RCX, RSI, RDI that count
    bool incomplete;      ///< of what could not be taken apart: more bytes may make it an instruction
};

static inline bool instruction_is_string(const struct instruction *i)
{
    return i->operation >= INSTRUCTION_MOVS;
}

/// Takes apart what stands at `bytes`, of which `available` are there; `mode` is 16, 32 or 64. False: none of these
/// instructions, or it has no memory operand, or it is not all there.
bool instruction_decode(const uint8_t *bytes, size_t available, uint32_t mode, struct instruction *instruction);

/// Whether it reads memory, and whether it writes it.
bool instruction_reads(const struct instruction *instruction);
bool instruction_writes(const struct instruction *instruction);

/// Carries it out, of string instructions one element: `memory` is what was read (0 when it does not read). Changes registers and flags; returns what is to be
/// written.
uint64_t instruction_execute(const struct instruction *instruction, uint64_t memory, uint64_t gpr[16],
                             uint64_t *rflags);

#endif
