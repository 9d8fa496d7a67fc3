// SPDX-License-Identifier: Apache-2.0
#include "devices/instruction.h"

enum { REX_W = 8, REX_R = 4 };

/// The bytes, and what the prefixes have said.
struct reader {
    const uint8_t *bytes;
    size_t available, at;
    bool short_bytes; ///< ran out of them
    uint32_t mode;
    bool operand_prefix, address_prefix, lock, repeat, rex_present;
    uint8_t rex, segment;
};

static uint8_t next(struct reader *r)
{
    if (r->at >= r->available || r->at >= INSTRUCTION_MAX) {
        r->short_bytes = true;
        return 0;
    }
    return r->bytes[r->at++];
}

/// A little-endian number, sign-extended.
static uint64_t next_number(struct reader *r, uint32_t size)
{
    uint64_t value = 0;
    if (size == 0)
        return 0;
    for (uint32_t i = 0; i < size; i++)
        value |= (uint64_t)next(r) << (8 * i);
    const uint32_t unused = 64 - 8 * size;
    return (uint64_t)((int64_t)(value << unused) >> unused);
}

/// The prefixes; returns the byte behind them.
static uint8_t read_prefixes(struct reader *r)
{
    for (;;) {
        const uint8_t byte = next(r);
        switch (byte) {
        case 0x66:
            r->operand_prefix = true;
            break;
        case 0x67:
            r->address_prefix = true;
            break;
        case 0xf0:
            r->lock = true;
            break;
        case 0xf2:
        case 0xf3:
            r->repeat = true;
            break;
        case 0x26: // ES, CS, SS, DS: nothing in 64-bit mode
        case 0x2e:
        case 0x36:
        case 0x3e:
            r->segment = r->mode == 64 ? r->segment : byte >> 3 & 3;
            break;
        case 0x64: // FS, GS
        case 0x65:
            r->segment = byte & 7;
            break;
        default:
            if (r->mode != 64 || (byte & 0xf0) != 0x40)
                return byte;
            r->rex_present = true;
            r->rex = byte;
            return next(r); // another prefix behind a REX makes code that nobody writes: it is no known opcode
        }
        if (r->short_bytes)
            return 0;
    }
}

static uint32_t operand_size(const struct reader *r)
{
    if ((r->rex & REX_W) != 0)
        return 8;
    return (r->mode == 16) != r->operand_prefix ? 2 : 4;
}

static uint32_t address_size(const struct reader *r)
{
    if (r->mode == 64)
        return r->address_prefix ? 4 : 8;
    return (r->mode == 16) != r->address_prefix ? 2 : 4;
}

/// Goes over ModRM, SIB and displacement. False: the operand is a register.
static bool read_modrm(struct reader *r, uint8_t *reg)
{
    const uint8_t modrm = next(r), mod = modrm >> 6, rm = modrm & 7;
    *reg = (modrm >> 3 & 7) | ((r->rex & REX_R) != 0 ? 8 : 0);
    if (mod == 3)
        return false;
    if (address_size(r) == 2) {
        next_number(r, mod == 1 ? 1 : mod == 2 || rm == 6 ? 2 : 0);
        return true;
    }
    const uint8_t base = rm == 4 ? next(r) & 7 : rm; // rm 4: a SIB byte follows
    next_number(r, mod == 1 ? 1 : mod == 2 || base == 5 ? 4 : 0);
    return true;
}

static void set_register(const struct reader *r, struct instruction *i, uint8_t reg, uint32_t size)
{
    i->reg_high = size == 1 && !r->rex_present && reg >= 4 && reg < 8;
    i->reg = i->reg_high ? reg - 4 : reg;
    i->reg_size = (uint8_t)size;
}

/// Opcode, memory and register. False: a register operand instead of memory.
static bool with_register(struct reader *r, struct instruction *i, uint32_t size)
{
    uint8_t reg;
    if (!read_modrm(r, &reg))
        return false;
    i->size = (uint8_t)size;
    set_register(r, i, reg, size);
    return true;
}

/// Opcode, memory and immediate; *reg: what ModRM's reg field holds, which is a part of the opcode.
static bool with_immediate(struct reader *r, struct instruction *i, uint32_t size, uint32_t immediate_size,
                           uint8_t *reg)
{
    if (!read_modrm(r, reg))
        return false;
    *reg &= 7;
    i->size = (uint8_t)size;
    i->has_immediate = true;
    i->to_memory = true;
    i->immediate = next_number(r, immediate_size > 4 ? 4 : immediate_size);
    return true;
}

/// What bits 5:3 of the opcode, or of ModRM, choose.
static enum instruction_operation arithmetic(uint32_t code)
{
    static const enum instruction_operation operations[] = {
        INSTRUCTION_ADD, INSTRUCTION_OR,  INSTRUCTION_ADC, INSTRUCTION_SBB,
        INSTRUCTION_AND, INSTRUCTION_SUB, INSTRUCTION_XOR, INSTRUCTION_CMP,
    };
    return operations[code];
}

/// MOVS, STOS, LODS.
static bool decode_string(const struct reader *r, struct instruction *i, uint8_t opcode, uint32_t size)
{
    i->operation = opcode < 0xa8 ? INSTRUCTION_MOVS : opcode < 0xac ? INSTRUCTION_STOS : INSTRUCTION_LODS;
    i->to_memory = i->operation != INSTRUCTION_LODS;
    i->size = (uint8_t)size;
    i->repeat = r->repeat;
    i->segment = r->segment;
    i->address_size = (uint8_t)address_size(r);
    set_register(r, i, 0, size);
    return true;
}

/// MOV between the accumulator and an address in the instruction.
static bool decode_offset(struct reader *r, struct instruction *i, uint8_t opcode, uint32_t size)
{
    next_number(r, address_size(r));
    i->size = (uint8_t)size;
    i->to_memory = (opcode & 2) != 0;
    set_register(r, i, 0, size);
    return true;
}

/// MOVZX, MOVSX: 0F B6, B7, BE, BF.
static bool decode_two_bytes(struct reader *r, struct instruction *i)
{
    const uint8_t opcode = next(r);
    uint8_t reg;
    if ((opcode & 0xf6) != 0xb6 || !read_modrm(r, &reg))
        return false;
    i->size = (opcode & 1) != 0 ? 2 : 1;
    i->sign_extends = (opcode & 8) != 0;
    i->reg = reg;
    i->reg_size = (uint8_t)operand_size(r);
    return true;
}

static bool decode_opcode(struct reader *r, struct instruction *i, uint8_t opcode)
{
    const uint32_t size = (opcode & 1) != 0 ? operand_size(r) : 1;
    uint8_t reg;
    if (opcode < 0x40 && (opcode & 7) < 4) { // ADD to CMP
        i->to_memory = (opcode & 2) == 0;
        i->operation = arithmetic(opcode >> 3);
        return with_register(r, i, size);
    }
    switch (opcode) {
    case 0x0f:
        return decode_two_bytes(r, i);
    case 0x63: // MOVSXD
        i->sign_extends = true;
        if (r->mode != 64 || !with_register(r, i, operand_size(r)))
            return false;
        i->size = 4;
        return i->reg_size != 2; // a form that makers of processors disagree about
    case 0x80:
    case 0x81:
    case 0x83:
        if (!with_immediate(r, i, size, opcode == 0x81 ? size : 1, &reg))
            return false;
        i->operation = arithmetic(reg);
        return true;
    case 0x84:
    case 0x85:
        i->operation = INSTRUCTION_TEST;
        i->to_memory = true;
        return with_register(r, i, size);
    case 0x86:
    case 0x87:
        i->operation = INSTRUCTION_XCHG;
        i->to_memory = true;
        return with_register(r, i, size);
    case 0x88:
    case 0x89:
    case 0x8a:
    case 0x8b:
        i->to_memory = (opcode & 2) == 0;
        return with_register(r, i, size);
    case 0xa0:
    case 0xa1:
    case 0xa2:
    case 0xa3:
        return decode_offset(r, i, opcode, size);
    case 0xa4:
    case 0xa5:
    case 0xaa:
    case 0xab:
    case 0xac:
    case 0xad:
        return decode_string(r, i, opcode, size);
    case 0xc6:
    case 0xc7:
        return with_immediate(r, i, size, size, &reg) && reg == 0;
    case 0xf6:
    case 0xf7:
        i->operation = INSTRUCTION_TEST;
        return with_immediate(r, i, size, size, &reg) && reg <= 1;
    default:
        return false;
    }
}

bool instruction_reads(const struct instruction *i)
{
    return i->operation != INSTRUCTION_STOS && (i->operation != INSTRUCTION_MOV || !i->to_memory);
}

bool instruction_writes(const struct instruction *i)
{
    return i->to_memory && i->operation != INSTRUCTION_CMP && i->operation != INSTRUCTION_TEST;
}

/// LOCK goes with instructions that read and write.
static bool lock_allowed(const struct instruction *i)
{
    return instruction_reads(i) && instruction_writes(i) && !instruction_is_string(i);
}

bool instruction_decode(const uint8_t *bytes, size_t available, uint32_t mode, struct instruction *i)
{
    enum { DS = 3 };
    struct reader r = {.bytes = bytes, .available = available, .mode = mode, .segment = DS};
    *i = (struct instruction){.operation = INSTRUCTION_MOV};
    const uint8_t opcode = read_prefixes(&r);
    if (r.short_bytes || !decode_opcode(&r, i, opcode) || r.short_bytes) {
        i->incomplete = r.short_bytes && available < INSTRUCTION_MAX;
        return false;
    }
    if (r.repeat && !instruction_is_string(i))
        return false;
    i->length = (uint8_t)r.at;
    return !r.lock || lock_allowed(i);
}

/* ---- carrying out ---- */

static uint64_t mask_of(uint32_t size)
{
    return size == 8 ? UINT64_MAX : (UINT64_C(1) << (8 * size)) - 1;
}

static uint64_t extend(const struct instruction *i, uint64_t value)
{
    const uint32_t unused = 64 - 8u * i->size;
    return i->sign_extends ? (uint64_t)((int64_t)(value << unused) >> unused) : value & mask_of(i->size);
}

static uint64_t get_register(const struct instruction *i, const uint64_t gpr[16])
{
    return (i->reg_high ? gpr[i->reg] >> 8 : gpr[i->reg]) & mask_of(i->reg_size);
}

/// 32-bit results clear the upper half, smaller ones leave the rest.
static void put_register(const struct instruction *i, uint64_t gpr[16], uint64_t value)
{
    const uint32_t shift = i->reg_high ? 8 : 0;
    const uint64_t mask = mask_of(i->reg_size) << shift;
    const uint64_t kept = i->reg_size == 4 ? 0 : gpr[i->reg] & ~mask;
    gpr[i->reg] = kept | (value << shift & mask);
}

enum { CF = 1, PF = 4, AF = 16, ZF = 64, SF = 128, OF = 2048 };

static void set_flags(uint64_t *rflags, uint64_t result, uint32_t size, bool carry, bool adjust, bool overflow)
{
    const bool negative = (result >> (8 * size - 1) & 1) != 0;
    const bool even = (__builtin_popcountll(result & 0xff) & 1) == 0;
    *rflags &= ~(uint64_t)(CF | PF | AF | ZF | SF | OF);
    *rflags |= (carry ? CF : 0) | (even ? PF : 0) | (adjust ? AF : 0) | ((result & mask_of(size)) == 0 ? ZF : 0) |
               (negative ? SF : 0) | (overflow ? OF : 0);
}

static uint64_t calculate(enum instruction_operation operation, uint32_t size, uint64_t a, uint64_t b, uint64_t *rflags)
{
    const uint64_t mask = mask_of(size), sign = UINT64_C(1) << (8 * size - 1);
    const uint64_t carry = (*rflags & CF) != 0 && (operation == INSTRUCTION_ADC || operation == INSTRUCTION_SBB);
    uint64_t result;
    a &= mask;
    b &= mask;
    switch (operation) {
    case INSTRUCTION_ADD:
    case INSTRUCTION_ADC:
        result = (a + b + carry) & mask;
        set_flags(rflags, result, size, result < a || (carry != 0 && result == a), ((a ^ b ^ result) & 16) != 0,
                  (~(a ^ b) & (a ^ result) & sign) != 0);
        return result;
    case INSTRUCTION_SUB:
    case INSTRUCTION_SBB:
    case INSTRUCTION_CMP:
        result = (a - b - carry) & mask;
        set_flags(rflags, result, size, a < b || (carry != 0 && a == b), ((a ^ b ^ result) & 16) != 0,
                  ((a ^ b) & (a ^ result) & sign) != 0);
        return result;
    case INSTRUCTION_OR:
        result = a | b;
        break;
    case INSTRUCTION_XOR:
        result = a ^ b;
        break;
    default: // AND, TEST
        result = a & b;
        break;
    }
    set_flags(rflags, result, size, false, false, false); // AF is undefined
    return result;
}

uint64_t instruction_execute(const struct instruction *i, uint64_t memory, uint64_t gpr[16], uint64_t *rflags)
{
    const uint64_t other = i->has_immediate ? i->immediate : get_register(i, gpr);
    if (i->operation == INSTRUCTION_MOVS)
        return memory;
    if (i->operation == INSTRUCTION_MOV || i->operation == INSTRUCTION_STOS || i->operation == INSTRUCTION_LODS) {
        if (!i->to_memory)
            put_register(i, gpr, extend(i, memory));
        return other & mask_of(i->size);
    }
    if (i->operation == INSTRUCTION_XCHG) {
        put_register(i, gpr, memory);
        return other;
    }
    const uint64_t a = i->to_memory ? memory : other, b = i->to_memory ? other : memory;
    const uint64_t result = calculate(i->operation, i->size, a, b, rflags);
    if (!i->to_memory && i->operation != INSTRUCTION_CMP)
        put_register(i, gpr, result);
    return result;
}
