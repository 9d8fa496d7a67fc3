// SPDX-License-Identifier: Apache-2.0
#include "arch/x86/vmx/feature_control.h"

enum feature_control_action feature_control_decide(uint64_t msr, uint64_t *value)
{
    *value = msr;
    if (!(msr & FEATURE_CONTROL_LOCK)) {
        *value = msr | FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX_OUTSIDE_SMX;
        return FEATURE_CONTROL_WRITE;
    }
    return msr & FEATURE_CONTROL_VMX_OUTSIDE_SMX ? FEATURE_CONTROL_READY : FEATURE_CONTROL_DISABLED;
}
