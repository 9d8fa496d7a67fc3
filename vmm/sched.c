// SPDX-License-Identifier: Apache-2.0
#include "vmm/sched.h"

#include <stddef.h>

#include "arch/x86/apic.h"
#include "arch/x86/core.h"
#include "arch/x86/paging.h"
#include "arch/x86/tsc.h"
#include "vmm/console.h"
#include "vmm/machine.h"
#include "vmm/panic.h"
#include "vmm/personality.h"

enum { POLL_HZ = 1000 }; // of a UART that cannot interrupt

struct list {
    struct agent *first, *last;
};

/// What a core schedules. Touched by that core alone, but for the numbers, which others may read.
static struct sched {
    struct list ready;     ///< in turn; the current agent is not in it
    struct list deadlines; ///< waiting agents with a deadline, earliest first
    struct agent *current;
    uint64_t slice_end;
    uint64_t timer; ///< what the hardware timer is set to
    uint64_t stamp; ///< TSC up to which time is accounted
    struct sched_stats stats;
} __attribute__((aligned(64))) scheds[PV_MAX_CORES];

static struct sched *self(void)
{
    return &scheds[core_self()->id];
}

static void list_insert_before(struct list *list, struct agent *place, struct agent *agent)
{
    struct agent *before = place ? place->prev : list->last;
    agent->next = place;
    agent->prev = before;
    *(before ? &before->next : &list->first) = agent;
    *(place ? &place->prev : &list->last) = agent;
}

static void list_remove(struct list *list, struct agent *agent)
{
    *(agent->prev ? &agent->prev->next : &list->first) = agent->next;
    *(agent->next ? &agent->next->prev : &list->last) = agent->prev;
    agent->next = agent->prev = NULL;
}

static void make_ready(struct sched *s, struct agent *agent)
{
    agent->state = AGENT_READY;
    list_insert_before(&s->ready, NULL, agent);
}

/// Charges the time since the last stamp to whoever had the core.
static void account(struct sched *s, uint64_t now)
{
    uint64_t ticks = now - s->stamp;
    s->stamp = now;
    if (s->current) {
        s->current->ticks += ticks;
        s->stats.ring3 += ticks;
    } else {
        s->stats.idle += ticks;
    }
}

void sched_init_core(void)
{
    self()->stamp = cpu_rdtsc();
    self()->timer = UINT64_MAX;
}

struct agent *sched_current(void)
{
    return self()->current;
}

void sched_start(struct agent *agent)
{
    ASSERT(agent->core == core_self() && agent->state == AGENT_STOPPED);
    make_ready(self(), agent);
}

/// Leaves the core without a current agent; sched_settle finds the next.
static void drop_current(struct sched *s)
{
    account(s, cpu_rdtsc());
    s->current = NULL;
    core_set_current(core_self(), NULL);
}

/// Takes a waiting agent out of the wait.
static void end_wait(struct sched *s, struct agent *agent)
{
    if (agent->deadline != PV_NO_DEADLINE) {
        list_remove(&s->deadlines, agent);
    }
    if (agent->wait_mask & PV_EVENT_CONSOLE_REDRAW) {
        console_set_at_prompt(personality_console(agent->personality), false);
    }
}

void sched_stop(struct agent *agent)
{
    struct sched *s = self();
    ASSERT(agent->core == core_self());
    switch (agent->state) {
    case AGENT_RUNNING:
        drop_current(s);
        break;
    case AGENT_READY:
        list_remove(&s->ready, agent);
        break;
    case AGENT_WAITING:
        end_wait(s, agent);
        break;
    case AGENT_BLOCKED:
    case AGENT_STOPPED:
        break;
    }
    agent->state = AGENT_STOPPED;
}

void sched_yield(void)
{
    struct sched *s = self();
    struct agent *agent = s->current;
    if (s->ready.first) {
        drop_current(s);
        make_ready(s, agent);
    }
}

static uint32_t take_events(struct agent *agent, uint32_t mask)
{
    return __atomic_fetch_and(&agent->events, ~mask, __ATOMIC_ACQ_REL) & mask;
}

int64_t sched_wait(uint32_t mask, uint64_t deadline)
{
    struct sched *s = self();
    struct agent *agent = s->current;
    uint32_t events = take_events(agent, mask);
    if (events) {
        return events;
    }
    if (deadline <= cpu_rdtsc()) {
        return PV_ERR_TIMEOUT;
    }
    drop_current(s);
    agent->state = AGENT_WAITING;
    agent->wait_mask = mask;
    agent->deadline = deadline;
    if (deadline != PV_NO_DEADLINE) {
        struct agent *place = s->deadlines.first;
        while (place && place->deadline <= deadline) {
            place = place->next;
        }
        list_insert_before(&s->deadlines, place, agent);
    }
    if (mask & PV_EVENT_CONSOLE_REDRAW) {
        console_set_at_prompt(personality_console(agent->personality), true);
    }
    return 0; // replaced when it wakes
}

static void wake(struct sched *s, struct agent *agent, int64_t result)
{
    end_wait(s, agent);
    agent->regs.rax = (uint64_t)result;
    make_ready(s, agent);
}

/// An event came for an agent of this core.
static void run_wake(struct message *message)
{
    struct agent *agent = (struct agent *)((char *)message - offsetof(struct agent, wake_message));
    if (agent->state != AGENT_WAITING) {
        return;
    }
    uint32_t events = take_events(agent, agent->wait_mask);
    if (events) {
        wake(self(), agent, events);
    }
}

void sched_signal(struct agent *agent, uint32_t events)
{
    __atomic_fetch_or(&agent->events, events, __ATOMIC_ACQ_REL);
    agent->wake_message.run = run_wake;
    message_send(agent->core, &agent->wake_message);
}

void sched_block(struct agent *agent)
{
    drop_current(self());
    agent->state = AGENT_BLOCKED;
}

static void run_unblock(struct message *message)
{
    struct agent *agent = ((struct remote_call *)message)->agent;
    if (agent->stop_after_call) {
        agent->stop_after_call = false;
        personality_agent_stopped(agent); // which sets its state
        return;
    }
    ASSERT(agent->state == AGENT_BLOCKED);
    core_load_root(core_self(), agent->personality->root);
    int64_t result = agent->call.finish ? agent->call.finish(&agent->call) : agent->call.result;
    agent->regs.rax = (uint64_t)result;
    make_ready(self(), agent);
}

void sched_unblock(struct agent *agent)
{
    agent->call.message.run = run_unblock;
    message_send(agent->core, &agent->call.message);
}

void sched_timer(void)
{
    struct sched *s = self();
    uint64_t now = cpu_rdtsc();
    s->timer = UINT64_MAX; // it was one-shot
    while (s->deadlines.first && s->deadlines.first->deadline <= now) {
        wake(s, s->deadlines.first, PV_ERR_TIMEOUT);
    }
    if (core_self()->bsp && console_needs_poll()) {
        console_poll();
    }
    if (s->current && now >= s->slice_end) {
        sched_yield();
        s->slice_end = now + machine.slice_ticks;
    }
}

static void set_timer(struct sched *s)
{
    uint64_t at = s->deadlines.first ? s->deadlines.first->deadline : UINT64_MAX;
    if (s->current && s->ready.first && s->slice_end < at) {
        at = s->slice_end;
    }
    if (core_self()->bsp && console_needs_poll()) {
        uint64_t poll = cpu_rdtsc() + tsc_hz() / POLL_HZ;
        at = s->timer < poll ? s->timer : poll < at ? poll : at;
    }
    if (at != s->timer) {
        s->timer = at;
        apic_timer_set(at);
    }
}

void sched_settle(void)
{
    struct sched *s = self();
    struct core *core = core_self();
    if (!s->current && s->ready.first) {
        struct agent *agent = s->ready.first;
        list_remove(&s->ready, agent);
        uint64_t now = cpu_rdtsc();
        account(s, now);
        agent->state = AGENT_RUNNING;
        agent->switches++;
        s->stats.switches++;
        s->current = agent;
        s->slice_end = now + machine.slice_ticks;
        core_set_current(core, &agent->regs);
    }
    if (s->current) {
        core_load_root(core, s->current->personality->root);
    }
    set_timer(s);
}

struct sched_stats sched_stats(const struct core *core)
{
    const struct sched *s = &scheds[core->id];
    struct sched_stats stats = s->stats;
    uint64_t now = cpu_rdtsc(), stamp = s->stamp;
    if (stamp && now > stamp) { // what has not been charged yet
        *(s->current ? &stats.ring3 : &stats.idle) += now - stamp;
    }
    return stats;
}
