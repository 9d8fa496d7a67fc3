// SPDX-License-Identifier: Apache-2.0
/// What a core's VMX can do (SDM Vol. 3D appendix A), read once and compared across cores; and which of it Polyvisor
/// needs.
#ifndef POLYVISOR_VMX_CAPS_H
#define POLYVISOR_VMX_CAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <polyvisor/vmx_msrs.h>

/// The capability MSRs as they read; 0 where the processor has no such MSR.
struct vmx_caps {
    uint64_t basic;
    uint64_t pin, primary, secondary, tertiary, exit, entry; ///< TRUE_ ones where there are
    uint64_t misc, ept_vpid, vmfunc;
    uint64_t cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
};

#define VMX_BASIC_REVISION UINT64_C(0x7fffffff)
#define VMX_BASIC_32BIT_ADDRESSES (UINT64_C(1) << 48)
#define VMX_MISC_TIMER_SHIFT UINT64_C(0x1f)

/// Reads this core's capabilities. It must have VMX.
void vmx_caps_read(struct vmx_caps *caps);
/// Lists what Polyvisor needs and these capabilities lack, as names joined by ", ". Returns how many. Pure.
int vmx_caps_missing(const struct vmx_caps *caps, char *names, size_t size);
/// Whether two cores can run the same VMCS settings; if not, *what names the first difference. Pure.
bool vmx_caps_same(const struct vmx_caps *a, const struct vmx_caps *b, const char **what);

#endif
