// SPDX-License-Identifier: Apache-2.0
/// What the monitor may see of vcpus.
#include <polyvisor/string.h>

#include "arch/x86/core.h"
#include "arch/x86/vmx/vmx.h"
#include "vmm/debug_call.h"
#include "vmm/personality.h"
#include "vmm/space.h"
#include "vmm/user.h"
#include "vmm/vcpu.h"

_Static_assert((int)EXIT_REASONS == (int)PV_EXIT_REASONS, "struct pv_exit_counts");

static uint32_t space_number(const struct personality *p, const struct space *space)
{
    uint32_t number = 0;
    while (number < PV_MAX_SPACES && p->spaces[number] != space) {
        number++;
    }
    return number;
}

static void describe(const struct personality *p, const struct vcpu *v, struct pv_vcpu_info *info)
{
    *info = (struct pv_vcpu_info){
        .personality = p->id,
        .vcpu = v->id,
        .core = v->core->id,
        .running = v->agent && v->agent->regs.guest == v,
        .space = space_number(p, v->space),
        .vpid = v->vpid,
        .run_time = v->run_time,
        .moves = v->moves,
        .rip = v->state->rip,
    };
    for (uint32_t i = 0; i < EXIT_REASONS; i++) {
        info->absorbed += v->absorbed[i];
        info->delivered += v->delivered[i];
    }
    pv_strcopy(info->name, sizeof(info->name), p->config->name);
}

static int64_t put_vcpus(const struct debug_call *call)
{
    uint64_t count = 0;
    bool fault = false;
    for (uint32_t i = 0; i < personality_count && !fault; i++) {
        struct personality *p = &personalities[i];
        for (uint32_t v = 0; v < PV_MAX_VCPUS && !fault; v++) {
            struct pv_vcpu_info info;
            lock_take(&p->lock); // it may be destroyed otherwise
            bool there = p->vcpus[v] != NULL;
            if (there) {
                describe(p, p->vcpus[v], &info);
            }
            lock_drop(&p->lock);
            fault = there && !debug_put_record(call, count, &info, sizeof(info));
            count += there;
        }
    }
    return fault ? PV_ERR_FAULT : (int64_t)count;
}

int64_t debug_list_vcpus(const struct debug_call *call)
{
    return debug_list_with_times(call, put_vcpus); // which charges guests that run for what they have run
}

struct personality *debug_vcpu_personality(uint64_t id)
{
    return id >> 32 < personality_count ? &personalities[id >> 32] : NULL;
}

int64_t debug_read_exits(const struct debug_call *call)
{
    struct pv_exit_counts counts;
    struct personality *p = debug_vcpu_personality(call->a1);
    if (call->size < sizeof(counts)) {
        return PV_ERR_INVALID;
    }
    if (!p) {
        return PV_ERR_NOT_FOUND;
    }
    lock_take(&p->lock);
    const struct vcpu *v = vcpu_find(p, (uint32_t)call->a1);
    if (v) {
        memcpy(counts.absorbed, v->absorbed, sizeof(counts.absorbed));
        memcpy(counts.delivered, v->delivered, sizeof(counts.delivered));
    }
    lock_drop(&p->lock);
    if (!v) {
        return PV_ERR_NOT_FOUND;
    }
    return user_write(call->buffer, &counts, sizeof(counts)) ? PV_OK : PV_ERR_FAULT;
}

struct agent *debug_vcpu_agent(uint64_t id)
{
    struct personality *p = debug_vcpu_personality(id);
    if (!p) {
        return NULL;
    }
    lock_take(&p->lock);
    const struct vcpu *v = vcpu_find(p, (uint32_t)id);
    struct agent *agent = v ? v->agent : NULL;
    lock_drop(&p->lock);
    return agent;
}

/// On the vcpu's core, which has left its guest for this message: the VMCS made current, read, and the one before put
/// back.
static void run_read(struct message *message)
{
    struct remote_call *call = (struct remote_call *)message;
    struct core *core = core_self();
    struct agent *agent = debug_vcpu_agent(call->arguments[1]);
    if (agent && sched_forward(agent, message)) {
        return;
    }
    struct vcpu *v = agent ? vcpu_of(agent, (uint32_t)call->arguments[1]) : NULL, *before = core->current_vcpu;
    uint64_t value = 0;
    call->result = PV_ERR_NOT_FOUND; // gone, or given away, since the caller looked
    if (v) {
        vcpu_open_vmcs(core, v);
        call->result = vmx_read_any((uint32_t)call->arguments[0], &value) ? PV_OK : PV_ERR_GP;
        if (before) {
            vcpu_make_current(core, before);
        }
    }
    memcpy(call->data, &value, sizeof(value));
    sched_unblock(call->agent);
}

int64_t debug_read_vmcs(const struct debug_call *call)
{
    const struct agent *agent = debug_vcpu_agent(call->a1);
    if (!agent) {
        return PV_ERR_NOT_FOUND;
    }
    if (call->a2 > UINT32_MAX) {
        return PV_ERR_INVALID;
    }
    return debug_call_core(call, agent->core->id, run_read, sizeof(uint64_t));
}
