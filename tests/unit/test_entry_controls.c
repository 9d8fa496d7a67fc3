// SPDX-License-Identifier: Apache-2.0
// The entry checker on controls and host state: each rule of SDM Vol. 3C 27.2 is broken once.
// links: arch/x86/vmx/entry_check.c arch/x86/vmx/entry_check_controls.c arch/x86/vmx/entry_check_host.c
// links: arch/x86/vmx/entry_check_guest.c arch/x86/vmx/entry_check_segments.c arch/x86/vmx/event.c
// links: arch/x86/vmx/controls.c arch/x86/vmx/vmcs_fields.c vmm/lib/format.c vmm/lib/string.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/vmx/controls.h"
#include "entry_states.h"
#include "random.h"

static void execution_controls(void **state)
{
    (void)state;
    static const struct broken cases[] = {
        {LONG_MODE, {{VMCS_PIN_CONTROLS, 0x7d}}, "27.2.1.1", VMCS_PIN_CONTROLS, "must be 1 as"},
        {LONG_MODE, {{VMCS_PIN_CONTROLS, 0x17f}}, "27.2.1.1", VMCS_PIN_CONTROLS, "must be 0 as"},
        {LONG_MODE, {{VMCS_PRIMARY_CONTROLS, 0xb6986df8}}, "27.2.1.1", VMCS_PRIMARY_CONTROLS, "must be 1 as"},
        {LONG_MODE, {PRIMARY_WITH(1)}, "27.2.1.1", VMCS_PRIMARY_CONTROLS, "must be 0 as"},
        {LONG_MODE, {SECONDARY_WITH(0x80000000)}, "27.2.1.1", VMCS_SECONDARY_CONTROLS, "must be 0 as"},
        {LONG_MODE,
         {PRIMARY_WITH(PRIMARY_TERTIARY), {VMCS_TERTIARY_CONTROLS, 0x20}},
         "27.2.1.1",
         VMCS_TERTIARY_CONTROLS,
         "must be 0 as"},
        {LONG_MODE, {{VMCS_CR3_TARGET_COUNT, 5}}, "27.2.1.1", VMCS_CR3_TARGET_COUNT, "CR3-target count"},
        {LONG_MODE, {{VMCS_IO_BITMAP_A, 0x10800}}, "27.2.1.1", VMCS_IO_BITMAP_A, "bits 11:0"},
        {LONG_MODE, {{VMCS_IO_BITMAP_B, UINT64_C(1) << 46}}, "27.2.1.1", VMCS_IO_BITMAP_B, "physical-address width"},
        {LONG_MODE, {{VMCS_MSR_BITMAP, 1}}, "27.2.1.1", VMCS_MSR_BITMAP, "bits 11:0"},
        {LONG_MODE,
         {PRIMARY_WITH(PRIMARY_TPR_SHADOW), {VMCS_VIRTUAL_APIC_ADDRESS, 0x20004}},
         "27.2.1.1",
         VMCS_VIRTUAL_APIC_ADDRESS,
         "bits 11:0"},
        {LONG_MODE, {WITH_TPR_SHADOW, {VMCS_TPR_THRESHOLD, 0x10}}, "27.2.1.1", VMCS_TPR_THRESHOLD, "bits 31:4"},
        {LONG_MODE, {SECONDARY_WITH(SECONDARY_X2APIC)}, "27.2.1.1", VMCS_SECONDARY_CONTROLS, "use TPR shadow"},
        {LONG_MODE, {SECONDARY_WITH(SECONDARY_APIC_REGISTERS)}, "27.2.1.1", VMCS_SECONDARY_CONTROLS, "use TPR shadow"},
        {LONG_MODE, {SECONDARY_WITH(SECONDARY_VIRTUAL_INTERRUPTS)}, "27.2.1.1", VMCS_SECONDARY_CONTROLS, "use TPR"},
        {LONG_MODE,
         {PRIMARY_WITH(PRIMARY_TERTIARY), {VMCS_TERTIARY_CONTROLS, 0x10}},
         "27.2.1.1",
         VMCS_TERTIARY_CONTROLS,
         "IPI virtualization"},
        {LONG_MODE, {{VMCS_PIN_CONTROLS, 0x77}}, "27.2.1.1", VMCS_PIN_CONTROLS, "\"NMI exiting\" is 0"},
        {LONG_MODE,
         {{VMCS_PIN_CONTROLS, 0x5f}, PRIMARY_WITH(PRIMARY_NMI_WINDOW)},
         "27.2.1.1",
         VMCS_PRIMARY_CONTROLS,
         "\"virtual NMIs\" is 0"},
        {LONG_MODE,
         {SECONDARY_WITH(SECONDARY_APIC_ACCESSES), {VMCS_APIC_ACCESS_ADDRESS, 8}},
         "27.2.1.1",
         VMCS_APIC_ACCESS_ADDRESS,
         "bits 11:0"},
        {LONG_MODE,
         {WITH_TPR_SHADOW, SECONDARY_WITH(SECONDARY_X2APIC | SECONDARY_APIC_ACCESSES)},
         "27.2.1.1",
         VMCS_SECONDARY_CONTROLS,
         "virtualize x2APIC mode"},
        {LONG_MODE,
         {WITH_TPR_SHADOW, SECONDARY_WITH(SECONDARY_VIRTUAL_INTERRUPTS), {VMCS_PIN_CONTROLS, 0x7e}},
         "27.2.1.1",
         VMCS_PIN_CONTROLS,
         "external-interrupt exiting"},
        {LONG_MODE, {PIN_WITH(PIN_POSTED_INTERRUPTS)}, "27.2.1.1", VMCS_SECONDARY_CONTROLS, "process posted"},
        {LONG_MODE,
         {WITH_TPR_SHADOW,
          SECONDARY_WITH(SECONDARY_VIRTUAL_INTERRUPTS),
          PIN_WITH(PIN_POSTED_INTERRUPTS),
          {VMCS_EXIT_CONTROLS, EXIT_DEFAULT & ~EXIT_ACK_INTERRUPT}},
         "27.2.1.1",
         VMCS_EXIT_CONTROLS,
         "acknowledge interrupt on exit"},
        {LONG_MODE,
         {WITH_TPR_SHADOW,
          SECONDARY_WITH(SECONDARY_VIRTUAL_INTERRUPTS),
          PIN_WITH(PIN_POSTED_INTERRUPTS),
          {VMCS_POSTED_INTERRUPT_VECTOR, 0x100}},
         "27.2.1.1",
         VMCS_POSTED_INTERRUPT_VECTOR,
         "0-255"},
        {LONG_MODE,
         {WITH_TPR_SHADOW,
          SECONDARY_WITH(SECONDARY_VIRTUAL_INTERRUPTS),
          PIN_WITH(PIN_POSTED_INTERRUPTS),
          {VMCS_POSTED_INTERRUPT_DESCRIPTOR, 0x20}},
         "27.2.1.1",
         VMCS_POSTED_INTERRUPT_DESCRIPTOR,
         "low bits"},
        {LONG_MODE, {{VMCS_VPID, 0x10000}}, "27.2.1.1", VMCS_VPID, "0000H"},
        {LONG_MODE, {{VMCS_EPT_POINTER, 0x12305b}}, "27.2.1.1", VMCS_EPT_POINTER, "memory type"},
        {LONG_MODE, {{VMCS_EPT_POINTER, 0x123056}}, "27.2.1.1", VMCS_EPT_POINTER, "page-walk length"},
        {LONG_MODE, {{VMCS_EPT_POINTER, 0x123066}}, "27.2.1.1", VMCS_EPT_POINTER, "page-walk length"}, // 5 levels
        {LONG_MODE, {{VMCS_EPT_POINTER, 0x1230de}}, "27.2.1.1", VMCS_EPT_POINTER, "bit 7"},
        {LONG_MODE, {{VMCS_EPT_POINTER, 0x12385e}}, "27.2.1.1", VMCS_EPT_POINTER, "11:8"},
        {LONG_MODE, {{VMCS_EPT_POINTER, UINT64_C(0x40000000305e)}}, "27.2.1.1", VMCS_EPT_POINTER, "11:8"},
        {LONG_MODE, {SECONDARY_WITHOUT(SECONDARY_EPT)}, "27.2.1.1", VMCS_SECONDARY_CONTROLS, "enable EPT"},
        {LONG_MODE,
         {SECONDARY_WITHOUT(SECONDARY_EPT | SECONDARY_UNRESTRICTED),
          PRIMARY_WITH(PRIMARY_TERTIARY),
          {VMCS_TERTIARY_CONTROLS, 2}},
         "27.2.1.1",
         VMCS_TERTIARY_CONTROLS,
         "enable HLAT"},
        {LONG_MODE, {SECONDARY_WITH(SECONDARY_PML), {VMCS_PML_ADDRESS, 8}}, "27.2.1.1", VMCS_PML_ADDRESS, "bits 11:0"},
        {LONG_MODE,
         {SECONDARY_WITH(SECONDARY_SUB_PAGE_WRITE), {VMCS_SUB_PAGE_POINTER, 8}},
         "27.2.1.1",
         VMCS_SUB_PAGE_POINTER,
         "bits 11:0"},
        {LONG_MODE,
         {SECONDARY_WITH(SECONDARY_VM_FUNCTIONS), {VMCS_VM_FUNCTION_CONTROLS, 2}},
         "27.2.1.1",
         VMCS_VM_FUNCTION_CONTROLS,
         "must be 0 as"},
        {LONG_MODE,
         {{VMCS_SECONDARY_CONTROLS, 0x00103068}, {VMCS_VM_FUNCTION_CONTROLS, 1}},
         "27.2.1.1",
         VMCS_SECONDARY_CONTROLS,
         "EPTP switching"},
        {LONG_MODE,
         {SECONDARY_WITH(SECONDARY_VM_FUNCTIONS), {VMCS_VM_FUNCTION_CONTROLS, 1}, {VMCS_EPTP_LIST_ADDRESS, 8}},
         "27.2.1.1",
         VMCS_EPTP_LIST_ADDRESS,
         "bits 11:0"},
        {LONG_MODE,
         {SECONDARY_WITH(SECONDARY_VMCS_SHADOWING), {VMCS_VMREAD_BITMAP, 8}},
         "27.2.1.1",
         VMCS_VMREAD_BITMAP,
         "bits 11:0"},
        {LONG_MODE,
         {SECONDARY_WITH(SECONDARY_VMCS_SHADOWING), {VMCS_VMWRITE_BITMAP, 8}},
         "27.2.1.1",
         VMCS_VMWRITE_BITMAP,
         "bits 11:0"},
        {LONG_MODE,
         {SECONDARY_WITH(SECONDARY_EPT_VIOLATION_VE), {VMCS_VE_INFORMATION_ADDRESS, 8}},
         "27.2.1.1",
         VMCS_VE_INFORMATION_ADDRESS,
         "bits 11:0"},
        {LONG_MODE, {SECONDARY_WITH(SECONDARY_PT_GUEST_PHYSICAL)}, "27.2.1.1", VMCS_ENTRY_CONTROLS, "load IA32_RTIT"},
        {LONG_MODE,
         {SECONDARY_WITH(SECONDARY_PT_GUEST_PHYSICAL), ENTRY_WITH(ENTRY_LOAD_RTIT_CTL)},
         "27.2.1.1",
         VMCS_EXIT_CONTROLS,
         "clear IA32_RTIT"},
        {LONG_MODE,
         {SECONDARY_WITH(SECONDARY_PASID), {VMCS_LOW_PASID_DIRECTORY, 8}},
         "27.2.1.1",
         VMCS_LOW_PASID_DIRECTORY,
         "bits 11:0"},
        {LONG_MODE,
         {SECONDARY_WITH(SECONDARY_PASID), {VMCS_HIGH_PASID_DIRECTORY, 8}},
         "27.2.1.1",
         VMCS_HIGH_PASID_DIRECTORY,
         "bits 11:0"},
        {LONG_MODE,
         {PRIMARY_WITH(PRIMARY_TERTIARY), {VMCS_TERTIARY_CONTROLS, 2}, {VMCS_HLAT_POINTER, 0x1020}},
         "27.2.1.1",
         VMCS_HLAT_POINTER,
         "reserved bits"},
        {LONG_MODE,
         {PRIMARY_WITH(PRIMARY_TERTIARY | PRIMARY_TPR_SHADOW),
          {VMCS_TERTIARY_CONTROLS, 16},
          {VMCS_PID_POINTER_TABLE, 4}},
         "27.2.1.1",
         VMCS_PID_POINTER_TABLE,
         "low bits"},
        {LONG_MODE,
         {PRIMARY_WITH(PRIMARY_TERTIARY | PRIMARY_TPR_SHADOW),
          {VMCS_TERTIARY_CONTROLS, 16},
          {VMCS_PID_POINTER_TABLE, UINT64_C(0x3ffffffff000)},
          {VMCS_LAST_PID_POINTER_INDEX, 512}},
         "27.2.1.1",
         VMCS_LAST_PID_POINTER_INDEX,
         "last PID-pointer"},
    };
    check_broken(cases, COUNT(cases));
}

static void exit_and_entry_controls(void **state)
{
    (void)state;
    static const struct broken cases[] = {
        {LONG_MODE, {{VMCS_EXIT_CONTROLS, EXIT_DEFAULT & ~1}}, "27.2.1.2", VMCS_EXIT_CONTROLS, "must be 1 as"},
        {LONG_MODE, {{VMCS_PIN_CONTROLS, 0x3f}}, "27.2.1.2", VMCS_EXIT_CONTROLS, "activate VMX-preemption timer"},
        {LONG_MODE,
         {{VMCS_EXIT_MSR_STORE_COUNT, 1}, {VMCS_EXIT_MSR_STORE_ADDRESS, 8}},
         "27.2.1.2",
         VMCS_EXIT_MSR_STORE_ADDRESS,
         "low bits"},
        {LONG_MODE,
         {{VMCS_EXIT_MSR_LOAD_COUNT, 257}, {VMCS_EXIT_MSR_LOAD_ADDRESS, UINT64_C(0x3ffffffff000)}},
         "27.2.1.2",
         VMCS_EXIT_MSR_LOAD_COUNT,
         "last byte"},
        {LONG_MODE, {{VMCS_ENTRY_CONTROLS, LONG_ENTRY & ~1}}, "27.2.1.3", VMCS_ENTRY_CONTROLS, "must be 1 as"},
        {LONG_MODE, {ENTRY_WITH(0x1000000)}, "27.2.1.3", VMCS_ENTRY_CONTROLS, "must be 0 as"},
        {LONG_MODE, {{VMCS_ENTRY_INTERRUPTION_INFO, 0x80000100}}, "27.2.1.3", VMCS_ENTRY_INTERRUPTION_INFO, "reserved"},
        {LONG_MODE, {{VMCS_ENTRY_INTERRUPTION_INFO, 0x80000203}}, "27.2.1.3", VMCS_ENTRY_INTERRUPTION_INFO, "vector"},
        {LONG_MODE, {{VMCS_ENTRY_INTERRUPTION_INFO, 0x8000030d}}, "27.2.1.3", VMCS_ENTRY_INTERRUPTION_INFO, "bit 11"},
        {REAL_MODE, {{VMCS_ENTRY_INTERRUPTION_INFO, 0x80000b0d}}, "27.2.1.3", VMCS_ENTRY_INTERRUPTION_INFO, "bit 11"},
        {LONG_MODE, {{VMCS_ENTRY_INTERRUPTION_INFO, 0x80001020}}, "27.2.1.3", VMCS_ENTRY_INTERRUPTION_INFO, "30:12"},
        {LONG_MODE,
         {{VMCS_ENTRY_INTERRUPTION_INFO, 0x80000b0d}, {VMCS_ENTRY_EXCEPTION_ERROR_CODE, 0x10000}},
         "27.2.1.3",
         VMCS_ENTRY_EXCEPTION_ERROR_CODE,
         "31:16"},
        {LONG_MODE, {{VMCS_ENTRY_INTERRUPTION_INFO, 0x80000480}}, "27.2.1.3", VMCS_ENTRY_INSTRUCTION_LENGTH, "1-15"},
        {LONG_MODE,
         {{VMCS_ENTRY_MSR_LOAD_COUNT, 1}, {VMCS_ENTRY_MSR_LOAD_ADDRESS, UINT64_C(1) << 50}},
         "27.2.1.3",
         VMCS_ENTRY_MSR_LOAD_ADDRESS,
         "physical-address width"},
        {LONG_MODE, {ENTRY_WITH(ENTRY_SMM)}, "27.2.1.3", VMCS_ENTRY_CONTROLS, "entry to SMM"},
        {LONG_MODE, {ENTRY_WITH(ENTRY_DEACTIVATE_DUAL_MONITOR)}, "27.2.1.3", VMCS_ENTRY_CONTROLS, "dual-monitor"},
    };
    check_broken(cases, COUNT(cases));
}

/* ---- 27.2.2 to 27.2.4: host state ---- */

static void host_state(void **state)
{
    (void)state;
    static const struct broken cases[] = {
        {LONG_MODE, {{VMCS_HOST_CR0, 0x8005001b}}, "27.2.2", VMCS_HOST_CR0, "not supported"},
        {LONG_MODE, {{VMCS_HOST_CR4, 0x3700a0}}, "27.2.2", VMCS_HOST_CR4, "not supported"},
        {LONG_MODE, {{VMCS_HOST_CR4, 0x13720a0}}, "27.2.2", VMCS_HOST_CR4, "not supported"},
        {LONG_MODE, {{VMCS_HOST_CR4, 0xb720a0}, {VMCS_HOST_CR0, 0x8004003b}}, "27.2.2", VMCS_HOST_CR4, "CET"},
        {LONG_MODE, {{VMCS_HOST_CR3, UINT64_C(1) << 46}}, "27.2.2", VMCS_HOST_CR3, "width"},
        {LONG_MODE, {{VMCS_HOST_SYSENTER_ESP, 0x800000000000}}, "27.2.2", VMCS_HOST_SYSENTER_ESP, "canonical"},
        {LONG_MODE, {{VMCS_HOST_SYSENTER_EIP, 0x800000000000}}, "27.2.2", VMCS_HOST_SYSENTER_EIP, "canonical"},
        {LONG_MODE,
         {EXIT_WITH(EXIT_LOAD_PERF_GLOBAL_CTRL), {VMCS_HOST_IA32_PERF_GLOBAL_CTRL, 0x10}},
         "27.2.2",
         VMCS_HOST_IA32_PERF_GLOBAL_CTRL,
         "reserved"},
        {LONG_MODE, {EXIT_WITH(EXIT_LOAD_PAT), {VMCS_HOST_IA32_PAT, 0x0200}}, "27.2.2", VMCS_HOST_IA32_PAT, "8 bytes"},
        {LONG_MODE, {{VMCS_HOST_IA32_EFER, 0xd02}}, "27.2.2", VMCS_HOST_IA32_EFER, "reserved"},
        {LONG_MODE, {{VMCS_HOST_IA32_EFER, 0x900}}, "27.2.2", VMCS_HOST_IA32_EFER, "LMA and LME"},
        {LONG_MODE,
         {EXIT_WITH(EXIT_LOAD_PKRS), {VMCS_HOST_IA32_PKRS, UINT64_C(1) << 32}},
         "27.2.2",
         VMCS_HOST_IA32_PKRS,
         "63:32"},
        {LONG_MODE, {EXIT_WITH(EXIT_LOAD_CET), {VMCS_HOST_S_CET, 0x40}}, "27.2.2", VMCS_HOST_S_CET, "reserved"},
        {LONG_MODE, {EXIT_WITH(EXIT_LOAD_CET), {VMCS_HOST_S_CET, 0xc00}}, "27.2.2", VMCS_HOST_S_CET, "TRACKER"},
        {LONG_MODE, {EXIT_WITH(EXIT_LOAD_CET), {VMCS_HOST_SSP, 2}}, "27.2.2", VMCS_HOST_SSP, "bits 1:0"},
        {LONG_MODE, {EXIT_WITH(EXIT_LOAD_CET), {VMCS_HOST_SSP, 0x800000000000}}, "27.2.2", VMCS_HOST_SSP, "canonical"},
        {LONG_MODE, {{VMCS_HOST_ES_SELECTOR, 3}}, "27.2.3", VMCS_HOST_ES_SELECTOR, "RPL"},
        {LONG_MODE, {{VMCS_HOST_TR_SELECTOR, 0x3c}}, "27.2.3", VMCS_HOST_TR_SELECTOR, "TI"},
        {LONG_MODE, {{VMCS_HOST_CS_SELECTOR, 0}}, "27.2.3", VMCS_HOST_CS_SELECTOR, "0000H"},
        {LONG_MODE, {{VMCS_HOST_TR_SELECTOR, 0}}, "27.2.3", VMCS_HOST_TR_SELECTOR, "0000H"},
        {LONG_MODE,
         {{VMCS_EXIT_CONTROLS, EXIT_DEFAULT & ~EXIT_HOST_64}, {VMCS_HOST_IA32_EFER, 0x800}, {VMCS_HOST_SS_SELECTOR, 0}},
         "27.2.3",
         VMCS_HOST_SS_SELECTOR,
         "0000H"},
        {LONG_MODE, {{VMCS_HOST_FS_BASE, 0x800000000000}}, "27.2.3", VMCS_HOST_FS_BASE, "canonical"},
        {LONG_MODE, {{VMCS_HOST_GS_BASE, 0x800000000000}}, "27.2.3", VMCS_HOST_GS_BASE, "canonical"},
        {LONG_MODE, {{VMCS_HOST_TR_BASE, 0x800000000000}}, "27.2.3", VMCS_HOST_TR_BASE, "canonical"},
        {LONG_MODE, {{VMCS_HOST_GDTR_BASE, 0x800000000000}}, "27.2.3", VMCS_HOST_GDTR_BASE, "canonical"},
        {LONG_MODE, {{VMCS_HOST_IDTR_BASE, 0x800000000000}}, "27.2.3", VMCS_HOST_IDTR_BASE, "canonical"},
        {LONG_MODE,
         {{VMCS_EXIT_CONTROLS, EXIT_DEFAULT & ~EXIT_HOST_64}, {VMCS_HOST_IA32_EFER, 0x800}},
         "27.2.4",
         VMCS_EXIT_CONTROLS,
         "host address-space size"},
        {LONG_MODE, {{VMCS_HOST_CR4, 0x372080}}, "27.2.4", VMCS_HOST_CR4, "PAE"},
        {LONG_MODE, {{VMCS_HOST_RIP, 0x800000000000}}, "27.2.4", VMCS_HOST_RIP, "canonical"},
    };
    check_broken(cases, COUNT(cases));
}

/// The controls that vmx_control_sanitise makes are never refused, whatever was wanted.
static void sanitised_controls_pass(void **state)
{
    (void)state;
    static const enum vmcs_field controls[] = {VMCS_PIN_CONTROLS, VMCS_PRIMARY_CONTROLS, VMCS_SECONDARY_CONTROLS,
                                               VMCS_EXIT_CONTROLS, VMCS_ENTRY_CONTROLS};
    uint64_t seed = 17;
    for (int round = 0; round < 20000; round++) {
        struct vmx_entry_state s;
        struct vmx_violation violation = {0};
        entry_base(&s, LONG_MODE);
        for (size_t i = 0; i < COUNT(controls); i++) {
            const uint32_t wanted = (uint32_t)random_below(&seed, UINT64_C(1) << 32);
            vmx_entry_set(&s, controls[i], vmx_control_sanitise(&entry_caps, controls[i], wanted));
        }
        if (!vmx_entry_check(&s, &violation))
            assert_int_not_equal(strncmp(violation.section, "27.2", 4), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(execution_controls),
        cmocka_unit_test(exit_and_entry_controls),
        cmocka_unit_test(host_state),
        cmocka_unit_test(sanitised_controls_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
