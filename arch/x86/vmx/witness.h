// SPDX-License-Identifier: Apache-2.0
/// What a core can tell of its own VMX state: to see that another core's VMXON leaves it alone (vmm/roll_call.h).
#ifndef POLYVISOR_VMX_WITNESS_H
#define POLYVISOR_VMX_WITNESS_H

#include <stdbool.h>
#include <stdint.h>

/// A core's own registers, and what it is able to do.
struct vmx_witness {
    uint64_t cr0, cr4, efer;
    uint64_t feature_control;
    uint64_t caps;       ///< sum of its VMX capability MSRs
    uint64_t features;   ///< CPUID leaf 1: ECX, and EDX above it
    bool in_vmx;         ///< VMPTRST worked; outside VMX operation it is #UD
    uint64_t vmcs;       ///< what it stored: the current VMCS, or all ones. 0: it did not work
    bool reads_vmcs;     ///< VMREAD of the current VMCS worked
    uint64_t vmcs_value; ///< what it read
};

/// Looks at the core that executes this. The processor must have VMX.
void vmx_witness_look(struct vmx_witness *witness);
/// Makes a VMCS current on this core, which is in VMX operation, with a value that vmx_witness_look reads again. The page is a free
/// one.
void vmx_witness_load(uint64_t vmcs, uint64_t value);
/// No VMCS is current or active any more.
void vmx_witness_clear(uint64_t vmcs);

/* entry.asm */
/// VMPTRST. False: #UD.
bool vmx_try_vmptrst(uint64_t *vmcs);

#endif
