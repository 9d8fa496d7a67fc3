// SPDX-License-Identifier: Apache-2.0
#include "arch/x86/vmx/entry_check.h"

#include <polyvisor/format.h>

#include "arch/x86/vmx/controls.h"
#include "arch/x86/vmx/entry_rules.h"

void vmx_entry_snapshot(struct vmx_entry_state *state, bool (*read)(uint32_t field, uint64_t *value))
{
    size_t count;
    const struct vmcs_field_info *fields = vmcs_fields(&count);
    for (size_t i = 0; i < count; i++) {
        uint64_t value;
        state->value[i] = read(fields[i].encoding, &value) ? value : 0;
    }
}

uint64_t vmx_entry_get(const struct vmx_entry_state *state, enum vmcs_field field)
{
    size_t index = vmcs_field_index(field);
    return index < VMCS_FIELD_COUNT ? state->value[index] : 0;
}

void vmx_entry_set(struct vmx_entry_state *state, enum vmcs_field field, uint64_t value)
{
    size_t index = vmcs_field_index(field);
    if (index < VMCS_FIELD_COUNT) {
        state->value[index] = value & vmcs_field_mask(field);
    }
}

size_t vmx_violation_text(const struct vmx_violation *violation, char *buffer, size_t size)
{
    const struct vmcs_field_info *field = vmcs_field_by_encoding(violation->field);
    return pv_snprintf(buffer, size, "%s = %#llx: %s (SDM Vol. 3C %s)", field != NULL ? field->name : "?",
                       (unsigned long long)violation->value, violation->rule, violation->section);
}

/* ---- rules of several topics ---- */

bool vmx_rule(struct check *c, bool holds, enum vmcs_field field, const char *rule)
{
    if (!holds) {
        *c->violation = (struct vmx_violation){
            .rule = rule,
            .section = c->section,
            .field = field,
            .value = get(c, field),
        };
    }
    return holds;
}

bool vmx_rule_address(struct check *c, enum vmcs_field field, unsigned low_bits)
{
    uint64_t address = get(c, field), low = (UINT64_C(1) << low_bits) - 1;
    return vmx_rule(c, (address & low) == 0 && within_width(c, address), field,
                    low_bits == 12 ? "bits 11:0 of the address must be 0 and it must not set any bits beyond the "
                                     "processor's physical-address width"
                                   : "the low bits of the address must be 0 and it must not set any bits beyond the "
                                     "processor's physical-address width");
}

bool vmx_rule_canonical(struct check *c, enum vmcs_field field)
{
    return vmx_rule(c, canonical(c, get(c, field)), field, "the address must be canonical");
}

bool vmx_rule_32_bits(struct check *c, enum vmcs_field field)
{
    return vmx_rule(c, get(c, field) >> 32 == 0, field, "bits 63:32 must be 0");
}

bool vmx_rule_pat(struct check *c, enum vmcs_field field)
{
    return vmx_rule(c, vmx_pat_valid(get(c, field)), field,
                    "each of the 8 bytes must be 0 (UC), 1 (WC), 4 (WT), 5 (WP), 6 (WB) or 7 (UC-)");
}

bool vmx_rule_cet(struct check *c, enum vmcs_field s_cet, enum vmcs_field ssp_table)
{
    const uint64_t reserved = 0x3c0, suppress_and_tracker = 0xc00; // bits 9:6; 10 and 11
    uint64_t value = get(c, s_cet);
    return vmx_rule(c, (value & reserved) == 0, s_cet, "bits reserved in the IA32_S_CET MSR must be 0") &&
           vmx_rule(c, (value & suppress_and_tracker) != suppress_and_tracker, s_cet,
                    "bit 10 (SUPPRESS) and bit 11 (TRACKER) must not both be 1") &&
           vmx_rule_canonical(c, s_cet) && vmx_rule_canonical(c, ssp_table);
}

/* ---- the check ---- */

static struct check begin(const struct vmx_entry_state *state, struct vmx_violation *violation)
{
    struct check c = {
        .state = state,
        .caps = state->caps,
        .processor = &state->processor,
        .violation = violation,
        .pin = (uint32_t)vmx_entry_get(state, VMCS_PIN_CONTROLS),
        .primary = (uint32_t)vmx_entry_get(state, VMCS_PRIMARY_CONTROLS),
        .exit = (uint32_t)vmx_entry_get(state, VMCS_EXIT_CONTROLS),
        .entry = (uint32_t)vmx_entry_get(state, VMCS_ENTRY_CONTROLS),
        .virtual_8086 = (vmx_entry_get(state, VMCS_GUEST_RFLAGS) & GUEST_RFLAGS_VM) != 0,
        .event =
            {
                .info = (uint32_t)vmx_entry_get(state, VMCS_ENTRY_INTERRUPTION_INFO),
                .error = (uint32_t)vmx_entry_get(state, VMCS_ENTRY_EXCEPTION_ERROR_CODE),
                .length = (uint32_t)vmx_entry_get(state, VMCS_ENTRY_INSTRUCTION_LENGTH),
            },
    };
    if ((c.primary & PRIMARY_SECONDARY) != 0) {
        c.secondary = (uint32_t)vmx_entry_get(state, VMCS_SECONDARY_CONTROLS);
    }
    if ((c.primary & PRIMARY_TERTIARY) != 0) {
        c.tertiary = vmx_entry_get(state, VMCS_TERTIARY_CONTROLS);
    }
    c.unrestricted = (c.secondary & SECONDARY_UNRESTRICTED) != 0;
    c.long_mode = (c.entry & ENTRY_LONG_MODE) != 0;
    c.injects = (c.event.info & INTERRUPTION_VALID) != 0;
    return c;
}

bool vmx_entry_check(const struct vmx_entry_state *state, struct vmx_violation *violation)
{
    struct check c = begin(state, violation);
    return vmx_check_controls(&c) && vmx_check_host(&c) && vmx_check_guest_registers(&c) &&
           vmx_check_guest_segments(&c) && vmx_check_guest_state(&c);
}
