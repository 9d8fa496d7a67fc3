// SPDX-License-Identifier: Apache-2.0
/// Checks on guest state but segment registers, SDM Vol. 3C 27.3.1. A VM entry that breaks one is followed at once by
/// an exit with reason 33.
#include "arch/x86/vmx/entry_rules.h"

/* ---- 27.3.1.1 control registers, debug registers and MSRs ---- */

static bool check_control_registers(struct check *c)
{
    // CD and NW are never checked, because VM entry does not change them.
    uint64_t free = CR0_CD | CR0_NW | (c->unrestricted ? GUEST_CR0_PE | GUEST_CR0_PG : 0);
    uint64_t cr0 = get(c, VMCS_GUEST_CR0), cr4 = get(c, VMCS_GUEST_CR4);
    uint64_t wrong = ((c->caps->cr0_fixed0 & ~cr0) | (cr0 & ~c->caps->cr0_fixed1)) & ~free;
    return vmx_rule(c, wrong == 0, VMCS_GUEST_CR0,
                    "the field must not set any bit to a value not supported in VMX operation") &&
           vmx_rule(c, implies((cr0 & GUEST_CR0_PG) != 0, (cr0 & GUEST_CR0_PE) != 0), VMCS_GUEST_CR0,
                    "if bit 31 (PG) is 1, bit 0 (PE) must also be 1") &&
           vmx_rule(c, (c->caps->cr4_fixed0 & ~cr4) == 0 && (cr4 & ~c->caps->cr4_fixed1) == 0, VMCS_GUEST_CR4,
                    "the field must not set any bit to a value not supported in VMX operation") &&
           vmx_rule(c, implies((cr4 & GUEST_CR4_CET) != 0, (cr0 & CR0_WP) != 0), VMCS_GUEST_CR4,
                    "if bit 23 (CET) is 1, bit 16 in the CR0 field (WP) must also be 1");
}

static bool check_paging(struct check *c)
{
    uint64_t cr0 = get(c, VMCS_GUEST_CR0), cr4 = get(c, VMCS_GUEST_CR4);
    uint64_t lam = c->processor->lam ? BIT(61) | BIT(62) : 0;
    return vmx_rule(c, implies(c->long_mode, (cr0 & GUEST_CR0_PG) != 0), VMCS_GUEST_CR0,
                    "bit 31 (PG) must be 1 if \"IA-32e mode guest\" is 1") &&
           vmx_rule(c, implies(c->long_mode, (cr4 & CR4_PAE) != 0), VMCS_GUEST_CR4,
                    "bit 5 (PAE) must be 1 if \"IA-32e mode guest\" is 1") &&
           vmx_rule(c, implies(!c->long_mode, (cr4 & GUEST_CR4_PCIDE) == 0), VMCS_GUEST_CR4,
                    "bit 17 (PCIDE) must be 0 if \"IA-32e mode guest\" is 0") &&
           vmx_rule(c, within_width(c, get(c, VMCS_GUEST_CR3) & ~lam), VMCS_GUEST_CR3,
                    "bits 63:52 and bits beyond the processor's physical-address width must be 0");
}

static bool check_debug(struct check *c)
{
    if ((c->entry & ENTRY_LOAD_DEBUG) == 0) {
        return true;
    }
    return vmx_rule(c, (get(c, VMCS_GUEST_IA32_DEBUGCTL) & ~c->processor->debugctl) == 0, VMCS_GUEST_IA32_DEBUGCTL,
                    "bits reserved in the IA32_DEBUGCTL MSR must be 0") &&
           vmx_rule_32_bits(c, VMCS_GUEST_DR7);
}

static bool check_efer(struct check *c)
{
    uint64_t efer = get(c, VMCS_GUEST_IA32_EFER);
    bool lma = (efer & GUEST_EFER_LMA) != 0, lme = (efer & GUEST_EFER_LME) != 0;
    bool paging = (get(c, VMCS_GUEST_CR0) & GUEST_CR0_PG) != 0;
    return vmx_rule(c, (efer & ~c->processor->efer) == 0, VMCS_GUEST_IA32_EFER,
                    "bits reserved in the IA32_EFER MSR must be 0") &&
           vmx_rule(c, lma == c->long_mode, VMCS_GUEST_IA32_EFER,
                    "bit 10 (LMA) must equal the value of \"IA-32e mode guest\"") &&
           vmx_rule(c, implies(paging, lma == lme), VMCS_GUEST_IA32_EFER,
                    "bit 10 (LMA) must be identical to bit 8 (LME) if bit 31 in the CR0 field (PG) is 1");
}

static bool check_bndcfgs(struct check *c)
{
    const uint64_t reserved = 0xffc; // bits 11:2
    uint64_t bndcfgs = get(c, VMCS_GUEST_IA32_BNDCFGS);
    return vmx_rule(c, (bndcfgs & reserved) == 0, VMCS_GUEST_IA32_BNDCFGS,
                    "bits reserved in the IA32_BNDCFGS MSR must be 0") &&
           vmx_rule(c, canonical(c, bndcfgs & ~(uint64_t)0xfff), VMCS_GUEST_IA32_BNDCFGS,
                    "the linear address in bits 63:12 must be canonical");
}

/// An MSR of which the processor has only some bits, loaded when an entry control is 1.
static bool rule_msr(struct check *c, uint32_t control, enum vmcs_field field, uint64_t supported)
{
    return (c->entry & control) == 0 ||
           vmx_rule(c, (get(c, field) & ~supported) == 0, field, "bits reserved in the MSR must be 0");
}

static bool check_msrs(struct check *c)
{
    return vmx_rule_canonical(c, VMCS_GUEST_SYSENTER_ESP) && vmx_rule_canonical(c, VMCS_GUEST_SYSENTER_EIP) &&
           rule_msr(c, ENTRY_LOAD_PERF_GLOBAL_CTRL, VMCS_GUEST_IA32_PERF_GLOBAL_CTRL, c->processor->perf_global_ctrl) &&
           ((c->entry & ENTRY_LOAD_PAT) == 0 || vmx_rule_pat(c, VMCS_GUEST_IA32_PAT)) &&
           ((c->entry & ENTRY_LOAD_EFER) == 0 || check_efer(c)) &&
           ((c->entry & ENTRY_LOAD_BNDCFGS) == 0 || check_bndcfgs(c)) &&
           rule_msr(c, ENTRY_LOAD_RTIT_CTL, VMCS_GUEST_IA32_RTIT_CTL, c->processor->rtit_ctl) &&
           ((c->entry & ENTRY_LOAD_CET) == 0 || vmx_rule_cet(c, VMCS_GUEST_S_CET, VMCS_GUEST_INTERRUPT_SSP_TABLE)) &&
           rule_msr(c, ENTRY_LOAD_LBR_CTL, VMCS_GUEST_IA32_LBR_CTL, c->processor->lbr_ctl) &&
           ((c->entry & ENTRY_LOAD_PKRS) == 0 || vmx_rule_32_bits(c, VMCS_GUEST_IA32_PKRS)) &&
           ((c->entry & ENTRY_LOAD_UINV) == 0 ||
            vmx_rule(c, get(c, VMCS_GUEST_UINV) <= 255, VMCS_GUEST_UINV, "bits 15:8 must be 0"));
}

bool vmx_check_guest_registers(struct check *c)
{
    c->section = "27.3.1.1";
    return check_control_registers(c) && check_paging(c) && check_debug(c) && check_msrs(c);
}

/* ---- 27.3.1.3 descriptor-table registers ---- */

static bool check_descriptor_tables(struct check *c)
{
    c->section = "27.3.1.3";
    return vmx_rule_canonical(c, VMCS_GUEST_GDTR_BASE) && vmx_rule_canonical(c, VMCS_GUEST_IDTR_BASE) &&
           vmx_rule(c, get(c, VMCS_GUEST_GDTR_LIMIT) >> 16 == 0, VMCS_GUEST_GDTR_LIMIT, "bits 31:16 must be 0") &&
           vmx_rule(c, get(c, VMCS_GUEST_IDTR_LIMIT) >> 16 == 0, VMCS_GUEST_IDTR_LIMIT, "bits 31:16 must be 0");
}

/* ---- 27.3.1.4 RIP, RFLAGS and SSP ---- */

/// An address that 64-bit code uses whole and other code only the lower half of.
static bool rule_code_address(struct check *c, enum vmcs_field field)
{
    const uint64_t access_l = BIT(13);
    if (c->long_mode && (get(c, VMCS_GUEST_CS_ACCESS_RIGHTS) & access_l) != 0) {
        return vmx_rule(c, canonical(c, get(c, field)), field,
                        "bits beyond the linear-address width must be identical if \"IA-32e mode guest\" and the L bit "
                        "in the access-rights field for CS are 1");
    }
    return vmx_rule(
        c, get(c, field) >> 32 == 0, field,
        "bits 63:32 must be 0 if \"IA-32e mode guest\" or the L bit in the access-rights field for CS is 0");
}

static bool check_rflags(struct check *c)
{
    const uint64_t reserved = ~UINT64_C(0x3fffff) | BIT(15) | BIT(5) | BIT(3);
    uint64_t rflags = get(c, VMCS_GUEST_RFLAGS);
    bool real_mode = (get(c, VMCS_GUEST_CR0) & GUEST_CR0_PE) == 0;
    bool interrupt = c->injects && vmx_event_type(c->event.info) == EVENT_EXTERNAL_INTERRUPT;
    return vmx_rule(c, (rflags & reserved) == 0, VMCS_GUEST_RFLAGS,
                    "reserved bits 63:22, bit 15, bit 5 and bit 3 must be 0") &&
           vmx_rule(c, (rflags & RFLAGS_FIXED) != 0, VMCS_GUEST_RFLAGS, "reserved bit 1 must be 1") &&
           vmx_rule(
               c, implies(c->virtual_8086, !c->long_mode && !real_mode), VMCS_GUEST_RFLAGS,
               "the VM flag (bit 17) must be 0 if \"IA-32e mode guest\" is 1 or bit 0 in the CR0 field (PE) is 0") &&
           vmx_rule(c, implies(interrupt, (rflags & RFLAGS_IF) != 0), VMCS_GUEST_RFLAGS,
                    "the IF flag (bit 9) must be 1 if an external interrupt is injected");
}

static bool check_instruction_pointer(struct check *c)
{
    c->section = "27.3.1.4";
    return rule_code_address(c, VMCS_GUEST_RIP) && check_rflags(c) &&
           ((c->entry & ENTRY_LOAD_CET) == 0 ||
            (vmx_rule(c, (get(c, VMCS_GUEST_SSP) & 3) == 0, VMCS_GUEST_SSP, "bits 1:0 must be 0") &&
             rule_code_address(c, VMCS_GUEST_SSP)));
}

/* ---- 27.3.1.5 non-register state ---- */

static bool activity_supported(const struct check *c, uint64_t activity)
{
    enum { FIRST_BIT = 6 }; // of IA32_VMX_MISC: HLT, shutdown, wait-for-SIPI (A.6)
    return activity == ACTIVITY_ACTIVE ||
           (activity <= ACTIVITY_WAIT_FOR_SIPI && (c->caps->misc >> (FIRST_BIT + activity - ACTIVITY_HLT) & 1) != 0);
}

static bool check_activity(struct check *c)
{
    enum { DPL_SHIFT = 5 };
    uint64_t activity = get(c, VMCS_GUEST_ACTIVITY), blocking = get(c, VMCS_GUEST_INTERRUPTIBILITY);
    uint64_t ss_dpl = get(c, VMCS_GUEST_SS_ACCESS_RIGHTS) >> DPL_SHIFT & 3;
    return vmx_rule(c, activity_supported(c, activity), VMCS_GUEST_ACTIVITY,
                    "the field must contain a value in the range 0-3 that the processor supports") &&
           vmx_rule(
               c, implies(activity == ACTIVITY_HLT, ss_dpl == 0), VMCS_GUEST_ACTIVITY,
               "the field must not indicate the HLT state if the DPL in the access-rights field for SS is not 0") &&
           vmx_rule(
               c,
               implies((blocking & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)) != 0, activity == ACTIVITY_ACTIVE),
               VMCS_GUEST_ACTIVITY,
               "the field must indicate the active state if the interruptibility-state field indicates blocking by "
               "MOV SS or by STI") &&
           vmx_rule(c, implies(c->injects, vmx_event_activity((uint32_t)activity, c->event.info)), VMCS_GUEST_ACTIVITY,
                    "the injected event must not be one that is blocked in this activity state");
}

static bool check_blocking(struct check *c)
{
    const uint64_t known = INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS | INTERRUPTIBILITY_SMI |
                           INTERRUPTIBILITY_NMI | INTERRUPTIBILITY_ENCLAVE;
    uint64_t blocking = get(c, VMCS_GUEST_INTERRUPTIBILITY);
    bool sti = (blocking & INTERRUPTIBILITY_STI) != 0, mov_ss = (blocking & INTERRUPTIBILITY_MOV_SS) != 0;
    bool enclave = (blocking & INTERRUPTIBILITY_ENCLAVE) != 0;
    return vmx_rule(c, (blocking & ~known) == 0, VMCS_GUEST_INTERRUPTIBILITY, "reserved bits 31:5 must be 0") &&
           vmx_rule(c, !(sti && mov_ss), VMCS_GUEST_INTERRUPTIBILITY,
                    "the field cannot indicate blocking by both STI and MOV SS") &&
           vmx_rule(c, implies(sti, (get(c, VMCS_GUEST_RFLAGS) & RFLAGS_IF) != 0), VMCS_GUEST_INTERRUPTIBILITY,
                    "bit 0 (blocking by STI) must be 0 if the IF flag is 0 in the RFLAGS field") &&
           vmx_rule(c, (blocking & INTERRUPTIBILITY_SMI) == 0, VMCS_GUEST_INTERRUPTIBILITY,
                    "bit 2 (blocking by SMI) must be 0 if the processor is not in SMM") &&
           vmx_rule(c, implies(enclave, !mov_ss), VMCS_GUEST_INTERRUPTIBILITY,
                    "if bit 4 (enclave interruption) is 1, bit 1 (blocking by MOV SS) must be 0") &&
           vmx_rule(c, implies(enclave, c->processor->sgx), VMCS_GUEST_INTERRUPTIBILITY,
                    "if bit 4 (enclave interruption) is 1, the processor must support SGX");
}

static bool check_blocking_of_event(struct check *c)
{
    uint64_t blocking = get(c, VMCS_GUEST_INTERRUPTIBILITY);
    bool sti = (blocking & INTERRUPTIBILITY_STI) != 0, mov_ss = (blocking & INTERRUPTIBILITY_MOV_SS) != 0;
    bool nmi = c->injects && vmx_event_type(c->event.info) == EVENT_NMI;
    bool interrupt = c->injects && vmx_event_type(c->event.info) == EVENT_EXTERNAL_INTERRUPT;
    bool virtual_nmis = (c->pin & PIN_VIRTUAL_NMI) != 0;
    return vmx_rule(c, implies(interrupt, !sti && !mov_ss), VMCS_GUEST_INTERRUPTIBILITY,
                    "bits 0 and 1 (blocking by STI, by MOV SS) must be 0 if an external interrupt is injected") &&
           vmx_rule(c, implies(nmi, !mov_ss), VMCS_GUEST_INTERRUPTIBILITY,
                    "bit 1 (blocking by MOV SS) must be 0 if an NMI is injected") &&
           vmx_rule(c, implies(nmi, !sti), VMCS_GUEST_INTERRUPTIBILITY,
                    "a processor may require bit 0 (blocking by STI) to be 0 if an NMI is injected") &&
           vmx_rule(c, implies(nmi && virtual_nmis, (blocking & INTERRUPTIBILITY_NMI) == 0),
                    VMCS_GUEST_INTERRUPTIBILITY,
                    "bit 3 (blocking by NMI) must be 0 if \"virtual NMIs\" is 1 and an NMI is injected");
}

/// Bits of the pending debug exceptions, 25.4.2.
enum { PENDING_BUS_LOCK = 1 << 11, PENDING_ENABLED_BREAKPOINT = 1 << 12, PENDING_BS = 1 << 14, PENDING_RTM = 1 << 16 };

static bool check_pending_single_step(struct check *c)
{
    uint64_t pending = get(c, VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), blocking = get(c, VMCS_GUEST_INTERRUPTIBILITY);
    bool applies = (blocking & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)) != 0 ||
                   get(c, VMCS_GUEST_ACTIVITY) == ACTIVITY_HLT;
    bool steps = (get(c, VMCS_GUEST_RFLAGS) & RFLAGS_TF) != 0 && (get(c, VMCS_GUEST_IA32_DEBUGCTL) & DEBUGCTL_BTF) == 0;
    return vmx_rule(c, implies(applies && steps, (pending & PENDING_BS) != 0), VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS,
                    "with blocking by STI or MOV SS or in the HLT state, bit 14 (BS) must be 1 if the TF flag is 1 and "
                    "BTF in the IA32_DEBUGCTL field is 0") &&
           vmx_rule(c, implies(applies && !steps, (pending & PENDING_BS) == 0), VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS,
                    "with blocking by STI or MOV SS or in the HLT state, bit 14 (BS) must be 0 if the TF flag is 0 or "
                    "BTF in the IA32_DEBUGCTL field is 1");
}

static bool check_pending_rtm(struct check *c)
{
    uint64_t pending = get(c, VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS);
    if ((pending & PENDING_RTM) == 0) {
        return true;
    }
    return vmx_rule(c, (pending & ~(uint64_t)PENDING_RTM) == PENDING_ENABLED_BREAKPOINT,
                    VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS,
                    "if bit 16 (RTM) is 1, bit 12 must be 1 and all other bits must be 0") &&
           vmx_rule(c, c->processor->rtm, VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS,
                    "if bit 16 (RTM) is 1, the processor must support RTM") &&
           vmx_rule(c, (get(c, VMCS_GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_MOV_SS) == 0,
                    VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS,
                    "if bit 16 (RTM) is 1, the interruptibility-state field must not indicate blocking by MOV SS");
}

static bool check_pending_debug(struct check *c)
{
    uint64_t known = 0xf | PENDING_ENABLED_BREAKPOINT | PENDING_BS | PENDING_RTM;
    if (c->processor->bus_lock) {
        known |= PENDING_BUS_LOCK;
    }
    return vmx_rule(c, (get(c, VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS) & ~known) == 0, VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS,
                    "bits 11:4, bit 13, bit 15 and bits 63:17 must be 0") &&
           check_pending_single_step(c) && check_pending_rtm(c);
}

static bool check_link_pointer(struct check *c)
{
    return get(c, VMCS_LINK_POINTER) == UINT64_MAX || vmx_rule_address(c, VMCS_LINK_POINTER, 12);
}

/* ---- 27.3.1.6 page-directory-pointer-table entries ---- */

static bool check_pdptes(struct check *c)
{
    const uint64_t reserved = 0x1e6; // bits 8:5 and 2:1
    bool pae = (get(c, VMCS_GUEST_CR0) & GUEST_CR0_PG) != 0 && (get(c, VMCS_GUEST_CR4) & CR4_PAE) != 0 && !c->long_mode;
    c->section = "27.3.1.6";
    if (!pae || (c->secondary & SECONDARY_EPT) == 0) {
        return true;
    }
    for (unsigned field = VMCS_GUEST_PDPTE0; field <= VMCS_GUEST_PDPTE3; field += 2) {
        uint64_t pdpte = get(c, (enum vmcs_field)field);
        if (!vmx_rule(c, implies((pdpte & 1) != 0, (pdpte & reserved) == 0 && within_width(c, pdpte)),
                      (enum vmcs_field)field, "reserved bits must be 0 if the PDPTE is present")) {
            return false;
        }
    }
    return true;
}

bool vmx_check_guest_state(struct check *c)
{
    if (!check_descriptor_tables(c) || !check_instruction_pointer(c)) {
        return false;
    }
    c->section = "27.3.1.5";
    return check_activity(c) && check_blocking(c) && check_blocking_of_event(c) && check_pending_debug(c) &&
           check_link_pointer(c) && check_pdptes(c);
}
