// SPDX-License-Identifier: Apache-2.0
/// Which VMCS fields a personality may read and write. What is not listed as allowed is denied, so that a field of a
/// later processor cannot open a door. Pure; host-tested.
#ifndef POLYVISOR_VMX_FIELD_POLICY_H
#define POLYVISOR_VMX_FIELD_POLICY_H

#include <stdbool.h>
#include <stdint.h>

struct vmx_caps;

enum field_policy {
    FIELD_ABSENT,    ///< no such field, or this processor does not have it
    FIELD_DENIED,    ///< the multiplexer's: host state, physical addresses, tags, time, what is not switched both ways
    FIELD_READ_ONLY, ///< exit information; the event to inject, which has its place in the state page
    FIELD_PLAIN,     ///< written after field_policy_adjust
    FIELD_CONTROL,   ///< written through vmx_control_sanitise
};

/// Any 32-bit value may be asked about.
enum field_policy field_policy(const struct vmx_caps *caps, uint32_t encoding);

/// Makes of a value for a FIELD_PLAIN field the one to write: cut to the field's width, forced bits set, bits that VMX
/// operation fixes as they must be. False: the value cannot be had (an activity state in which the guest would be deaf
/// to the multiplexer's interrupts, unknown debug controls, reserved bits), nothing is to be written.
bool field_policy_adjust(const struct vmx_caps *caps, uint32_t encoding, uint64_t *value);

#endif
