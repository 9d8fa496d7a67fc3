// SPDX-License-Identifier: Apache-2.0
// What personalities may do with VMCS fields.
// links: arch/x86/vmx/field_policy.c arch/x86/vmx/controls.c arch/x86/vmx/vmcs_fields.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/vmx/caps.h"
#include "arch/x86/vmx/field_policy.h"
#include "arch/x86/vmx/vmcs_fields.h"
#include "random.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/// A processor that has everything.
static struct vmx_caps everything(void)
{
    struct vmx_caps caps;
    memset(&caps, 0xff, sizeof(caps));
    caps.misc = UINT64_C(0x000401e0); // 4 CR3 targets; HLT, shutdown and wait-for-SIPI
    caps.cr0_fixed0 = 0x80000021;
    caps.cr0_fixed1 = 0xffffffff;
    caps.cr4_fixed0 = 0x2000;
    caps.cr4_fixed1 = 0x3727ff;
    return caps;
}

static void check_all(const struct vmx_caps *caps, const uint32_t *fields, size_t count, enum field_policy policy)
{
    for (size_t i = 0; i < count; i++) {
        if (field_policy(caps, fields[i]) != policy)
            print_error("field %#x\n", fields[i]);
        assert_int_equal(field_policy(caps, fields[i]), policy);
    }
}

static void the_multiplexers_fields_are_denied(void **state)
{
    (void)state;
    static const uint32_t denied[] = {
        VMCS_VPID,
        VMCS_POSTED_INTERRUPT_VECTOR,
        VMCS_EPTP_INDEX,
        VMCS_PML_INDEX,
        VMCS_IO_BITMAP_A,
        VMCS_IO_BITMAP_B,
        VMCS_MSR_BITMAP,
        VMCS_EXIT_MSR_STORE_ADDRESS,
        VMCS_EXIT_MSR_LOAD_ADDRESS,
        VMCS_ENTRY_MSR_LOAD_ADDRESS,
        VMCS_EXIT_MSR_STORE_COUNT,
        VMCS_EXIT_MSR_LOAD_COUNT,
        VMCS_ENTRY_MSR_LOAD_COUNT,
        VMCS_EXECUTIVE_VMCS_POINTER,
        VMCS_PML_ADDRESS,
        VMCS_VIRTUAL_APIC_ADDRESS,
        VMCS_APIC_ACCESS_ADDRESS,
        VMCS_POSTED_INTERRUPT_DESCRIPTOR,
        VMCS_VM_FUNCTION_CONTROLS,
        VMCS_EPT_POINTER,
        VMCS_EPTP_LIST_ADDRESS,
        VMCS_VMREAD_BITMAP,
        VMCS_VMWRITE_BITMAP,
        VMCS_VE_INFORMATION_ADDRESS,
        VMCS_SUB_PAGE_POINTER,
        VMCS_TSC_MULTIPLIER,
        VMCS_TERTIARY_CONTROLS,
        VMCS_LOW_PASID_DIRECTORY,
        VMCS_HLAT_POINTER,
        VMCS_PID_POINTER_TABLE,
        VMCS_SECONDARY_EXIT_CONTROLS,
        VMCS_LINK_POINTER,
        VMCS_GUEST_IA32_PERF_GLOBAL_CTRL,
        VMCS_GUEST_IA32_BNDCFGS,
        VMCS_GUEST_IA32_RTIT_CTL,
        VMCS_GUEST_S_CET,
        VMCS_GUEST_SMBASE,
        VMCS_GUEST_PREEMPTION_TIMER,
        VMCS_HOST_RIP,
        VMCS_HOST_CR3,
        VMCS_HOST_TR_BASE,
        VMCS_HOST_SYSENTER_EIP,
    };
    const struct vmx_caps caps = everything();
    check_all(&caps, denied, COUNT(denied), FIELD_DENIED);
}

static void guests_fields_are_plain(void **state)
{
    (void)state;
    static const uint32_t plain[] = {
        VMCS_GUEST_ES_SELECTOR,
        VMCS_GUEST_TR_SELECTOR,
        VMCS_GUEST_ES_BASE,
        VMCS_GUEST_IDTR_BASE,
        VMCS_GUEST_GDTR_LIMIT,
        VMCS_GUEST_TR_ACCESS_RIGHTS,
        VMCS_GUEST_CR0,
        VMCS_GUEST_CR3,
        VMCS_GUEST_CR4,
        VMCS_GUEST_DR7,
        VMCS_GUEST_RSP,
        VMCS_GUEST_RIP,
        VMCS_GUEST_RFLAGS,
        VMCS_GUEST_IA32_PAT,
        VMCS_GUEST_IA32_EFER,
        VMCS_GUEST_IA32_DEBUGCTL,
        VMCS_GUEST_PDPTE0,
        VMCS_GUEST_PDPTE3,
        VMCS_GUEST_INTERRUPTIBILITY,
        VMCS_GUEST_ACTIVITY,
        VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS,
        VMCS_GUEST_SYSENTER_CS,
        VMCS_GUEST_SYSENTER_ESP,
        VMCS_GUEST_SYSENTER_EIP,
        VMCS_EXCEPTION_BITMAP,
        VMCS_PAGE_FAULT_ERROR_CODE_MASK,
        VMCS_PAGE_FAULT_ERROR_CODE_MATCH,
        VMCS_CR3_TARGET_COUNT,
        VMCS_CR3_TARGET_VALUE_0,
        VMCS_CR3_TARGET_VALUE_3,
        VMCS_GUEST_INTERRUPT_STATUS,
        VMCS_EOI_EXIT_BITMAP_0,
        VMCS_EOI_EXIT_BITMAP_3,
        VMCS_TPR_THRESHOLD,
        VMCS_CR0_GUEST_HOST_MASK,
        VMCS_CR4_READ_SHADOW,
        VMCS_TSC_OFFSET,
        VMCS_PLE_GAP,
        VMCS_XSS_EXITING_BITMAP,
    };
    static const uint32_t controls[] = {VMCS_PIN_CONTROLS, VMCS_PRIMARY_CONTROLS, VMCS_SECONDARY_CONTROLS,
                                        VMCS_EXIT_CONTROLS, VMCS_ENTRY_CONTROLS};
    static const uint32_t read_only[] = {
        VMCS_EXIT_REASON,
        VMCS_EXIT_QUALIFICATION,
        VMCS_GUEST_PHYSICAL_ADDRESS,
        VMCS_GUEST_LINEAR_ADDRESS,
        VMCS_VM_INSTRUCTION_ERROR,
        VMCS_ENTRY_INTERRUPTION_INFO,
        VMCS_ENTRY_EXCEPTION_ERROR_CODE,
        VMCS_ENTRY_INSTRUCTION_LENGTH,
    };
    const struct vmx_caps caps = everything();
    check_all(&caps, plain, COUNT(plain), FIELD_PLAIN);
    check_all(&caps, controls, COUNT(controls), FIELD_CONTROL);
    check_all(&caps, read_only, COUNT(read_only), FIELD_READ_ONLY);
}

/// Whole kinds, so that a field added later cannot slip through.
static void kinds_have_one_policy(void **state)
{
    (void)state;
    const struct vmx_caps caps = everything();
    size_t count;
    const struct vmcs_field_info *fields = vmcs_fields(&count);
    for (size_t i = 0; i < count; i++) {
        const enum field_policy policy = field_policy(&caps, fields[i].encoding);
        switch (vmcs_field_kind(fields[i].encoding)) {
        case VMCS_KIND_HOST:
            assert_int_equal(policy, FIELD_DENIED);
            break;
        case VMCS_KIND_EXIT_INFORMATION:
            assert_int_equal(policy, FIELD_READ_ONLY);
            break;
        case VMCS_KIND_GUEST:
            assert_true(policy == FIELD_PLAIN || policy == FIELD_DENIED);
            break;
        case VMCS_KIND_CONTROL:
            // All 64-bit control fields but these hold addresses, or belong to features that are off.
            if (fields[i].encoding >= VMCS_EOI_EXIT_BITMAP_0 && fields[i].encoding <= VMCS_EOI_EXIT_BITMAP_3)
                break;
            if (vmcs_field_width(fields[i].encoding) == VMCS_WIDTH_64 && policy != FIELD_DENIED)
                assert_true(fields[i].encoding == VMCS_TSC_OFFSET || fields[i].encoding == VMCS_XSS_EXITING_BITMAP ||
                            fields[i].encoding == VMCS_ENCLS_EXITING_BITMAP ||
                            fields[i].encoding == VMCS_ENCLV_EXITING_BITMAP);
            break;
        }
    }
}

static void what_is_no_field_is_absent(void **state)
{
    (void)state;
    const struct vmx_caps caps = everything();
    for (uint32_t encoding = 0; encoding < 0x10000; encoding++) {
        if (vmcs_field_by_encoding(encoding) == NULL)
            assert_int_equal(field_policy(&caps, encoding), FIELD_ABSENT);
    }
    uint64_t seed = 11;
    for (int i = 0; i < 100000; i++) {
        const uint32_t encoding = (uint32_t)random_below(&seed, UINT64_C(1) << 32) | 0x10000;
        assert_int_equal(field_policy(&caps, encoding), FIELD_ABSENT);
    }
}

/// Each field that depends on one capability bit, with the bit; typed from the notes in appendix B.
static void fields_come_with_their_capability(void **state)
{
    (void)state;
    static const struct {
        uint32_t field;
        size_t msr;
        unsigned bit;
    } dependent[] = {
        {VMCS_VPID, offsetof(struct vmx_caps, secondary), 32 + 5},
        {VMCS_POSTED_INTERRUPT_VECTOR, offsetof(struct vmx_caps, pin), 32 + 7},
        {VMCS_EPTP_INDEX, offsetof(struct vmx_caps, secondary), 32 + 18},
        {VMCS_GUEST_INTERRUPT_STATUS, offsetof(struct vmx_caps, secondary), 32 + 9},
        {VMCS_PML_INDEX, offsetof(struct vmx_caps, secondary), 32 + 17},
        {VMCS_MSR_BITMAP, offsetof(struct vmx_caps, primary), 32 + 28},
        {VMCS_VIRTUAL_APIC_ADDRESS, offsetof(struct vmx_caps, primary), 32 + 21},
        {VMCS_APIC_ACCESS_ADDRESS, offsetof(struct vmx_caps, secondary), 32 + 0},
        {VMCS_VM_FUNCTION_CONTROLS, offsetof(struct vmx_caps, secondary), 32 + 13},
        {VMCS_EPT_POINTER, offsetof(struct vmx_caps, secondary), 32 + 1},
        {VMCS_EOI_EXIT_BITMAP_2, offsetof(struct vmx_caps, secondary), 32 + 9},
        {VMCS_EPTP_LIST_ADDRESS, offsetof(struct vmx_caps, vmfunc), 0},
        {VMCS_VMWRITE_BITMAP, offsetof(struct vmx_caps, secondary), 32 + 14},
        {VMCS_XSS_EXITING_BITMAP, offsetof(struct vmx_caps, secondary), 32 + 20},
        {VMCS_ENCLS_EXITING_BITMAP, offsetof(struct vmx_caps, secondary), 32 + 15},
        {VMCS_TSC_MULTIPLIER, offsetof(struct vmx_caps, secondary), 32 + 25},
        {VMCS_TERTIARY_CONTROLS, offsetof(struct vmx_caps, primary), 32 + 17},
        {VMCS_PID_POINTER_TABLE, offsetof(struct vmx_caps, tertiary), 4},
        {VMCS_HLAT_POINTER, offsetof(struct vmx_caps, tertiary), 1},
        {VMCS_GUEST_PHYSICAL_ADDRESS, offsetof(struct vmx_caps, secondary), 32 + 1},
        {VMCS_GUEST_IA32_PAT, offsetof(struct vmx_caps, entry), 32 + 14},
        {VMCS_GUEST_IA32_PAT, offsetof(struct vmx_caps, exit), 32 + 18},
        {VMCS_GUEST_IA32_EFER, offsetof(struct vmx_caps, entry), 32 + 15},
        {VMCS_GUEST_IA32_EFER, offsetof(struct vmx_caps, exit), 32 + 20},
        {VMCS_GUEST_PDPTE2, offsetof(struct vmx_caps, secondary), 32 + 1},
        {VMCS_HOST_IA32_PAT, offsetof(struct vmx_caps, exit), 32 + 19},
        {VMCS_HOST_IA32_EFER, offsetof(struct vmx_caps, exit), 32 + 21},
        {VMCS_SECONDARY_CONTROLS, offsetof(struct vmx_caps, primary), 32 + 31},
        {VMCS_PLE_WINDOW, offsetof(struct vmx_caps, secondary), 32 + 10},
        {VMCS_INSTRUCTION_TIMEOUT, offsetof(struct vmx_caps, secondary), 32 + 31},
        {VMCS_GUEST_PREEMPTION_TIMER, offsetof(struct vmx_caps, pin), 32 + 6},
        {VMCS_GUEST_S_CET, offsetof(struct vmx_caps, entry), 32 + 20},
        {VMCS_HOST_SSP, offsetof(struct vmx_caps, exit), 32 + 28},
        {VMCS_CR3_TARGET_VALUE_0, offsetof(struct vmx_caps, misc), 16},
        {VMCS_CR3_TARGET_VALUE_3, offsetof(struct vmx_caps, misc), 18},
    };
    for (size_t i = 0; i < COUNT(dependent); i++) {
        struct vmx_caps caps = {0};
        assert_int_equal(field_policy(&caps, dependent[i].field), FIELD_ABSENT);
        *(uint64_t *)((char *)&caps + dependent[i].msr) = UINT64_C(1) << dependent[i].bit;
        assert_int_not_equal(field_policy(&caps, dependent[i].field), FIELD_ABSENT);
    }
    const struct vmx_caps none = {0};
    static const uint32_t always[] = {VMCS_GUEST_RIP,    VMCS_GUEST_CS_SELECTOR,   VMCS_TSC_OFFSET,  VMCS_IO_BITMAP_A,
                                      VMCS_LINK_POINTER, VMCS_GUEST_IA32_DEBUGCTL, VMCS_EXIT_REASON, VMCS_HOST_CR3};
    for (size_t i = 0; i < COUNT(always); i++)
        assert_int_not_equal(field_policy(&none, always[i]), FIELD_ABSENT);
}

/// The table says what the function says, for every processor.
static void the_table_agrees(void **state)
{
    (void)state;
    uint64_t seed = 19;
    for (int round = 0; round < 20; round++) {
        struct vmx_caps caps;
        for (size_t i = 0; i < sizeof(caps) / sizeof(uint64_t); i++)
            ((uint64_t *)&caps)[i] = random_below(&seed, UINT64_MAX) << 32 ^ random_below(&seed, UINT64_MAX);
        struct field_table table;
        memset(&table, 0xff, sizeof(table));
        field_table_fill(&table, &caps);
        for (uint32_t encoding = 0; encoding < 0x20000; encoding++)
            assert_int_equal(field_table_get(&table, encoding), field_policy(&caps, encoding));
        for (int i = 0; i < 1000; i++) {
            const uint32_t encoding = (uint32_t)random_below(&seed, UINT64_C(1) << 32);
            assert_int_equal(field_table_get(&table, encoding), field_policy(&caps, encoding));
        }
    }
}

static void check_adjust(uint32_t field, uint64_t value, uint64_t expected)
{
    const struct vmx_caps caps = everything();
    assert_true(field_policy_adjust(&caps, field, &value));
    assert_int_equal(value, expected);
}

static void check_refused(uint32_t field, uint64_t value)
{
    const struct vmx_caps caps = everything();
    assert_false(field_policy_adjust(&caps, field, &value));
}

static void values_are_adjusted(void **state)
{
    (void)state;
    check_adjust(VMCS_GUEST_CS_SELECTOR, 0x123456789, 0x6789);
    check_adjust(VMCS_GUEST_CS_LIMIT, 0x1ffffffff, 0xffffffff);
    check_adjust(VMCS_GUEST_RIP, UINT64_MAX, UINT64_MAX);
    check_adjust(VMCS_TSC_OFFSET, UINT64_MAX - 5, UINT64_MAX - 5);
    check_adjust(VMCS_EXCEPTION_BITMAP, 0, 0x60002);
    check_adjust(VMCS_EXCEPTION_BITMAP, UINT64_C(0xf00004000), 0x64002);
    check_adjust(VMCS_CR0_GUEST_HOST_MASK, 0, 0x60000020);
    check_adjust(VMCS_CR4_GUEST_HOST_MASK, 0x20, 0x2060);
    check_adjust(VMCS_CR0_READ_SHADOW, 0x60000010, 0x60000010);
    check_adjust(VMCS_GUEST_CR0, 0x11, 0x31);
    check_adjust(VMCS_GUEST_CR4, 0x20 | UINT64_C(1) << 40, 0x2060);
    check_adjust(VMCS_GUEST_IA32_EFER, UINT64_MAX, 0xd01);
    check_adjust(VMCS_GUEST_IA32_DEBUGCTL, 3, 3);
    check_adjust(VMCS_GUEST_IA32_PAT, 0x0007040600070106, 0x0007040600070106);
    check_adjust(VMCS_GUEST_ACTIVITY, ACTIVITY_ACTIVE, 0);
    check_adjust(VMCS_GUEST_ACTIVITY, ACTIVITY_HLT, 1);
    check_adjust(VMCS_GUEST_INTERRUPTIBILITY, 0xb, 0xb);
    check_adjust(VMCS_CR3_TARGET_COUNT, 4, 4);
}

static void bad_values_are_refused(void **state)
{
    (void)state;
    check_refused(VMCS_TPR_THRESHOLD, 16);
    check_refused(VMCS_GUEST_ACTIVITY, ACTIVITY_SHUTDOWN);
    check_refused(VMCS_GUEST_ACTIVITY, ACTIVITY_WAIT_FOR_SIPI);
    check_refused(VMCS_GUEST_ACTIVITY, 4);
    check_refused(VMCS_GUEST_IA32_PAT, 0x0007040600070206); // a reserved type
    check_refused(VMCS_GUEST_IA32_DEBUGCTL, 4);
    check_refused(VMCS_GUEST_IA32_DEBUGCTL, 1 << 6);  // TR: branch trace messages
    check_refused(VMCS_GUEST_IA32_DEBUGCTL, 1 << 14); // FREEZE_WHILE_SMM
    check_refused(VMCS_GUEST_INTERRUPTIBILITY, 4);    // blocking by SMI
    check_refused(VMCS_GUEST_INTERRUPTIBILITY, 0x20);
    check_refused(VMCS_CR3_TARGET_COUNT, 5);
    struct vmx_caps caps = everything();
    uint64_t value = ACTIVITY_HLT;
    caps.misc &= ~(UINT64_C(1) << 6);
    assert_false(field_policy_adjust(&caps, VMCS_GUEST_ACTIVITY, &value));
}

/// Adjusted values fit their field, and adjusting them again changes nothing.
static void adjusting_is_idempotent(void **state)
{
    (void)state;
    const struct vmx_caps caps = everything();
    size_t count;
    const struct vmcs_field_info *fields = vmcs_fields(&count);
    uint64_t seed = 5;
    for (int i = 0; i < 100000; i++) {
        const uint32_t encoding = fields[random_below(&seed, count)].encoding;
        uint64_t value = random_below(&seed, UINT64_C(1) << random_below(&seed, 53));
        if (!field_policy_adjust(&caps, encoding, &value))
            continue;
        const uint64_t once = value;
        assert_int_equal(value & ~vmcs_field_mask(encoding), 0);
        assert_true(field_policy_adjust(&caps, encoding, &value));
        assert_int_equal(value, once);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_multiplexers_fields_are_denied),
        cmocka_unit_test(guests_fields_are_plain),
        cmocka_unit_test(kinds_have_one_policy),
        cmocka_unit_test(what_is_no_field_is_absent),
        cmocka_unit_test(fields_come_with_their_capability),
        cmocka_unit_test(the_table_agrees),
        cmocka_unit_test(values_are_adjusted),
        cmocka_unit_test(bad_values_are_refused),
        cmocka_unit_test(adjusting_is_idempotent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
