// SPDX-License-Identifier: Apache-2.0
#include "vmcs_snapshot.h"

#include <polyvisor/string.h>

#include "query.h"

static bool wanted(const struct vmcs_selection *selection, uint32_t field)
{
    if (selection->one)
        return field == selection->field;
    return !selection->of_kind || vmcs_field_kind(field) == selection->kind;
}

int64_t vmcs_snapshot_take(struct vmcs_snapshot *snapshot, const struct pv_vcpu_info *vcpu,
                           const struct vmcs_selection *selection)
{
    size_t count;
    const struct vmcs_field_info *fields = vmcs_fields(&count);
    memset(snapshot, 0, sizeof(*snapshot));
    snapshot->vcpu = *vcpu;
    for (size_t i = 0; i < count; i++) {
        if (!wanted(selection, fields[i].encoding))
            continue;
        const int64_t result = query_vmcs(vcpu, fields[i].encoding, &snapshot->value[i]);
        if (result < 0 && result != PV_ERR_GP)
            return result;
        snapshot->there[i] = result == PV_OK;
        snapshot->lacking += result == PV_ERR_GP;
    }
    uint64_t reason;
    const int64_t result = query_vmcs(vcpu, VMCS_EXIT_REASON, &reason);
    snapshot->exit_reason = (uint32_t)reason;
    return result;
}

uint64_t vmcs_snapshot_value(const struct vmcs_snapshot *snapshot, uint32_t field)
{
    const size_t index = vmcs_field_index(field);
    return index < VMCS_FIELD_COUNT && snapshot->there[index] ? snapshot->value[index] : 0;
}
