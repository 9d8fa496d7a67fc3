// SPDX-License-Identifier: Apache-2.0
/// VMX operation of a core: entered once at boot, left only to power off.
#ifndef POLYVISOR_VMX_H
#define POLYVISOR_VMX_H

#include <stdbool.h>
#include <stdint.h>

struct core;
struct vmx_caps;

enum { VMX_REGION_SIZE = 4096 }; // VMXON region and VMCS: at most that (SDM Vol. 3D A.1)

/// Capabilities that all cores in VMX operation share; valid when vmx_ready().
extern struct vmx_caps vmx_caps;

/// Checks this core and executes VMXON; core->vmxon_region must be a page. On false core->state is PV_CORE_NO_VMX and
/// core->why tells. The bootstrap processor goes first; the others are compared with it.
bool vmx_enable(struct core *core);
/// Whether the machine can run guests: the bootstrap processor is in VMX operation.
bool vmx_ready(void);
/// Leaves VMX operation, for power-off only.
void vmx_disable(struct core *core);

#endif
