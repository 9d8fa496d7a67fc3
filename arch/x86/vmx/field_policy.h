// SPDX-License-Identifier: Apache-2.0
/// Which VMCS fields a personality may read and write. What is not listed as allowed is denied, so that a field of a
/// later processor cannot open a door. Pure; host-tested.
#ifndef POLYVISOR_VMX_FIELD_POLICY_H
#define POLYVISOR_VMX_FIELD_POLICY_H

#include <stdbool.h>
#include <stdint.h>

struct vmx_caps;

enum field_policy {
    FIELD_ABSENT,    ///< no such field, or this processor does not have it: VMREAD and VMWRITE would fail
    FIELD_DENIED,    ///< the multiplexer's: host state, physical addresses, tags, time, what is not switched both ways
    FIELD_READ_ONLY, ///< exit information; the event to inject, which has its place in the state page
    FIELD_PLAIN,     ///< written after field_policy_adjust
    FIELD_CONTROL,   ///< written through vmx_control_sanitise
};

/// Any 32-bit value may be asked about. To be asked before a VMREAD or VMWRITE of a field that somebody else named, since one of an
/// absent field leaves its error number in the VMCS.
enum field_policy field_policy(const struct vmx_caps *caps, uint32_t encoding);

/// The policies of all fields on one processor, for asking often: field_policy takes hundreds of instructions.
struct field_table {
    uint8_t policy[1024]; ///< enum field_policy, by field_slot
};
void field_table_fill(struct field_table *table, const struct vmx_caps *caps);

/// An encoding's place in the table: width (bits 14:13), type (11:10) and index (6:1; no field has a higher one). All other bits are
/// 0 in fields' encodings.
enum { FIELD_SLOT_BITS = 0x6c7e };
static inline uint32_t field_slot(uint32_t encoding)
{
    return (encoding >> 5 & 0x300) | (encoding >> 4 & 0xc0) | (encoding >> 1 & 0x3f);
}
/// What field_policy says. Any 32-bit value may be asked about.
static inline enum field_policy field_table_get(const struct field_table *table, uint32_t encoding)
{
    return (encoding & ~(uint32_t)FIELD_SLOT_BITS) != 0 ? FIELD_ABSENT
                                                        : (enum field_policy)table->policy[field_slot(encoding)];
}

/// Makes of a value for a FIELD_PLAIN field the one to write: cut to the field's width, forced bits set, bits that VMX
/// operation fixes as they must be. False: the value cannot be had (an activity state in which the guest would be deaf
/// to the multiplexer's interrupts, unknown debug controls, reserved bits), nothing is to be written.
bool field_policy_adjust(const struct vmx_caps *caps, uint32_t encoding, uint64_t *value);

#endif
