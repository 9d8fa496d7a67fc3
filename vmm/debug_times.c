// SPDX-License-Identifier: Apache-2.0
/// Lists with times in them: cores, personalities, agents. The cores are asked first what time they have spent on whom.
#include <polyvisor/string.h>

#include "arch/x86/apic.h"
#include "arch/x86/core.h"
#include "vmm/debug_call.h"
#include "vmm/personality.h"
#include "vmm/vcpu.h"

/* ---- a round of the cores ---- */

static void run_note(struct message *message);

/// A list's place in the remote call that goes from core to core.
enum { NEXT_CORE = 0, LIST = 1, BUFFER = 2, SIZE = 3 };

static void visit_next(struct remote_call *call)
{
    for (uint64_t i = call->arguments[NEXT_CORE]; i < core_count; i++) {
        if (cores[i].ready) {
            call->arguments[NEXT_CORE] = i + 1;
            call->message.run = run_note;
            message_send(&cores[i], &call->message);
            return;
        }
    }
    sched_unblock(call->agent);
}

static void run_note(struct message *message)
{
    sched_note_times();
    visit_next((struct remote_call *)message);
}

static int64_t finish_list(struct remote_call *call)
{
    debug_operation *list = (debug_operation *)call->arguments[LIST];
    struct debug_call list_call = {
        .regs = &call->agent->regs, .buffer = call->arguments[BUFFER], .size = call->arguments[SIZE]};
    return list(&list_call);
}

int64_t debug_list_with_times(const struct debug_call *call, debug_operation *list)
{
    struct agent *agent = agent_of(call->regs);
    if (call->a1 == PV_DEBUG_AS_NOTED) {
        return list(call);
    }
    agent->call.arguments[NEXT_CORE] = 0;
    agent->call.arguments[LIST] = (uint64_t)list;
    agent->call.arguments[BUFFER] = call->buffer;
    agent->call.arguments[SIZE] = call->size;
    agent->call.finish = finish_list;
    sched_block(agent);
    visit_next(&agent->call);
    return PV_OK;
}

/* ---- lists ---- */

static uint64_t core_syscalls(const struct core *core)
{
    uint64_t sum = 0;
    for (uint32_t p = 0; p < personality_count; p++) {
        for (uint32_t a = 0; a < personalities[p].agent_count; a++) {
            sum += personalities[p].agents[a].core == core ? personalities[p].agents[a].regs.syscalls : 0;
        }
    }
    return sum;
}

static int64_t put_cores(const struct debug_call *call)
{
    for (uint32_t i = 0; i < core_count; i++) {
        const struct core *c = &cores[i];
        struct sched_times times = {0};
        uint64_t switches = 0;
        if (c->state != PV_CORE_ABSENT) {
            times = sched_noted_times(c);
            switches = sched_switches(c);
        }
        struct pv_core_info info = {
            .core = c->id,
            .apic = c->apic_id,
            .state = c->state,
            .flags = (c->bsp ? PV_CORE_BSP : 0) | (apic_is_x2() ? PV_CORE_X2APIC : 0),
            .vmxon = c->vmxon_count,
            .vmxoff = c->vmxoff_count,
#ifdef POLYVISOR_COUNT_VMX
            .vmx_instructions = c->vmx_instructions,
#endif
            .ticks_total = times.total,
            .ticks_idle = times.idle,
            .ticks_ring3 = times.ring3,
            .ticks_guest = times.guest,
            .ticks_mux = times.mux,
            .switches = switches,
            .interrupts = c->interrupts,
            .syscalls = core_syscalls(c),
        };
        pv_strcopy(info.why, sizeof(info.why), c->why);
        if (!debug_put_record(call, i, &info, sizeof(info))) {
            return PV_ERR_FAULT;
        }
    }
    return core_count;
}

static void count_exits(struct personality *p, struct pv_personality_info *info)
{
    lock_take(&p->lock); // vcpus come and go
    info->exits_absorbed = p->exits_absorbed;
    info->exits_delivered = p->exits_delivered;
    for (uint32_t i = 0; i < PV_MAX_VCPUS; i++) {
        const struct vcpu *v = p->vcpus[i];
        for (uint32_t reason = 0; v && reason < EXIT_REASONS; reason++) {
            info->exits_absorbed += v->absorbed[reason];
            info->exits_delivered += v->delivered[reason];
        }
        info->vcpus += v != NULL;
    }
    lock_drop(&p->lock);
}

static void describe_personality(struct personality *p, struct pv_personality_info *info)
{
    *info = (struct pv_personality_info){
        .id = p->id,
        .state = personality_state(p),
        .cores = p->cores,
        .weight = p->weight,
        .flags = p->config->debug ? PV_INFO_DEBUG : 0,
        .agents = p->agent_count,
        .restarts = p->restarts,
        .pool = p->memory_size,
        .quota = p->quota.size,
        .quota_used = p->quota.used,
        .console_dropped = p->console.out.dropped,
        .console_overwritten = p->console.out.head > PV_CONSOLE_SIZE ? p->console.out.head - PV_CONSOLE_SIZE : 0,
        .exit_code = p->exit_code,
        .registers = p->registers,
    };
    count_exits(p, info);
    for (uint32_t i = 0; i < p->agent_count; i++) {
        info->switches += p->agents[i].switches;
        info->ticks_ring3 += p->agents[i].ticks_ring3;
        info->ticks_guest += p->agents[i].ticks_guest;
        info->syscalls += p->agents[i].regs.syscalls;
    }
    pv_strcopy(info->name, sizeof(info->name), p->config->name);
    pv_strcopy(info->image, sizeof(info->image), p->config->image);
    pv_strcopy(info->why, sizeof(info->why), p->why);
}

static int64_t put_personalities(const struct debug_call *call)
{
    for (uint32_t i = 0; i < personality_count; i++) {
        struct pv_personality_info info;
        describe_personality(&personalities[i], &info);
        if (!debug_put_record(call, i, &info, sizeof(info))) {
            return PV_ERR_FAULT;
        }
    }
    return personality_count;
}

_Static_assert((int)AGENT_STOPPED == (int)PV_AGENT_STOPPED && (int)AGENT_READY == (int)PV_AGENT_READY &&
                   (int)AGENT_RUNNING == (int)PV_AGENT_RUNNING && (int)AGENT_WAITING == (int)PV_AGENT_WAITING &&
                   (int)AGENT_BLOCKED == (int)PV_AGENT_BLOCKED,
               "agents' states");

static int64_t put_agents(const struct debug_call *call)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < personality_count; i++) {
        const struct personality *p = &personalities[i];
        for (uint32_t a = 0; a < p->agent_count; a++) {
            const struct agent *agent = &p->agents[a];
            struct pv_agent_info info = {
                .personality = p->id,
                .agent = agent->index,
                .core = agent->core->id,
                .state = agent->state,
                .switches = agent->switches,
                .ticks = agent->ticks,
                .ticks_guest = agent->ticks_guest,
                .ticks_ring3 = agent->ticks_ring3,
                .syscalls = agent->regs.syscalls,
            };
            pv_strcopy(info.name, sizeof(info.name), p->config->name);
            if (!debug_put_record(call, count++, &info, sizeof(info))) {
                return PV_ERR_FAULT;
            }
        }
    }
    return (int64_t)count;
}

int64_t debug_list_agents(const struct debug_call *call)
{
    return debug_list_with_times(call, put_agents);
}

int64_t debug_list_cores(const struct debug_call *call)
{
    return debug_list_with_times(call, put_cores);
}

int64_t debug_list_personalities(const struct debug_call *call)
{
    return debug_list_with_times(call, put_personalities);
}
