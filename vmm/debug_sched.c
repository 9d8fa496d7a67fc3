// SPDX-License-Identifier: Apache-2.0
/// What the monitor may see and change of the time that personalities get.
#include "arch/x86/tsc.h"
#include "vmm/debug_call.h"
#include "vmm/machine.h"
#include "vmm/personality.h"

enum { SLICE_MIN_US = 100, SLICE_MAX_US = 1000000 };

int64_t debug_list_sched(const struct debug_call *call)
{
    struct pv_sched_info info = {
        .policy = sched_policy(),
        .slice_ticks = machine.slice_ticks,
        .slice_us = (uint32_t)cpu_scale(machine.slice_ticks, 1000000, tsc_hz()),
        .frame_slots = machine.config.slot_count,
    };
    return debug_put_record(call, 0, &info, sizeof(info)) ? 1 : PV_ERR_FAULT;
}

int64_t debug_set_policy(const struct debug_call *call)
{
    bool slice_right = call->a2 == 0 || (call->a2 >= SLICE_MIN_US && call->a2 <= SLICE_MAX_US);
    if (call->a1 > PV_POLICY_FRAME || !slice_right) {
        return PV_ERR_INVALID;
    }
    uint64_t slice = call->a2 ? cpu_scale(call->a2, tsc_hz(), 1000000) : machine.slice_ticks;
    return sched_set_policy((enum pv_policy)call->a1, slice) ? PV_OK : PV_ERR_UNSUPPORTED;
}

static struct personality *find(uint64_t number)
{
    return number < personality_count ? &personalities[number] : NULL;
}

int64_t debug_set_weight(const struct debug_call *call)
{
    struct personality *p = find(call->a1);
    if (!p) {
        return PV_ERR_NOT_FOUND;
    }
    if (call->a2 == 0 || call->a2 > CONFIG_WEIGHT_MAX) {
        return PV_ERR_INVALID;
    }
    personality_set_weight(p, (uint32_t)call->a2);
    return PV_OK;
}

static int64_t pause(const struct debug_call *call, bool paused)
{
    struct personality *p = find(call->a1);
    if (!p) {
        return PV_ERR_NOT_FOUND;
    }
    if (p->config->debug) {
        return PV_ERR_DENIED; // nobody could resume it
    }
    return (paused ? personality_pause(p, true) : personality_resume(p, NULL)) ? PV_OK : PV_ERR_STATE;
}

int64_t debug_pause(const struct debug_call *call)
{
    return pause(call, true);
}

int64_t debug_resume(const struct debug_call *call)
{
    return pause(call, false);
}

int64_t debug_pin(const struct debug_call *call)
{
    struct personality *p = find(call->a1);
    if (!p) {
        return PV_ERR_NOT_FOUND;
    }
    return personality_pin(p, call->a2, agent_of(call->regs));
}
