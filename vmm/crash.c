// SPDX-License-Identifier: Apache-2.0
#include "vmm/crash.h"

#include <polyvisor/abi.h>

#include "arch/x86/core.h"
#include "arch/x86/fault.h"
#include "vmm/personality.h"
#include "vmm/vcpu.h"

#ifdef POLYVISOR_DEBUG
/// A vcpu whose VMCS is active on another core. NULL: there is none.
static struct vcpu *vcpu_elsewhere(void)
{
    struct vcpu *found = NULL;
    for (uint32_t i = 0; i < personality_count && !found; i++) {
        struct personality *p = &personalities[i];
        lock_take(&p->lock);
        for (uint32_t v = 0; v < PV_MAX_VCPUS && !found; v++) {
            struct vcpu *vcpu = p->vcpus[v];
            found = vcpu && vcpu->core != core_self() && vcpu->host_core == vcpu->core ? vcpu : NULL;
        }
        lock_drop(&p->lock);
    }
    return found;
}

/// Breaks the rule that a VMCS is bound to one core, and cleared there before it goes to another (SDM Vol. 3C 25.1, 25.11.1).
static bool break_vmcs_rule(bool bind_first)
{
    struct vcpu *vcpu = vcpu_elsewhere();
    if (vcpu && bind_first) {
        vcpu->core = core_self();
    }
    if (vcpu) {
        vcpu_make_current(core_self(), vcpu);
    }
    return vcpu;
}

bool crash_built_in(void)
{
    return true;
}

bool crash_now(uint64_t how)
{
    switch (how) {
    case PV_CRASH_PAGE:
        fault_page();
        break;
    case PV_CRASH_DIVIDE:
        fault_divide();
        break;
    case PV_CRASH_STACK:
        fault_stack();
        break;
    case PV_CRASH_UD:
        fault_invalid_opcode();
        break;
    case PV_CRASH_NMI:
        fault_nmi();
        break;
    case PV_CRASH_VMCS_ELSEWHERE:
        return break_vmcs_rule(false);
    case PV_CRASH_VMCS_UNCLEARED:
        return break_vmcs_rule(true);
    default:
        break;
    }
    return true;
}
#else
bool crash_built_in(void)
{
    return false;
}

bool crash_now(uint64_t how)
{
    (void)how;
    return true;
}
#endif
