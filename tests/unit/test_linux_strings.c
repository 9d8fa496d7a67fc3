// SPDX-License-Identifier: Apache-2.0
// The linux personality with a guest that is only pretended: string instructions, of which the exit comes before the checks of memory.
// links: tests/unit/linux_machine.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "linux_machine.h"

enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, FAULT_WRITE = 2, FAULT_USER = 4 };
enum { PML4 = 0x10000, PDPT = 0x11000, PD = 0x12000, PT = 0x13000, PAGE_1 = 0x20000, PAGE_2 = 0x21000, AT = 0x400000 };
enum { VMCS_SS_ACCESS = 0x4818, VMCS_DS_ACCESS = 0x481a, VMCS_DS_LIMIT = 0x4806, USER_DATA = 0xc0f3 };
enum { INSB = 1 << 4 | 1 << 5 | 8, OUTSB = 1 << 4 | 1 << 5, ADDRESS_64 = 2 << 7, SOURCE_DS = 3 << 15 };
#define PG UINT64_C(0x80010001)

static uint64_t *entry_of(uint64_t page)
{
    return pv_guest_pointer(&machine.memory, PT + 8 * ((page - AT) / 4096), 8);
}

/// 64-bit mode at CPL 3, two pages at AT.
static void make_user(uint64_t first, uint64_t second)
{
    static const uint64_t tables[] = {PML4, PDPT, PD, PT};
    memset(pv_guest_pointer(&machine.memory, PML4, 0x14000), 0, 0x14000);
    for (unsigned i = 0; i < 3; i++)
        *(uint64_t *)pv_guest_pointer(&machine.memory, tables[i] + (i == 2 ? 16 : 0), 8) = tables[i + 1] | P | W | U;
    *entry_of(AT) = first == 0 ? 0 : PAGE_1 | first;
    *entry_of(AT + 4096) = second == 0 ? 0 : PAGE_2 | second;
    s->cr0 = PG;
    s->cr3 = PML4;
    s->cr4 = 0x20;
    s->efer = 0x500;
    cs_access = 0xa0fb;
    set_vmcs_field(VMCS_SS_ACCESS, USER_DATA);
}

static int64_t string_io(uint32_t how, uint64_t address, uint64_t count)
{
    s->gpr[PV_RDI] = s->gpr[PV_RSI] = address;
    s->gpr[PV_RCX] = count;
    s->exit_instruction_info = ADDRESS_64 | SOURCE_DS;
    s->exit_qualification = UINT64_C(0x12340000) | how; // nobody's port: ones
    return exit_with(EXIT_IO);
}

static void expect_page_fault(uint32_t error, uint64_t address)
{
    assert_int_equal(s->inject, VALID | 1 << 11 | 3 << 8 | 14);
    assert_int_equal(s->inject_error, error);
    assert_int_equal(s->cr2, address);
    assert_true((s->dirty & PV_GROUP_CR2) != 0);
    assert_int_equal(s->rip, CODE); // it is done again
    s->inject = 0;
}

/// A process with ports of its own, and pages that are not its own.
static int64_t user_input(unsigned at)
{
    uint8_t *pages = pv_guest_pointer(&machine.memory, PAGE_1, 0x2000);
    switch (at) {
    case 0:
        make_user(P | W, P | W | U); // the kernel's
        return string_io(INSB, AT, 4);
    case 1:
        expect_page_fault(P | FAULT_WRITE | FAULT_USER, AT);
        assert_int_equal(pages[0], 0);
        assert_int_equal(s->gpr[PV_RCX], 4);
        make_user(P | U, 0); // read-only
        return string_io(INSB, AT + 4, 4);
    case 2:
        expect_page_fault(P | FAULT_WRITE | FAULT_USER, AT + 4);
        assert_int_equal(pages[4], 0);
        make_user(P | W | U, 0); // the second page is not there
        return string_io(INSB, AT + 4094, 4);
    case 3:
        expect_page_fault(FAULT_WRITE | FAULT_USER, AT + 4096);
        assert_int_equal(*entry_of(AT), PAGE_1 | P | W | U | A | D);
        assert_int_equal(s->gpr[PV_RCX], 2);
        assert_int_equal(s->gpr[PV_RDI], AT + 4096);
        assert_int_equal(pages[4095], 0xff);
        *entry_of(AT + 4096) = PAGE_2 | P | W | U; // the kernel has brought it
        return exit_with(EXIT_IO);
    default:
        assert_int_equal(s->inject & VALID, 0);
        assert_int_equal(s->gpr[PV_RCX], 0);
        assert_int_equal(s->rip, CODE + 2);
        assert_int_equal(pages[4096], 0xff);
        assert_int_equal(pages[4097], 0xff);
        assert_int_equal(pages[4098], 0);
        return end_machine();
    }
}

static void test_user_input(void **state)
{
    (void)state;
    run(user_input);
    assert_int_equal(runs, 5);
    assert_int_equal(machine.exit_code, 42);
}

static int64_t output_faults(unsigned at)
{
    switch (at) {
    case 0:
        make_user(P | W, P | U);
        return string_io(OUTSB, AT, 4);
    case 1:
        expect_page_fault(P | FAULT_USER, AT);
        return string_io(OUTSB, AT + 4096, 4);
    case 2: // it may be read
        assert_int_equal(s->inject & VALID, 0);
        assert_int_equal(s->rip, CODE + 2);
        assert_int_equal(*entry_of(AT + 4096), PAGE_2 | P | U | A);
        s->rip = CODE;
        set_vmcs_field(VMCS_SS_ACCESS, 0xc093); // the kernel
        return string_io(OUTSB, AT, 4);
    case 3:
        assert_int_equal(s->rip, CODE + 2);
        s->rip = CODE;
        s->cr4 |= 1 << 21; // SMAP
        return string_io(OUTSB, AT + 4096, 4);
    case 4:
        expect_page_fault(P, AT + 4096);
        return string_io(OUTSB, UINT64_C(0x800000000000), 4); // not canonical
    case 5:
        assert_int_equal(s->inject, VALID | 1 << 11 | 3 << 8 | 13);
        s->inject = 0;
        *entry_of(AT) = UINT64_C(0xd0000000) | P | W; // mapped, and nothing is there
        return string_io(OUTSB, AT, 4);
    default:
        assert_int_equal(s->rip, CODE + 2);
        return end_machine();
    }
}

static void test_output_faults(void **state)
{
    (void)state;
    run(output_faults);
    assert_int_equal(runs, 7);
}

/// Segments of protected mode.
static int64_t segments(unsigned at)
{
    static const struct {
        uint32_t access, limit;
        uint64_t address;
        bool good;
    } cases[] = {
        {0xc093, 0xfff, 0x9000, false},    {0xc093, 0x9003, 0x9000, true},   {0xc093, 0x9002, 0x9000, false},
        {0x1c093, UINT32_MAX, 0x9, false}, {0xc099, UINT32_MAX, 0x9, false}, {0xc09b, UINT32_MAX, 0x9, true},
        {0xc097, 0x8fff, 0x9000, true},    {0xc097, 0x9000, 0x9000, false},  {0x8097, 0xfff, 0xfffd, false},
    };
    enum { CASES = sizeof(cases) / sizeof(cases[0]) };
    if (at > 0) {
        assert_int_equal(s->inject, cases[at - 1].good ? 0 : VALID | 1 << 11 | 3 << 8 | 13);
        assert_int_equal(s->rip, cases[at - 1].good ? CODE + 2 : CODE);
    }
    if (at == CASES)
        return end_machine();
    s->inject = 0;
    s->rip = CODE;
    s->cr0 = 1;
    set_vmcs_field(VMCS_DS_ACCESS, cases[at].access);
    set_vmcs_field(VMCS_DS_LIMIT, cases[at].limit);
    string_io(OUTSB | 3, cases[at].address, 1);
    s->exit_instruction_info = 1 << 7 | SOURCE_DS;
    return PV_RUN_EXIT;
}

static void test_segments(void **state)
{
    (void)state;
    run(segments);
    assert_int_equal(machine.exit_code, 42);
}

/* ---- on device memory ---- */

enum { IOAPIC = 0xfec00000, WINDOW = IOAPIC + 0x10, SPURIOUS = 0xfee000f0, EPT_VIOLATION = 48 };

static int64_t copy(const char *code, size_t size, uint64_t from, uint64_t to, uint64_t count)
{
    set_code(code, size);
    s->rip = CODE;
    s->gpr[PV_RSI] = from;
    s->gpr[PV_RDI] = to;
    s->gpr[PV_RCX] = count;
    s->exit_qualification = 0;
    s->exit_instruction_length = 0;
    s->guest_physical_address = IOAPIC;
    return exit_with(EPT_VIOLATION);
}

/// 16-bit code without paging, addresses of 32 bits.
static int64_t copies(unsigned at)
{
    uint32_t *memory = pv_guest_pointer(&machine.memory, 0x9000, 4096);
    switch (at) {
    case 0:
        memory[0] = 1;                                      // the version
        return copy("\x67\x66\xa5", 3, 0x9000, IOAPIC, 77); // movsd
    case 1:
        assert_int_equal(s->rip, CODE + 3);
        assert_int_equal(s->gpr[PV_RCX], 77);
        assert_int_equal(s->gpr[PV_RSI], 0x9004);
        assert_int_equal(s->gpr[PV_RDI], IOAPIC + 4);
        memory[1] = memory[2] = memory[3] = 7;
        return copy("\xf3\x67\x66\xa5", 4, WINDOW, 0x9004, 2); // rep movsd
    case 2:
        assert_int_equal(memory[1], 0x170020);
        assert_int_equal(memory[2], 0);
        assert_int_equal(memory[3], 7);
        assert_int_equal(s->rip, CODE + 4);
        assert_int_equal(s->gpr[PV_RCX], 0);
        s->rflags |= 1 << 10;                                                       // downwards
        return copy("\xf3\x67\xa4", 3, WINDOW + 2, 0x9082, UINT64_C(0xff00000003)); // rep movsb: 2 of the version
    case 3:
        assert_int_equal(memory[0x80 / 4], 0x170020);
        assert_int_equal(s->gpr[PV_RDI], 0x907f);
        assert_int_equal(s->gpr[PV_RCX], 0);
        s->rflags &= ~(uint64_t)(1 << 10);
        s->gpr[PV_RAX] = 0x1ff;
        return copy("\x67\x66\xab", 3, 0, SPURIOUS, 5); // stosd
    case 4:
        assert_int_equal(lapic->spurious, 0x1ff);
        assert_int_equal(s->gpr[PV_RSI], 0);
        s->gpr[PV_RAX] = UINT64_MAX;
        return copy("\x67\x66\xad", 3, SPURIOUS, 0x9000, 5); // lodsd
    case 5:
        assert_int_equal(s->gpr[PV_RAX], 0x1ff);
        assert_int_equal(s->gpr[PV_RDI], 0x9000);
        assert_int_equal(s->gpr[PV_RSI], SPURIOUS + 4);
        return copy("\xf3\x67\x66\xab", 4, 0, IOAPIC + 0x100, 40); // a long one, in pieces
    default:
        if (s->rip != CODE)
            return end_machine();
        assert_int_equal(s->gpr[PV_RDI], IOAPIC + 0x100 + 4 * (40 - s->gpr[PV_RCX]));
        assert_true(at < 20);
        return exit_with(EPT_VIOLATION);
    }
}

static void test_copies(void **state)
{
    (void)state;
    run(copies);
    assert_int_equal(runs, 9);
    assert_int_equal(s->gpr[PV_RCX], 0);
    assert_int_equal(machine.exit_code, 42);
}

/// From a device, which a process may use, to a page that is not there, or that it may not write.
static int64_t copy_faults(unsigned at)
{
    if (at == 0) {
        make_user(P | W | U, 0);
        *entry_of(AT + 8192) = IOAPIC | P | W | U;
        // The code is the process's, too.
        *(uint64_t *)pv_guest_pointer(&machine.memory, PD, 8) = 1 << 7 | P | W | U;
        machine.ioapic.selected = 1;
        return copy("\xf3\xa5", 2, AT + 8192 + 0x10, AT + 4092, 2); // rep movsd
    }
    if (at == 1) {
        expect_page_fault(FAULT_WRITE | FAULT_USER, AT + 4096);
        assert_int_equal(s->gpr[PV_RCX], 1);
        assert_int_equal(s->gpr[PV_RSI], AT + 8192 + 0x14);
        assert_int_equal(s->gpr[PV_RDI], AT + 4096);
        assert_int_equal(*(uint32_t *)pv_guest_pointer(&machine.memory, PAGE_1 + 4092, 4), 0x170020);
        *entry_of(AT + 4096) = PAGE_2 | P | W;
        return exit_with(EPT_VIOLATION);
    }
    expect_page_fault(P | FAULT_WRITE | FAULT_USER, AT + 4096);
    return end_machine();
}

static void test_copy_faults(void **state)
{
    (void)state;
    run(copy_faults);
    assert_int_equal(runs, 3);
    assert_int_equal(machine.exit_code, 42);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, reset_machine)
    const struct CMUnitTest tests[] = {T(test_user_input), T(test_output_faults), T(test_segments), T(test_copies),
                                       T(test_copy_faults)};
    return cmocka_run_group_tests(tests, make_machine, NULL);
}
