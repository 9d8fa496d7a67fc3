// SPDX-License-Identifier: Apache-2.0
/// The MSRs that tell what VMX can do (SDM Vol. 3D appendix A, numbers in Vol. 4), for both sides: the multiplexer
/// executes RDMSR, a personality reads what PV_DEBUG_MSR gives or emulates them for a guest hypervisor.
#ifndef POLYVISOR_VMX_MSRS_H
#define POLYVISOR_VMX_MSRS_H

#include <stdint.h>

enum {
    MSR_FEATURE_CONTROL = 0x3a,
    MSR_VMX_BASIC = 0x480,
    MSR_VMX_PINBASED_CTLS = 0x481,
    MSR_VMX_PROCBASED_CTLS = 0x482,
    MSR_VMX_EXIT_CTLS = 0x483,
    MSR_VMX_ENTRY_CTLS = 0x484,
    MSR_VMX_MISC = 0x485,
    MSR_VMX_CR0_FIXED0 = 0x486,
    MSR_VMX_CR0_FIXED1 = 0x487,
    MSR_VMX_CR4_FIXED0 = 0x488,
    MSR_VMX_CR4_FIXED1 = 0x489,
    MSR_VMX_VMCS_ENUM = 0x48a,
    MSR_VMX_PROCBASED_CTLS2 = 0x48b,
    MSR_VMX_EPT_VPID_CAP = 0x48c,
    MSR_VMX_TRUE_PINBASED_CTLS = 0x48d,
    MSR_VMX_TRUE_PROCBASED_CTLS = 0x48e,
    MSR_VMX_TRUE_EXIT_CTLS = 0x48f,
    MSR_VMX_TRUE_ENTRY_CTLS = 0x490,
    MSR_VMX_VMFUNC = 0x491,
    MSR_VMX_PROCBASED_CTLS3 = 0x492,
    MSR_VMX_EXIT_CTLS2 = 0x493,
};

/// IA32_VMX_BASIC bit 55: the TRUE_ MSRs exist and are to be used instead of their namesakes (A.2).
#define VMX_BASIC_TRUE_CONTROLS (UINT64_C(1) << 55)

#endif
