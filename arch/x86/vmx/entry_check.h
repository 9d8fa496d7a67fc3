// SPDX-License-Identifier: Apache-2.0
/// Why VM entry refuses a VMCS: the processor says no more than "invalid control field(s)" or "invalid guest state";
/// this names the rule of SDM Vol. 3C 27.2 and 27.3 and the field. Pure; host-tested.
///
/// Not looked at, because it is not in the VMCS: what pages that it names contain (the virtual TPR, the VMCS that the
/// link pointer refers to, PDPTEs without EPT). Not checked: FRED, and the secondary VM-exit controls' reserved bits,
/// for which struct vmx_caps has no capability MSR; neither is ever used.
#ifndef POLYVISOR_VMX_ENTRY_CHECK_H
#define POLYVISOR_VMX_ENTRY_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/x86/vmx/vmcs_fields.h"

struct vmx_caps;

/// What the rules need to know of the processor and no VMX capability MSR tells.
struct vmx_processor {
    uint8_t physical_bits; ///< CPUID.80000008H:EAX 7:0
    uint8_t linear_bits;   ///< CPUID.80000008H:EAX 15:8
    bool sgx;              ///< CPUID.7.0:EBX bit 2
    bool rtm;              ///< CPUID.7.0:EBX bit 11
    bool bus_lock;         ///< CPUID.7.0:ECX bit 24, bus-lock detection
    bool lam;              ///< CPUID.7.1:EAX bit 26, linear-address masking
    /* bits that these MSRs have; 0 for an MSR that the processor has not */
    uint64_t efer, debugctl, perf_global_ctrl, rtit_ctl, lbr_ctl;
};

/// A VMCS as it stands before the entry.
struct vmx_entry_state {
    const struct vmx_caps *caps;
    struct vmx_processor processor;
    uint64_t value[VMCS_FIELD_COUNT]; ///< by vmcs_field_index; 0 for fields that the processor has not
};

struct vmx_violation {
    const char *rule;    ///< in the SDM's words
    const char *section; ///< of SDM Vol. 3C
    uint32_t field;      ///< the one that breaks it
    uint64_t value;
};

/// Reads every field. `read` is VMREAD, with false for fields that do not exist.
void vmx_entry_snapshot(struct vmx_entry_state *state, bool (*read)(uint32_t field, uint64_t *value));
uint64_t vmx_entry_get(const struct vmx_entry_state *state, enum vmcs_field field);
void vmx_entry_set(struct vmx_entry_state *state, enum vmcs_field field, uint64_t value);

/// True when VM entry outside SMM, from a 64-bit host, would accept the VMCS. Otherwise *violation is the first rule
/// that is broken, in the order of the SDM: controls, host state, guest state.
bool vmx_entry_check(const struct vmx_entry_state *state, struct vmx_violation *violation);
/// One line: "guest_rflags = 0x0: reserved bit 1 must be 1 (SDM Vol. 3C 27.3.1.4)". Returns its length.
size_t vmx_violation_text(const struct vmx_violation *violation, char *buffer, size_t size);

#endif
