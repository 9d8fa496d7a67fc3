// SPDX-License-Identifier: Apache-2.0
#include "agent.h"

#include "report.h"
#include "setup.h"

struct agent agents[PV_MAX_CORES];

enum { MICROSECONDS = 1000000, EDF_PERIOD_QUANTA = 10, PERCENT = 100 };

/// What each policy needs to know of a vcpu. The first guest is the most important one, and has the shortest period.
static void set_parameters(struct cpu *cpu, const struct options *options, uint64_t quantum, uint32_t place,
                           uint32_t count)
{
    cpu->turn.number = place;
    cpu->turn.quantum = quantum;
    cpu->turn.priority = L2_PRIORITIES - 1 - place;
    cpu->turn.period = quantum * EDF_PERIOD_QUANTA * (place + 1);
    cpu->turn.runtime = cpu->turn.period * options->share / (PERCENT * count);
}

/// Hands the agent's vcpus to level 2. False: it cannot promise them what they ask for.
static bool start_scheduler(struct agent *self, const struct pv_info *info, const struct options *options)
{
    const uint64_t quantum = info->tsc_hz * options->quantum_us / MICROSECONDS;
    l2_init(&self->scheduler, options->policy);
    for (uint32_t i = 0; i < self->count; i++) {
        struct cpu *cpu = &self->cpus[i];
        const uint64_t now = pv_tsc();
        set_parameters(cpu, options, quantum, i, self->count);
        if (l2_add(&self->scheduler, &cpu->turn, now) != L2_OK)
            return false;
        l2_wake(&self->scheduler, &cpu->turn, now);
    }
    return true;
}

/// Other agents' guests send interrupts without asking this agent's scheduler.
static void wake_interrupted(struct agent *self, uint64_t now)
{
    for (uint32_t i = 0; i < self->count; i++)
        if (!self->cpus[i].turn.runnable && cpu_is_runnable(&self->cpus[i]))
            l2_wake(&self->scheduler, &self->cpus[i].turn, now);
}

static void take_timers(struct agent *self, uint64_t now)
{
    for (uint32_t i = 0; i < self->count; i++) {
        struct cpu *cpu = &self->cpus[i];
        if (!cpu->turn.timer_fired)
            continue;
        cpu->turn.timer_fired = false;
        cpu_timer_expired(cpu, now);
        l2_set_timer(&self->scheduler, &cpu->turn, cpu->timer_next);
    }
}

/// Runs a vcpu once and tells the scheduler what became of it.
static void run(struct agent *self, struct cpu *cpu, uint64_t budget)
{
    const uint64_t before = cpu->vcpu.state->run_time, timer = cpu->timer_next;
    cpu_run(cpu, budget);
    l2_charge(&self->scheduler, &cpu->turn, cpu->vcpu.state->run_time - before);
    if (cpu->timer_next != timer)
        l2_set_timer(&self->scheduler, &cpu->turn, cpu->timer_next); // the guest has set it
    if (cpu->stopped)
        l2_set_timer(&self->scheduler, &cpu->turn, L2_NEVER);
    if (!cpu_is_runnable(cpu))
        l2_block(&self->scheduler, &cpu->turn);
}

/// Until a timer expires, an interrupt comes from another agent, or agent 0 has something to report.
static void wait(const struct pv_info *info, const struct agent *self, uint64_t now)
{
    const uint64_t timer = l2_next_timer(&self->scheduler), second = now + info->tsc_hz;
    pv_event_wait(PV_EVENT_USER | PV_EVENT_CONSOLE_INPUT, timer < second ? timer : second);
}

int agent_main(const struct pv_info *info, const struct options *options, uint32_t agent)
{
    struct agent *self = &agents[agent];
    int64_t error;
    const char *failed = setup_agent(info, options, agent, &error);
    if (failed != NULL) {
        pv_printf("error: cannot make %s on agent %u: %s\n", failed, agent, pv_error_name(error));
        return 1;
    }
    if (!start_scheduler(self, info, options)) {
        pv_printf("error: %s cannot schedule the guests of agent %u\n", options->policy->name, agent);
        return 1;
    }
    for (;;) {
        const uint64_t now = pv_tsc();
        uint64_t budget;
        if (agent == 0)
            report_poll(info, options, now);
        wake_interrupted(self, now);
        struct l2_vcpu *turn = l2_pick(&self->scheduler, now, &budget);
        take_timers(self, now);
        if (turn != NULL)
            run(self, &self->cpus[turn->number], budget);
        else
            wait(info, self, now);
    }
}
