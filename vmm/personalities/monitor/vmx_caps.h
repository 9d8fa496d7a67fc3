// SPDX-License-Identifier: Apache-2.0
/// What the VMX capability MSRs say, bit by bit (SDM Vol. 3D, appendix A; the controls' names from Vol. 3C, chapter 25). Pure.
#ifndef POLYVISOR_MONITOR_VMX_CAPS_H
#define POLYVISOR_MONITOR_VMX_CAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <polyvisor/vmx_msrs.h>

/// How an MSR tells what a bit may be.
enum vmx_layout {
    VMX_LAYOUT_CONTROLS, ///< bit in 31:0 set: must be 1; bit in 63:32 clear: must be 0
    VMX_LAYOUT_FLAGS,    ///< bit set: is supported (may be 1)
};

enum vmx_setting { VMX_NO, VMX_YES, VMX_ALWAYS };

struct vmx_bit {
    uint8_t bit;
    const char *name;
};

struct vmx_group {
    const char *key; ///< for JSON
    const char *title;
    uint32_t msr;
    uint32_t true_msr; ///< to be read instead where IA32_VMX_BASIC has VMX_BASIC_TRUE_CONTROLS; 0: none
    /// The MSR exists only if bit gate_bit (0 to 63) of MSR gate_msr is 1; gate_msr 0: it always exists.
    uint32_t gate_msr;
    uint8_t gate_bit;
    enum vmx_layout layout;
    const struct vmx_bit *bits;
    size_t count;
};

extern const struct vmx_group vmx_groups[];
extern const size_t vmx_group_count;
/// IA32_FEATURE_CONTROL, which exists where CPUID tells of VMX.
extern const struct vmx_group vmx_feature_control;

/// What a bit of a capability MSR with this value may be.
enum vmx_setting vmx_setting(enum vmx_layout layout, uint64_t value, unsigned bit);
/// "no", "yes", "always".
const char *vmx_setting_name(enum vmx_setting setting);
/// Bits that can be set freely although the group does not name them: newer than this program.
uint64_t vmx_unnamed(const struct vmx_group *group, uint64_t value);

/// IA32_VMX_BASIC (A.1).
struct vmx_basic {
    uint32_t revision;
    uint32_t region_size;  ///< bytes, of a VMCS and of the VMXON region
    uint32_t memory_type;  ///< 6: write-back
    bool addresses_32_bit; ///< the regions must lie below 4 GiB
};
struct vmx_basic vmx_basic_decode(uint64_t value);

/// IA32_VMX_MISC (A.6).
struct vmx_misc {
    uint32_t timer_shift; ///< the VMX-preemption timer counts down by 1 every 2^timer_shift TSC ticks
    uint32_t cr3_targets;
    uint32_t msr_list_max; ///< entries recommended at most in an MSR list
    uint32_t mseg_revision;
};
struct vmx_misc vmx_misc_decode(uint64_t value);

#endif
