// SPDX-License-Identifier: Apache-2.0
// What is done about IA32_FEATURE_CONTROL: unlocked, locked on and locked off, for every combination of its low bits.
// links: arch/x86/vmx/feature_control.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/x86/vmx/feature_control.h"

// As SDM Vol. 3C 24.7 numbers them, independent of the header.
#define LOCK UINT64_C(1)
#define IN_SMX UINT64_C(2)
#define OUTSIDE_SMX UINT64_C(4)

static void has_the_bits_of_the_manual(void **state)
{
    (void)state;
    assert_int_equal(FEATURE_CONTROL_LOCK, LOCK);
    assert_int_equal(FEATURE_CONTROL_VMX_IN_SMX, IN_SMX);
    assert_int_equal(FEATURE_CONTROL_VMX_OUTSIDE_SMX, OUTSIDE_SMX);
}

static void expect(uint64_t msr, enum feature_control_action action, uint64_t value)
{
    uint64_t result = ~value;

    assert_int_equal(feature_control_decide(msr, &result), action);
    assert_true(result == value);
}

static void enables_and_locks_what_is_unlocked(void **state)
{
    (void)state;
    expect(0, FEATURE_CONTROL_WRITE, LOCK | OUTSIDE_SMX); // as OVMF in Bochs leaves it
    expect(OUTSIDE_SMX, FEATURE_CONTROL_WRITE, LOCK | OUTSIDE_SMX);
    expect(IN_SMX, FEATURE_CONTROL_WRITE, LOCK | IN_SMX | OUTSIDE_SMX);
}

static void leaves_alone_what_is_locked_on(void **state)
{
    (void)state;
    expect(LOCK | OUTSIDE_SMX, FEATURE_CONTROL_READY, LOCK | OUTSIDE_SMX);
    expect(LOCK | IN_SMX | OUTSIDE_SMX, FEATURE_CONTROL_READY, LOCK | IN_SMX | OUTSIDE_SMX);
}

static void gives_up_on_what_is_locked_off(void **state)
{
    (void)state;
    expect(LOCK, FEATURE_CONTROL_DISABLED, LOCK);
    expect(LOCK | IN_SMX, FEATURE_CONTROL_DISABLED, LOCK | IN_SMX); // inside SMX is not enough
}

/// SENTER, SGX and LMCE enables, and bits that are not defined yet, are the firmware's.
static void keeps_other_bits(void **state)
{
    const uint64_t others = ~(LOCK | IN_SMX | OUTSIDE_SMX);

    (void)state;
    expect(others, FEATURE_CONTROL_WRITE, others | LOCK | OUTSIDE_SMX);
    expect(others | LOCK | OUTSIDE_SMX, FEATURE_CONTROL_READY, others | LOCK | OUTSIDE_SMX);
    expect(others | LOCK, FEATURE_CONTROL_DISABLED, others | LOCK);
    for (unsigned bit = 3; bit < 64; bit++)
        expect(UINT64_C(1) << bit, FEATURE_CONTROL_WRITE, UINT64_C(1) << bit | LOCK | OUTSIDE_SMX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_bits_of_the_manual),
        cmocka_unit_test(enables_and_locks_what_is_unlocked),
        cmocka_unit_test(leaves_alone_what_is_locked_on),
        cmocka_unit_test(gives_up_on_what_is_locked_off),
        cmocka_unit_test(keeps_other_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
