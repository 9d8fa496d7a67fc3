// SPDX-License-Identifier: Apache-2.0
// An agent's life: let its processors run in turn, wait when none of them has anything to do.
#include "agent.h"

#include "machine.h"

enum { TURNS_PER_SECOND = 1000 };

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint32_t number_of(const struct cpu *cpu)
{
    return cpu->index % machine.agent_count;
}

struct agent *agent_of(const struct cpu *cpu)
{
    return &machine.agents[number_of(cpu)];
}

void agent_wake(const struct cpu *cpu)
{
    if (agent_of(cpu)->place != AGENT_AT_WORK)
        pv_event_signal(number_of(cpu), PV_EVENT_USER);
}

void agent_take(int64_t events)
{
    if (events > 0 && (events & (PV_EVENT_CONSOLE_INPUT | PV_EVENT_NET)) != 0)
        machine.poll_at = 0;
}

/// Until an interrupt may have come: from another agent, by a timer, from the console.
static void wait(uint32_t number, uint64_t deadline)
{
    struct agent *agent = &machine.agents[number];
    console_flush(&machine.console);
    devices_update();
    agent->place = AGENT_WAITING;
    machine_unlock();
    const int64_t events = pv_event_wait(AGENT_NEWS, deadline);
    machine_lock();
    agent->place = AGENT_AT_WORK;
    agent_take(events);
}

/// What an agent's processors want.
struct wishes {
    struct cpu *next;  ///< the one to run; NULL: none can
    uint32_t runnable; ///< how many can
    uint64_t deadline; ///< when the first timer expires
};

/// The current one goes on until its turn is over; but one with an interrupt goes first, since timers that are late for more than
/// their period are lost. Not the one whose turn is over, or others would never have theirs.
static struct wishes ask(uint32_t number, uint64_t now)
{
    struct agent *agent = &machine.agents[number];
    struct wishes wishes = {.deadline = DEV_NEVER};
    const uint32_t first = agent->current;
    const bool over = now >= agent->turn_end;
    struct cpu *urgent = NULL;
    uint32_t index = first;
    do { // in the order of turns, the current one first
        struct cpu *cpu = &machine.cpus[index];
        if (cpu_runnable(cpu, now)) {
            wishes.runnable++;
            if (wishes.next == NULL || (over && wishes.next->index == first))
                wishes.next = cpu;
            if (urgent == NULL && cpu_interrupted(cpu) && !(over && index == first))
                urgent = cpu;
        }
        wishes.deadline = earlier(wishes.deadline, lapic_deadline(&cpu->lapic));
        index += machine.agent_count;
        if (index >= machine.cpu_count)
            index = number;
    } while (index != first);
    if (urgent != NULL)
        wishes.next = urgent;
    return wishes;
}

static uint64_t turn_from(uint64_t now)
{
    return now + machine.info->tsc_hz / TURNS_PER_SECOND;
}

/// Gives a processor its turn, or lets it go on with it; returns when that ends.
static uint64_t take_turn(struct agent *agent, const struct wishes *wishes, uint64_t now)
{
    if (wishes->next->index != agent->current || now >= agent->turn_end) {
        agent->current = wishes->next->index;
        agent->turn_end = turn_from(now);
    }
    return wishes->runnable > 1 ? agent->turn_end : DEV_NEVER;
}

/// A processor waits for another one, which may be without a core: it goes behind those of its agent that can run. When all of them
/// have waited in turn, it is for one of another agent, and this one goes behind others of the core.
static void give_way(struct agent *agent, const struct wishes *wishes)
{
    wishes->next->spins = false;
    agent->turn_end = 0;
    if (++agent->spinning < wishes->runnable)
        return;
    agent->spinning = 0;
    machine_unlock();
    pv_yield();
    machine_lock();
}

void agent_loop(uint32_t number)
{
    machine_lock();
    machine.agents[number] = (struct agent){.place = AGENT_AT_WORK, .current = number, .turn_end = turn_from(pv_tsc())};
    while (machine.phase == PHASE_RUNNING) {
        const uint64_t now = pv_tsc();
        if (number == 0)
            machine_poll(now);
        const struct wishes wishes = ask(number, now);
        if (machine.phase != PHASE_RUNNING)
            break; // INIT for the first processor
        if (wishes.next == NULL) {
            wait(number, number == 0 ? earlier(wishes.deadline, machine.poll_at) : wishes.deadline);
            continue;
        }
        if (now >= machine.console.flush_at)
            console_flush(&machine.console);
        uint64_t end = earlier(wishes.deadline, take_turn(&machine.agents[number], &wishes, now));
        end = earlier(end, machine.console.flush_at);
        end = number == 0 ? earlier(end, machine.poll_at) : end;
        cpu_run(wishes.next, end);
        if (wishes.next->spins)
            give_way(&machine.agents[number], &wishes);
        else
            machine.agents[number].spinning = 0;
    }
    machine_unlock();
}
