// SPDX-License-Identifier: Apache-2.0
/// What the parts of the entry checker share. A topic is a function that is true when all its rules hold; each rule is
/// one call of vmx_rule, so that a topic reads as the SDM's list does.
#ifndef POLYVISOR_VMX_ENTRY_RULES_H
#define POLYVISOR_VMX_ENTRY_RULES_H

#include "arch/x86/registers.h"
#include "arch/x86/vmx/caps.h"
#include "arch/x86/vmx/entry_check.h"
#include "arch/x86/vmx/event.h"

/* bits that only the rules speak of */
#define GUEST_CR0_PE BIT(0)
#define GUEST_CR0_PG BIT(31)
#define GUEST_CR4_PCIDE BIT(17)
#define GUEST_CR4_CET BIT(23)
#define GUEST_RFLAGS_VM BIT(17)
#define GUEST_EFER_LME BIT(8)
#define GUEST_EFER_LMA BIT(10)
#define DEBUGCTL_BTF BIT(1)

struct check {
    const struct vmx_entry_state *state;
    const struct vmx_caps *caps;
    const struct vmx_processor *processor;
    struct vmx_violation *violation;
    const char *section; ///< that the topic at work comes from
    /* much used, as they are in force: secondary and tertiary controls that are not activated are 0 */
    uint32_t pin, primary, secondary, exit, entry;
    uint64_t tertiary;
    bool unrestricted, long_mode, virtual_8086; ///< "unrestricted guest", "IA-32e mode guest", RFLAGS.VM
    bool injects;                               ///< the VM-entry interruption information is valid
    struct vmx_event event;
};

/* the topics, entry_check*.c */
bool vmx_check_controls(struct check *c);
bool vmx_check_host(struct check *c);
bool vmx_check_guest_registers(struct check *c);
bool vmx_check_guest_segments(struct check *c);
bool vmx_check_guest_state(struct check *c);

/// Notes the rule when it does not hold. Returns whether it does.
bool vmx_rule(struct check *c, bool holds, enum vmcs_field field, const char *rule);
/// A physical address whose low bits must be 0 and that must be within the physical-address width.
bool vmx_rule_address(struct check *c, enum vmcs_field field, unsigned low_bits);
bool vmx_rule_canonical(struct check *c, enum vmcs_field field);
/// Bits 63:32 must be 0.
bool vmx_rule_32_bits(struct check *c, enum vmcs_field field);
/// Each byte a memory type that IA32_PAT can have.
bool vmx_rule_pat(struct check *c, enum vmcs_field field);
/// Supervisor CET state: IA32_S_CET and the interrupt SSP table address.
bool vmx_rule_cet(struct check *c, enum vmcs_field s_cet, enum vmcs_field ssp_table);

static inline uint64_t get(const struct check *c, enum vmcs_field field)
{
    return vmx_entry_get(c->state, field);
}

static inline bool implies(bool condition, bool consequence)
{
    return !condition || consequence;
}

/// Whether no bit from the physical-address width on is set.
static inline bool within_width(const struct check *c, uint64_t address)
{
    return address >> c->processor->physical_bits == 0;
}

static inline bool canonical(const struct check *c, uint64_t address)
{
    unsigned unused = 64u - c->processor->linear_bits;
    return (uint64_t)((int64_t)(address << unused) >> unused) == address;
}

#endif
