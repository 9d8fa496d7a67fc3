// SPDX-License-Identifier: Apache-2.0
#include "arch/x86/vmx/field_policy.h"

#include <stddef.h>

#include "arch/x86/registers.h"
#include "arch/x86/vmx/caps.h"
#include "arch/x86/vmx/controls.h"
#include "arch/x86/vmx/vmcs_fields.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- which fields a processor has: the notes to the tables of SDM Vol. 3D appendix B ---- */

/// A control in a capability MSR; it can be set to 1 when its bit in the upper half is 1.
#define CAP(msr, control) offsetof(struct vmx_caps, msr), (uint64_t)(control) << 32
/// Tertiary controls and VM functions have no lower half (A.3.4, A.11).
#define CAP64(msr, control) offsetof(struct vmx_caps, msr), (control)
#define VM_FUNCTION_EPTP_SWITCHING UINT64_C(1)

/// Fields from first to last exist only with this control. A field in several rows needs one of them.
struct presence {
    uint16_t first, last;
    size_t msr;
    uint64_t bits;
};

static const struct presence presences[] = {
    {VMCS_VPID, VMCS_VPID, CAP(secondary, SECONDARY_VPID)},
    {VMCS_POSTED_INTERRUPT_VECTOR, VMCS_POSTED_INTERRUPT_VECTOR, CAP(pin, PIN_POSTED_INTERRUPTS)},
    {VMCS_EPTP_INDEX, VMCS_EPTP_INDEX, CAP(secondary, SECONDARY_EPT_VIOLATION_VE)},
    {VMCS_HLAT_PREFIX_SIZE, VMCS_HLAT_PREFIX_SIZE, CAP64(tertiary, TERTIARY_HLAT)},
    {VMCS_LAST_PID_POINTER_INDEX, VMCS_LAST_PID_POINTER_INDEX, CAP64(tertiary, TERTIARY_IPI)},
    {VMCS_GUEST_INTERRUPT_STATUS, VMCS_GUEST_INTERRUPT_STATUS, CAP(secondary, SECONDARY_VIRTUAL_INTERRUPTS)},
    {VMCS_PML_INDEX, VMCS_PML_INDEX, CAP(secondary, SECONDARY_PML)},
    {VMCS_GUEST_UINV, VMCS_GUEST_UINV, CAP(entry, ENTRY_LOAD_UINV)},
    {VMCS_GUEST_UINV, VMCS_GUEST_UINV, CAP(exit, EXIT_CLEAR_UINV)},
    {VMCS_MSR_BITMAP, VMCS_MSR_BITMAP, CAP(primary, PRIMARY_MSR_BITMAPS)},
    {VMCS_PML_ADDRESS, VMCS_PML_ADDRESS, CAP(secondary, SECONDARY_PML)},
    {VMCS_VIRTUAL_APIC_ADDRESS, VMCS_VIRTUAL_APIC_ADDRESS, CAP(primary, PRIMARY_TPR_SHADOW)},
    {VMCS_APIC_ACCESS_ADDRESS, VMCS_APIC_ACCESS_ADDRESS, CAP(secondary, SECONDARY_APIC_ACCESSES)},
    {VMCS_POSTED_INTERRUPT_DESCRIPTOR, VMCS_POSTED_INTERRUPT_DESCRIPTOR, CAP(pin, PIN_POSTED_INTERRUPTS)},
    {VMCS_VM_FUNCTION_CONTROLS, VMCS_VM_FUNCTION_CONTROLS, CAP(secondary, SECONDARY_VM_FUNCTIONS)},
    {VMCS_EPT_POINTER, VMCS_EPT_POINTER, CAP(secondary, SECONDARY_EPT)},
    {VMCS_EOI_EXIT_BITMAP_0, VMCS_EOI_EXIT_BITMAP_3, CAP(secondary, SECONDARY_VIRTUAL_INTERRUPTS)},
    {VMCS_EPTP_LIST_ADDRESS, VMCS_EPTP_LIST_ADDRESS, CAP64(vmfunc, VM_FUNCTION_EPTP_SWITCHING)},
    {VMCS_VMREAD_BITMAP, VMCS_VMWRITE_BITMAP, CAP(secondary, SECONDARY_VMCS_SHADOWING)},
    {VMCS_VE_INFORMATION_ADDRESS, VMCS_VE_INFORMATION_ADDRESS, CAP(secondary, SECONDARY_EPT_VIOLATION_VE)},
    {VMCS_XSS_EXITING_BITMAP, VMCS_XSS_EXITING_BITMAP, CAP(secondary, SECONDARY_XSAVES)},
    {VMCS_ENCLS_EXITING_BITMAP, VMCS_ENCLS_EXITING_BITMAP, CAP(secondary, SECONDARY_ENCLS)},
    {VMCS_SUB_PAGE_POINTER, VMCS_SUB_PAGE_POINTER, CAP(secondary, SECONDARY_SUB_PAGE_WRITE)},
    {VMCS_TSC_MULTIPLIER, VMCS_TSC_MULTIPLIER, CAP(secondary, SECONDARY_TSC_SCALING)},
    {VMCS_TERTIARY_CONTROLS, VMCS_TERTIARY_CONTROLS, CAP(primary, PRIMARY_TERTIARY)},
    {VMCS_ENCLV_EXITING_BITMAP, VMCS_ENCLV_EXITING_BITMAP, CAP(secondary, SECONDARY_ENCLV)},
    {VMCS_LOW_PASID_DIRECTORY, VMCS_HIGH_PASID_DIRECTORY, CAP(secondary, SECONDARY_PASID)},
    {VMCS_PCONFIG_EXITING_BITMAP, VMCS_PCONFIG_EXITING_BITMAP, CAP(secondary, SECONDARY_PCONFIG)},
    {VMCS_HLAT_POINTER, VMCS_HLAT_POINTER, CAP64(tertiary, TERTIARY_HLAT)},
    {VMCS_PID_POINTER_TABLE, VMCS_PID_POINTER_TABLE, CAP64(tertiary, TERTIARY_IPI)},
    {VMCS_SECONDARY_EXIT_CONTROLS, VMCS_SECONDARY_EXIT_CONTROLS, CAP(exit, EXIT_SECONDARY)},
    {VMCS_SPEC_CTRL_MASK, VMCS_SPEC_CTRL_SHADOW, CAP64(tertiary, TERTIARY_SPEC_CTRL)},
    {VMCS_INJECTED_EVENT_DATA, VMCS_INJECTED_EVENT_DATA, CAP(entry, ENTRY_LOAD_FRED)},
    {VMCS_GUEST_PHYSICAL_ADDRESS, VMCS_GUEST_PHYSICAL_ADDRESS, CAP(secondary, SECONDARY_EPT)},
    {VMCS_ORIGINAL_EVENT_DATA, VMCS_ORIGINAL_EVENT_DATA, CAP(entry, ENTRY_LOAD_FRED)},
    {VMCS_GUEST_IA32_PAT, VMCS_GUEST_IA32_PAT, CAP(entry, ENTRY_LOAD_PAT)},
    {VMCS_GUEST_IA32_PAT, VMCS_GUEST_IA32_PAT, CAP(exit, EXIT_SAVE_PAT)},
    {VMCS_GUEST_IA32_EFER, VMCS_GUEST_IA32_EFER, CAP(entry, ENTRY_LOAD_EFER)},
    {VMCS_GUEST_IA32_EFER, VMCS_GUEST_IA32_EFER, CAP(exit, EXIT_SAVE_EFER)},
    {VMCS_GUEST_IA32_PERF_GLOBAL_CTRL, VMCS_GUEST_IA32_PERF_GLOBAL_CTRL, CAP(entry, ENTRY_LOAD_PERF_GLOBAL_CTRL)},
    {VMCS_GUEST_PDPTE0, VMCS_GUEST_PDPTE3, CAP(secondary, SECONDARY_EPT)},
    {VMCS_GUEST_IA32_BNDCFGS, VMCS_GUEST_IA32_BNDCFGS, CAP(entry, ENTRY_LOAD_BNDCFGS)},
    {VMCS_GUEST_IA32_BNDCFGS, VMCS_GUEST_IA32_BNDCFGS, CAP(exit, EXIT_CLEAR_BNDCFGS)},
    {VMCS_GUEST_IA32_RTIT_CTL, VMCS_GUEST_IA32_RTIT_CTL, CAP(entry, ENTRY_LOAD_RTIT_CTL)},
    {VMCS_GUEST_IA32_RTIT_CTL, VMCS_GUEST_IA32_RTIT_CTL, CAP(exit, EXIT_CLEAR_RTIT_CTL)},
    {VMCS_GUEST_IA32_LBR_CTL, VMCS_GUEST_IA32_LBR_CTL, CAP(entry, ENTRY_LOAD_LBR_CTL)},
    {VMCS_GUEST_IA32_LBR_CTL, VMCS_GUEST_IA32_LBR_CTL, CAP(exit, EXIT_CLEAR_LBR_CTL)},
    {VMCS_GUEST_IA32_PKRS, VMCS_GUEST_IA32_PKRS, CAP(entry, ENTRY_LOAD_PKRS)},
    {VMCS_GUEST_IA32_FRED_CONFIG, VMCS_GUEST_IA32_FRED_SSP3, CAP(entry, ENTRY_LOAD_FRED)},
    {VMCS_HOST_IA32_PAT, VMCS_HOST_IA32_PAT, CAP(exit, EXIT_LOAD_PAT)},
    {VMCS_HOST_IA32_EFER, VMCS_HOST_IA32_EFER, CAP(exit, EXIT_LOAD_EFER)},
    {VMCS_HOST_IA32_PERF_GLOBAL_CTRL, VMCS_HOST_IA32_PERF_GLOBAL_CTRL, CAP(exit, EXIT_LOAD_PERF_GLOBAL_CTRL)},
    {VMCS_HOST_IA32_PKRS, VMCS_HOST_IA32_PKRS, CAP(exit, EXIT_LOAD_PKRS)},
    {VMCS_HOST_IA32_FRED_CONFIG, VMCS_HOST_IA32_FRED_SSP3, CAP(entry, ENTRY_LOAD_FRED)},
    {VMCS_TPR_THRESHOLD, VMCS_TPR_THRESHOLD, CAP(primary, PRIMARY_TPR_SHADOW)},
    {VMCS_SECONDARY_CONTROLS, VMCS_SECONDARY_CONTROLS, CAP(primary, PRIMARY_SECONDARY)},
    {VMCS_PLE_GAP, VMCS_PLE_WINDOW, CAP(secondary, SECONDARY_PAUSE_LOOP)},
    {VMCS_INSTRUCTION_TIMEOUT, VMCS_INSTRUCTION_TIMEOUT, CAP(secondary, SECONDARY_INSTRUCTION_TIMEOUT)},
    {VMCS_GUEST_PREEMPTION_TIMER, VMCS_GUEST_PREEMPTION_TIMER, CAP(pin, PIN_PREEMPTION_TIMER)},
    {VMCS_GUEST_S_CET, VMCS_GUEST_INTERRUPT_SSP_TABLE, CAP(entry, ENTRY_LOAD_CET)},
    {VMCS_HOST_S_CET, VMCS_HOST_INTERRUPT_SSP_TABLE, CAP(exit, EXIT_LOAD_CET)},
};

/// Bits 24:16 of IA32_VMX_MISC: how many CR3-target values there are (A.6).
static uint32_t cr3_targets(const struct vmx_caps *caps)
{
    return (uint32_t)(caps->misc >> 16) & 0x1ff;
}

static bool present(const struct vmx_caps *caps, uint32_t encoding)
{
    bool conditional = false;
    for (size_t i = 0; i < COUNT(presences); i++) {
        const struct presence *p = &presences[i];
        if (encoding < p->first || encoding > p->last) {
            continue;
        }
        conditional = true;
        if ((*(const uint64_t *)((const char *)caps + p->msr) & p->bits) != 0) {
            return true;
        }
    }
    if (encoding >= VMCS_CR3_TARGET_VALUE_0 && encoding <= VMCS_CR3_TARGET_VALUE_3) {
        return (encoding - VMCS_CR3_TARGET_VALUE_0) / 2 < cr3_targets(caps);
    }
    return !conditional;
}

/* ---- which of them personalities may use ---- */

/// Other control and guest-state fields are denied.
static const struct {
    uint16_t first, last;
    enum field_policy policy;
} allowed[] = {
    {VMCS_GUEST_ES_SELECTOR, VMCS_GUEST_TR_SELECTOR, FIELD_PLAIN},
    {VMCS_GUEST_INTERRUPT_STATUS, VMCS_GUEST_INTERRUPT_STATUS, FIELD_PLAIN},
    {VMCS_TSC_OFFSET, VMCS_TSC_OFFSET, FIELD_PLAIN},
    {VMCS_EOI_EXIT_BITMAP_0, VMCS_EOI_EXIT_BITMAP_3, FIELD_PLAIN},
    {VMCS_XSS_EXITING_BITMAP, VMCS_ENCLS_EXITING_BITMAP, FIELD_PLAIN},
    {VMCS_ENCLV_EXITING_BITMAP, VMCS_ENCLV_EXITING_BITMAP, FIELD_PLAIN},
    {VMCS_GUEST_IA32_DEBUGCTL, VMCS_GUEST_IA32_DEBUGCTL, FIELD_PLAIN},
    {VMCS_GUEST_IA32_PAT, VMCS_GUEST_IA32_EFER, FIELD_PLAIN},
    {VMCS_GUEST_PDPTE0, VMCS_GUEST_PDPTE3, FIELD_PLAIN},
    {VMCS_PIN_CONTROLS, VMCS_PRIMARY_CONTROLS, FIELD_CONTROL},
    {VMCS_EXCEPTION_BITMAP, VMCS_CR3_TARGET_COUNT, FIELD_PLAIN},
    {VMCS_EXIT_CONTROLS, VMCS_EXIT_CONTROLS, FIELD_CONTROL},
    {VMCS_ENTRY_CONTROLS, VMCS_ENTRY_CONTROLS, FIELD_CONTROL},
    {VMCS_ENTRY_INTERRUPTION_INFO, VMCS_ENTRY_INSTRUCTION_LENGTH, FIELD_READ_ONLY},
    {VMCS_TPR_THRESHOLD, VMCS_TPR_THRESHOLD, FIELD_PLAIN},
    {VMCS_SECONDARY_CONTROLS, VMCS_SECONDARY_CONTROLS, FIELD_CONTROL},
    {VMCS_PLE_GAP, VMCS_INSTRUCTION_TIMEOUT, FIELD_PLAIN},
    {VMCS_GUEST_ES_LIMIT, VMCS_GUEST_ACTIVITY, FIELD_PLAIN},
    {VMCS_GUEST_SYSENTER_CS, VMCS_GUEST_SYSENTER_CS, FIELD_PLAIN},
    {VMCS_CR0_GUEST_HOST_MASK, VMCS_CR3_TARGET_VALUE_3, FIELD_PLAIN},
    {VMCS_GUEST_CR0, VMCS_GUEST_SYSENTER_EIP, FIELD_PLAIN},
};

enum field_policy field_policy(const struct vmx_caps *caps, uint32_t encoding)
{
    if (vmcs_field_by_encoding(encoding) == NULL || !present(caps, encoding)) {
        return FIELD_ABSENT;
    }
    if (vmcs_field_kind(encoding) == VMCS_KIND_EXIT_INFORMATION) {
        return FIELD_READ_ONLY;
    }
    for (size_t i = 0; i < COUNT(allowed); i++) {
        if (encoding >= allowed[i].first && encoding <= allowed[i].last) {
            return allowed[i].policy;
        }
    }
    return FIELD_DENIED;
}

void field_table_fill(struct field_table *table, const struct vmx_caps *caps)
{
    size_t count;
    const struct vmcs_field_info *fields = vmcs_fields(&count);
    *table = (struct field_table){0}; // FIELD_ABSENT
    for (size_t i = 0; i < count; i++) {
        table->policy[field_slot(fields[i].encoding)] = (uint8_t)field_policy(caps, fields[i].encoding);
    }
}

/* ---- values ---- */

/// LBR and BTF. The others write to memory or to the machine's counters, or act on the host too (SDM Vol. 3B 18.4.1).
#define DEBUGCTL_ALLOWED UINT64_C(3)
#define MISC_ACTIVITY_HLT BIT(6)
#define TPR_THRESHOLD_MAX 15 // other bits must be 0 (27.2.1.1)

/// Shutdown blocks external interrupts and wait-for-SIPI everything, the timer too, until the slice's end or for ever
/// (SDM Vol. 3C 27.7.2): messages from other cores could not get through.
static bool activity_allowed(const struct vmx_caps *caps, uint64_t activity)
{
    return activity == ACTIVITY_ACTIVE || (activity == ACTIVITY_HLT && (caps->misc & MISC_ACTIVITY_HLT) != 0);
}

bool field_policy_adjust(const struct vmx_caps *caps, uint32_t encoding, uint64_t *value)
{
    *value &= vmcs_field_mask(encoding);
    switch (encoding) {
    case VMCS_EXCEPTION_BITMAP:
        *value = vmx_exception_bitmap((uint32_t)*value);
        return true;
    case VMCS_CR3_TARGET_COUNT:
        return *value <= cr3_targets(caps);
    case VMCS_TPR_THRESHOLD:
        return *value <= TPR_THRESHOLD_MAX;
    case VMCS_CR0_GUEST_HOST_MASK:
        *value = vmx_cr0_mask(*value);
        return true;
    case VMCS_CR4_GUEST_HOST_MASK:
        *value = vmx_cr4_mask(*value);
        return true;
    case VMCS_GUEST_CR0:
        *value = vmx_guest_cr0(caps, *value);
        return true;
    case VMCS_GUEST_CR4:
        *value = vmx_guest_cr4(caps, *value);
        return true;
    case VMCS_GUEST_IA32_EFER:
        *value &= VMX_EFER_ALL;
        return true;
    case VMCS_GUEST_IA32_PAT:
        return vmx_pat_valid(*value);
    case VMCS_GUEST_IA32_DEBUGCTL:
        return (*value & ~DEBUGCTL_ALLOWED) == 0;
    case VMCS_GUEST_ACTIVITY:
        return activity_allowed(caps, *value);
    case VMCS_GUEST_INTERRUPTIBILITY:
        return (*value & ~(uint64_t)(INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS | INTERRUPTIBILITY_NMI)) == 0;
    default:
        return true;
    }
}
