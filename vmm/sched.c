// SPDX-License-Identifier: Apache-2.0
#include "vmm/sched.h"

#include <stddef.h>

#include "arch/x86/apic.h"
#include "arch/x86/core.h"
#include "arch/x86/fpu.h"
#include "arch/x86/paging.h"
#include "arch/x86/tsc.h"
#include "arch/x86/vmx/vmx.h"
#include "vmm/console.h"
#include "vmm/debug_line.h"
#include "vmm/personality.h"
#include "vmm/sched_state.h"
#include "vmm/trace.h"
#include "vmm/vcpu.h"

enum {
    POLL_HZ = 1000, // of a UART that cannot interrupt
    LOOK_HZ = 10,   // so often at least the end of a slice goes the long way, which looks for messages
};

struct sched scheds[PV_MAX_CORES];
static uint64_t look_ticks;

static struct sched *self(void)
{
    return core_self()->sched;
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

/// When the core has to be looked at again at the latest. To be called after a change of what it depends on.
/// Whether vcpu_hot.c may end turns: it knows one policy and one way to swap FPU state, and does not cut a turn at the timer's
/// range.
static bool has_short_way(const struct sched *s)
{
    return s->level1.policy == LEVEL1_WEIGHTED && fpu_optimised &&
           s->level1.slice * LEVEL1_MAX_TURN / LEVEL1_UNITS >> vmx_timer_shift <= VMX_TIMER_MAX;
}

static void update_horizon(struct sched *s, struct core *core)
{
    uint64_t at = s->deadlines.first ? s->deadlines.first->deadline : UINT64_MAX;
    s->other = s->poll < at ? s->poll : at;
    uint64_t look = core->stamp + look_ticks;
    s->short_until = !has_short_way(s) ? 0 : s->other < look ? s->other : look;
    core->horizon = s->slice_end < s->other ? s->slice_end : s->other;
}

void sched_make_ready(struct sched *s, struct agent *agent)
{
    agent->state = AGENT_READY;
    if (!agent->held) {
        level1_wake(&s->level1, &agent->entity);
        s->repick = true;
    }
}

void sched_init_core(void)
{
    struct core *core = core_self();
    core->tsc_start = core->stamp = cpu_rdtsc();
    core->sched = &scheds[core->id];
    core->sched->other = UINT64_MAX;
    trace_leave_alone(core);
    self()->timer = self()->slice_end = self()->poll = core->horizon = UINT64_MAX;
}

void sched_configure(uint64_t slice)
{
    look_ticks = tsc_hz() / LOOK_HZ;
    for (uint32_t i = 0; i < core_count; i++) {
        level1_init(&scheds[i].level1, slice);
    }
    if (console_needs_poll()) {
        sched_poll_lines();
    }
}

void sched_poll_lines(void)
{
    self()->poll = cpu_rdtsc();
    update_horizon(self(), core_self());
}

struct agent *sched_current(void)
{
    return self()->current;
}

void sched_charge_current(struct sched *s, const struct core *core)
{
    uint64_t now = core->stamp;
    level1_charge(&s->level1, &s->current->entity, now - s->charged);
    s->charged = now;
}

/// Leaves the core without a current agent; sched_settle finds the next.
static void leave_current(struct sched *s)
{
    s->current = NULL;
    core_set_current(core_self(), NULL);
}

void sched_drop_current(struct sched *s)
{
    sched_charge_current(s, core_self());
    level1_sleep(&s->level1, &s->current->entity);
    leave_current(s);
    s->repick = true;
}

void sched_yield(void)
{
    struct sched *s = self();
    sched_charge_current(s, core_self());
    level1_yield(&s->level1, &s->current->entity);
    s->repick = true;
}

/* ---- waiting ---- */

static uint32_t take_events(struct agent *agent, uint32_t mask)
{
    return __atomic_fetch_and(&agent->events, ~mask, __ATOMIC_SEQ_CST) & mask;
}

void sched_insert_deadline(struct sched *s, struct agent *agent)
{
    if (agent->deadline != PV_NO_DEADLINE) {
        struct agent *place = s->deadlines.first;
        while (place && place->deadline <= agent->deadline) {
            place = place->next;
        }
        list_insert_before(&s->deadlines, place, agent);
        update_horizon(s, core_self());
    }
}

void sched_remove_deadline(struct sched *s, struct agent *agent)
{
    if (agent->deadline != PV_NO_DEADLINE) {
        list_remove(&s->deadlines, agent);
        update_horizon(s, core_self());
    }
}

int64_t sched_wait(uint32_t mask, uint64_t deadline)
{
    struct sched *s = self();
    struct agent *agent = s->current;
    // First the mask, then a look at the events; sched_signal does it the other way round. So one of the two sees the other.
    __atomic_store_n(&agent->wait_mask, mask, __ATOMIC_SEQ_CST);
    uint32_t events = take_events(agent, mask);
    if (events || deadline <= cpu_rdtsc()) {
        agent->wait_mask = 0;
        return events ? (int64_t)events : PV_ERR_TIMEOUT;
    }
    sched_drop_current(s);
    agent->state = AGENT_WAITING;
    agent->deadline = deadline;
    sched_insert_deadline(s, agent);
    if (mask & PV_EVENT_CONSOLE_REDRAW) {
        console_set_at_prompt(personality_console(agent->personality), true);
    }
    return 0; // replaced when it wakes
}

void sched_end_wait(struct sched *s, struct agent *agent)
{
    sched_remove_deadline(s, agent);
    if (agent->wait_mask & PV_EVENT_CONSOLE_REDRAW) {
        console_set_at_prompt(personality_console(agent->personality), false);
    }
    agent->wait_mask = 0;
}

static void wake(struct sched *s, struct agent *agent, int64_t result)
{
    sched_end_wait(s, agent);
    agent->regs.rax = (uint64_t)result;
    sched_make_ready(s, agent);
}

void sched_wake_if_due(struct sched *s, struct agent *agent)
{
    uint32_t events = agent->state == AGENT_WAITING ? take_events(agent, agent->wait_mask) : 0;
    if (events) {
        wake(s, agent, events);
    }
    vcpu_kick_if_due(agent);
}

void sched_signal(struct agent *agent, uint32_t events)
{
    uint32_t before = __atomic_fetch_or(&agent->events, events, __ATOMIC_SEQ_CST);
    // One that does not wait for them finds them when it does. So its core, and who else runs there, is interrupted once for each
    // time that it waits, however many signals come. The same for one whose guest may run: with events pending it would not.
    if (__atomic_load_n(&agent->wait_mask, __ATOMIC_SEQ_CST) & events ||
        __atomic_load_n(&agent->run_mask, __ATOMIC_SEQ_CST) & events & ~before) {
        sched_request(agent, REQUEST_WAKE);
    }
}

void sched_block(struct agent *agent)
{
    sched_drop_current(self());
    agent->state = AGENT_BLOCKED;
}

/* ---- time ---- */

/// Wakes those whose deadline has come; has level 1 asked when a slice is over.
static void handle_time(struct sched *s, uint64_t now)
{
    while (s->deadlines.first && s->deadlines.first->deadline <= now) {
        wake(s, s->deadlines.first, PV_ERR_TIMEOUT);
    }
    if (now >= s->poll) {
        console_poll();
        bool again = debug_line_poll() || console_needs_poll();
        s->poll = again ? now + tsc_hz() / POLL_HZ : UINT64_MAX;
    }
    s->repick |= now >= s->slice_end;
    update_horizon(s, core_self());
}

void sched_timer(void)
{
    struct sched *s = self();
    s->timer = UINT64_MAX; // it was one-shot
    handle_time(s, cpu_rdtsc());
}

void sched_guest_timer(void)
{
    handle_time(self(), core_self()->stamp);
}

static void set_timer(struct sched *s, uint64_t at)
{
    if (at != s->timer) {
        s->timer = at;
        apic_timer_set(at);
    }
}

void sched_time_guest(uint64_t at)
{
    set_timer(self(), at);
}

void sched_enter_ring3(void)
{
    struct sched *s = self();
    uint64_t at = core_self()->horizon;
    if (at < s->timer) { // one that fires too early does no harm
        set_timer(s, at);
    }
}

/* ---- who runs ---- */

/// Makes an agent current.
static inline void enter(struct sched *s, struct core *core, struct agent *agent)
{
    agent->state = AGENT_RUNNING;
    agent->switches++;
    s->switches++;
    s->current = agent;
    s->charged = core->stamp;
    core_set_current(core, &agent->regs);
    if (agent->regs.kind == REGS_GUEST) {
        vcpu_switch_in(agent); // may find that its run is over; then it goes on in ring 3
    }
}

/// Asks level 1 who runs now, and switches to that agent.
static void repick(struct sched *s, struct core *core)
{
    struct agent *last = s->current;
    uint64_t horizon = core->horizon;
    s->repick = false;
    if (last) {
        sched_charge_current(s, core);
    }
    struct level1_entity *entity = level1_pick(&s->level1, core->stamp, &s->slice_end);
    struct agent *next = entity ? (struct agent *)((char *)entity - offsetof(struct agent, entity)) : NULL;
    update_horizon(s, core);
    if (next == last) {
        if (next && next->regs.kind == REGS_GUEST && horizon != core->horizon) {
            vcpu_rearm(next);
        }
        return;
    }
    if (last) {
        last->state = AGENT_READY;
    }
    if (next) {
        enter(s, core, next);
    } else {
        s->current = NULL;
        core_set_current(core, NULL);
    }
}

void sched_settle(void)
{
    struct sched *s = self();
    struct core *core = core_self();
    if (s->repick) {
        repick(s, core);
    }
    if (s->current && s->current->regs.kind == REGS_GUEST) {
        if (!vmx_guest_timer) {
            uint64_t end = s->current->regs.guest->timer_end;
            set_timer(s, end ? end : s->timer); // 0: vcpu_timer is about to arm it
        } else if (s->timer < core->horizon) {
            // The preemption timer watches the time now; an APIC timer that fires meanwhile would only cost an exit.
            set_timer(s, UINT64_MAX);
        }
        return;
    }
    core_narrow_gdt(core);
    core_load_root(core, s->current ? s->current->personality->root : paging_kernel_root());
    set_timer(s, core->horizon);
}
