// SPDX-License-Identifier: Apache-2.0
/// What personalities may choose in control fields and control registers, and what the multiplexer forces so that time,
/// interrupts and isolation stay its own (design: invariants 2 and 3). Pure; host-tested.
///
///     final = (wanted & free) | forced_1 | must_be_1, of that what may be 1
///
/// Bits that are neither free nor forced to 1 are 0: what nobody has thought about is off.
#ifndef POLYVISOR_VMX_CONTROLS_H
#define POLYVISOR_VMX_CONTROLS_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/vmx/vmcs_fields.h"

struct vmx_caps;

/// A value for a control field (pin, primary, secondary, exit, entry controls) that the processor accepts and that
/// obeys every force, as near to the wanted one as possible. 0 for other fields.
uint32_t vmx_control_sanitise(const struct vmx_caps *caps, enum vmcs_field field, uint32_t wanted);
/// What a new vcpu starts with: unrestricted guest, and an exit for whatever a personality has to decide about.
uint32_t vmx_control_default(const struct vmx_caps *caps, enum vmcs_field field);
/// Bits that stay as they are whatever is wanted.
uint32_t vmx_control_fixed(const struct vmx_caps *caps, enum vmcs_field field);
/// Whether all forces that the design depends on can be had. If not, *field and *bit say which cannot.
bool vmx_controls_possible(const struct vmx_caps *caps, enum vmcs_field *field, unsigned *bit);
/// Whether exits save the rest of the VMX-preemption timer into its field. Otherwise entries start it anew.
bool vmx_saves_preemption_timer(const struct vmx_caps *caps);

/// The exception bitmap: #MC is the machine's, not the guest's; #DB and #AC can recur in their own delivery for ever,
/// with no instruction boundary at which an interrupt or the timer could end it (CVE-2015-8104, CVE-2015-5307).
uint32_t vmx_exception_bitmap(uint32_t wanted);
/// Bits of CR0 that the guest's own MOV must not change. CD and NW act on the whole core and VM exits leave them alone
/// (SDM Vol. 3C 28.5.1); NE is fixed in VMX operation.
uint64_t vmx_cr0_mask(uint64_t wanted);
/// CR4: VMXE is fixed in VMX operation; without MCE a machine check shuts the core down instead of exiting (SDM Vol. 3A 2.5). Guests
/// see both in the read shadow.
uint64_t vmx_cr4_mask(uint64_t wanted);
/// A MOV to CR4 exited. True: the personality, whose own mask is `wanted`, needs not know; executed again with the read shadow
/// *shadow it does not exit.
bool vmx_absorb_cr4(uint64_t value, uint64_t wanted, uint64_t *shadow);

/// A guest's CR0 with the bits that are fixed in VMX operation, PE and PG excepted (unrestricted guest; SDM Vol. 3C
/// 24.8).
uint64_t vmx_guest_cr0(const struct vmx_caps *caps, uint64_t wanted);
/// A guest's CR4 with the bits that are fixed in VMX operation, VMXE among them, and with MCE.
uint64_t vmx_guest_cr4(const struct vmx_caps *caps, uint64_t wanted);
/// A guest's IA32_EFER: of the supported bits only, and LMA exactly when LME and CR0.PG are set (SDM Vol. 3A 9.8.5).
uint64_t vmx_guest_efer(uint64_t supported, uint64_t cr0, uint64_t wanted);
/// What decides whether a guest is in IA-32e mode: CR0, IA32_EFER, the VM-entry controls.
struct vmx_mode {
    uint64_t cr0, efer;
    uint32_t entry;
};
/// Makes EFER.LMA and "IA-32e mode guest" what CR0.PG and EFER.LME make of them, as entry demands (SDM Vol. 3C 27.3.1.1: LMA equals the
/// control, and LME when CR0.PG is 1; the control needs CR0.PG).
void vmx_settle_mode(struct vmx_mode *mode);
/// Whether each of IA32_PAT's eight fields is a memory type, and not a reserved one (SDM Vol. 3A 12.12.2). Entry would refuse it.
bool vmx_pat_valid(uint64_t pat);
/// IA32_EFER's bits that Intel processors with VMX have; NXE may be missing where firmware switched it off.
#define VMX_EFER_ALL UINT64_C(0xd01)

#endif
