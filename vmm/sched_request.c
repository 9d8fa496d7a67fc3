// SPDX-License-Identifier: Apache-2.0
/*
 * What cores ask of agents: each has one message, and a mask of what is asked. An agent may leave for another core at any
 * time. A message that comes to the old core goes on to the new one, and whichever message comes first there makes the
 * agent arrive: so nothing is lost or done by two cores, and start and stop cannot change places.
 */
#include <stddef.h>

#include "arch/x86/core.h"
#include "arch/x86/paging.h"
#include "vmm/panic.h"
#include "vmm/personality.h"
#include "vmm/sched_state.h"
#include "vmm/vcpu.h"

/* ---- moving ---- */

static void arrive(struct sched *s, struct agent *agent)
{
    if (agent->state == AGENT_READY) {
        sched_make_ready(s, agent);
    } else if (agent->state == AGENT_WAITING) {
        sched_insert_deadline(s, agent);
    }
    sched_refresh_frame(s, agent->core);
    personality_agent_moved(agent);
}

/// Out of every queue of this core, its vcpus' VMCSs cleared, then over to the target.
static void leave(struct sched *s, struct agent *agent)
{
    struct core *core = agent->core, *target = agent->target;
    if (target == core) {
        personality_agent_moved(agent);
        return;
    }
    if (agent->state == AGENT_RUNNING) {
        sched_drop_current(s);
        agent->state = AGENT_READY;
    } else if (agent->state == AGENT_READY) {
        level1_sleep(&s->level1, &agent->entity);
    } else if (agent->state == AGENT_WAITING) {
        sched_remove_deadline(s, agent);
    }
    vcpu_follow(agent, target);
    if (core->loaded_root == agent->personality->root) {
        core_load_root(core, paging_kernel_root());
    }
    agent->regs.kernel_stack = (uint64_t)target->main_stack;
    __atomic_fetch_or(&agent->requests, REQUEST_ARRIVE, __ATOMIC_SEQ_CST);
    __atomic_store_n(&agent->core, target, __ATOMIC_RELEASE); // from now on it is the target's
    sched_refresh_frame(s, core);
    message_post(target, &agent->message);
}

/* ---- the rest ---- */

static void start(struct sched *s, struct agent *agent)
{
    ASSERT(agent->state == AGENT_STOPPED);
    agent->held = agent->personality->paused;
    sched_make_ready(s, agent);
}

static void call_done(struct sched *s, struct agent *agent)
{
    struct remote_call *call = &agent->call;
    ASSERT(agent->state == AGENT_BLOCKED);
    if (agent->stop_after_call) {
        agent->stop_after_call = false;
        personality_agent_stopped(agent); // which sets its state
        return;
    }
    core_load_root(agent->core, agent->personality->root);
    agent->regs.rax = (uint64_t)(call->finish ? call->finish(call) : call->result);
    sched_make_ready(s, agent);
}

static void stop(struct agent *agent)
{
    if (agent->state == AGENT_BLOCKED) {
        agent->stop_after_call = true; // somebody holds its remote call
    } else {
        personality_agent_stopped(agent);
    }
}

void sched_stop(struct agent *agent)
{
    struct sched *s = agent->core->sched;
    switch (agent->state) {
    case AGENT_RUNNING:
        sched_drop_current(s);
        break;
    case AGENT_READY:
        level1_sleep(&s->level1, &agent->entity);
        break;
    case AGENT_WAITING:
        sched_end_wait(s, agent);
        break;
    case AGENT_BLOCKED:
    case AGENT_STOPPED:
        break;
    }
    agent->state = AGENT_STOPPED;
}

static void hold(struct sched *s, struct agent *agent, bool held)
{
    if (agent->held == held) {
        return;
    }
    agent->held = held;
    if (!held && agent->state == AGENT_READY) {
        sched_make_ready(s, agent);
    } else if (held && agent->state == AGENT_RUNNING) {
        sched_drop_current(s);
        agent->state = AGENT_READY;
    } else if (held && agent->state == AGENT_READY) {
        level1_sleep(&s->level1, &agent->entity);
    }
}

/* ---- requests ---- */

static void do_requests(struct agent *agent)
{
    struct sched *s = agent->core->sched;
    uint32_t requests = __atomic_exchange_n(&agent->requests, 0, __ATOMIC_SEQ_CST);
    if (requests & REQUEST_ARRIVE) {
        arrive(s, agent);
    }
    if (requests & REQUEST_START) {
        start(s, agent);
    }
    if (requests & REQUEST_CALL_DONE) {
        call_done(s, agent);
    }
    if (requests & REQUEST_STOP) {
        stop(agent);
    }
    if (requests & REQUEST_SETTINGS) {
        const struct personality *p = agent->personality;
        hold(s, agent, p->paused && p->only != agent);
        level1_set_weight(&agent->entity, p->weight);
    }
    if (requests & REQUEST_WAKE) {
        sched_wake_if_due(s, agent);
    }
    if (requests & REQUEST_MOVE) { // the last: it may not be here any more then
        leave(s, agent);
    }
}

bool sched_forward(struct agent *agent, struct message *message)
{
    struct core *core = __atomic_load_n(&agent->core, __ATOMIC_ACQUIRE);
    if (core != core_self()) {
        message_post(core, message);
        return true;
    }
    if (__atomic_load_n(&agent->requests, __ATOMIC_ACQUIRE) & REQUEST_ARRIVE) {
        do_requests(agent);
    }
    return false;
}

static void run_requests(struct message *message)
{
    struct agent *agent = (struct agent *)((char *)message - offsetof(struct agent, message));
    if (!sched_forward(agent, message)) {
        do_requests(agent);
    }
}

void sched_request(struct agent *agent, uint32_t requests)
{
    __atomic_fetch_or(&agent->requests, requests, __ATOMIC_SEQ_CST);
    message_send(__atomic_load_n(&agent->core, __ATOMIC_ACQUIRE), &agent->message);
}

void sched_init_agent(struct agent *agent, struct core *core)
{
    agent->core = core;
    agent->call.agent = agent;
    agent->message.run = run_requests;
}
