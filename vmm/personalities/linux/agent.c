// SPDX-License-Identifier: Apache-2.0
// An agent's life: let its processors run in turn, wait when none of them has anything to do.
#include "agent.h"

#include "machine.h"

enum { TURNS_PER_SECOND = 1000, BRIEF_PER_SECOND = 10000, UNSTRETCHED = 16, STRETCH_MAX = 16 * 64 };

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
    const struct agent *agent = agent_of(cpu);
    if (agent->place == AGENT_IN_GUEST)
        pv_vcpu_kick(machine.cpus[agent->current].vcpu.id);
    else if (agent->place == AGENT_WAITING)
        pv_event_signal(number_of(cpu), PV_EVENT_USER);
}

/// Until an interrupt may have come: from another agent, by a timer, from the console.
static void wait(uint32_t number, uint64_t deadline)
{
    struct agent *agent = &machine.agents[number];
    console_flush(&machine.console);
    devices_update();
    agent->place = AGENT_WAITING;
    machine_unlock();
    pv_event_wait(PV_EVENT_USER | PV_EVENT_CONSOLE_INPUT | PV_EVENT_NET, deadline);
    machine_lock();
    agent->place = AGENT_AT_WORK;
    if (number == 0)
        machine.poll_at = 0; // the event may have been input, or a frame
}

/// What an agent's processors want.
struct wishes {
    struct cpu *next;  ///< the one to run; NULL: none can
    bool several;      ///< more than one can
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
            wishes.several = wishes.several || wishes.next != NULL;
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
    return wishes->several ? agent->turn_end : DEV_NEVER;
}

/// Runs a processor until a time of the TSC, or until something has happened. A budget is the guest's own time, of which there was
/// less lately than the TSC counted; if there is more of it now the end is not reached, and the next run is closer to it.
static void run_until(struct agent *agent, struct cpu *cpu, uint64_t now, uint64_t end)
{
    if (end == DEV_NEVER) {
        cpu_run(cpu, 0);
        return;
    }
    const uint64_t wanted = end > now ? end - now : 1;
    const bool brief = wanted < machine.info->tsc_hz / BRIEF_PER_SECOND; // coming and going would count for too much
    const uint64_t budget = brief ? wanted : wanted * UNSTRETCHED / agent->stretch;
    if (!cpu_run(cpu, budget) || brief)
        return;
    const uint64_t stretch = (pv_tsc() - now) * UNSTRETCHED / budget;
    agent->stretch = stretch < UNSTRETCHED ? UNSTRETCHED : earlier(stretch, STRETCH_MAX);
}

void agent_loop(uint32_t number)
{
    machine_lock();
    machine.agents[number] = (struct agent){
        .place = AGENT_AT_WORK, .current = number, .turn_end = turn_from(pv_tsc()), .stretch = UNSTRETCHED};
    while (machine.phase == PHASE_RUNNING) {
        const uint64_t now = pv_tsc();
        if (number == 0)
            machine_poll(now);
        const struct wishes wishes = ask(number, now);
        if (wishes.next == NULL) {
            wait(number, number == 0 ? earlier(wishes.deadline, machine.deadline) : wishes.deadline);
            continue;
        }
        // Console input does not end a run: whoever looks after it comes back for that.
        uint64_t end = earlier(wishes.deadline, take_turn(&machine.agents[number], &wishes, now));
        end = number == 0 ? earlier(end, machine.poll_at) : end;
        run_until(&machine.agents[number], wishes.next, now, end);
    }
    machine_unlock();
}
