// SPDX-License-Identifier: Apache-2.0
// APIC virtualization: which controls go together, and that no MSR of the core's own APIC is ever let through.
// links: arch/x86/vmx/apic_policy.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/x86/vmx/apic_policy.h"
#include "arch/x86/vmx/bitmaps.h"
#include "arch/x86/vmx/caps.h"
#include "arch/x86/vmx/vmcs_bits.h"

enum { FEATURES = VMX_APIC_ALL + 1, FULL = VMX_APIC_TPR | VMX_APIC_X2APIC | VMX_APIC_REGISTERS | VMX_APIC_INTERRUPTS };

#define CR8 (PRIMARY_CR8_LOAD | PRIMARY_CR8_STORE)
#define SECONDARY_ALL                                                                                                  \
    (SECONDARY_APIC_ACCESSES | SECONDARY_X2APIC | SECONDARY_APIC_REGISTERS | SECONDARY_VIRTUAL_INTERRUPTS)

/// The rules of SDM Vol. 3C 27.2.1.1, in its own terms.
static void controls_obey_the_rules_of_entry(void **state)
{
    (void)state;
    for (uint32_t f = 0; f < FEATURES; f++) {
        const uint32_t primary = vmx_apic_primary(f, UINT32_MAX), secondary = vmx_apic_secondary(f, UINT32_MAX);
        const bool shadow = (primary & PRIMARY_TPR_SHADOW) != 0;
        const bool needs =
            (secondary & (SECONDARY_X2APIC | SECONDARY_APIC_REGISTERS | SECONDARY_VIRTUAL_INTERRUPTS)) != 0;
        const bool both = (secondary & SECONDARY_X2APIC) != 0 && (secondary & SECONDARY_APIC_ACCESSES) != 0;
        assert_int_equal(vmx_apic_valid(f), (shadow || !needs) && !both);
        // Without the shadow CR8 is the core's own.
        assert_true(shadow || (primary & CR8) == CR8);
        assert_int_equal(secondary | SECONDARY_ALL, UINT32_MAX);
        assert_int_equal(primary | CR8 | PRIMARY_TPR_SHADOW, UINT32_MAX);
    }
    assert_false(vmx_apic_valid(FEATURES));
    assert_false(vmx_apic_valid(UINT64_C(1) << 32));
    assert_false(vmx_apic_valid(UINT64_MAX));
}

static void a_wish_cannot_set_them(void **state)
{
    (void)state;
    assert_int_equal(vmx_apic_primary(0, PRIMARY_TPR_SHADOW), CR8);
    assert_int_equal(vmx_apic_secondary(0, SECONDARY_ALL), 0);
    assert_int_equal(vmx_apic_primary(VMX_APIC_TPR, CR8), PRIMARY_TPR_SHADOW);
    assert_int_equal(vmx_apic_secondary(VMX_APIC_X2APIC, SECONDARY_APIC_ACCESSES), SECONDARY_X2APIC);
}

static void each_needs_its_capability(void **state)
{
    (void)state;
    struct vmx_caps caps = {.primary = UINT64_MAX << 32, .secondary = UINT64_MAX << 32};
    assert_true(vmx_apic_supported(&caps, VMX_APIC_ALL));
    caps.primary |= PRIMARY_CR8_LOAD; // cannot be left out
    assert_false(vmx_apic_supported(&caps, VMX_APIC_TPR));
    assert_true(vmx_apic_supported(&caps, VMX_APIC_ACCESSES));
    caps.primary = 0;
    assert_false(vmx_apic_supported(&caps, VMX_APIC_TPR));
    caps.primary = UINT64_MAX << 32;
    static const uint32_t bits[][2] = {{VMX_APIC_X2APIC, SECONDARY_X2APIC},
                                       {VMX_APIC_ACCESSES, SECONDARY_APIC_ACCESSES},
                                       {VMX_APIC_REGISTERS, SECONDARY_APIC_REGISTERS},
                                       {VMX_APIC_INTERRUPTS, SECONDARY_VIRTUAL_INTERRUPTS}};
    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
        caps.secondary = ~(uint64_t)bits[i][1] << 32;
        assert_false(vmx_apic_supported(&caps, bits[i][0]));
        assert_true(vmx_apic_supported(&caps, VMX_APIC_ALL & ~bits[i][0]));
    }
}

/// SDM Vol. 3C 30.5, one MSR after the other.
static void only_what_the_processor_takes_is_open(void **state)
{
    (void)state;
    for (uint32_t f = 0; f < FEATURES; f++) {
        const bool mode = (f & VMX_APIC_X2APIC) != 0, all = (f & VMX_APIC_REGISTERS) != 0;
        const bool deliver = (f & VMX_APIC_INTERRUPTS) != 0;
        for (uint32_t msr = 0; msr < 0x2000; msr++) {
            const bool apic = msr >= 0x800 && msr <= 0x8ff;
            const bool read = mode && apic && (all || msr == 0x808);
            const bool write = mode && (msr == 0x808 || (deliver && (msr == 0x80b || msr == 0x83f)));
            assert_int_equal(vmx_apic_takes_msrs(f, msr, 1, BITMAP_READ), read);
            assert_int_equal(vmx_apic_takes_msrs(f, msr, 1, BITMAP_WRITE), write);
            assert_int_equal(vmx_apic_takes_msrs(f, msr, 1, BITMAP_BOTH), read && write);
        }
    }
}

static void ranges_must_fit_as_a_whole(void **state)
{
    (void)state;
    assert_true(vmx_apic_takes_msrs(FULL, 0x800, 0x100, BITMAP_READ));
    assert_false(vmx_apic_takes_msrs(FULL, 0x800, 0x101, BITMAP_READ));
    assert_false(vmx_apic_takes_msrs(FULL, 0x7ff, 2, BITMAP_READ));
    assert_false(vmx_apic_takes_msrs(FULL, 0x808, 2, BITMAP_WRITE));
    assert_false(vmx_apic_takes_msrs(FULL, 0x800, 0, BITMAP_READ));
    assert_false(vmx_apic_takes_msrs(FULL, 0xc0000800, 1, BITMAP_READ));
    assert_false(vmx_apic_takes_msrs(FULL, 0x800, UINT64_MAX, BITMAP_READ));
    assert_false(vmx_apic_takes_msrs(FULL, UINT64_MAX, 2, BITMAP_READ));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(controls_obey_the_rules_of_entry),
        cmocka_unit_test(a_wish_cannot_set_them),
        cmocka_unit_test(each_needs_its_capability),
        cmocka_unit_test(ranges_must_fit_as_a_whole),
        cmocka_unit_test(only_what_the_processor_takes_is_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
