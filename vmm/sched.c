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
#include "vmm/log.h"
#include "vmm/machine.h"
#include "vmm/panic.h"
#include "vmm/personality.h"
#include "vmm/sched_state.h"
#include "vmm/vcpu.h"

enum { POLL_HZ = 1000 }; // of a UART that cannot interrupt

static struct sched scheds[PV_MAX_CORES];

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
static void update_horizon(struct sched *s, struct core *core)
{
    uint64_t at = s->deadlines.first ? s->deadlines.first->deadline : UINT64_MAX;
    s->other = s->poll < at ? s->poll : at;
    s->short_until = s->level1.policy == LEVEL1_WEIGHTED && fpu_optimised ? s->other : 0;
    core->horizon = s->slice_end < s->other ? s->slice_end : s->other;
}

static void make_ready(struct sched *s, struct agent *agent)
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
    self()->timer = self()->slice_end = self()->poll = core->horizon = UINT64_MAX;
}

void sched_configure(uint64_t slice)
{
    for (uint32_t i = 0; i < core_count; i++) {
        level1_init(&scheds[i].level1, slice);
    }
    if (console_needs_poll()) {
        self()->poll = cpu_rdtsc();
        update_horizon(self(), core_self());
    }
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

static inline void charge_current(struct sched *s, const struct core *core)
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

/// The current agent cannot run any more.
static void drop_current(struct sched *s)
{
    charge_current(s, core_self());
    level1_sleep(&s->level1, &s->current->entity);
    leave_current(s);
    s->repick = true;
}

/// Takes a waiting agent out of the wait.
static void end_wait(struct sched *s, struct agent *agent)
{
    if (agent->deadline != PV_NO_DEADLINE) {
        list_remove(&s->deadlines, agent);
        update_horizon(s, core_self());
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
        level1_sleep(&s->level1, &agent->entity);
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
    charge_current(s, core_self());
    level1_yield(&s->level1, &s->current->entity);
    s->repick = true;
}

static uint32_t take_events(struct agent *agent, uint32_t mask)
{
    return __atomic_fetch_and(&agent->events, ~mask, __ATOMIC_ACQ_REL) & mask;
}

static void insert_deadline(struct sched *s, struct agent *agent)
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
    insert_deadline(s, agent);
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
    if (sched_forward(agent, message)) {
        return;
    }
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
    if (sched_forward(agent, message)) {
        return;
    }
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

/// Wakes those whose deadline has come; has level 1 asked when a slice is over.
static void handle_time(struct sched *s, uint64_t now)
{
    while (s->deadlines.first && s->deadlines.first->deadline <= now) {
        wake(s, s->deadlines.first, PV_ERR_TIMEOUT);
    }
    if (now >= s->poll) {
        s->poll = now + tsc_hz() / POLL_HZ;
        console_poll();
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
        charge_current(s, core);
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

/* ---- policy ---- */

/// A change of policy on its way to a core, and the table that the core then uses.
static struct change {
    struct message message;
    struct level1_slot slots[CONFIG_MAX_SLOTS];
} changes[PV_MAX_CORES];

static struct {
    enum pv_policy policy;
    uint64_t slice;
    uint64_t start; ///< of the first frame, one moment for all cores
} wanted;

static struct level1_entity *entity_on(uint32_t personality, const struct core *core)
{
    const struct personality *p = personality < personality_count ? &personalities[personality] : NULL;
    for (uint32_t i = 0; p && i < p->agent_count; i++) {
        if (p->agents[i].core == core) {
            return &p->agents[i].entity;
        }
    }
    return NULL;
}

static void run_change(struct message *message)
{
    struct change *change = (struct change *)message;
    struct sched *s = self();
    if (s->current) {
        charge_current(s, core_self());
    }
    level1_set_slice(&s->level1, wanted.slice);
    if (wanted.policy == PV_POLICY_WEIGHTED) {
        level1_use_weighted(&s->level1);
    } else {
        for (uint32_t i = 0; i < machine.config.slot_count; i++) {
            change->slots[i].entity = entity_on(machine.config.slots[i].personality, core_self());
            change->slots[i].ticks = cpu_scale(machine.config.slots[i].us, tsc_hz(), 1000000);
        }
        ASSERT(level1_use_frame(&s->level1, change->slots, machine.config.slot_count, wanted.start)); // checked before
    }
    s->repick = true;
}

enum pv_policy sched_policy(void)
{
    return wanted.policy;
}

/// Whether there is a table, and level 1 can keep it at this machine's tick rate.
static bool frame_usable(void)
{
    for (uint32_t i = 0; i < machine.config.slot_count; i++) {
        if (cpu_scale(machine.config.slots[i].us, tsc_hz(), 1000000) < LEVEL1_MIN_QUANTUM) {
            log_line("policy frame: a slot of %u us is too short for this machine", machine.config.slots[i].us);
            return false;
        }
    }
    return machine.config.slot_count > 0;
}

bool sched_set_policy(enum pv_policy policy, uint64_t slice)
{
    if (policy == PV_POLICY_FRAME && !frame_usable()) {
        return false;
    }
    wanted.policy = policy;
    wanted.slice = slice;
    wanted.start = cpu_rdtsc();
    machine.slice_ticks = slice;
    for (uint32_t i = 0; i < core_count; i++) {
        if (cores[i].ready) {
            changes[i].message.run = run_change;
            message_send(&cores[i], &changes[i].message);
        }
    }
    return true;
}

/* ---- from core to core ---- */

bool sched_forward(const struct agent *agent, struct message *message)
{
    struct core *core = __atomic_load_n(&agent->core, __ATOMIC_ACQUIRE);
    if (core == core_self() && !agent->in_transit) {
        return false;
    }
    message_post(core,
                 message); // when it is still on its way here: after its arrival, which is in the mailbox or will be
    return true;
}

static void run_arrive(struct message *message)
{
    struct agent *agent = (struct agent *)((char *)message - offsetof(struct agent, move_message));
    struct sched *s = self();
    agent->in_transit = false;
    if (agent->state == AGENT_READY) {
        make_ready(s, agent);
    } else if (agent->state == AGENT_WAITING) {
        insert_deadline(s, agent);
        run_wake(&agent->wake_message); // an event may have come while it was on its way
    }
}

/// On the core that it leaves: out of every queue, its vcpus' VMCSs cleared, then over.
static void run_leave(struct message *message)
{
    struct agent *agent = (struct agent *)((char *)message - offsetof(struct agent, move_message));
    struct sched *s = self();
    if (sched_forward(agent, message) || agent->target == agent->core) {
        return;
    }
    if (agent->state == AGENT_RUNNING) {
        drop_current(s);
        agent->state = AGENT_READY;
    } else if (agent->state == AGENT_READY) {
        level1_sleep(&s->level1, &agent->entity);
    } else if (agent->state == AGENT_WAITING && agent->deadline != PV_NO_DEADLINE) {
        list_remove(&s->deadlines, agent);
        update_horizon(s, core_self());
    }
    vcpu_follow(agent, agent->target);
    if (core_self()->loaded_root == agent->personality->root) {
        core_load_root(core_self(), paging_kernel_root());
    }
    agent->regs.kernel_stack = (uint64_t)agent->target->main_stack;
    agent->in_transit = true;
    __atomic_store_n(&agent->core, agent->target, __ATOMIC_RELEASE);
    agent->move_message.run = run_arrive;
    message_post(agent->core, &agent->move_message);
}

void sched_move(struct agent *agent, struct core *target)
{
    agent->target = target;
    agent->move_message.run = run_leave;
    message_send(agent->core, &agent->move_message);
}

void sched_hold(struct agent *agent, bool held)
{
    struct sched *s = self();
    if (agent->held == held) {
        return;
    }
    agent->held = held;
    if (!held && agent->state == AGENT_READY) {
        make_ready(s, agent);
    } else if (held && agent->state == AGENT_RUNNING) {
        drop_current(s);
        agent->state = AGENT_READY;
    } else if (held && agent->state == AGENT_READY) {
        level1_sleep(&s->level1, &agent->entity);
    }
}

void sched_set_weight(struct agent *agent, uint32_t weight)
{
    level1_set_weight(&agent->entity, weight);
}

struct sched_times sched_times(const struct core *core)
{
    struct sched_times t;
    uint64_t stamp;
    do { // the core may charge meanwhile
        stamp = __atomic_load_n(&core->stamp, __ATOMIC_ACQUIRE);
        t.idle = core->clock[CLOCK_IDLE];
        t.ring3 = core->clock[CLOCK_RING3];
        t.guest = core->clock[CLOCK_GUEST];
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (stamp != __atomic_load_n(&core->stamp, __ATOMIC_ACQUIRE));
    t.total = stamp - core->tsc_start;
    t.mux = t.total - t.idle - t.ring3 - t.guest;
    t.switches = scheds[core->id].switches;
    return t;
}
