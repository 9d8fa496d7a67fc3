// SPDX-License-Identifier: Apache-2.0
/// IA32_FEATURE_CONTROL: whether VMXON outside SMX is allowed (SDM Vol. 3C 24.7). The decision is pure; host-tested.
#ifndef POLYVISOR_VMX_FEATURE_CONTROL_H
#define POLYVISOR_VMX_FEATURE_CONTROL_H

#include <stdint.h>

enum feature_control_bits {
    FEATURE_CONTROL_LOCK = 1 << 0,
    FEATURE_CONTROL_VMX_IN_SMX = 1 << 1,
    FEATURE_CONTROL_VMX_OUTSIDE_SMX = 1 << 2,
};

enum feature_control_action {
    FEATURE_CONTROL_READY,    ///< locked with VMX allowed: nothing to do
    FEATURE_CONTROL_WRITE,    ///< unlocked: write *value, which allows VMX outside SMX and locks
    FEATURE_CONTROL_DISABLED, ///< locked without it: only the firmware's set-up can change that
};

/// What to do about a value of the MSR. *value: what to write (all other bits kept).
enum feature_control_action feature_control_decide(uint64_t msr, uint64_t *value);

#endif
