// SPDX-License-Identifier: Apache-2.0
#include "arch/x86/vmx/vmcs_fields.h"

#include <polyvisor/string.h>

/// In order of encoding, so that it can be searched by halves.
static const struct vmcs_field_info fields[] = {
    {VMCS_VPID, "vpid"},
    {VMCS_POSTED_INTERRUPT_VECTOR, "posted_interrupt_vector"},
    {VMCS_EPTP_INDEX, "eptp_index"},
    {VMCS_HLAT_PREFIX_SIZE, "hlat_prefix_size"},
    {VMCS_LAST_PID_POINTER_INDEX, "last_pid_pointer_index"},
    {VMCS_GUEST_ES_SELECTOR, "guest_es_selector"},
    {VMCS_GUEST_CS_SELECTOR, "guest_cs_selector"},
    {VMCS_GUEST_SS_SELECTOR, "guest_ss_selector"},
    {VMCS_GUEST_DS_SELECTOR, "guest_ds_selector"},
    {VMCS_GUEST_FS_SELECTOR, "guest_fs_selector"},
    {VMCS_GUEST_GS_SELECTOR, "guest_gs_selector"},
    {VMCS_GUEST_LDTR_SELECTOR, "guest_ldtr_selector"},
    {VMCS_GUEST_TR_SELECTOR, "guest_tr_selector"},
    {VMCS_GUEST_INTERRUPT_STATUS, "guest_interrupt_status"},
    {VMCS_PML_INDEX, "pml_index"},
    {VMCS_GUEST_UINV, "guest_uinv"},
    {VMCS_HOST_ES_SELECTOR, "host_es_selector"},
    {VMCS_HOST_CS_SELECTOR, "host_cs_selector"},
    {VMCS_HOST_SS_SELECTOR, "host_ss_selector"},
    {VMCS_HOST_DS_SELECTOR, "host_ds_selector"},
    {VMCS_HOST_FS_SELECTOR, "host_fs_selector"},
    {VMCS_HOST_GS_SELECTOR, "host_gs_selector"},
    {VMCS_HOST_TR_SELECTOR, "host_tr_selector"},
    {VMCS_IO_BITMAP_A, "io_bitmap_a"},
    {VMCS_IO_BITMAP_B, "io_bitmap_b"},
    {VMCS_MSR_BITMAP, "msr_bitmap"},
    {VMCS_EXIT_MSR_STORE_ADDRESS, "exit_msr_store_address"},
    {VMCS_EXIT_MSR_LOAD_ADDRESS, "exit_msr_load_address"},
    {VMCS_ENTRY_MSR_LOAD_ADDRESS, "entry_msr_load_address"},
    {VMCS_EXECUTIVE_VMCS_POINTER, "executive_vmcs_pointer"},
    {VMCS_PML_ADDRESS, "pml_address"},
    {VMCS_TSC_OFFSET, "tsc_offset"},
    {VMCS_VIRTUAL_APIC_ADDRESS, "virtual_apic_address"},
    {VMCS_APIC_ACCESS_ADDRESS, "apic_access_address"},
    {VMCS_POSTED_INTERRUPT_DESCRIPTOR, "posted_interrupt_descriptor"},
    {VMCS_VM_FUNCTION_CONTROLS, "vm_function_controls"},
    {VMCS_EPT_POINTER, "ept_pointer"},
    {VMCS_EOI_EXIT_BITMAP_0, "eoi_exit_bitmap_0"},
    {VMCS_EOI_EXIT_BITMAP_1, "eoi_exit_bitmap_1"},
    {VMCS_EOI_EXIT_BITMAP_2, "eoi_exit_bitmap_2"},
    {VMCS_EOI_EXIT_BITMAP_3, "eoi_exit_bitmap_3"},
    {VMCS_EPTP_LIST_ADDRESS, "eptp_list_address"},
    {VMCS_VMREAD_BITMAP, "vmread_bitmap"},
    {VMCS_VMWRITE_BITMAP, "vmwrite_bitmap"},
    {VMCS_VE_INFORMATION_ADDRESS, "ve_information_address"},
    {VMCS_XSS_EXITING_BITMAP, "xss_exiting_bitmap"},
    {VMCS_ENCLS_EXITING_BITMAP, "encls_exiting_bitmap"},
    {VMCS_SUB_PAGE_POINTER, "sub_page_pointer"},
    {VMCS_TSC_MULTIPLIER, "tsc_multiplier"},
    {VMCS_TERTIARY_CONTROLS, "tertiary_controls"},
    {VMCS_ENCLV_EXITING_BITMAP, "enclv_exiting_bitmap"},
    {VMCS_LOW_PASID_DIRECTORY, "low_pasid_directory"},
    {VMCS_HIGH_PASID_DIRECTORY, "high_pasid_directory"},
    {VMCS_SHARED_EPT_POINTER, "shared_ept_pointer"},
    {VMCS_PCONFIG_EXITING_BITMAP, "pconfig_exiting_bitmap"},
    {VMCS_HLAT_POINTER, "hlat_pointer"},
    {VMCS_PID_POINTER_TABLE, "pid_pointer_table"},
    {VMCS_SECONDARY_EXIT_CONTROLS, "secondary_exit_controls"},
    {VMCS_SPEC_CTRL_MASK, "spec_ctrl_mask"},
    {VMCS_SPEC_CTRL_SHADOW, "spec_ctrl_shadow"},
    {VMCS_INJECTED_EVENT_DATA, "injected_event_data"},
    {VMCS_GUEST_PHYSICAL_ADDRESS, "guest_physical_address"},
    {VMCS_ORIGINAL_EVENT_DATA, "original_event_data"},
    {VMCS_LINK_POINTER, "link_pointer"},
    {VMCS_GUEST_IA32_DEBUGCTL, "guest_ia32_debugctl"},
    {VMCS_GUEST_IA32_PAT, "guest_ia32_pat"},
    {VMCS_GUEST_IA32_EFER, "guest_ia32_efer"},
    {VMCS_GUEST_IA32_PERF_GLOBAL_CTRL, "guest_ia32_perf_global_ctrl"},
    {VMCS_GUEST_PDPTE0, "guest_pdpte0"},
    {VMCS_GUEST_PDPTE1, "guest_pdpte1"},
    {VMCS_GUEST_PDPTE2, "guest_pdpte2"},
    {VMCS_GUEST_PDPTE3, "guest_pdpte3"},
    {VMCS_GUEST_IA32_BNDCFGS, "guest_ia32_bndcfgs"},
    {VMCS_GUEST_IA32_RTIT_CTL, "guest_ia32_rtit_ctl"},
    {VMCS_GUEST_IA32_LBR_CTL, "guest_ia32_lbr_ctl"},
    {VMCS_GUEST_IA32_PKRS, "guest_ia32_pkrs"},
    {VMCS_GUEST_IA32_FRED_CONFIG, "guest_ia32_fred_config"},
    {VMCS_GUEST_IA32_FRED_RSP1, "guest_ia32_fred_rsp1"},
    {VMCS_GUEST_IA32_FRED_RSP2, "guest_ia32_fred_rsp2"},
    {VMCS_GUEST_IA32_FRED_RSP3, "guest_ia32_fred_rsp3"},
    {VMCS_GUEST_IA32_FRED_STKLVLS, "guest_ia32_fred_stklvls"},
    {VMCS_GUEST_IA32_FRED_SSP1, "guest_ia32_fred_ssp1"},
    {VMCS_GUEST_IA32_FRED_SSP2, "guest_ia32_fred_ssp2"},
    {VMCS_GUEST_IA32_FRED_SSP3, "guest_ia32_fred_ssp3"},
    {VMCS_HOST_IA32_PAT, "host_ia32_pat"},
    {VMCS_HOST_IA32_EFER, "host_ia32_efer"},
    {VMCS_HOST_IA32_PERF_GLOBAL_CTRL, "host_ia32_perf_global_ctrl"},
    {VMCS_HOST_IA32_PKRS, "host_ia32_pkrs"},
    {VMCS_HOST_IA32_FRED_CONFIG, "host_ia32_fred_config"},
    {VMCS_HOST_IA32_FRED_RSP1, "host_ia32_fred_rsp1"},
    {VMCS_HOST_IA32_FRED_RSP2, "host_ia32_fred_rsp2"},
    {VMCS_HOST_IA32_FRED_RSP3, "host_ia32_fred_rsp3"},
    {VMCS_HOST_IA32_FRED_STKLVLS, "host_ia32_fred_stklvls"},
    {VMCS_HOST_IA32_FRED_SSP1, "host_ia32_fred_ssp1"},
    {VMCS_HOST_IA32_FRED_SSP2, "host_ia32_fred_ssp2"},
    {VMCS_HOST_IA32_FRED_SSP3, "host_ia32_fred_ssp3"},
    {VMCS_PIN_CONTROLS, "pin_controls"},
    {VMCS_PRIMARY_CONTROLS, "primary_controls"},
    {VMCS_EXCEPTION_BITMAP, "exception_bitmap"},
    {VMCS_PAGE_FAULT_ERROR_CODE_MASK, "page_fault_error_code_mask"},
    {VMCS_PAGE_FAULT_ERROR_CODE_MATCH, "page_fault_error_code_match"},
    {VMCS_CR3_TARGET_COUNT, "cr3_target_count"},
    {VMCS_EXIT_CONTROLS, "exit_controls"},
    {VMCS_EXIT_MSR_STORE_COUNT, "exit_msr_store_count"},
    {VMCS_EXIT_MSR_LOAD_COUNT, "exit_msr_load_count"},
    {VMCS_ENTRY_CONTROLS, "entry_controls"},
    {VMCS_ENTRY_MSR_LOAD_COUNT, "entry_msr_load_count"},
    {VMCS_ENTRY_INTERRUPTION_INFO, "entry_interruption_info"},
    {VMCS_ENTRY_EXCEPTION_ERROR_CODE, "entry_exception_error_code"},
    {VMCS_ENTRY_INSTRUCTION_LENGTH, "entry_instruction_length"},
    {VMCS_TPR_THRESHOLD, "tpr_threshold"},
    {VMCS_SECONDARY_CONTROLS, "secondary_controls"},
    {VMCS_PLE_GAP, "ple_gap"},
    {VMCS_PLE_WINDOW, "ple_window"},
    {VMCS_INSTRUCTION_TIMEOUT, "instruction_timeout"},
    {VMCS_VM_INSTRUCTION_ERROR, "vm_instruction_error"},
    {VMCS_EXIT_REASON, "exit_reason"},
    {VMCS_EXIT_INTERRUPTION_INFO, "exit_interruption_info"},
    {VMCS_EXIT_INTERRUPTION_ERROR_CODE, "exit_interruption_error_code"},
    {VMCS_IDT_VECTORING_INFO, "idt_vectoring_info"},
    {VMCS_IDT_VECTORING_ERROR_CODE, "idt_vectoring_error_code"},
    {VMCS_EXIT_INSTRUCTION_LENGTH, "exit_instruction_length"},
    {VMCS_EXIT_INSTRUCTION_INFO, "exit_instruction_info"},
    {VMCS_GUEST_ES_LIMIT, "guest_es_limit"},
    {VMCS_GUEST_CS_LIMIT, "guest_cs_limit"},
    {VMCS_GUEST_SS_LIMIT, "guest_ss_limit"},
    {VMCS_GUEST_DS_LIMIT, "guest_ds_limit"},
    {VMCS_GUEST_FS_LIMIT, "guest_fs_limit"},
    {VMCS_GUEST_GS_LIMIT, "guest_gs_limit"},
    {VMCS_GUEST_LDTR_LIMIT, "guest_ldtr_limit"},
    {VMCS_GUEST_TR_LIMIT, "guest_tr_limit"},
    {VMCS_GUEST_GDTR_LIMIT, "guest_gdtr_limit"},
    {VMCS_GUEST_IDTR_LIMIT, "guest_idtr_limit"},
    {VMCS_GUEST_ES_ACCESS_RIGHTS, "guest_es_access_rights"},
    {VMCS_GUEST_CS_ACCESS_RIGHTS, "guest_cs_access_rights"},
    {VMCS_GUEST_SS_ACCESS_RIGHTS, "guest_ss_access_rights"},
    {VMCS_GUEST_DS_ACCESS_RIGHTS, "guest_ds_access_rights"},
    {VMCS_GUEST_FS_ACCESS_RIGHTS, "guest_fs_access_rights"},
    {VMCS_GUEST_GS_ACCESS_RIGHTS, "guest_gs_access_rights"},
    {VMCS_GUEST_LDTR_ACCESS_RIGHTS, "guest_ldtr_access_rights"},
    {VMCS_GUEST_TR_ACCESS_RIGHTS, "guest_tr_access_rights"},
    {VMCS_GUEST_INTERRUPTIBILITY, "guest_interruptibility"},
    {VMCS_GUEST_ACTIVITY, "guest_activity"},
    {VMCS_GUEST_SMBASE, "guest_smbase"},
    {VMCS_GUEST_SYSENTER_CS, "guest_sysenter_cs"},
    {VMCS_GUEST_PREEMPTION_TIMER, "guest_preemption_timer"},
    {VMCS_HOST_SYSENTER_CS, "host_sysenter_cs"},
    {VMCS_CR0_GUEST_HOST_MASK, "cr0_guest_host_mask"},
    {VMCS_CR4_GUEST_HOST_MASK, "cr4_guest_host_mask"},
    {VMCS_CR0_READ_SHADOW, "cr0_read_shadow"},
    {VMCS_CR4_READ_SHADOW, "cr4_read_shadow"},
    {VMCS_CR3_TARGET_VALUE_0, "cr3_target_value_0"},
    {VMCS_CR3_TARGET_VALUE_1, "cr3_target_value_1"},
    {VMCS_CR3_TARGET_VALUE_2, "cr3_target_value_2"},
    {VMCS_CR3_TARGET_VALUE_3, "cr3_target_value_3"},
    {VMCS_EXIT_QUALIFICATION, "exit_qualification"},
    {VMCS_IO_RCX, "io_rcx"},
    {VMCS_IO_RSI, "io_rsi"},
    {VMCS_IO_RDI, "io_rdi"},
    {VMCS_IO_RIP, "io_rip"},
    {VMCS_GUEST_LINEAR_ADDRESS, "guest_linear_address"},
    {VMCS_GUEST_CR0, "guest_cr0"},
    {VMCS_GUEST_CR3, "guest_cr3"},
    {VMCS_GUEST_CR4, "guest_cr4"},
    {VMCS_GUEST_ES_BASE, "guest_es_base"},
    {VMCS_GUEST_CS_BASE, "guest_cs_base"},
    {VMCS_GUEST_SS_BASE, "guest_ss_base"},
    {VMCS_GUEST_DS_BASE, "guest_ds_base"},
    {VMCS_GUEST_FS_BASE, "guest_fs_base"},
    {VMCS_GUEST_GS_BASE, "guest_gs_base"},
    {VMCS_GUEST_LDTR_BASE, "guest_ldtr_base"},
    {VMCS_GUEST_TR_BASE, "guest_tr_base"},
    {VMCS_GUEST_GDTR_BASE, "guest_gdtr_base"},
    {VMCS_GUEST_IDTR_BASE, "guest_idtr_base"},
    {VMCS_GUEST_DR7, "guest_dr7"},
    {VMCS_GUEST_RSP, "guest_rsp"},
    {VMCS_GUEST_RIP, "guest_rip"},
    {VMCS_GUEST_RFLAGS, "guest_rflags"},
    {VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, "guest_pending_debug_exceptions"},
    {VMCS_GUEST_SYSENTER_ESP, "guest_sysenter_esp"},
    {VMCS_GUEST_SYSENTER_EIP, "guest_sysenter_eip"},
    {VMCS_GUEST_S_CET, "guest_s_cet"},
    {VMCS_GUEST_SSP, "guest_ssp"},
    {VMCS_GUEST_INTERRUPT_SSP_TABLE, "guest_interrupt_ssp_table"},
    {VMCS_HOST_CR0, "host_cr0"},
    {VMCS_HOST_CR3, "host_cr3"},
    {VMCS_HOST_CR4, "host_cr4"},
    {VMCS_HOST_FS_BASE, "host_fs_base"},
    {VMCS_HOST_GS_BASE, "host_gs_base"},
    {VMCS_HOST_TR_BASE, "host_tr_base"},
    {VMCS_HOST_GDTR_BASE, "host_gdtr_base"},
    {VMCS_HOST_IDTR_BASE, "host_idtr_base"},
    {VMCS_HOST_SYSENTER_ESP, "host_sysenter_esp"},
    {VMCS_HOST_SYSENTER_EIP, "host_sysenter_eip"},
    {VMCS_HOST_RSP, "host_rsp"},
    {VMCS_HOST_RIP, "host_rip"},
    {VMCS_HOST_S_CET, "host_s_cet"},
    {VMCS_HOST_SSP, "host_ssp"},
    {VMCS_HOST_INTERRUPT_SSP_TABLE, "host_interrupt_ssp_table"},
};

_Static_assert(sizeof(fields) / sizeof(fields[0]) == VMCS_FIELD_COUNT, "one entry for each of enum vmcs_field");

const struct vmcs_field_info *vmcs_fields(size_t *count)
{
    *count = VMCS_FIELD_COUNT;
    return fields;
}

size_t vmcs_field_index(uint32_t encoding)
{
    size_t low = 0, high = VMCS_FIELD_COUNT;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (fields[middle].encoding < encoding) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < VMCS_FIELD_COUNT && fields[low].encoding == encoding ? low : VMCS_FIELD_COUNT;
}

const struct vmcs_field_info *vmcs_field_by_encoding(uint32_t encoding)
{
    size_t index = vmcs_field_index(encoding);
    return index < VMCS_FIELD_COUNT ? &fields[index] : NULL;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool same_name(const char *name, const char *any_case)
{
    while (*name != '\0' && *name == lower(*any_case)) {
        name++;
        any_case++;
    }
    return *name == '\0' && *any_case == '\0';
}

const struct vmcs_field_info *vmcs_field_by_name(const char *name)
{
    for (size_t i = 0; i < VMCS_FIELD_COUNT; i++) {
        if (same_name(fields[i].name, name)) {
            return &fields[i];
        }
    }
    return NULL;
}

unsigned vmcs_field_bits(uint32_t encoding)
{
    switch (vmcs_field_width(encoding)) {
    case VMCS_WIDTH_16:
        return 16;
    case VMCS_WIDTH_32:
        return 32;
    case VMCS_WIDTH_64:
    case VMCS_WIDTH_NATURAL:
        break;
    }
    return 64;
}

uint64_t vmcs_field_mask(uint32_t encoding)
{
    return UINT64_MAX >> (64 - vmcs_field_bits(encoding));
}

const char *vmcs_width_name(enum vmcs_width width)
{
    static const char *const names[] = {"16-bit", "64-bit", "32-bit", "natural-width"};
    return names[width & 3];
}

const char *vmcs_kind_name(enum vmcs_kind kind)
{
    static const char *const names[] = {"control", "exit-information", "guest-state", "host-state"};
    return names[kind & 3];
}
