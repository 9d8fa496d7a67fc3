// SPDX-License-Identifier: Apache-2.0
// The linux personality with a guest that is only pretended: its exits.
// links: tests/unit/linux_machine.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "linux_machine.h"

/* ---- device memory ---- */

static int64_t touch(uint64_t address)
{
    s->guest_physical_address = address;
    s->exit_instruction_length = 0; // undefined for EPT violations
    return exit_with(48);
}

static int64_t use_ioapic(unsigned at)
{
    switch (at) {
    case 0:
        s->gpr[PV_RAX] = 1;
        set_code("\x67\x66\x89\x03", 4); // mov [ebx], eax in 16-bit code
        return touch(0xfec00000);
    case 1:
        assert_int_equal(s->rip, CODE + 4);
        s->rip = CODE;
        set_code("\x67\x66\x8b\x0b", 4); // mov ecx, [ebx]
        return touch(0xfec00010);
    case 2:
        assert_int_equal(s->gpr[PV_RCX], 0x170020);
        s->rip = CODE;
        return touch(0xd0000000); // where nothing is
    case 3:
        assert_int_equal(s->gpr[PV_RCX], UINT32_MAX);
        s->rip = CODE;
        s->gpr[PV_RAX] = 0x1ff;
        set_code("\x67\x66\x89\x03", 4);
        s->dirty = 0;
        return touch(0xfee000f0);
    case 4:
        assert_int_equal(s->dirty, PV_GROUP_RIP); // no more is written than has changed
        s->rip = CODE;
        set_code("\x67\x66\x81\x3b\xff\x01\x00\x00", 8); // cmp dword [ebx], 0x1ff
        return touch(0xfee000f0);
    default:
        assert_int_equal(s->rflags & 0x40, 0x40); // equal
        assert_true((s->dirty & PV_GROUP_FLAGS) != 0);
        return end_machine();
    }
}

static void test_device_memory(void **state)
{
    (void)state;
    run(use_ioapic);
    assert_int_equal(machine.exit_code, 42);
    assert_int_equal(lapic->spurious, 0x1ff);
}

/// The same bytes are other instructions in compatibility mode, where a 32-bit process runs on a 64-bit kernel.
static int64_t compatibility(unsigned at)
{
    uint64_t *tables = pv_guest_pointer(&machine.memory, 0x10000, 0x3000);
    if (at == 2)
        return end_machine();
    if (at == 1) {
        assert_int_equal(s->rip, CODE + 5);
        assert_int_equal(s->gpr[PV_RAX], 0);
    }
    tables[0] = 0x11000 | 7;
    tables[512] = 0x12000 | 7;
    tables[1024] = 0x87;
    s->cr0 = 0x80010001;
    s->cr3 = 0x10000;
    s->cr4 = 0x20;
    s->efer = 0x500;
    cs_access = at == 0 ? 0xc0fb : 0xa0fb;
    s->rip = CODE;
    set_code("\xa1\x00\x00\xc0\xfe\x00\x00\x00\x00", 9); // mov eax, [0xfec00000]
    return touch(0xfec00000);
}

static void test_compatibility(void **state)
{
    (void)state;
    run(compatibility);
    assert_int_equal(s->rip, CODE + 9);
    assert_int_equal(machine.exit_code, 42);
}

static int64_t strange(unsigned at)
{
    if (at > 0) {
        assert_int_equal(s->inject, VALID | 3 << 8 | 6); // #UD
        assert_int_equal(s->rip, CODE);
        s->inject = 0;
    }
    set_code("\x0f\x11\x03", 3); // movups
    if (at == 2)
        s->exit_qualification = 1 << 2; // code where a device is
    return at < 3 ? touch(0xfee00000) : end_machine();
}

static void test_unknown_instruction(void **state)
{
    (void)state;
    const uint64_t before = device_row(DEVICE_INSTRUCTION)->reads;
    run(strange);
    assert_int_equal(runs, 4);
    assert_int_equal(machine.exit_code, 42);
    assert_int_equal(device_row(DEVICE_INSTRUCTION)->reads - before, 3);
    output[output_size] = '\0';
    const char *said =
        strstr(output, "cpu 0 at 0x8000: access to 0xfee00000 by an instruction that is not emulated: 0f 11 03 ");
    assert_non_null(said);
    assert_null(strstr(strchr(said, '\n'), "not emulated")); // once
}

/// The code's page is not there any more, or its second one: #PF, and the instruction begins anew.
static int64_t lost_code(unsigned at)
{
    enum { P = 1, W = 2, U = 4, TABLES = 0x10000, LAST = 0x8ffe };
    uint32_t *pages = pv_guest_pointer(&machine.memory, TABLES + 4096, 4096);
    if (at == 0) {
        s->cr0 = 0x80000001;
        s->cr3 = TABLES;
        s->cr4 = s->efer = 0;
        cs_access = 0xc09b;
        *(uint32_t *)pv_guest_pointer(&machine.memory, TABLES, 4) = (TABLES + 4096) | P | W | U;
        pages[8] = pages[9] = 0;
        return touch(0xfec00000);
    }
    if (at <= 2) {
        assert_int_equal(s->inject, VALID | 1 << 11 | 3 << 8 | 14);
        assert_int_equal(s->inject_error, 0);
        assert_int_equal(s->cr2, at == 1 ? CODE : 0x9000);
        s->inject = 0;
        pages[8] = 0x8000 | P | W | U;
        pages[9] = at == 2 ? 0xfec00000 | P | W | U : 0;
        s->rip = LAST;
        memcpy(pv_guest_pointer(&machine.memory, LAST, 2), "\x81\x03", 2); // add dword [ebx], and nothing behind
        return touch(0xfec00000);
    }
    assert_int_equal(s->inject, VALID | 3 << 8 | 6); // no code at all
    return end_machine();
}

static void test_lost_code(void **state)
{
    (void)state;
    run(lost_code);
    assert_int_equal(runs, 4);
    assert_int_equal(machine.exit_code, 42);
}

/// The guest's page tables lie where nothing is.
static int64_t lost_tables(unsigned at)
{
    s->exit_qualification = 1 << 7 | 1;
    s->guest_linear_address = 0x12345678;
    if (at == 0)
        return touch(0xd0000000);
    assert_int_equal(s->inject, VALID | 1 << 11 | 3 << 8 | 14);
    assert_int_equal(s->inject_error, 9); // ones: reserved bits
    assert_int_equal(s->cr2, 0x12345678);
    return end_machine();
}

static void test_lost_tables(void **state)
{
    (void)state;
    run(lost_tables);
    assert_int_equal(machine.exit_code, 42);
}

/// An IDT that is not in memory: the instruction that an event interrupts does not access it.
static int64_t no_table(unsigned at)
{
    set_code("\x89\x03", 2); // mov [rbx], eax
    s->vectoring_info = VALID | 3 << 8 | 13;
    return at == 0 ? touch(0xfec00000) : end_machine();
}

static void test_no_table(void **state)
{
    (void)state;
    run(no_table);
    assert_int_equal(runs, 1);
    assert_int_equal(machine.exit_code, 1);
    output[output_size] = '\0';
    assert_non_null(strstr(output, "an event cannot be delivered: it needs memory at 0xfec00000"));
}

/* ---- other exits ---- */

static int64_t control_registers(unsigned at)
{
    switch (at) {
    case 0:
        s->gpr[PV_RDX] = 5;
        s->exit_qualification = 8 | PV_RDX << 8; // mov cr8, rdx
        return exit_with(28);
    case 1:
        assert_int_equal(lapic->task_priority, 0x50);
        s->exit_qualification = 8 | 1 << 4 | PV_RSP << 8; // mov rsp, cr8
        return exit_with(28);
    case 2:
        assert_int_equal(s->rsp, 5);
        assert_true((s->dirty & PV_GROUP_FLAGS) != 0);
        s->dirty = 0;
        s->cr0 = 0x80000011;
        s->gpr[PV_RDX] = 0xc0000011; // CD
        s->exit_qualification = PV_RDX << 8;
        return exit_with(28);
    case 3:
        assert_int_equal(s->cr0, 0xc0000011);
        assert_true((s->dirty & PV_GROUP_CONTROL) != 0);
        s->gpr[PV_RDX] = 0xa0000011; // NW without CD
        return exit_with(28);
    case 4:
        assert_int_equal(s->inject & 0xff, 13);
        s->inject = 0;
        s->gpr[PV_RDX] = 0x2020; // CR4.VMXE
        s->exit_qualification = 4 | PV_RDX << 8;
        return exit_with(28);
    default:
        assert_int_equal(s->inject & 0xff, 13);
        return end_machine();
    }
}

static void test_control_registers(void **state)
{
    (void)state;
    run(control_registers);
    assert_int_equal(runs, 6);
}

/// CR0 as a guest writes it, where each of its values is refused. The processor would have refused it, too, had CD not changed.
static int64_t refused_cr0(unsigned at)
{
    enum {
        LME = 1 << 8,
        LMA = 1 << 10,
        PAE = 1 << 5,
        PCIDE = 1 << 17,
        CET = 1 << 23,
        CODE_64 = 0xa09b,
        CODE_32 = 0xc09b
    };
    static const struct {
        uint64_t cr0, cr4, efer, cs, value;
    } cases[] = {
        {0x80010031, PAE, LME | LMA, CODE_64, 0x40010031},         // paging ends in 64-bit mode
        {0x80010031, PAE | PCIDE, LME | LMA, CODE_32, 0x40010031}, // or with process-context identifiers
        {0x80010031, PAE | CET, LME | LMA, CODE_64, 0xc0000031}, // write protection ends, control-flow enforcement not
        {0x10031, PAE, LME, CODE_64, 0xc0010031},                // IA-32e mode begins in a segment of 64 bits
        {0x10031, 0, LME, CODE_32, 0xc0010031},                  // or without PAE
        {0x10031, PAE, LME, CODE_32, 0xc0010031},                // or with a TSS of 16 bits
        {0x10031, PAE, 0, CODE_32, 0xc0010030},                  // paging without protection
        {0x80010031, PAE, 0, CODE_32, UINT64_C(0x1c0010031)},
    };
    enum { CASES = sizeof(cases) / sizeof(cases[0]), TSS_16 = 5, VMCS_TR_ACCESS = 0x4822 };
    if (at > 0) {
        assert_int_equal(s->inject & 0xff, 13);
        assert_int_equal(s->cr0, cases[at - 1].cr0);
        s->inject = 0;
    }
    if (at == CASES)
        return end_machine();
    s->cr0 = cases[at].cr0;
    s->cr4 = cases[at].cr4;
    s->efer = cases[at].efer;
    cs_access = cases[at].cs;
    set_vmcs_field(VMCS_TR_ACCESS, at == TSS_16 ? 0x83 : 0x8b);
    s->gpr[PV_RDX] = cases[at].value;
    s->exit_qualification = PV_RDX << 8;
    return exit_with(28);
}

/// From compatibility mode paging can be left, and entered from a segment of 32 bits.
static int64_t accepted_cr0(unsigned at)
{
    if (at == 0) {
        s->cr0 = 0x80010031;
        s->cr4 = 0x20;
        s->efer = 0x500;
        cs_access = 0xc09b;
    } else {
        assert_int_equal(s->inject & VALID, 0);
        assert_int_equal(s->cr0, at == 1 ? 0x40010031 : 0x80010031);
        s->efer = 0x100;
    }
    s->gpr[PV_RDX] = at == 0 ? 0x40010031 : 0x80010031;
    s->exit_qualification = PV_RDX << 8;
    return at == 2 ? end_machine() : exit_with(28);
}

static void test_cr0(void **state)
{
    (void)state;
    run(refused_cr0);
    assert_int_equal(runs, 9);
    reset_machine(NULL);
    run(accepted_cr0);
    assert_int_equal(runs, 3);
}

/// PAE paging begins by a MOV that exits: what the processor would have read is in the VMCS. Wrong entries are a #GP.
static int64_t pae(unsigned at)
{
    enum { ROOT = 0x20 };
    static const uint64_t good[] = {0x1001, 0x1ff8, 0, 0x3019}, wrong[] = {0x1003, 0x1001 | UINT64_C(1) << 60};
    uint8_t *root = pv_guest_pointer(&machine.memory, ROOT, sizeof(good));
    if (at > 0)
        assert_int_equal((s->inject & VALID) != 0, at > 1);
    if (at == 1) {
        assert_int_equal(s->cr0, 0xc0010031);
        for (unsigned i = 0; i < 4; i++)
            assert_true(written_fields[i].field == 0x280a + 2 * i && written_fields[i].value == good[i]);
    }
    if (at == 4)
        return end_machine();
    s->inject = 0;
    s->cr0 = 0x10031;
    s->cr3 = at < 3 ? ROOT | 0x18 : 0xffff0000; // not in memory
    s->cr4 = 0x20;
    s->efer = 0;
    memcpy(root, good, sizeof(good));
    if (at == 1 || at == 2)
        memcpy(root + 8, &wrong[at - 1], 8);
    s->gpr[PV_RDX] = 0xc0010031;
    s->exit_qualification = PV_RDX << 8;
    return exit_with(28);
}

static void test_pae(void **state)
{
    (void)state;
    run(pae);
    assert_int_equal(runs, 5);
    assert_int_equal(machine.exit_code, 42);
}

/// What CPUID hides cannot be switched on: its bits of CR4 are the personality's, and their changes #GP.
static int64_t hidden_cr4(unsigned at)
{
    enum { CR4_MASK = 0x6002, LA57 = 12, VMXE, SMXE, PKE = 22, CET, PKS, UINTR };
    static const uint8_t hidden[] = {LA57, VMXE, SMXE, 15, 19, PKE, CET, PKS, UINTR, 27, 28, 32, 63};
    static const uint8_t own[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 16, 17, 18, 20, 21};
    const uint64_t mask = vmcs_field(CR4_MASK);
    if (at > 0) {
        assert_int_equal(s->inject & 0xff, 13);
        assert_int_equal(s->cr4, 0x20);
        s->inject = 0;
    }
    if (at == sizeof(hidden)) {
        for (size_t i = 0; i < sizeof(own); i++)
            assert_int_equal(mask >> own[i] & 1, 0);
        return end_machine();
    }
    assert_int_equal(mask >> hidden[at] & 1, 1);
    s->cr4 = 0x20;
    s->gpr[PV_RDX] = 0x20 | UINT64_C(1) << hidden[at];
    s->exit_qualification = 4 | PV_RDX << 8;
    return exit_with(28);
}

static void test_hidden_cr4(void **state)
{
    (void)state;
    run(hidden_cr4);
    assert_int_equal(machine.exit_code, 42);
    assert_int_equal(runs, 14);
}

static int64_t vmx_instruction(unsigned at)
{
    static const uint32_t reasons[] = {18, 19, 27, 50, 53, 36, 11};
    if (at > 0) {
        assert_int_equal(s->inject, VALID | 3 << 8 | 6); // #UD
        s->inject = 0;
    }
    return at < 7 ? exit_with(reasons[at]) : end_machine();
}

static void test_hidden_instructions(void **state)
{
    (void)state;
    run(vmx_instruction);
    assert_int_equal(runs, 8);
}

static int64_t triple_fault(unsigned at)
{
    return at == 0 ? exit_with(2) : end_machine();
}

static void test_triple_fault(void **state)
{
    (void)state;
    run(triple_fault);
    assert_int_equal(machine.exit_code, 1);
    output[output_size] = '\0';
    assert_non_null(strstr(output, "triple fault"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, reset_machine)
    const struct CMUnitTest tests[] = {
        T(test_lost_code),
        T(test_lost_tables),
        T(test_device_memory),
        T(test_unknown_instruction),
        T(test_no_table),
        T(test_cr0),
        T(test_pae),
        T(test_control_registers),
        T(test_hidden_instructions),
        T(test_triple_fault),
        T(test_hidden_cr4),
        T(test_compatibility),
    };
    return cmocka_run_group_tests(tests, make_machine, NULL);
}
