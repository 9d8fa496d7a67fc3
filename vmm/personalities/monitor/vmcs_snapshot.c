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

/// Reads one field, which the processor may lack.
static int64_t read_field(struct vmcs_snapshot *snapshot, uint32_t field)
{
    const size_t index = vmcs_field_index(field);
    const int64_t result = query_vmcs(&snapshot->vcpu, field, &snapshot->value[index]);
    snapshot->there[index] = result == PV_OK;
    snapshot->lacking += result == PV_ERR_GP;
    return result == PV_ERR_GP ? PV_OK : result;
}

static int64_t read_exit_reason(struct vmcs_snapshot *snapshot)
{
    uint64_t reason = vmcs_snapshot_value(snapshot, VMCS_EXIT_REASON);
    const bool there = snapshot->there[vmcs_field_index(VMCS_EXIT_REASON)];
    const int64_t result = there ? PV_OK : query_vmcs(&snapshot->vcpu, VMCS_EXIT_REASON, &reason);
    snapshot->exit_reason = (uint32_t)reason;
    return result;
}

int64_t vmcs_snapshot_take(struct vmcs_snapshot *snapshot, const struct pv_vcpu_info *vcpu,
                           const struct vmcs_selection *selection)
{
    size_t count;
    const struct vmcs_field_info *fields = vmcs_fields(&count);
    int64_t result = PV_OK;
    memset(snapshot, 0, sizeof(*snapshot));
    snapshot->vcpu = *vcpu;
    // Reading a field that the processor lacks leaves its mark in this one, so it comes first.
    if (wanted(selection, VMCS_VM_INSTRUCTION_ERROR))
        result = read_field(snapshot, VMCS_VM_INSTRUCTION_ERROR);
    for (size_t i = 0; i < count && result == PV_OK; i++)
        if (fields[i].encoding != VMCS_VM_INSTRUCTION_ERROR && wanted(selection, fields[i].encoding))
            result = read_field(snapshot, fields[i].encoding);
    return result == PV_OK ? read_exit_reason(snapshot) : result;
}

uint64_t vmcs_snapshot_value(const struct vmcs_snapshot *snapshot, uint32_t field)
{
    const size_t index = vmcs_field_index(field);
    return index < VMCS_FIELD_COUNT && snapshot->there[index] ? snapshot->value[index] : 0;
}
