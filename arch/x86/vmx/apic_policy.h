// SPDX-License-Identifier: Apache-2.0
/*
 * APIC virtualization (SDM Vol. 3C chapter 30): which of its controls go together, and which x2APIC MSRs the processor then
 * takes to the virtual-APIC page. These MSRs are the core's own local APIC in every other case, so what is let through here
 * decides whether a guest can reach that. Pure; host-tested.
 */
#ifndef POLYVISOR_VMX_APIC_POLICY_H
#define POLYVISOR_VMX_APIC_POLICY_H

#include <stdbool.h>
#include <stdint.h>

struct vmx_caps;

enum { X2APIC_FIRST_MSR = 0x800, X2APIC_MSRS = 0x100 };

/// Controls that a vcpu uses: bits. As enum pv_apic.
enum vmx_apic {
    VMX_APIC_TPR = 1 << 0,        ///< use TPR shadow
    VMX_APIC_X2APIC = 1 << 1,     ///< virtualize x2APIC mode
    VMX_APIC_ACCESSES = 1 << 2,   ///< virtualize APIC accesses
    VMX_APIC_REGISTERS = 1 << 3,  ///< APIC-register virtualization
    VMX_APIC_INTERRUPTS = 1 << 4, ///< virtual-interrupt delivery
    VMX_APIC_ALL = (1 << 5) - 1,
};

/// Whether VM entry accepts them together (27.2.1.1). Virtual-interrupt delivery's external-interrupt exiting is always on.
bool vmx_apic_valid(uint64_t features);
/// Whether the processor has them all, and can leave out the exits of CR8 accesses.
bool vmx_apic_supported(const struct vmx_caps *caps, uint64_t features);
/// Sanitised controls (vmx_control_sanitise), with those of the features.
uint32_t vmx_apic_primary(uint64_t features, uint32_t sanitised);
uint32_t vmx_apic_secondary(uint64_t features, uint32_t sanitised);
/// Whether all accesses of a kind (enum bitmap_access) to a range of MSRs go to the virtual-APIC page (30.5): then they may be open
/// in the MSR bitmap.
bool vmx_apic_takes_msrs(uint64_t features, uint64_t first, uint64_t count, uint32_t access);

#endif
