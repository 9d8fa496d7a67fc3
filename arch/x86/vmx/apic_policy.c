// SPDX-License-Identifier: Apache-2.0
#include "arch/x86/vmx/apic_policy.h"

#include "arch/x86/vmx/bitmaps.h"
#include "arch/x86/vmx/caps.h"
#include "arch/x86/vmx/vmcs_bits.h"

enum { TPR_MSR = 0x808, EOI_MSR = 0x80b, SELF_IPI_MSR = 0x83f };

#define CR8_EXITING (PRIMARY_CR8_LOAD | PRIMARY_CR8_STORE)
#define SECONDARY_APIC                                                                                                 \
    (SECONDARY_APIC_ACCESSES | SECONDARY_X2APIC | SECONDARY_APIC_REGISTERS | SECONDARY_VIRTUAL_INTERRUPTS)

static uint32_t secondary_of(uint64_t features)
{
    return (features & VMX_APIC_X2APIC ? SECONDARY_X2APIC : 0) |
           (features & VMX_APIC_ACCESSES ? SECONDARY_APIC_ACCESSES : 0) |
           (features & VMX_APIC_REGISTERS ? SECONDARY_APIC_REGISTERS : 0) |
           (features & VMX_APIC_INTERRUPTS ? SECONDARY_VIRTUAL_INTERRUPTS : 0);
}

bool vmx_apic_valid(uint64_t features)
{
    const uint64_t need_tpr = VMX_APIC_X2APIC | VMX_APIC_REGISTERS | VMX_APIC_INTERRUPTS;
    const uint64_t both = VMX_APIC_X2APIC | VMX_APIC_ACCESSES;
    return (features & ~(uint64_t)VMX_APIC_ALL) == 0 && (features & both) != both &&
           ((features & need_tpr) == 0 || (features & VMX_APIC_TPR) != 0);
}

bool vmx_apic_supported(const struct vmx_caps *caps, uint64_t features)
{
    uint32_t secondary = secondary_of(features);
    if ((features & VMX_APIC_TPR) &&
        (!(caps->primary >> 32 & PRIMARY_TPR_SHADOW) || ((uint32_t)caps->primary & CR8_EXITING))) {
        return false;
    }
    return (secondary & ~(uint32_t)(caps->secondary >> 32)) == 0;
}

uint32_t vmx_apic_primary(uint64_t features, uint32_t sanitised)
{
    return features & VMX_APIC_TPR ? (sanitised & ~CR8_EXITING) | PRIMARY_TPR_SHADOW
                                   : (sanitised & ~PRIMARY_TPR_SHADOW) | CR8_EXITING;
}

uint32_t vmx_apic_secondary(uint64_t features, uint32_t sanitised)
{
    return (sanitised & ~SECONDARY_APIC) | secondary_of(features);
}

/// Accesses to one MSR that go to the virtual-APIC page: bits of enum bitmap_access.
static uint32_t taken(uint64_t features, uint64_t msr)
{
    uint32_t access = BITMAP_NONE;
    if (!(features & VMX_APIC_X2APIC) || msr < X2APIC_FIRST_MSR || msr - X2APIC_FIRST_MSR >= X2APIC_MSRS) {
        return access;
    }
    if (msr == TPR_MSR || (features & VMX_APIC_REGISTERS)) {
        access |= BITMAP_READ;
    }
    if (msr == TPR_MSR || ((features & VMX_APIC_INTERRUPTS) && (msr == EOI_MSR || msr == SELF_IPI_MSR))) {
        access |= BITMAP_WRITE;
    }
    return access;
}

bool vmx_apic_takes_msrs(uint64_t features, uint64_t first, uint64_t count, uint32_t access)
{
    if (count == 0 || count > X2APIC_MSRS) {
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        if (access & ~taken(features, first + i)) {
            return false;
        }
    }
    return true;
}
