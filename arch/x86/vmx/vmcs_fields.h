// SPDX-License-Identifier: Apache-2.0
/// Every field of the VMCS by its encoding (SDM Vol. 3D appendix B), and what an encoding says about its field. Which
/// of them a processor has depends on its capabilities; VMREAD and VMWRITE of the others fail. Pure; host-tested.
#ifndef POLYVISOR_VMX_VMCS_FIELDS_H
#define POLYVISOR_VMX_VMCS_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/x86/vmx/vmcs_bits.h"

/// 64-bit fields have a second encoding, one higher, of their upper half (SDM Vol. 3C 25.11.2); in 64-bit mode nobody
/// needs it, so it has no name here.
enum vmcs_field {
    /* 16-bit control fields, B.1.1 */
    VMCS_VPID = 0x0000,
    VMCS_POSTED_INTERRUPT_VECTOR = 0x0002,
    VMCS_EPTP_INDEX = 0x0004,
    VMCS_HLAT_PREFIX_SIZE = 0x0006,
    VMCS_LAST_PID_POINTER_INDEX = 0x0008,

    /* 16-bit guest-state fields, B.1.2 */
    VMCS_GUEST_ES_SELECTOR = 0x0800,
    VMCS_GUEST_CS_SELECTOR = 0x0802,
    VMCS_GUEST_SS_SELECTOR = 0x0804,
    VMCS_GUEST_DS_SELECTOR = 0x0806,
    VMCS_GUEST_FS_SELECTOR = 0x0808,
    VMCS_GUEST_GS_SELECTOR = 0x080a,
    VMCS_GUEST_LDTR_SELECTOR = 0x080c,
    VMCS_GUEST_TR_SELECTOR = 0x080e,
    VMCS_GUEST_INTERRUPT_STATUS = 0x0810,
    VMCS_PML_INDEX = 0x0812,
    VMCS_GUEST_UINV = 0x0814,

    /* 16-bit host-state fields, B.1.3 */
    VMCS_HOST_ES_SELECTOR = 0x0c00,
    VMCS_HOST_CS_SELECTOR = 0x0c02,
    VMCS_HOST_SS_SELECTOR = 0x0c04,
    VMCS_HOST_DS_SELECTOR = 0x0c06,
    VMCS_HOST_FS_SELECTOR = 0x0c08,
    VMCS_HOST_GS_SELECTOR = 0x0c0a,
    VMCS_HOST_TR_SELECTOR = 0x0c0c,

    /* 64-bit control fields, B.2.1 */
    VMCS_IO_BITMAP_A = 0x2000,
    VMCS_IO_BITMAP_B = 0x2002,
    VMCS_MSR_BITMAP = 0x2004,
    VMCS_EXIT_MSR_STORE_ADDRESS = 0x2006,
    VMCS_EXIT_MSR_LOAD_ADDRESS = 0x2008,
    VMCS_ENTRY_MSR_LOAD_ADDRESS = 0x200a,
    VMCS_EXECUTIVE_VMCS_POINTER = 0x200c,
    VMCS_PML_ADDRESS = 0x200e,
    VMCS_TSC_OFFSET = 0x2010,
    VMCS_VIRTUAL_APIC_ADDRESS = 0x2012,
    VMCS_APIC_ACCESS_ADDRESS = 0x2014,
    VMCS_POSTED_INTERRUPT_DESCRIPTOR = 0x2016,
    VMCS_VM_FUNCTION_CONTROLS = 0x2018,
    VMCS_EPT_POINTER = 0x201a,
    VMCS_EOI_EXIT_BITMAP_0 = 0x201c,
    VMCS_EOI_EXIT_BITMAP_1 = 0x201e,
    VMCS_EOI_EXIT_BITMAP_2 = 0x2020,
    VMCS_EOI_EXIT_BITMAP_3 = 0x2022,
    VMCS_EPTP_LIST_ADDRESS = 0x2024,
    VMCS_VMREAD_BITMAP = 0x2026,
    VMCS_VMWRITE_BITMAP = 0x2028,
    VMCS_VE_INFORMATION_ADDRESS = 0x202a,
    VMCS_XSS_EXITING_BITMAP = 0x202c,
    VMCS_ENCLS_EXITING_BITMAP = 0x202e,
    VMCS_SUB_PAGE_POINTER = 0x2030,
    VMCS_TSC_MULTIPLIER = 0x2032,
    VMCS_TERTIARY_CONTROLS = 0x2034,
    VMCS_ENCLV_EXITING_BITMAP = 0x2036,
    VMCS_LOW_PASID_DIRECTORY = 0x2038,
    VMCS_HIGH_PASID_DIRECTORY = 0x203a,
    VMCS_SHARED_EPT_POINTER = 0x203c,
    VMCS_PCONFIG_EXITING_BITMAP = 0x203e,
    VMCS_HLAT_POINTER = 0x2040,
    VMCS_PID_POINTER_TABLE = 0x2042,
    VMCS_SECONDARY_EXIT_CONTROLS = 0x2044,
    VMCS_SPEC_CTRL_MASK = 0x204a,
    VMCS_SPEC_CTRL_SHADOW = 0x204c,
    VMCS_INJECTED_EVENT_DATA = 0x2052,

    /* 64-bit read-only data fields, B.2.2 */
    VMCS_GUEST_PHYSICAL_ADDRESS = 0x2400,
    VMCS_ORIGINAL_EVENT_DATA = 0x2404,

    /* 64-bit guest-state fields, B.2.3 */
    VMCS_LINK_POINTER = 0x2800,
    VMCS_GUEST_IA32_DEBUGCTL = 0x2802,
    VMCS_GUEST_IA32_PAT = 0x2804,
    VMCS_GUEST_IA32_EFER = 0x2806,
    VMCS_GUEST_IA32_PERF_GLOBAL_CTRL = 0x2808,
    VMCS_GUEST_PDPTE0 = 0x280a,
    VMCS_GUEST_PDPTE1 = 0x280c,
    VMCS_GUEST_PDPTE2 = 0x280e,
    VMCS_GUEST_PDPTE3 = 0x2810,
    VMCS_GUEST_IA32_BNDCFGS = 0x2812,
    VMCS_GUEST_IA32_RTIT_CTL = 0x2814,
    VMCS_GUEST_IA32_LBR_CTL = 0x2816,
    VMCS_GUEST_IA32_PKRS = 0x2818,
    VMCS_GUEST_IA32_FRED_CONFIG = 0x281a,
    VMCS_GUEST_IA32_FRED_RSP1 = 0x281c,
    VMCS_GUEST_IA32_FRED_RSP2 = 0x281e,
    VMCS_GUEST_IA32_FRED_RSP3 = 0x2820,
    VMCS_GUEST_IA32_FRED_STKLVLS = 0x2822,
    VMCS_GUEST_IA32_FRED_SSP1 = 0x2824,
    VMCS_GUEST_IA32_FRED_SSP2 = 0x2826,
    VMCS_GUEST_IA32_FRED_SSP3 = 0x2828,

    /* 64-bit host-state fields, B.2.4 */
    VMCS_HOST_IA32_PAT = 0x2c00,
    VMCS_HOST_IA32_EFER = 0x2c02,
    VMCS_HOST_IA32_PERF_GLOBAL_CTRL = 0x2c04,
    VMCS_HOST_IA32_PKRS = 0x2c06,
    VMCS_HOST_IA32_FRED_CONFIG = 0x2c08,
    VMCS_HOST_IA32_FRED_RSP1 = 0x2c0a,
    VMCS_HOST_IA32_FRED_RSP2 = 0x2c0c,
    VMCS_HOST_IA32_FRED_RSP3 = 0x2c0e,
    VMCS_HOST_IA32_FRED_STKLVLS = 0x2c10,
    VMCS_HOST_IA32_FRED_SSP1 = 0x2c12,
    VMCS_HOST_IA32_FRED_SSP2 = 0x2c14,
    VMCS_HOST_IA32_FRED_SSP3 = 0x2c16,

    /* 32-bit control fields, B.3.1 */
    VMCS_PIN_CONTROLS = 0x4000,
    VMCS_PRIMARY_CONTROLS = 0x4002,
    VMCS_EXCEPTION_BITMAP = 0x4004,
    VMCS_PAGE_FAULT_ERROR_CODE_MASK = 0x4006,
    VMCS_PAGE_FAULT_ERROR_CODE_MATCH = 0x4008,
    VMCS_CR3_TARGET_COUNT = 0x400a,
    VMCS_EXIT_CONTROLS = 0x400c,
    VMCS_EXIT_MSR_STORE_COUNT = 0x400e,
    VMCS_EXIT_MSR_LOAD_COUNT = 0x4010,
    VMCS_ENTRY_CONTROLS = 0x4012,
    VMCS_ENTRY_MSR_LOAD_COUNT = 0x4014,
    VMCS_ENTRY_INTERRUPTION_INFO = 0x4016,
    VMCS_ENTRY_EXCEPTION_ERROR_CODE = 0x4018,
    VMCS_ENTRY_INSTRUCTION_LENGTH = 0x401a,
    VMCS_TPR_THRESHOLD = 0x401c,
    VMCS_SECONDARY_CONTROLS = 0x401e,
    VMCS_PLE_GAP = 0x4020,
    VMCS_PLE_WINDOW = 0x4022,
    VMCS_INSTRUCTION_TIMEOUT = 0x4024,

    /* 32-bit read-only data fields, B.3.2 */
    VMCS_VM_INSTRUCTION_ERROR = 0x4400,
    VMCS_EXIT_REASON = 0x4402,
    VMCS_EXIT_INTERRUPTION_INFO = 0x4404,
    VMCS_EXIT_INTERRUPTION_ERROR_CODE = 0x4406,
    VMCS_IDT_VECTORING_INFO = 0x4408,
    VMCS_IDT_VECTORING_ERROR_CODE = 0x440a,
    VMCS_EXIT_INSTRUCTION_LENGTH = 0x440c,
    VMCS_EXIT_INSTRUCTION_INFO = 0x440e,

    /* 32-bit guest-state fields, B.3.3 */
    VMCS_GUEST_ES_LIMIT = 0x4800,
    VMCS_GUEST_CS_LIMIT = 0x4802,
    VMCS_GUEST_SS_LIMIT = 0x4804,
    VMCS_GUEST_DS_LIMIT = 0x4806,
    VMCS_GUEST_FS_LIMIT = 0x4808,
    VMCS_GUEST_GS_LIMIT = 0x480a,
    VMCS_GUEST_LDTR_LIMIT = 0x480c,
    VMCS_GUEST_TR_LIMIT = 0x480e,
    VMCS_GUEST_GDTR_LIMIT = 0x4810,
    VMCS_GUEST_IDTR_LIMIT = 0x4812,
    VMCS_GUEST_ES_ACCESS_RIGHTS = 0x4814,
    VMCS_GUEST_CS_ACCESS_RIGHTS = 0x4816,
    VMCS_GUEST_SS_ACCESS_RIGHTS = 0x4818,
    VMCS_GUEST_DS_ACCESS_RIGHTS = 0x481a,
    VMCS_GUEST_FS_ACCESS_RIGHTS = 0x481c,
    VMCS_GUEST_GS_ACCESS_RIGHTS = 0x481e,
    VMCS_GUEST_LDTR_ACCESS_RIGHTS = 0x4820,
    VMCS_GUEST_TR_ACCESS_RIGHTS = 0x4822,
    VMCS_GUEST_INTERRUPTIBILITY = 0x4824,
    VMCS_GUEST_ACTIVITY = 0x4826,
    VMCS_GUEST_SMBASE = 0x4828,
    VMCS_GUEST_SYSENTER_CS = 0x482a,
    VMCS_GUEST_PREEMPTION_TIMER = 0x482e,

    /* 32-bit host-state field, B.3.4 */
    VMCS_HOST_SYSENTER_CS = 0x4c00,

    /* natural-width control fields, B.4.1 */
    VMCS_CR0_GUEST_HOST_MASK = 0x6000,
    VMCS_CR4_GUEST_HOST_MASK = 0x6002,
    VMCS_CR0_READ_SHADOW = 0x6004,
    VMCS_CR4_READ_SHADOW = 0x6006,
    VMCS_CR3_TARGET_VALUE_0 = 0x6008,
    VMCS_CR3_TARGET_VALUE_1 = 0x600a,
    VMCS_CR3_TARGET_VALUE_2 = 0x600c,
    VMCS_CR3_TARGET_VALUE_3 = 0x600e,

    /* natural-width read-only data fields, B.4.2 */
    VMCS_EXIT_QUALIFICATION = 0x6400,
    VMCS_IO_RCX = 0x6402,
    VMCS_IO_RSI = 0x6404,
    VMCS_IO_RDI = 0x6406,
    VMCS_IO_RIP = 0x6408,
    VMCS_GUEST_LINEAR_ADDRESS = 0x640a,

    /* natural-width guest-state fields, B.4.3 */
    VMCS_GUEST_CR0 = 0x6800,
    VMCS_GUEST_CR3 = 0x6802,
    VMCS_GUEST_CR4 = 0x6804,
    VMCS_GUEST_ES_BASE = 0x6806,
    VMCS_GUEST_CS_BASE = 0x6808,
    VMCS_GUEST_SS_BASE = 0x680a,
    VMCS_GUEST_DS_BASE = 0x680c,
    VMCS_GUEST_FS_BASE = 0x680e,
    VMCS_GUEST_GS_BASE = 0x6810,
    VMCS_GUEST_LDTR_BASE = 0x6812,
    VMCS_GUEST_TR_BASE = 0x6814,
    VMCS_GUEST_GDTR_BASE = 0x6816,
    VMCS_GUEST_IDTR_BASE = 0x6818,
    VMCS_GUEST_DR7 = 0x681a,
    VMCS_GUEST_RSP = 0x681c,
    VMCS_GUEST_RIP = 0x681e,
    VMCS_GUEST_RFLAGS = 0x6820,
    VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS = 0x6822,
    VMCS_GUEST_SYSENTER_ESP = 0x6824,
    VMCS_GUEST_SYSENTER_EIP = 0x6826,
    VMCS_GUEST_S_CET = 0x6828,
    VMCS_GUEST_SSP = 0x682a,
    VMCS_GUEST_INTERRUPT_SSP_TABLE = 0x682c,

    /* natural-width host-state fields, B.4.4 */
    VMCS_HOST_CR0 = 0x6c00,
    VMCS_HOST_CR3 = 0x6c02,
    VMCS_HOST_CR4 = 0x6c04,
    VMCS_HOST_FS_BASE = 0x6c06,
    VMCS_HOST_GS_BASE = 0x6c08,
    VMCS_HOST_TR_BASE = 0x6c0a,
    VMCS_HOST_GDTR_BASE = 0x6c0c,
    VMCS_HOST_IDTR_BASE = 0x6c0e,
    VMCS_HOST_SYSENTER_ESP = 0x6c10,
    VMCS_HOST_SYSENTER_EIP = 0x6c12,
    VMCS_HOST_RSP = 0x6c14,
    VMCS_HOST_RIP = 0x6c16,
    VMCS_HOST_S_CET = 0x6c18,
    VMCS_HOST_SSP = 0x6c1a,
    VMCS_HOST_INTERRUPT_SSP_TABLE = 0x6c1c,
};

/// Bits 14:13 of an encoding (SDM Vol. 3C 25.11.2).
enum vmcs_width { VMCS_WIDTH_16, VMCS_WIDTH_64, VMCS_WIDTH_32, VMCS_WIDTH_NATURAL };
/// Bits 11:10 of an encoding.
enum vmcs_kind { VMCS_KIND_CONTROL, VMCS_KIND_EXIT_INFORMATION, VMCS_KIND_GUEST, VMCS_KIND_HOST };

struct vmcs_field_info {
    uint32_t encoding;
    const char *name; ///< as in the enum, in lower case and without its prefix: "guest_rip"
};

enum { VMCS_FIELD_COUNT = 199 };

/// The fields in order of encoding; *count: VMCS_FIELD_COUNT.
const struct vmcs_field_info *vmcs_fields(size_t *count);
/// NULL: no such field (or the encoding of an upper half).
const struct vmcs_field_info *vmcs_field_by_encoding(uint32_t encoding);
/// Place of a field in that order; VMCS_FIELD_COUNT: no such field.
size_t vmcs_field_index(uint32_t encoding);
/// The letters' case does not matter. NULL: no such field.
const struct vmcs_field_info *vmcs_field_by_name(const char *name);

static inline enum vmcs_width vmcs_field_width(uint32_t encoding)
{
    return (enum vmcs_width)(encoding >> 13 & 3);
}

static inline enum vmcs_kind vmcs_field_kind(uint32_t encoding)
{
    return (enum vmcs_kind)(encoding >> 10 & 3);
}

/// Bits that a field holds: 16, 32 or 64. (Natural width is 64 on every processor with Intel 64.)
unsigned vmcs_field_bits(uint32_t encoding);
/// Those bits as a mask.
uint64_t vmcs_field_mask(uint32_t encoding);
/// "16-bit", "32-bit", "64-bit", "natural-width".
const char *vmcs_width_name(enum vmcs_width width);
/// "control", "exit-information", "guest-state", "host-state".
const char *vmcs_kind_name(enum vmcs_kind kind);

#endif
