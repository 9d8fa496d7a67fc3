// SPDX-License-Identifier: Apache-2.0
/// PV_DEBUG_BASELINE: what a switch costs between hypervisors that leave VMX operation for each other (docs/performance.md).
#ifndef POLYVISOR_BASELINE_H
#define POLYVISOR_BASELINE_H

#include <stdint.h>

enum pv_baseline_way {
    PV_BASELINE_STAY = 0, ///< VMPTRLD, VMRESUME: the same loop without what is measured, to compare with
    /// VMCLEAR, VMXOFF, CR4.VMXE off; CR4.VMXE on, VMXON, VMPTRLD, VMLAUNCH
    PV_BASELINE_LEAVE = 1,
};

enum {
    PV_BASELINE_PAIRS = 256,          ///< how often VMXOFF and VMXON are timed by themselves
    PV_BASELINE_SWITCHES_MAX = 20000, ///< of a measurement
    PV_BASELINE_TURN_MAX = 1 << 24,   ///< ticks
};
#define PV_BASELINE_NO_EXIT UINT32_MAX ///< no guest made an exit for which there is nobody

/*
 * The caller must be a personality of one agent. Its core is taken out of service: no agent runs there, no VMCS is active. Two of
 * the caller's vcpus, which are on that core, do not run, share registers with nobody and do not use debug registers, run there in
 * turn. Then the core is back in service, in VMX operation; the counts of VMXON and VMXOFF (struct pv_core_info) have grown by what
 * was executed.
 */
struct pv_baseline {
    /* wanted */
    uint32_t vcpus[2];
    uint32_t way;        ///< enum pv_baseline_way
    uint32_t switches;   ///< how many
    uint64_t turn_ticks; ///< how long each vcpu runs

    /* seen */
    uint32_t switched;         ///< how many there were; fewer when a guest made an exit for which there is nobody:
    uint32_t exit;             ///< its reason, or PV_BASELINE_NO_EXIT
    uint32_t cleared;          ///< VMCSs that had to be cleared to take the core out of service
    uint32_t off_count;        ///< how often VMXOFF and VMXON were executed
    uint64_t vmx_instructions; ///< of the switches; 0 in builds that do not count them
    /// Ticks of VMXOFF to VMXON alone, and of nothing, the same measurement. Only of PV_BASELINE_LEAVE.
    uint32_t pairs[PV_BASELINE_PAIRS], empty[PV_BASELINE_PAIRS];
};

#endif
