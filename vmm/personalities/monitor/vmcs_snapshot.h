// SPDX-License-Identifier: Apache-2.0
/// The fields of a vcpu's VMCS, read one after another.
#ifndef POLYVISOR_MONITOR_VMCS_SNAPSHOT_H
#define POLYVISOR_MONITOR_VMCS_SNAPSHOT_H

#include <polyvisor/abi.h>

#include "arch/x86/vmx/vmcs_fields.h"

struct vmcs_snapshot {
    struct pv_vcpu_info vcpu;
    uint32_t exit_reason;         ///< the field of that name, which decoding needs
    size_t lacking;               ///< wanted fields that the processor does not have
    bool there[VMCS_FIELD_COUNT]; ///< in the order of vmcs_fields()
    uint64_t value[VMCS_FIELD_COUNT];
};

/// Which fields are wanted: all, those of a kind, or one.
struct vmcs_selection {
    bool one, of_kind;
    uint32_t field;      ///< if one
    enum vmcs_kind kind; ///< if of_kind
};

/// Reads the wanted fields of a vcpu: 0, or the error that ended it.
int64_t vmcs_snapshot_take(struct vmcs_snapshot *snapshot, const struct pv_vcpu_info *vcpu,
                           const struct vmcs_selection *selection);
/// The value of a field, 0 when it is not there.
uint64_t vmcs_snapshot_value(const struct vmcs_snapshot *snapshot, uint32_t field);

#endif
