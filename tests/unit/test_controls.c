// SPDX-License-Identifier: Apache-2.0
// Control fields and control registers: whatever is wanted, the processor accepts what comes out and the forces hold.
// links: arch/x86/vmx/controls.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/vmx/caps.h"
#include "arch/x86/vmx/controls.h"
#include "random.h"

#define CAPABILITY(may_be_1, must_be_1) ((uint64_t)(may_be_1) << 32 | (must_be_1))

static const enum vmcs_field fields[] = {VMCS_PIN_CONTROLS, VMCS_PRIMARY_CONTROLS, VMCS_SECONDARY_CONTROLS,
                                         VMCS_EXIT_CONTROLS, VMCS_ENTRY_CONTROLS};
enum { FIELDS = sizeof(fields) / sizeof(fields[0]) };

/// What a Skylake server has (IA32_VMX_TRUE_ MSRs).
static const struct vmx_caps skylake = {
    .pin = CAPABILITY(0x000000ff, 0x00000016),
    .primary = CAPABILITY(0xfff9fffe, 0x04006172),
    .secondary = CAPABILITY(0x02137fff, 0x00000000),
    .exit = CAPABILITY(0x01ffffff, 0x00036dfb),
    .entry = CAPABILITY(0x0003ffff, 0x000011fb),
    .cr0_fixed0 = 0x80000021,
    .cr0_fixed1 = 0xffffffff,
    .cr4_fixed0 = 0x2000,
    .cr4_fixed1 = 0x3727ff,
};

static uint64_t capability(const struct vmx_caps *caps, enum vmcs_field field)
{
    switch (field) {
    case VMCS_PIN_CONTROLS:
        return caps->pin;
    case VMCS_PRIMARY_CONTROLS:
        return caps->primary;
    case VMCS_SECONDARY_CONTROLS:
        return caps->secondary;
    case VMCS_EXIT_CONTROLS:
        return caps->exit;
    default:
        return caps->entry;
    }
}

/* The forces, from the design's text and not from the code's tables. */

static uint32_t forced_1(enum vmcs_field field)
{
    switch (field) {
    case VMCS_PIN_CONTROLS:
        return 1u << 0 | 1u << 3 | 1u << 5 | 1u << 6;
    case VMCS_PRIMARY_CONTROLS:
        return 1u << 10 | 1u << 11 | 1u << 19 | 1u << 20 | 1u << 25 | 1u << 28 | 1u << 31;
    case VMCS_SECONDARY_CONTROLS:
        return 1u << 1 | 1u << 5 | 1u << 6;
    case VMCS_EXIT_CONTROLS:
        return 1u << 2 | 1u << 9 | 1u << 15 | 1u << 18 | 1u << 19 | 1u << 20 | 1u << 21 | 1u << 22;
    default:
        return 1u << 2 | 1u << 14 | 1u << 15;
    }
}

static uint32_t forced_0(enum vmcs_field field)
{
    switch (field) {
    case VMCS_PIN_CONTROLS:
        return 1u << 7; // posted interrupts
    case VMCS_PRIMARY_CONTROLS:
        return 1u << 17 | 1u << 21; // tertiary, TPR shadow
    case VMCS_SECONDARY_CONTROLS:
        // APIC virtualization (0, 4, 8, 9), VM functions, shadowing, PML, #VE, PT, PASID, mode-based execute, sub-pages,
        // TSC scaling, PCONFIG
        return 1u << 0 | 1u << 4 | 1u << 8 | 1u << 9 | 1u << 13 | 1u << 14 | 1u << 17 | 1u << 18 | 1u << 19 | 1u << 21 |
               1u << 22 | 1u << 23 | 1u << 24 | 1u << 25 | 1u << 27;
    case VMCS_EXIT_CONTROLS:
        return 0xff800000u | 1u << 12;
    default:
        return 1u << 10 | 1u << 11 | 1u << 13 | 0xffff0000u;
    }
}

static void check_value(const struct vmx_caps *caps, enum vmcs_field field, uint32_t value)
{
    const uint32_t must = (uint32_t)capability(caps, field), may = (uint32_t)(capability(caps, field) >> 32);
    assert_int_equal(must & ~value, 0);
    assert_int_equal(value & ~may, 0);
    assert_int_equal(forced_1(field) & may & ~value, 0);
    assert_int_equal(value & forced_0(field) & ~must, 0);
}

static void defaults_are_as_designed(void **state)
{
    (void)state;
    assert_int_equal(vmx_control_default(&skylake, VMCS_PIN_CONTROLS), 0x0000007f);
    // required: 10 11 19 20 25 28 31; initial: 3 7 23 29; must be: 0x04006172
    assert_int_equal(vmx_control_default(&skylake, VMCS_PRIMARY_CONTROLS), 0xb6986dfa);
    assert_int_equal(vmx_control_default(&skylake, VMCS_SECONDARY_CONTROLS), 0x001010ea);
    assert_int_equal(vmx_control_default(&skylake, VMCS_EXIT_CONTROLS), 0x007fefff);
    assert_int_equal(vmx_control_default(&skylake, VMCS_ENTRY_CONTROLS), 0x0000d1ff);
    for (size_t i = 0; i < FIELDS; i++)
        check_value(&skylake, fields[i], vmx_control_default(&skylake, fields[i]));
}

static void nothing_wanted_and_everything_wanted(void **state)
{
    (void)state;
    for (size_t i = 0; i < FIELDS; i++) {
        check_value(&skylake, fields[i], vmx_control_sanitise(&skylake, fields[i], 0));
        check_value(&skylake, fields[i], vmx_control_sanitise(&skylake, fields[i], UINT32_MAX));
    }
    assert_int_equal(vmx_control_sanitise(&skylake, VMCS_PIN_CONTROLS, 0), 0x7f);
    assert_int_equal(vmx_control_sanitise(&skylake, VMCS_PIN_CONTROLS, UINT32_MAX), 0x7f);
    assert_int_equal(vmx_control_sanitise(&skylake, VMCS_SECONDARY_CONTROLS, 0), 0x62);
    assert_int_equal(vmx_control_sanitise(&skylake, VMCS_ENTRY_CONTROLS, 0x200) & 0x200, 0x200);
    assert_int_equal(vmx_control_sanitise(&skylake, VMCS_ENTRY_CONTROLS, 0) & 0x200, 0);
}

static void choices_are_kept(void **state)
{
    (void)state;
    static const uint32_t primary[] = {PRIMARY_INTERRUPT_WINDOW, PRIMARY_TSC_OFFSET, PRIMARY_HLT,
                                       PRIMARY_INVLPG,           PRIMARY_RDTSC,      PRIMARY_CR3_LOAD,
                                       PRIMARY_CR3_STORE,        PRIMARY_NMI_WINDOW, PRIMARY_MOV_DR,
                                       PRIMARY_MONITOR_TRAP,     PRIMARY_PAUSE};
    const uint32_t none = vmx_control_sanitise(&skylake, VMCS_PRIMARY_CONTROLS, 0);
    for (size_t i = 0; i < sizeof(primary) / sizeof(primary[0]); i++) {
        assert_int_equal(none & primary[i], 0);
        assert_int_equal(vmx_control_sanitise(&skylake, VMCS_PRIMARY_CONTROLS, primary[i]), none | primary[i]);
    }
}

static void other_fields_are_no_controls(void **state)
{
    (void)state;
    assert_int_equal(vmx_control_sanitise(&skylake, VMCS_GUEST_RIP, UINT32_MAX), 0);
    assert_int_equal(vmx_control_default(&skylake, VMCS_TERTIARY_CONTROLS), 0);
    assert_int_equal(vmx_control_fixed(&skylake, VMCS_EXCEPTION_BITMAP), 0);
}

/// Any processor, any wish. What is fixed does not depend on the wish; the rest is the wish.
static void sanitised_values_always_hold(void **state)
{
    (void)state;
    uint64_t seed = 3;
    for (int round = 0; round < 200000; round++) {
        struct vmx_caps caps = {0};
        uint64_t *msrs[FIELDS] = {&caps.pin, &caps.primary, &caps.secondary, &caps.exit, &caps.entry};
        for (size_t i = 0; i < FIELDS; i++) {
            const uint32_t may = (uint32_t)random_below(&seed, UINT64_C(1) << 32) | forced_1(fields[i]);
            const uint32_t must = may & (uint32_t)random_below(&seed, UINT64_C(1) << 32) & ~forced_0(fields[i]);
            *msrs[i] = CAPABILITY(may, must);
        }
        const enum vmcs_field field = fields[random_below(&seed, FIELDS)];
        const uint32_t wanted = (uint32_t)random_below(&seed, UINT64_C(1) << 32);
        const uint32_t value = vmx_control_sanitise(&caps, field, wanted);
        const uint32_t fixed = vmx_control_fixed(&caps, field);
        check_value(&caps, field, value);
        assert_int_equal(vmx_control_sanitise(&caps, field, value), value);
        assert_int_equal((value ^ wanted) & ~fixed, 0);
        assert_int_equal((value ^ vmx_control_sanitise(&caps, field, ~wanted)) & fixed, 0);
        enum vmcs_field lacks;
        unsigned bit;
        assert_true(vmx_controls_possible(&caps, &lacks, &bit));
    }
}

static void impossible_forces_are_named(void **state)
{
    (void)state;
    enum vmcs_field field;
    unsigned bit;
    struct vmx_caps caps = skylake;
    assert_true(vmx_controls_possible(&caps, &field, &bit));
    caps.secondary &= ~((uint64_t)SECONDARY_VPID << 32);
    assert_false(vmx_controls_possible(&caps, &field, &bit));
    assert_int_equal(field, VMCS_SECONDARY_CONTROLS);
    assert_int_equal(bit, 5);
    caps = skylake;
    caps.pin &= ~((uint64_t)PIN_VIRTUAL_NMI << 32);
    assert_false(vmx_controls_possible(&caps, &field, &bit));
    assert_int_equal(field, VMCS_PIN_CONTROLS);
    assert_int_equal(bit, 5);
    caps = skylake;
    caps.pin &= ~((uint64_t)PIN_PREEMPTION_TIMER << 32); // the local APIC's takes its place
    assert_true(vmx_controls_possible(&caps, &field, &bit));
    caps = skylake;
    caps.secondary &= ~((uint64_t)SECONDARY_WBINVD << 32); // wanted, but one can do without
    assert_true(vmx_controls_possible(&caps, &field, &bit));
}

static void saving_the_timer_is_optional(void **state)
{
    (void)state;
    struct vmx_caps caps = skylake;
    assert_true(vmx_saves_preemption_timer(&caps));
    caps.exit &= ~((uint64_t)EXIT_SAVE_PREEMPTION_TIMER << 32);
    assert_false(vmx_saves_preemption_timer(&caps));
    assert_int_equal(vmx_control_default(&caps, VMCS_EXIT_CONTROLS) & EXIT_SAVE_PREEMPTION_TIMER, 0);
}

static void exceptions_that_hang_the_core_exit(void **state)
{
    (void)state;
    assert_int_equal(vmx_exception_bitmap(0), 0x00060002); // #DB 1, #AC 17, #MC 18
    assert_int_equal(vmx_exception_bitmap(0x4000), 0x00064002);
    assert_int_equal(vmx_exception_bitmap(UINT32_MAX), UINT32_MAX);
}

static void masks_keep_what_is_the_cores(void **state)
{
    (void)state;
    assert_int_equal(vmx_cr0_mask(0), 0x60000020); // CD, NW, NE
    assert_int_equal(vmx_cr0_mask(1), 0x60000021);
    assert_int_equal(vmx_cr4_mask(0), 0x2040); // VMXE, MCE
    assert_int_equal(vmx_cr4_mask(UINT64_MAX), UINT64_MAX);
}

static void control_registers_obey_vmx_operation(void **state)
{
    (void)state;
    assert_int_equal(vmx_guest_cr0(&skylake, 0), 0x20);                // real mode: NE only
    assert_int_equal(vmx_guest_cr0(&skylake, 0x60000010), 0x60000030); // after INIT
    assert_int_equal(vmx_guest_cr0(&skylake, 0x80050033), 0x80050033); // Linux
    assert_int_equal(vmx_guest_cr0(&skylake, UINT64_MAX), 0xffffffff); // no upper half
    assert_int_equal(vmx_guest_cr4(&skylake, 0), 0x2040);
    assert_int_equal(vmx_guest_cr4(&skylake, 0x20), 0x2060);
    assert_int_equal(vmx_guest_cr4(&skylake, UINT64_MAX), 0x3727ff);
    uint64_t seed = 7;
    for (int i = 0; i < 10000; i++) {
        const uint64_t wanted = random_below(&seed, UINT64_MAX);
        const uint64_t cr0 = vmx_guest_cr0(&skylake, wanted), cr4 = vmx_guest_cr4(&skylake, wanted);
        assert_int_equal((cr0 ^ wanted) & 0x80000001, 0); // PE and PG are the guest's
        assert_int_equal(cr0 & 0x20, 0x20);
        assert_int_equal(cr4 & 0x2000, 0x2000);
        assert_int_equal(cr4 & ~skylake.cr4_fixed1, 0);
    }
}

/// A guest that turns MCE on or off does not reach its personality, unless that wants to see something about the write.
static void machine_check_enable_is_absorbed(void **state)
{
    (void)state;
    const uint64_t mce = 0x40, vmxe = 0x2000, pae = 0x20, pge = 0x80;
    uint64_t shadow = 0;
    assert_true(vmx_absorb_cr4(mce, 0, &shadow));
    assert_int_equal(shadow, mce);
    assert_false(vmx_absorb_cr4(mce, 0, &shadow)); // nothing has changed: why did it exit?
    assert_true(vmx_absorb_cr4(pae | pge, pae << 10, &shadow));
    assert_int_equal(shadow, 0); // only MCE of it
    shadow = pae | mce;
    assert_false(vmx_absorb_cr4(pae | vmxe, 0, &shadow));
    assert_false(vmx_absorb_cr4(pae, mce, &shadow));
    assert_false(vmx_absorb_cr4(0, pae, &shadow));
    assert_int_equal(shadow, pae | mce);
    assert_true(vmx_absorb_cr4(pae | pge, pae, &shadow));
    assert_int_equal(shadow, pae);
}

static void efer_follows_paging(void **state)
{
    (void)state;
    const uint64_t pg = 0x80000001;
    assert_int_equal(vmx_guest_efer(VMX_EFER_ALL, 0, 0), 0);
    assert_int_equal(vmx_guest_efer(VMX_EFER_ALL, 0, 0x500), 0x100); // LME without paging: no LMA
    assert_int_equal(vmx_guest_efer(VMX_EFER_ALL, pg, 0x100), 0x500);
    assert_int_equal(vmx_guest_efer(VMX_EFER_ALL, pg, 0x400), 0); // LMA is no wish
    assert_int_equal(vmx_guest_efer(VMX_EFER_ALL, pg, 0xd01), 0xd01);
    assert_int_equal(vmx_guest_efer(0x501, pg, 0xd01), 0x501); // a processor without NX
    assert_int_equal(vmx_guest_efer(UINT64_MAX, pg, UINT64_MAX), 0xd01);
}

/// SDM Vol. 3C 27.3.1.1, whatever CR0, EFER and the entry controls were before: LMA equals "IA-32e mode guest"; LME equals LMA when
/// paging is on; "IA-32e mode guest" needs paging. The other bits are left alone.
static void mode_is_always_consistent(void **state)
{
    (void)state;
    const uint64_t pg = UINT64_C(1) << 31, lme = 1 << 8, lma = 1 << 10;
    const uint32_t ia32e = 1 << 9;
    uint64_t seed = 17;
    for (int i = 0; i < 100000; i++) {
        const struct vmx_mode before = {.cr0 = random_below(&seed, UINT64_C(1) << 32),
                                        .efer = random_below(&seed, UINT64_MAX),
                                        .entry = (uint32_t)random_below(&seed, UINT64_C(1) << 32)};
        struct vmx_mode mode = before;
        vmx_settle_mode(&mode);
        assert_int_equal((mode.efer & lma) != 0, (mode.entry & ia32e) != 0);
        assert_true((mode.cr0 & pg) == 0 || ((mode.efer & lma) != 0) == ((mode.efer & lme) != 0));
        assert_true((mode.entry & ia32e) == 0 || (mode.cr0 & pg) != 0);
        assert_int_equal((mode.efer ^ before.efer) & 0xd01 & ~lma, 0); // LME is the wish, LMA follows
        assert_int_equal(mode.efer & ~UINT64_C(0xd01), 0);
        assert_int_equal((mode.entry ^ before.entry) & ~ia32e, 0);
        assert_int_equal(mode.cr0, before.cr0);
    }
}

/// SDM Vol. 3A table 12-10: types 2 and 3 are reserved, and so are bits 7:3 of each field.
static void page_attributes_have_no_reserved_types(void **state)
{
    (void)state;
    assert_true(vmx_pat_valid(UINT64_C(0x0007040600070406)));
    assert_true(vmx_pat_valid(0));
    for (unsigned field = 0; field < 8; field++) {
        for (uint64_t type = 0; type < 256; type++) {
            const bool good = type == 0 || type == 1 || (type >= 4 && type <= 7);
            const uint64_t others = UINT64_C(0x0706050401000706) & ~(UINT64_C(0xff) << 8 * field);
            assert_int_equal(vmx_pat_valid(others | type << 8 * field), good);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_as_designed),
        cmocka_unit_test(nothing_wanted_and_everything_wanted),
        cmocka_unit_test(choices_are_kept),
        cmocka_unit_test(other_fields_are_no_controls),
        cmocka_unit_test(sanitised_values_always_hold),
        cmocka_unit_test(impossible_forces_are_named),
        cmocka_unit_test(saving_the_timer_is_optional),
        cmocka_unit_test(exceptions_that_hang_the_core_exit),
        cmocka_unit_test(masks_keep_what_is_the_cores),
        cmocka_unit_test(control_registers_obey_vmx_operation),
        cmocka_unit_test(machine_check_enable_is_absorbed),
        cmocka_unit_test(efer_follows_paging),
        cmocka_unit_test(mode_is_always_consistent),
        cmocka_unit_test(page_attributes_have_no_reserved_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
