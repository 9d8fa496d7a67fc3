// SPDX-License-Identifier: Apache-2.0
// VMCS fields, exit reasons, errors and bits by name.
// links: arch/x86/vmx/vmcs_fields.c arch/x86/vmx/vmcs_names.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/vmx/vmcs_fields.h"

/// Samples of every table of SDM Vol. 3D appendix B, with first and last entries, typed from the tables.
static const struct {
    uint32_t encoding;
    const char *name;
    unsigned bits;
    enum vmcs_kind kind;
} samples[] = {
    {0x0000, "vpid", 16, VMCS_KIND_CONTROL},
    {0x0002, "posted_interrupt_vector", 16, VMCS_KIND_CONTROL},
    {0x0800, "guest_es_selector", 16, VMCS_KIND_GUEST},
    {0x080e, "guest_tr_selector", 16, VMCS_KIND_GUEST},
    {0x0812, "pml_index", 16, VMCS_KIND_GUEST},
    {0x0c00, "host_es_selector", 16, VMCS_KIND_HOST},
    {0x0c0c, "host_tr_selector", 16, VMCS_KIND_HOST},
    {0x2000, "io_bitmap_a", 64, VMCS_KIND_CONTROL},
    {0x2004, "msr_bitmap", 64, VMCS_KIND_CONTROL},
    {0x2010, "tsc_offset", 64, VMCS_KIND_CONTROL},
    {0x2012, "virtual_apic_address", 64, VMCS_KIND_CONTROL},
    {0x201a, "ept_pointer", 64, VMCS_KIND_CONTROL},
    {0x2032, "tsc_multiplier", 64, VMCS_KIND_CONTROL},
    {0x2400, "guest_physical_address", 64, VMCS_KIND_EXIT_INFORMATION},
    {0x2800, "link_pointer", 64, VMCS_KIND_GUEST},
    {0x2806, "guest_ia32_efer", 64, VMCS_KIND_GUEST},
    {0x280a, "guest_pdpte0", 64, VMCS_KIND_GUEST},
    {0x2c00, "host_ia32_pat", 64, VMCS_KIND_HOST},
    {0x2c02, "host_ia32_efer", 64, VMCS_KIND_HOST},
    {0x4000, "pin_controls", 32, VMCS_KIND_CONTROL},
    {0x4002, "primary_controls", 32, VMCS_KIND_CONTROL},
    {0x400c, "exit_controls", 32, VMCS_KIND_CONTROL},
    {0x4012, "entry_controls", 32, VMCS_KIND_CONTROL},
    {0x4016, "entry_interruption_info", 32, VMCS_KIND_CONTROL},
    {0x401e, "secondary_controls", 32, VMCS_KIND_CONTROL},
    {0x4400, "vm_instruction_error", 32, VMCS_KIND_EXIT_INFORMATION},
    {0x4402, "exit_reason", 32, VMCS_KIND_EXIT_INFORMATION},
    {0x440e, "exit_instruction_info", 32, VMCS_KIND_EXIT_INFORMATION},
    {0x4822, "guest_tr_access_rights", 32, VMCS_KIND_GUEST},
    {0x4824, "guest_interruptibility", 32, VMCS_KIND_GUEST},
    {0x482e, "guest_preemption_timer", 32, VMCS_KIND_GUEST},
    {0x4c00, "host_sysenter_cs", 32, VMCS_KIND_HOST},
    {0x6000, "cr0_guest_host_mask", 64, VMCS_KIND_CONTROL},
    {0x600e, "cr3_target_value_3", 64, VMCS_KIND_CONTROL},
    {0x6400, "exit_qualification", 64, VMCS_KIND_EXIT_INFORMATION},
    {0x640a, "guest_linear_address", 64, VMCS_KIND_EXIT_INFORMATION},
    {0x6800, "guest_cr0", 64, VMCS_KIND_GUEST},
    {0x681e, "guest_rip", 64, VMCS_KIND_GUEST},
    {0x6820, "guest_rflags", 64, VMCS_KIND_GUEST},
    {0x6826, "guest_sysenter_eip", 64, VMCS_KIND_GUEST},
    {0x6c00, "host_cr0", 64, VMCS_KIND_HOST},
    {0x6c14, "host_rsp", 64, VMCS_KIND_HOST},
    {0x6c16, "host_rip", 64, VMCS_KIND_HOST},
};

static void samples_are_right(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        const struct vmcs_field_info *field = vmcs_field_by_encoding(samples[i].encoding);
        assert_non_null(field);
        assert_string_equal(field->name, samples[i].name);
        assert_ptr_equal(vmcs_field_by_name(samples[i].name), field);
        assert_int_equal(vmcs_field_bits(samples[i].encoding), samples[i].bits);
        assert_int_equal(vmcs_field_kind(samples[i].encoding), samples[i].kind);
    }
}

/// Names follow from the enum: prefixes must fit the kind that the encoding gives.
static void table_is_consistent(void **state)
{
    (void)state;
    size_t count;
    const struct vmcs_field_info *fields = vmcs_fields(&count);
    assert_int_equal(count, VMCS_FIELD_COUNT);
    for (size_t i = 0; i < count; i++) {
        const uint32_t encoding = fields[i].encoding;
        assert_true(i == 0 || fields[i - 1].encoding < encoding);
        assert_int_equal(encoding & ~0x6ffeu, 0); // reserved bits, and no upper halves
        assert_ptr_equal(vmcs_field_by_encoding(encoding), &fields[i]);
        assert_int_equal(vmcs_field_index(encoding), i);
        assert_ptr_equal(vmcs_field_by_name(fields[i].name), &fields[i]); // so no name stands twice
        const bool host = strncmp(fields[i].name, "host_", 5) == 0;
        assert_int_equal(host, vmcs_field_kind(encoding) == VMCS_KIND_HOST);
        if (vmcs_field_kind(encoding) == VMCS_KIND_CONTROL)
            assert_int_not_equal(strncmp(fields[i].name, "guest_", 6), 0);
        for (const char *c = fields[i].name; *c != '\0'; c++)
            assert_true((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '_');
    }
}

static void segment_fields_stand_in_order(void **state)
{
    (void)state;
    static const char *const segments[] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};
    static const struct {
        uint32_t first;
        const char *part;
    } groups[] = {
        {VMCS_GUEST_ES_SELECTOR, "selector"},
        {VMCS_GUEST_ES_LIMIT, "limit"},
        {VMCS_GUEST_ES_ACCESS_RIGHTS, "access_rights"},
        {VMCS_GUEST_ES_BASE, "base"},
    };
    for (size_t g = 0; g < 4; g++) {
        for (uint32_t s = 0; s < 8; s++) {
            char name[40] = "guest_";
            strcat(strcat(strcat(name, segments[s]), "_"), groups[g].part);
            const struct vmcs_field_info *field = vmcs_field_by_name(name);
            assert_non_null(field);
            assert_int_equal(field->encoding, groups[g].first + 2 * s);
        }
    }
}

static void unknown_fields_are_not_found(void **state)
{
    (void)state;
    static const uint32_t encodings[] = {1, 0x2001, 0x2046, 0x482c, 0x5000, 0x681f, 0x8000, 0x1681e, UINT32_MAX};
    for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++) {
        assert_null(vmcs_field_by_encoding(encodings[i]));
        assert_int_equal(vmcs_field_index(encodings[i]), VMCS_FIELD_COUNT);
    }
    assert_null(vmcs_field_by_name(""));
    assert_null(vmcs_field_by_name("guest_ri"));
    assert_null(vmcs_field_by_name("guest_ripp"));
    assert_null(vmcs_field_by_name("rip"));
}

static void case_does_not_matter(void **state)
{
    (void)state;
    assert_ptr_equal(vmcs_field_by_name("GUEST_RIP"), vmcs_field_by_encoding(VMCS_GUEST_RIP));
    assert_ptr_equal(vmcs_field_by_name("Guest_Cs_Base"), vmcs_field_by_encoding(VMCS_GUEST_CS_BASE));
}

static void masks_follow_widths(void **state)
{
    (void)state;
    assert_int_equal(vmcs_field_mask(VMCS_VPID), 0xffff);
    assert_int_equal(vmcs_field_mask(VMCS_PIN_CONTROLS), 0xffffffff);
    assert_int_equal(vmcs_field_mask(VMCS_EPT_POINTER), UINT64_MAX);
    assert_int_equal(vmcs_field_mask(VMCS_GUEST_RIP), UINT64_MAX);
    assert_string_equal(vmcs_width_name(vmcs_field_width(VMCS_VPID)), "16-bit");
    assert_string_equal(vmcs_width_name(vmcs_field_width(VMCS_PIN_CONTROLS)), "32-bit");
    assert_string_equal(vmcs_width_name(vmcs_field_width(VMCS_EPT_POINTER)), "64-bit");
    assert_string_equal(vmcs_width_name(vmcs_field_width(VMCS_GUEST_RIP)), "natural-width");
    assert_string_equal(vmcs_kind_name(vmcs_field_kind(VMCS_VPID)), "control");
    assert_string_equal(vmcs_kind_name(vmcs_field_kind(VMCS_EXIT_REASON)), "exit-information");
    assert_string_equal(vmcs_kind_name(vmcs_field_kind(VMCS_GUEST_RIP)), "guest-state");
    assert_string_equal(vmcs_kind_name(vmcs_field_kind(VMCS_HOST_RIP)), "host-state");
}

static void exit_reasons_have_names(void **state)
{
    (void)state;
    assert_string_equal(vmx_exit_reason_name(0), "exception or NMI");
    assert_string_equal(vmx_exit_reason_name(1), "external interrupt");
    assert_string_equal(vmx_exit_reason_name(10), "CPUID");
    assert_string_equal(vmx_exit_reason_name(12), "HLT");
    assert_string_equal(vmx_exit_reason_name(18), "VMCALL");
    assert_string_equal(vmx_exit_reason_name(30), "I/O instruction");
    assert_string_equal(vmx_exit_reason_name(33), "VM-entry failure due to invalid guest state");
    assert_string_equal(vmx_exit_reason_name(48), "EPT violation");
    assert_string_equal(vmx_exit_reason_name(52), "VMX-preemption timer expired");
    assert_string_equal(vmx_exit_reason_name(55), "XSETBV");
    assert_string_equal(vmx_exit_reason_name(64), "XRSTORS");
    assert_string_equal(vmx_exit_reason_name(75), "instruction timeout");
    static const uint32_t unused[] = {35, 38, 42, 71, 82, 83, EXIT_REASON_COUNT, UINT32_MAX};
    for (size_t i = 0; i < sizeof(unused) / sizeof(unused[0]); i++)
        assert_null(vmx_exit_reason_name(unused[i]));
}

static void errors_have_names(void **state)
{
    (void)state;
    assert_string_equal(vmx_instruction_error_name(1), "VMCALL executed in VMX root operation");
    assert_string_equal(vmx_instruction_error_name(5), "VMRESUME with non-launched VMCS");
    assert_string_equal(vmx_instruction_error_name(7), "VM entry with invalid control field(s)");
    assert_string_equal(vmx_instruction_error_name(8), "VM entry with invalid host-state field(s)");
    assert_string_equal(vmx_instruction_error_name(12), "VMREAD/VMWRITE from/to unsupported VMCS component");
    assert_string_equal(vmx_instruction_error_name(26), "VM entry with events blocked by MOV SS");
    assert_string_equal(vmx_instruction_error_name(28), "invalid operand to INVEPT/INVVPID");
    static const uint32_t unused[] = {0, 14, 21, 27, 29, UINT32_MAX};
    for (size_t i = 0; i < sizeof(unused) / sizeof(unused[0]); i++)
        assert_null(vmx_instruction_error_name(unused[i]));
}

/// The name tables and the constants say the same bit.
static void bits_have_names(void **state)
{
    (void)state;
    static const struct {
        uint32_t field;
        uint64_t bit;
        const char *name;
    } bits[] = {
        {VMCS_PIN_CONTROLS, PIN_EXTERNAL_INTERRUPT, "external-interrupt exiting"},
        {VMCS_PIN_CONTROLS, PIN_NMI, "NMI exiting"},
        {VMCS_PIN_CONTROLS, PIN_VIRTUAL_NMI, "virtual NMIs"},
        {VMCS_PIN_CONTROLS, PIN_PREEMPTION_TIMER, "activate VMX-preemption timer"},
        {VMCS_PRIMARY_CONTROLS, PRIMARY_HLT, "HLT exiting"},
        {VMCS_PRIMARY_CONTROLS, PRIMARY_CR8_LOAD, "CR8-load exiting"},
        {VMCS_PRIMARY_CONTROLS, PRIMARY_TPR_SHADOW, "use TPR shadow"},
        {VMCS_PRIMARY_CONTROLS, PRIMARY_MONITOR_TRAP, "monitor trap flag"},
        {VMCS_PRIMARY_CONTROLS, PRIMARY_SECONDARY, "activate secondary controls"},
        {VMCS_SECONDARY_CONTROLS, SECONDARY_EPT, "enable EPT"},
        {VMCS_SECONDARY_CONTROLS, SECONDARY_VPID, "enable VPID"},
        {VMCS_SECONDARY_CONTROLS, SECONDARY_UNRESTRICTED, "unrestricted guest"},
        {VMCS_SECONDARY_CONTROLS, SECONDARY_XSAVES, "enable XSAVES/XRSTORS"},
        {VMCS_SECONDARY_CONTROLS, SECONDARY_TSC_SCALING, "use TSC scaling"},
        {VMCS_TERTIARY_CONTROLS, TERTIARY_IPI, "IPI virtualization"},
        {VMCS_EXIT_CONTROLS, EXIT_HOST_64, "host address-space size"},
        {VMCS_EXIT_CONTROLS, EXIT_ACK_INTERRUPT, "acknowledge interrupt on exit"},
        {VMCS_EXIT_CONTROLS, EXIT_SAVE_PREEMPTION_TIMER, "save VMX-preemption timer value"},
        {VMCS_ENTRY_CONTROLS, ENTRY_LONG_MODE, "IA-32e mode guest"},
        {VMCS_ENTRY_CONTROLS, ENTRY_LOAD_EFER, "load IA32_EFER"},
        {VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS, "blocking by MOV SS"},
        {VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI, "blocking by NMI"},
    };
    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
        assert_string_equal(vmcs_bit_name(bits[i].field, (unsigned)__builtin_ctzll(bits[i].bit)), bits[i].name);
    assert_null(vmcs_bit_name(VMCS_PIN_CONTROLS, 1));
    assert_null(vmcs_bit_name(VMCS_PIN_CONTROLS, 32));
    assert_null(vmcs_bit_name(VMCS_GUEST_RIP, 0));
}

static void small_enums_have_names(void **state)
{
    (void)state;
    assert_string_equal(vmx_event_type_name(EVENT_NMI), "NMI");
    assert_string_equal(vmx_event_type_name(EVENT_HARDWARE_EXCEPTION), "hardware exception");
    assert_null(vmx_event_type_name(1));
    assert_null(vmx_event_type_name(8));
    assert_string_equal(vmx_activity_name(0), "active");
    assert_string_equal(vmx_activity_name(1), "HLT");
    assert_string_equal(vmx_activity_name(3), "wait-for-SIPI");
    assert_null(vmx_activity_name(4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_are_right),
        cmocka_unit_test(table_is_consistent),
        cmocka_unit_test(segment_fields_stand_in_order),
        cmocka_unit_test(unknown_fields_are_not_found),
        cmocka_unit_test(case_does_not_matter),
        cmocka_unit_test(masks_follow_widths),
        cmocka_unit_test(exit_reasons_have_names),
        cmocka_unit_test(errors_have_names),
        cmocka_unit_test(bits_have_names),
        cmocka_unit_test(small_enums_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
