// SPDX-License-Identifier: Apache-2.0
/// Checks on VMX controls, SDM Vol. 3C 27.2.1. A VM entry that breaks one ends in VMfailValid with error 7.
#include "arch/x86/vmx/entry_rules.h"

enum { MSR_ENTRY_BITS = 4, PAGE_BITS = 12 }; // an entry of an MSR area has 16 bytes

/* ---- 27.2.1.1 VM-execution control fields ---- */

/// Reserved bits of controls: a capability MSR says in its lower half what must be 1, in its upper half what may be 1.
static bool rule_reserved(struct check *c, enum vmcs_field field, uint64_t capability)
{
    uint32_t value = (uint32_t)get(c, field);
    return vmx_rule(c, (~value & (uint32_t)capability) == 0, field,
                    "reserved bits must be 1 as the capability MSR says") &&
           vmx_rule(c, (value & ~(uint32_t)(capability >> 32)) == 0, field,
                    "reserved bits must be 0 as the capability MSR says");
}

static bool check_reserved(struct check *c)
{
    return rule_reserved(c, VMCS_PIN_CONTROLS, c->caps->pin) &&
           rule_reserved(c, VMCS_PRIMARY_CONTROLS, c->caps->primary) &&
           ((c->primary & PRIMARY_SECONDARY) == 0 || rule_reserved(c, VMCS_SECONDARY_CONTROLS, c->caps->secondary)) &&
           vmx_rule(c, (c->tertiary & ~c->caps->tertiary) == 0, VMCS_TERTIARY_CONTROLS,
                    "reserved bits must be 0 as the capability MSR says");
}

static bool check_cr3_targets(struct check *c)
{
    uint64_t supported = c->caps->misc >> 16 & 0x1ff; // A.6; 4 on all processors so far
    return vmx_rule(c, get(c, VMCS_CR3_TARGET_COUNT) <= supported, VMCS_CR3_TARGET_COUNT,
                    "the CR3-target count must not be greater than the processor supports (4)");
}

static bool check_bitmaps(struct check *c)
{
    if ((c->primary & PRIMARY_IO_BITMAPS) != 0 &&
        (!vmx_rule_address(c, VMCS_IO_BITMAP_A, PAGE_BITS) || !vmx_rule_address(c, VMCS_IO_BITMAP_B, PAGE_BITS))) {
        return false;
    }
    return (c->primary & PRIMARY_MSR_BITMAPS) == 0 || vmx_rule_address(c, VMCS_MSR_BITMAP, PAGE_BITS);
}

static bool check_tpr(struct check *c)
{
    const uint32_t need_shadow = SECONDARY_X2APIC | SECONDARY_APIC_REGISTERS | SECONDARY_VIRTUAL_INTERRUPTS;
    if ((c->primary & PRIMARY_TPR_SHADOW) == 0) {
        return vmx_rule(
                   c, (c->secondary & need_shadow) == 0, VMCS_SECONDARY_CONTROLS,
                   "\"virtualize x2APIC mode\", \"APIC-register virtualization\" and \"virtual-interrupt delivery\" "
                   "must be 0 if \"use TPR shadow\" is 0") &&
               vmx_rule(c, (c->tertiary & TERTIARY_IPI) == 0, VMCS_TERTIARY_CONTROLS,
                        "\"IPI virtualization\" must be 0 if \"use TPR shadow\" is 0");
    }
    bool threshold = (c->secondary & SECONDARY_VIRTUAL_INTERRUPTS) == 0;
    return vmx_rule_address(c, VMCS_VIRTUAL_APIC_ADDRESS, PAGE_BITS) &&
           vmx_rule(c, implies(threshold, get(c, VMCS_TPR_THRESHOLD) >> 4 == 0), VMCS_TPR_THRESHOLD,
                    "bits 31:4 must be 0 if \"virtual-interrupt delivery\" is 0");
}

static bool check_nmi(struct check *c)
{
    return vmx_rule(c, implies((c->pin & PIN_NMI) == 0, (c->pin & PIN_VIRTUAL_NMI) == 0), VMCS_PIN_CONTROLS,
                    "\"virtual NMIs\" must be 0 if \"NMI exiting\" is 0") &&
           vmx_rule(c, implies((c->pin & PIN_VIRTUAL_NMI) == 0, (c->primary & PRIMARY_NMI_WINDOW) == 0),
                    VMCS_PRIMARY_CONTROLS, "\"NMI-window exiting\" must be 0 if \"virtual NMIs\" is 0");
}

static bool check_apic(struct check *c)
{
    bool accesses = (c->secondary & SECONDARY_APIC_ACCESSES) != 0;
    bool deliver = (c->secondary & SECONDARY_VIRTUAL_INTERRUPTS) != 0;
    return (!accesses || vmx_rule_address(c, VMCS_APIC_ACCESS_ADDRESS, PAGE_BITS)) &&
           vmx_rule(c, implies((c->secondary & SECONDARY_X2APIC) != 0, !accesses), VMCS_SECONDARY_CONTROLS,
                    "\"virtualize APIC accesses\" must be 0 if \"virtualize x2APIC mode\" is 1") &&
           vmx_rule(c, implies(deliver, (c->pin & PIN_EXTERNAL_INTERRUPT) != 0), VMCS_PIN_CONTROLS,
                    "\"external-interrupt exiting\" must be 1 if \"virtual-interrupt delivery\" is 1");
}

static bool check_posted_interrupts(struct check *c)
{
    if ((c->pin & PIN_POSTED_INTERRUPTS) == 0) {
        return true;
    }
    return vmx_rule(c, (c->secondary & SECONDARY_VIRTUAL_INTERRUPTS) != 0, VMCS_SECONDARY_CONTROLS,
                    "\"virtual-interrupt delivery\" must be 1 if \"process posted interrupts\" is 1") &&
           vmx_rule(c, (c->exit & EXIT_ACK_INTERRUPT) != 0, VMCS_EXIT_CONTROLS,
                    "\"acknowledge interrupt on exit\" must be 1 if \"process posted interrupts\" is 1") &&
           vmx_rule(c, get(c, VMCS_POSTED_INTERRUPT_VECTOR) <= 255, VMCS_POSTED_INTERRUPT_VECTOR,
                    "the posted-interrupt notification vector must be in the range 0-255") &&
           vmx_rule_address(c, VMCS_POSTED_INTERRUPT_DESCRIPTOR, 6);
}

/// Capabilities of EPT pointers, A.10, and their format, 25.6.11.
static bool check_ept_pointer(struct check *c)
{
    enum { TYPE_UC = 0, TYPE_WB = 6, CAP_UC = 8, CAP_WB = 14, CAP_5_LEVELS = 7, CAP_AD = 21, CAP_SHADOW_STACK = 23 };
    uint64_t eptp = get(c, VMCS_EPT_POINTER), caps = c->caps->ept_vpid;
    uint64_t type = eptp & 7, walk = eptp >> 3 & 7;
    bool type_supported = type == TYPE_UC   ? (caps & BIT(CAP_UC)) != 0
                          : type == TYPE_WB ? (caps & BIT(CAP_WB)) != 0
                                            : false;
    return vmx_rule(c, type_supported, VMCS_EPT_POINTER,
                    "the EPT memory type (bits 2:0) must be a value supported by the processor") &&
           vmx_rule(c, walk == 3 || (walk == 4 && (caps & BIT(CAP_5_LEVELS)) != 0), VMCS_EPT_POINTER,
                    "bits 5:3 must be 1 less than an EPT page-walk length supported by the processor") &&
           vmx_rule(c, implies((eptp & BIT(6)) != 0, (caps & BIT(CAP_AD)) != 0), VMCS_EPT_POINTER,
                    "bit 6 must be 0 if the processor does not support accessed and dirty flags for EPT") &&
           vmx_rule(c, implies((eptp & BIT(7)) != 0, (caps & BIT(CAP_SHADOW_STACK)) != 0), VMCS_EPT_POINTER,
                    "bit 7 must be 0 if the processor does not support supervisor shadow-stack control for EPT") &&
           vmx_rule(c, (eptp & 0xf00) == 0 && within_width(c, eptp), VMCS_EPT_POINTER,
                    "reserved bits 11:8 and bits beyond the physical-address width must be 0");
}

/// Controls that mean something only with EPT.
static bool check_needs_ept(struct check *c)
{
    const uint32_t secondary = SECONDARY_UNRESTRICTED | SECONDARY_MODE_BASED_EXECUTE | SECONDARY_PML |
                               SECONDARY_SUB_PAGE_WRITE | SECONDARY_PT_GUEST_PHYSICAL;
    const uint64_t tertiary = TERTIARY_HLAT | TERTIARY_EPT_PAGING_WRITE | TERTIARY_GUEST_PAGING;
    return vmx_rule(c, (c->secondary & secondary) == 0, VMCS_SECONDARY_CONTROLS,
                    "\"enable EPT\" must be 1 if \"unrestricted guest\", \"mode-based execute control for EPT\", "
                    "\"enable PML\", \"sub-page write permissions for EPT\" or \"Intel PT uses guest physical "
                    "addresses\" is 1") &&
           vmx_rule(c, (c->tertiary & tertiary) == 0, VMCS_TERTIARY_CONTROLS,
                    "\"enable EPT\" must be 1 if \"enable HLAT\", \"EPT paging-write control\" or \"guest-paging "
                    "verification\" is 1");
}

static bool check_memory(struct check *c)
{
    if (!vmx_rule(c, implies((c->secondary & SECONDARY_VPID) != 0, get(c, VMCS_VPID) != 0), VMCS_VPID,
                  "the VPID must not be 0000H if \"enable VPID\" is 1")) {
        return false;
    }
    if ((c->secondary & SECONDARY_EPT) == 0) {
        return check_needs_ept(c);
    }
    return check_ept_pointer(c) &&
           ((c->secondary & SECONDARY_PML) == 0 || vmx_rule_address(c, VMCS_PML_ADDRESS, PAGE_BITS)) &&
           ((c->secondary & SECONDARY_SUB_PAGE_WRITE) == 0 || vmx_rule_address(c, VMCS_SUB_PAGE_POINTER, PAGE_BITS));
}

static bool check_vm_functions(struct check *c)
{
    const uint64_t eptp_switching = 1;
    uint64_t functions = get(c, VMCS_VM_FUNCTION_CONTROLS);
    if ((c->secondary & SECONDARY_VM_FUNCTIONS) == 0) {
        return true;
    }
    if (!vmx_rule(c, (functions & ~c->caps->vmfunc) == 0, VMCS_VM_FUNCTION_CONTROLS,
                  "reserved bits must be 0 as the capability MSR says")) {
        return false;
    }
    return (functions & eptp_switching) == 0 ||
           (vmx_rule(c, (c->secondary & SECONDARY_EPT) != 0, VMCS_SECONDARY_CONTROLS,
                     "\"enable EPT\" must be 1 if \"EPTP switching\" is 1") &&
            vmx_rule_address(c, VMCS_EPTP_LIST_ADDRESS, PAGE_BITS));
}

static bool check_shadowing(struct check *c)
{
    if ((c->secondary & SECONDARY_VMCS_SHADOWING) != 0 &&
        (!vmx_rule_address(c, VMCS_VMREAD_BITMAP, PAGE_BITS) || !vmx_rule_address(c, VMCS_VMWRITE_BITMAP, PAGE_BITS))) {
        return false;
    }
    return (c->secondary & SECONDARY_EPT_VIOLATION_VE) == 0 ||
           vmx_rule_address(c, VMCS_VE_INFORMATION_ADDRESS, PAGE_BITS);
}

static bool check_tracing(struct check *c)
{
    if ((c->secondary & SECONDARY_PT_GUEST_PHYSICAL) == 0) {
        return true;
    }
    return vmx_rule(c, (c->entry & ENTRY_LOAD_RTIT_CTL) != 0, VMCS_ENTRY_CONTROLS,
                    "\"load IA32_RTIT_CTL\" must be 1 if \"Intel PT uses guest physical addresses\" is 1") &&
           vmx_rule(c, (c->exit & EXIT_CLEAR_RTIT_CTL) != 0, VMCS_EXIT_CONTROLS,
                    "\"clear IA32_RTIT_CTL\" must be 1 if \"Intel PT uses guest physical addresses\" is 1");
}

static bool check_pasid(struct check *c)
{
    return (c->secondary & SECONDARY_PASID) == 0 || (vmx_rule_address(c, VMCS_LOW_PASID_DIRECTORY, PAGE_BITS) &&
                                                     vmx_rule_address(c, VMCS_HIGH_PASID_DIRECTORY, PAGE_BITS));
}

static bool check_tertiary(struct check *c)
{
    const uint64_t hlat_reserved = 0xfe7; // all low bits but PWT and PCD
    uint64_t hlatp = get(c, VMCS_HLAT_POINTER), table = get(c, VMCS_PID_POINTER_TABLE);
    uint64_t last = table + 8 * get(c, VMCS_LAST_PID_POINTER_INDEX);
    if ((c->tertiary & TERTIARY_HLAT) != 0 &&
        !vmx_rule(c, (hlatp & hlat_reserved) == 0 && within_width(c, hlatp), VMCS_HLAT_POINTER,
                  "reserved bits must be 0 and it must not set any bits beyond the physical-address width")) {
        return false;
    }
    return (c->tertiary & TERTIARY_IPI) == 0 ||
           (vmx_rule_address(c, VMCS_PID_POINTER_TABLE, 3) &&
            vmx_rule(c, within_width(c, last), VMCS_LAST_PID_POINTER_INDEX,
                     "the last PID-pointer must not lie beyond the physical-address width"));
}

static bool check_execution(struct check *c)
{
    c->section = "27.2.1.1";
    return check_reserved(c) && check_cr3_targets(c) && check_bitmaps(c) && check_tpr(c) && check_nmi(c) &&
           check_apic(c) && check_posted_interrupts(c) && check_memory(c) && check_vm_functions(c) &&
           check_shadowing(c) && check_tracing(c) && check_pasid(c) && check_tertiary(c);
}

/* ---- 27.2.1.2 VM-exit control fields ---- */

static bool rule_msr_area(struct check *c, enum vmcs_field count_field, enum vmcs_field address_field)
{
    uint64_t count = get(c, count_field), address = get(c, address_field);
    return count == 0 || (vmx_rule_address(c, address_field, MSR_ENTRY_BITS) &&
                          vmx_rule(c, within_width(c, address + (count << MSR_ENTRY_BITS) - 1), count_field,
                                   "the last byte of the MSR area must be within the physical-address width"));
}

static bool check_exit(struct check *c)
{
    c->section = "27.2.1.2";
    bool timer = (c->pin & PIN_PREEMPTION_TIMER) != 0;
    return rule_reserved(c, VMCS_EXIT_CONTROLS, c->caps->exit) &&
           vmx_rule(c, implies(!timer, (c->exit & EXIT_SAVE_PREEMPTION_TIMER) == 0), VMCS_EXIT_CONTROLS,
                    "\"save VMX-preemption timer value\" must be 0 if \"activate VMX-preemption timer\" is 0") &&
           rule_msr_area(c, VMCS_EXIT_MSR_STORE_COUNT, VMCS_EXIT_MSR_STORE_ADDRESS) &&
           rule_msr_area(c, VMCS_EXIT_MSR_LOAD_COUNT, VMCS_EXIT_MSR_LOAD_ADDRESS);
}

/* ---- 27.2.1.3 VM-entry control fields ---- */

static bool check_event(struct check *c)
{
    enum vmcs_field field;
    bool error_codes = vmx_event_error_codes(get(c, VMCS_GUEST_CR0), c->secondary);
    const char *flaw = c->injects ? vmx_event_flaw(c->caps, error_codes, &c->event, &field) : NULL;
    return flaw == NULL || vmx_rule(c, false, field, flaw);
}

static bool check_entry(struct check *c)
{
    c->section = "27.2.1.3";
    return rule_reserved(c, VMCS_ENTRY_CONTROLS, c->caps->entry) && check_event(c) &&
           rule_msr_area(c, VMCS_ENTRY_MSR_LOAD_COUNT, VMCS_ENTRY_MSR_LOAD_ADDRESS) &&
           vmx_rule(
               c, (c->entry & (ENTRY_SMM | ENTRY_DEACTIVATE_DUAL_MONITOR)) == 0, VMCS_ENTRY_CONTROLS,
               "\"entry to SMM\" and \"deactivate dual-monitor treatment\" must be 0 if the processor is not in SMM");
}

bool vmx_check_controls(struct check *c)
{
    return check_execution(c) && check_exit(c) && check_entry(c);
}
