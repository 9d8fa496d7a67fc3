// SPDX-License-Identifier: Apache-2.0
/// VMX operation of a core: entered once at boot, left only to power off.
#ifndef POLYVISOR_VMX_H
#define POLYVISOR_VMX_H

#include <stdbool.h>
#include <stdint.h>

struct core;
struct vmx_processor;
struct vmx_caps;
struct field_table;

enum { VMX_REGION_SIZE = 4096 }; // VMXON region and VMCS: at most that (SDM Vol. 3D A.1)

/// Capabilities that all cores in VMX operation share; valid when vmx_ready().
extern struct vmx_caps vmx_caps;
/// What field_policy says of them.
extern struct field_table vmx_fields;
/// VMREAD of any field, also one that the processor has not: false.
bool vmx_read_any(uint32_t field, uint64_t *value);

/// Checks this core and executes VMXON; core->vmxon_region must be a page. On false core->state is PV_CORE_NO_VMX and
/// core->why tells. The bootstrap processor goes first; the others are compared with it.
bool vmx_enable(struct core *core);
/// Whether the machine can run guests: the bootstrap processor is in VMX operation.
bool vmx_ready(void);
/// What the entry checker (entry_check.h) needs to know of this core.
struct vmx_processor vmx_processor(void);
/// Whether the VMX-preemption timer bounds every stay in a guest. Otherwise the local APIC's does (vmm/sched.c).
extern bool vmx_guest_timer;
/// Decides that for all cores, when they are in VMX operation and before there is a vcpu. lapic: the configuration wants the
/// local APIC's. False: the processor has no other.
bool vmx_choose_guest_timer(bool lapic);
/// Values of the VMX-preemption timer stay below this: near the maximum it fires at once on Skylake and later server
/// parts.
#define VMX_TIMER_MAX UINT64_C(0x1000000)
/// The VMX-preemption timer counts down once in 2^this TSC ticks (IA32_VMX_MISC, SDM Vol. 3D A.6).
extern uint32_t vmx_timer_shift;
/// After an exit by NMI: NMIs are blocked until an IRET; this executes one.
void vmx_unblock_nmi(void);
/// Leaves VMX operation, for power-off only.
void vmx_disable(struct core *core);

#endif
