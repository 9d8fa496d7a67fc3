// SPDX-License-Identifier: Apache-2.0
// The decoder of accesses to device memory, against Zydis, and what its instructions do, against the processor.
// links: vmm/personalities/lib/devices/instruction.c vmm/personalities/lib/devices/page_walk.c
// library: Zydis
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <Zydis/Zydis.h>

#include "devices/instruction.h"
#include "devices/page_walk.h"
#include "tests/unit/random.h"

/* ---- decoding ---- */

static const struct {
    ZydisMnemonic mnemonic;
    enum instruction_operation operation;
} mnemonics[] = {
    {ZYDIS_MNEMONIC_MOV, INSTRUCTION_MOV},    {ZYDIS_MNEMONIC_MOVZX, INSTRUCTION_MOV},
    {ZYDIS_MNEMONIC_MOVSX, INSTRUCTION_MOV},  {ZYDIS_MNEMONIC_MOVSXD, INSTRUCTION_MOV},
    {ZYDIS_MNEMONIC_XCHG, INSTRUCTION_XCHG},  {ZYDIS_MNEMONIC_ADD, INSTRUCTION_ADD},
    {ZYDIS_MNEMONIC_OR, INSTRUCTION_OR},      {ZYDIS_MNEMONIC_AND, INSTRUCTION_AND},
    {ZYDIS_MNEMONIC_SUB, INSTRUCTION_SUB},    {ZYDIS_MNEMONIC_XOR, INSTRUCTION_XOR},
    {ZYDIS_MNEMONIC_CMP, INSTRUCTION_CMP},    {ZYDIS_MNEMONIC_TEST, INSTRUCTION_TEST},
    {ZYDIS_MNEMONIC_ADC, INSTRUCTION_ADC},    {ZYDIS_MNEMONIC_SBB, INSTRUCTION_SBB},
    {ZYDIS_MNEMONIC_MOVSB, INSTRUCTION_MOVS}, {ZYDIS_MNEMONIC_MOVSW, INSTRUCTION_MOVS},
    {ZYDIS_MNEMONIC_MOVSD, INSTRUCTION_MOVS}, {ZYDIS_MNEMONIC_MOVSQ, INSTRUCTION_MOVS},
    {ZYDIS_MNEMONIC_STOSB, INSTRUCTION_STOS}, {ZYDIS_MNEMONIC_STOSW, INSTRUCTION_STOS},
    {ZYDIS_MNEMONIC_STOSD, INSTRUCTION_STOS}, {ZYDIS_MNEMONIC_STOSQ, INSTRUCTION_STOS},
    {ZYDIS_MNEMONIC_LODSB, INSTRUCTION_LODS}, {ZYDIS_MNEMONIC_LODSW, INSTRUCTION_LODS},
    {ZYDIS_MNEMONIC_LODSD, INSTRUCTION_LODS}, {ZYDIS_MNEMONIC_LODSQ, INSTRUCTION_LODS},
};

static int operation_of(ZydisMnemonic mnemonic)
{
    for (size_t i = 0; i < sizeof(mnemonics) / sizeof(mnemonics[0]); i++)
        if (mnemonics[i].mnemonic == mnemonic)
            return (int)mnemonics[i].operation;
    return -1;
}

static const ZydisDecodedOperand *find_operand(const ZydisDecodedInstruction *i, const ZydisDecodedOperand *operands,
                                               ZydisOperandType type)
{
    for (unsigned k = 0; k < i->operand_count_visible; k++)
        if (operands[k].type == type)
            return &operands[k];
    return NULL;
}

static bool is_string(const ZydisDecodedInstruction *i)
{
    return operation_of(i->mnemonic) >= INSTRUCTION_MOVS;
}

/// RDI's element is the first operand of MOVS and STOS, RSI's the second of MOVS and LODS.
static void compare_string(const struct instruction *mine, const ZydisDecodedInstruction *i,
                           const ZydisDecodedOperand *operands)
{
    static const ZydisRegister segments[] = {ZYDIS_REGISTER_ES, ZYDIS_REGISTER_CS, ZYDIS_REGISTER_SS,
                                             ZYDIS_REGISTER_DS, ZYDIS_REGISTER_FS, ZYDIS_REGISTER_GS};
    bool reads = false, writes = false;
    assert_int_equal(mine->length, i->length);
    assert_int_equal(mine->operation, operation_of(i->mnemonic));
    assert_int_equal(mine->address_size * 8, i->address_width);
    assert_int_equal(mine->repeat, (i->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPNE)) != 0);
    for (unsigned k = 0; k < i->operand_count; k++) {
        const ZydisDecodedOperand *o = &operands[k];
        if (o->type == ZYDIS_OPERAND_TYPE_MEMORY) {
            assert_int_equal(mine->size * 8, o->size);
            const bool read = (o->actions & ZYDIS_OPERAND_ACTION_MASK_READ) != 0;
            reads = reads || read;
            writes = writes || !read;
            const ZydisRegister segment = read ? segments[mine->segment] : ZYDIS_REGISTER_ES;
            assert_int_equal(segment, o->mem.segment);
            const ZydisRegister base = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, o->mem.base);
            assert_int_equal(base, read ? ZYDIS_REGISTER_RSI : ZYDIS_REGISTER_RDI);
        } else if (o->type == ZYDIS_OPERAND_TYPE_REGISTER && k == (mine->operation == INSTRUCTION_LODS ? 0 : 1)) {
            assert_int_equal(mine->reg_size * 8, o->size);
        }
    }
    assert_int_equal(instruction_reads(mine), reads);
    assert_int_equal(instruction_writes(mine), writes);
}

static void compare(const struct instruction *mine, const ZydisDecodedInstruction *i,
                    const ZydisDecodedOperand *operands)
{
    if (is_string(i)) {
        compare_string(mine, i, operands);
        return;
    }
    const ZydisDecodedOperand *memory = find_operand(i, operands, ZYDIS_OPERAND_TYPE_MEMORY);
    const ZydisDecodedOperand *reg = find_operand(i, operands, ZYDIS_OPERAND_TYPE_REGISTER);
    const ZydisDecodedOperand *immediate = find_operand(i, operands, ZYDIS_OPERAND_TYPE_IMMEDIATE);
    assert_int_equal(mine->length, i->length);
    assert_int_equal(mine->operation, operation_of(i->mnemonic));
    assert_non_null(memory);
    assert_int_equal(mine->size * 8, memory->size);
    assert_int_equal(instruction_reads(mine), (memory->actions & ZYDIS_OPERAND_ACTION_MASK_READ) != 0);
    assert_int_equal(instruction_writes(mine), (memory->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0);
    assert_int_equal(mine->has_immediate, immediate != NULL);
    if (immediate != NULL) {
        const uint64_t mask = mine->size == 8 ? UINT64_MAX : (UINT64_C(1) << mine->size * 8) - 1;
        assert_int_equal(mine->immediate & mask, immediate->imm.value.u & mask);
        return;
    }
    assert_non_null(reg);
    assert_int_equal(mine->reg_size * 8, reg->size);
    const bool high = reg->reg.value >= ZYDIS_REGISTER_AH && reg->reg.value <= ZYDIS_REGISTER_BH;
    assert_int_equal(mine->reg_high, high);
    const ZydisRegister wide = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg->reg.value);
    assert_int_equal(mine->reg, ZydisRegisterGetId(wide));
}

/// Whether the decoder promises to know what Zydis has found.
static bool promised(const ZydisDecodedInstruction *i, const ZydisDecodedOperand *operands)
{
    const ZydisDecodedOperand *reg = find_operand(i, operands, ZYDIS_OPERAND_TYPE_REGISTER);
    if (operation_of(i->mnemonic) < 0 ||
        (!is_string(i) && find_operand(i, operands, ZYDIS_OPERAND_TYPE_MEMORY) == NULL))
        return false;
    if (i->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY || i->opcode_map > ZYDIS_OPCODE_MAP_0F || i->opcode == 0x82)
        return false;
    for (unsigned k = 0; k < i->raw.prefix_count; k++) {
        const uint8_t prefix = i->raw.prefixes[k].value;
        const bool rex_not_last = (prefix & 0xf0) == 0x40 && k + 1 < i->raw.prefix_count;
        if (((prefix == 0xf2 || prefix == 0xf3) && !is_string(i)) || rex_not_last)
            return false;
    }
    if (i->mnemonic == ZYDIS_MNEMONIC_MOVSXD && i->operand_width == 16)
        return false;
    if (reg == NULL || is_string(i))
        return true;
    const ZydisRegisterClass class = ZydisRegisterGetClass(reg->reg.value);
    return class == ZYDIS_REGCLASS_GPR8 || class == ZYDIS_REGCLASS_GPR16 || class == ZYDIS_REGCLASS_GPR32 ||
           class == ZYDIS_REGCLASS_GPR64;
}

/// Prefixes, an opcode of those that matter (or any), and random bytes behind.
static size_t make_bytes(uint64_t *random, uint32_t mode, uint8_t bytes[INSTRUCTION_MAX])
{
    static const uint8_t prefixes[] = {0x66, 0x67, 0xf0, 0x2e, 0x64, 0x65, 0x26, 0x36, 0x3e, 0xf2, 0xf3};
    static const uint8_t opcodes[] = {0x0f, 0x63, 0x80, 0x81, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88,
                                      0x89, 0x8a, 0x8b, 0xa0, 0xa1, 0xa2, 0xa3, 0xc6, 0xc7, 0xf6,
                                      0xf7, 0x00, 0xa4, 0xa5, 0xaa, 0xab, 0xac, 0xad};
    size_t at = 0;
    for (size_t i = 0; i < INSTRUCTION_MAX; i++)
        bytes[i] = (uint8_t)random_below(random, 256);
    while (random_below(random, 3) == 0 && at < 4)
        bytes[at++] = prefixes[random_below(random, random_below(random, 4) == 0 ? 11 : 3)];
    if (mode == 64 && random_below(random, 2) == 0)
        bytes[at++] = (uint8_t)(0x40 | random_below(random, 16));
    const uint8_t opcode = opcodes[random_below(random, sizeof(opcodes))];
    bytes[at++] = opcode != 0 ? opcode : (uint8_t)random_below(random, 64);
    if (opcode == 0x0f)
        bytes[at] = (uint8_t)(0xb6 | (random_below(random, 16) & 9));
    return INSTRUCTION_MAX;
}

static void check_mode(uint32_t mode, ZydisMachineMode machine, ZydisStackWidth width)
{
    uint64_t random = mode;
    ZydisDecoder decoder;
    unsigned accepted = 0;
    ZydisDecoderInit(&decoder, machine, width);
    for (unsigned round = 0; round < 100000; round++) {
        uint8_t bytes[INSTRUCTION_MAX];
        ZydisDecodedInstruction i;
        ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
        struct instruction mine;
        const size_t size = make_bytes(&random, mode, bytes);
        const bool known = ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, size, &i, operands));
        if (instruction_decode(bytes, size, mode, &mine)) {
            assert_true(known);
            compare(&mine, &i, operands);
            accepted++;
            for (size_t less = 0; less < mine.length; less++) { // no byte may lack, and none is read beyond the end
                uint8_t *cut = malloc(less + 1);
                memcpy(cut + 1, bytes, less);
                struct instruction none;
                assert_false(instruction_decode(cut + 1, less, mode, &none));
                assert_true(none.incomplete);
                free(cut);
            }
        } else if (mine.incomplete) {
            fail_msg("15 bytes are all that there can be");
        } else if (known && promised(&i, operands)) {
            fail_msg("mode %u: %s with %02x %02x %02x %02x %02x not taken", mode, ZydisMnemonicGetString(i.mnemonic),
                     bytes[0], bytes[1], bytes[2], bytes[3], bytes[4]);
        }
    }
    assert_true(accepted > 20000);
}

static void test_decode_64(void **state)
{
    (void)state;
    check_mode(64, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
}

static void test_decode_32(void **state)
{
    (void)state;
    check_mode(32, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
}

static void test_decode_16(void **state)
{
    (void)state;
    check_mode(16, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
}

/* ---- carrying out ---- */

static uint64_t run(const uint8_t *code, size_t size, uint64_t memory, uint64_t gpr[16], uint64_t *flags)
{
    struct instruction i;
    assert_true(instruction_decode(code, size, 64, &i));
    return instruction_execute(&i, memory, gpr, flags);
}

static void test_registers(void **state)
{
    (void)state;
    uint64_t gpr[16], flags = 2;
    for (unsigned i = 0; i < 16; i++)
        gpr[i] = UINT64_C(0x1111111111111111) * i;
    run((const uint8_t *)"\x8b\x07", 2, 0x89abcdef, gpr, &flags); // mov eax, [rdi]: clears the upper half
    assert_int_equal(gpr[0], 0x89abcdef);
    run((const uint8_t *)"\x66\x8b\x0f", 3, 0x1234, gpr, &flags); // mov cx, [rdi]
    assert_int_equal(gpr[1], UINT64_C(0x1111111111111234));
    run((const uint8_t *)"\x8a\x37", 2, 0x99, gpr, &flags); // mov dh, [rdi]
    assert_int_equal(gpr[2], UINT64_C(0x2222222222229922));
    run((const uint8_t *)"\x40\x8a\x37", 3, 0x99, gpr, &flags); // mov sil, [rdi]
    assert_int_equal(gpr[6], UINT64_C(0x6666666666666699));
    run((const uint8_t *)"\x4c\x8b\x3f", 3, UINT64_C(0xfedcba9876543210), gpr, &flags); // mov r15, [rdi]
    assert_int_equal(gpr[15], UINT64_C(0xfedcba9876543210));
    run((const uint8_t *)"\x0f\xbe\x1f", 3, 0x80, gpr, &flags); // movsx ebx, byte [rdi]
    assert_int_equal(gpr[3], 0xffffff80);
    run((const uint8_t *)"\x48\x63\x1f", 3, 0x80000000, gpr, &flags); // movsxd rbx, dword [rdi]
    assert_int_equal(gpr[3], UINT64_C(0xffffffff80000000));
    run((const uint8_t *)"\x0f\xb7\x1f", 3, 0xffff, gpr, &flags); // movzx ebx, word [rdi]
    assert_int_equal(gpr[3], 0xffff);
    assert_int_equal(run((const uint8_t *)"\x88\x37", 2, 0, gpr, &flags), 0x99);      // mov [rdi], dh
    assert_int_equal(run((const uint8_t *)"\x87\x1f", 2, 0x55, gpr, &flags), 0xffff); // xchg [rdi], ebx
    assert_int_equal(gpr[3], 0x55);
    assert_int_equal(run((const uint8_t *)"\x48\xc7\x07\xfe\xff\xff\xff", 7, 0, gpr, &flags), UINT64_MAX - 1);
    assert_int_equal(run((const uint8_t *)"\xc7\x07\xfe\xff\xff\xff", 6, 0, gpr, &flags), 0xfffffffe);
    assert_int_equal(flags, 2);
}

/// The processor's own result and flags for `a OP b`, in 32 bits; bit 0 of *flags is CF before it.
#define NATIVE(name)                                                                                                   \
    static uint32_t native_##name(uint32_t a, uint32_t b, uint64_t *flags)                                             \
    {                                                                                                                  \
        __asm__("btq $0, %1\n" #name "l %3, %0\n pushfq\n popq %1"                                                     \
                : "+r"(a), "=&r"(*flags)                                                                               \
                : "1"(*flags), "r"(b)                                                                                  \
                : "cc", "memory");                                                                                     \
        return a;                                                                                                      \
    }
NATIVE(add)
NATIVE(or)
NATIVE(and)
NATIVE(sub)
NATIVE(xor)
NATIVE(cmp)
NATIVE(test)
NATIVE(adc)
NATIVE(sbb)

static void test_arithmetic(void **state)
{
    (void)state;
    static const struct {
        uint8_t opcode; ///< OP [rdi], ecx
        uint32_t (*native)(uint32_t, uint32_t, uint64_t *);
        uint32_t flags;
        bool writes;
    } all[] = {
        {0x01, native_add, 0x8d5, true},   {0x09, native_or, 0x8c5, true},  {0x21, native_and, 0x8c5, true},
        {0x29, native_sub, 0x8d5, true},   {0x31, native_xor, 0x8c5, true}, {0x39, native_cmp, 0x8d5, false},
        {0x85, native_test, 0x8c5, false}, {0x11, native_adc, 0x8d5, true}, {0x19, native_sbb, 0x8d5, true},
    };
    static const uint32_t values[] = {0, 1, 15, 16, 0x7fffffff, 0x80000000, 0xffffffff, 0x12345678, 0xedcba988};
    for (size_t op = 0; op < sizeof(all) / sizeof(all[0]); op++)
        for (size_t x = 0; x < 9; x++)
            for (size_t y = 0; y < 18; y++) { // with and without carry
                const uint8_t code[] = {all[op].opcode, 0x0f};
                uint64_t gpr[16] = {0}, flags = 2 | y / 9, native_flags = flags;
                gpr[1] = values[y % 9];
                const uint64_t result = run(code, 2, values[x], gpr, &flags);
                const uint32_t expected = all[op].native(values[x], values[y % 9], &native_flags);
                if (all[op].writes)
                    assert_int_equal(result, expected);
                assert_int_equal(flags & all[op].flags, native_flags & all[op].flags);
                assert_int_equal(gpr[1], values[y % 9]);
            }
    uint64_t gpr[16] = {0}, flags = 2;
    gpr[1] = 5;
    run((const uint8_t *)"\x2b\x0f", 2, 7, gpr, &flags); // sub ecx, [rdi]
    assert_int_equal(gpr[1], 0xfffffffe);
    assert_int_equal(flags & 1, 1);
}

/* ---- page tables ---- */

enum { MEMORY = 64 * 4096 };
static uint8_t *guest;

static bool read_memory(void *context, uint64_t address, void *bytes, size_t size)
{
    (void)context;
    assert_true(address % 4096 + size <= 4096);
    if (address > MEMORY || size > MEMORY - address)
        return false;
    memcpy(bytes, guest + address, size);
    return true;
}

static void set64(uint64_t table, uint64_t index, uint64_t value)
{
    memcpy(guest + table + 8 * index, &value, 8);
}

static void set32(uint64_t table, uint64_t index, uint32_t value)
{
    memcpy(guest + table + 4 * index, &value, 4);
}

static void test_walk_long(void **state)
{
    (void)state;
    guest = calloc(1, MEMORY);
    const struct page_walk w = {
        .cr0 = UINT64_C(0x80000001), .cr3 = 0x1fff & ~0xfffull, .cr4 = 0x20, .efer = 0x500, .read = read_memory};
    const uint64_t high = UINT64_C(0xffffffff81234567);
    uint64_t p;
    assert_false(page_walk(&w, high, &p));
    set64(0x1000, 511, 0x2003);
    set64(0x2000, 510, 0x3003);
    set64(0x3000, 9, 0x4003);
    set64(0x4000, 0x34, UINT64_C(0x8000000000005003)); // no-execute is no part of the address
    assert_true(page_walk(&w, high, &p));
    assert_int_equal(p, 0x5567);
    set64(0x3000, 9, 0x600083);
    assert_true(page_walk(&w, high, &p));
    assert_int_equal(p, 0x634567);
    set64(0x2000, 510, 0x40000083);
    assert_true(page_walk(&w, high, &p));
    assert_int_equal(p, 0x41234567);
    set64(0x1000, 511, 0x7000000003); // tables where there is no memory
    assert_false(page_walk(&w, high, &p));
    free(guest);
}

static void test_walk_legacy(void **state)
{
    (void)state;
    uint64_t p;
    guest = calloc(1, MEMORY);
    struct page_walk w = {.cr0 = 1, .cr3 = 0x1000, .read = read_memory};
    assert_true(page_walk(&w, 0x12345678, &p));
    assert_int_equal(p, 0x12345678);
    w.cr0 = UINT64_C(0x80000001);
    set32(0x1000, 0x48, 0x2003);
    set32(0x2000, 0x345, 0x9003);
    assert_true(page_walk(&w, 0x12345678, &p));
    assert_int_equal(p, 0x9678);
    set32(0x1000, 0x48, 0x404083); // a large page only with CR4.PSE; bits 20:13 are 39:32
    w.cr4 = 0x10;
    assert_true(page_walk(&w, 0x12345678, &p));
    assert_int_equal(p, UINT64_C(0x200745678));
    w.cr4 = 0x20; // PAE: a root of four entries, which need not begin a page
    w.cr3 = 0x1020;
    set64(0x1020, 0, 0x3001);
    set64(0x3000, 0x91, 0x4003);
    set64(0x4000, 0x145, 0xa003);
    assert_true(page_walk(&w, 0x12345678, &p));
    assert_int_equal(p, 0xa678);
    set64(0x3000, 0x91, 0x800083);
    assert_true(page_walk(&w, 0x12345678, &p));
    assert_int_equal(p, 0x945678);
    free(guest);
}

static void test_copy(void **state)
{
    (void)state;
    guest = calloc(1, MEMORY);
    const struct page_walk w = {.cr0 = UINT64_C(0x80000001), .cr3 = 0x1000, .read = read_memory};
    uint8_t to[15];
    set32(0x1000, 0, 0x2003);
    set32(0x2000, 5, 0x8003);
    set32(0x2000, 6, 0x7003);
    memcpy(guest + 0x8ffa, "behind", 6);
    memcpy(guest + 0x7000, "-before--", 9);
    assert_int_equal(page_walk_copy(&w, 0x5ffa, to, 15), 15);
    assert_memory_equal(to, "behind-before--", 15);
    set32(0x2000, 6, 0);
    assert_int_equal(page_walk_copy(&w, 0x5ffa, to, 15), 6);
    assert_int_equal(page_walk_copy(&w, 0x6000, to, 15), 0);
    free(guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode_64),   cmocka_unit_test(test_decode_32),  cmocka_unit_test(test_decode_16),
        cmocka_unit_test(test_registers),   cmocka_unit_test(test_arithmetic), cmocka_unit_test(test_walk_long),
        cmocka_unit_test(test_walk_legacy), cmocka_unit_test(test_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
