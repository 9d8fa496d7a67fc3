// SPDX-License-Identifier: Apache-2.0
/// Checks on host state, SDM Vol. 3C 27.2.2 to 27.2.4. A VM entry that breaks one ends in VMfailValid with error 8.
#include "arch/x86/vmx/entry_rules.h"

/* ---- 27.2.2 control registers and MSRs ---- */

static bool check_control_registers(struct check *c)
{
    uint64_t cr0 = get(c, VMCS_HOST_CR0), cr4 = get(c, VMCS_HOST_CR4);
    return vmx_rule(c, (c->caps->cr0_fixed0 & ~cr0) == 0 && (cr0 & ~c->caps->cr0_fixed1) == 0, VMCS_HOST_CR0,
                    "the field must not set any bit to a value not supported in VMX operation") &&
           vmx_rule(c, (c->caps->cr4_fixed0 & ~cr4) == 0 && (cr4 & ~c->caps->cr4_fixed1) == 0, VMCS_HOST_CR4,
                    "the field must not set any bit to a value not supported in VMX operation") &&
           vmx_rule(c, implies((cr4 & GUEST_CR4_CET) != 0, (cr0 & CR0_WP) != 0), VMCS_HOST_CR4,
                    "if bit 23 (CET) is 1, bit 16 in the CR0 field (WP) must also be 1") &&
           vmx_rule(c, within_width(c, get(c, VMCS_HOST_CR3)), VMCS_HOST_CR3,
                    "bits 63:52 and bits beyond the processor's physical-address width must be 0");
}

static bool check_efer(struct check *c)
{
    uint64_t efer = get(c, VMCS_HOST_IA32_EFER);
    bool host_64 = (c->exit & EXIT_HOST_64) != 0;
    return vmx_rule(c, (efer & ~c->processor->efer) == 0, VMCS_HOST_IA32_EFER,
                    "bits reserved in the IA32_EFER MSR must be 0") &&
           vmx_rule(c, ((efer & GUEST_EFER_LMA) != 0) == host_64 && ((efer & GUEST_EFER_LME) != 0) == host_64,
                    VMCS_HOST_IA32_EFER, "LMA and LME must each be that of \"host address-space size\"");
}

static bool check_msrs(struct check *c)
{
    return vmx_rule_canonical(c, VMCS_HOST_SYSENTER_ESP) && vmx_rule_canonical(c, VMCS_HOST_SYSENTER_EIP) &&
           ((c->exit & EXIT_LOAD_PERF_GLOBAL_CTRL) == 0 ||
            vmx_rule(c, (get(c, VMCS_HOST_IA32_PERF_GLOBAL_CTRL) & ~c->processor->perf_global_ctrl) == 0,
                     VMCS_HOST_IA32_PERF_GLOBAL_CTRL, "bits reserved in the IA32_PERF_GLOBAL_CTRL MSR must be 0")) &&
           ((c->exit & EXIT_LOAD_PAT) == 0 || vmx_rule_pat(c, VMCS_HOST_IA32_PAT)) &&
           ((c->exit & EXIT_LOAD_EFER) == 0 || check_efer(c)) &&
           ((c->exit & EXIT_LOAD_PKRS) == 0 || vmx_rule_32_bits(c, VMCS_HOST_IA32_PKRS));
}

static bool check_cet(struct check *c)
{
    if ((c->exit & EXIT_LOAD_CET) == 0) {
        return true;
    }
    return vmx_rule_cet(c, VMCS_HOST_S_CET, VMCS_HOST_INTERRUPT_SSP_TABLE) && vmx_rule_canonical(c, VMCS_HOST_SSP) &&
           vmx_rule(c, (get(c, VMCS_HOST_SSP) & 3) == 0, VMCS_HOST_SSP, "bits 1:0 must be 0");
}

/* ---- 27.2.3 segment and descriptor-table registers ---- */

static bool check_selectors(struct check *c)
{
    for (unsigned field = VMCS_HOST_ES_SELECTOR; field <= VMCS_HOST_TR_SELECTOR; field += 2) {
        if (!vmx_rule(c, (get(c, (enum vmcs_field)field) & 7) == 0, (enum vmcs_field)field,
                      "the RPL (bits 1:0) and the TI flag (bit 2) must be 0")) {
            return false;
        }
    }
    return vmx_rule(c, get(c, VMCS_HOST_CS_SELECTOR) != 0, VMCS_HOST_CS_SELECTOR, "the field must not be 0000H") &&
           vmx_rule(c, get(c, VMCS_HOST_TR_SELECTOR) != 0, VMCS_HOST_TR_SELECTOR, "the field must not be 0000H") &&
           vmx_rule(c, implies((c->exit & EXIT_HOST_64) == 0, get(c, VMCS_HOST_SS_SELECTOR) != 0),
                    VMCS_HOST_SS_SELECTOR, "the field must not be 0000H if \"host address-space size\" is 0");
}

static bool check_bases(struct check *c)
{
    return vmx_rule_canonical(c, VMCS_HOST_FS_BASE) && vmx_rule_canonical(c, VMCS_HOST_GS_BASE) &&
           vmx_rule_canonical(c, VMCS_HOST_GDTR_BASE) && vmx_rule_canonical(c, VMCS_HOST_IDTR_BASE) &&
           vmx_rule_canonical(c, VMCS_HOST_TR_BASE);
}

/* ---- 27.2.4 address-space size ---- */

/// Of a processor in IA-32e mode, as the multiplexer's always is.
static bool check_address_space(struct check *c)
{
    return vmx_rule(c, (c->exit & EXIT_HOST_64) != 0, VMCS_EXIT_CONTROLS,
                    "\"host address-space size\" must be 1 if the processor is in IA-32e mode") &&
           vmx_rule(c, (get(c, VMCS_HOST_CR4) & CR4_PAE) != 0, VMCS_HOST_CR4,
                    "bit 5 (PAE) must be 1 if \"host address-space size\" is 1") &&
           vmx_rule_canonical(c, VMCS_HOST_RIP);
}

bool vmx_check_host(struct check *c)
{
    c->section = "27.2.2";
    if (!check_control_registers(c) || !check_msrs(c) || !check_cet(c)) {
        return false;
    }
    c->section = "27.2.3";
    if (!check_selectors(c) || !check_bases(c)) {
        return false;
    }
    c->section = "27.2.4";
    return check_address_space(c);
}
