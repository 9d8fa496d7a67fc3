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

static int64_t strange(unsigned at)
{
    set_code("\x0f\x11\x03", 3); // movups
    return at == 0 ? touch(0xfee00000) : end_machine();
}

static void test_unknown_instruction(void **state)
{
    (void)state;
    run(strange);
    assert_int_equal(runs, 1);
    assert_int_equal(machine.exit_code, 1);
    output[output_size] = '\0';
    assert_non_null(strstr(output, "not emulated"));
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
        T(test_device_memory),       T(test_unknown_instruction), T(test_control_registers),
        T(test_hidden_instructions), T(test_triple_fault),
    };
    return cmocka_run_group_tests(tests, make_machine, NULL);
}
