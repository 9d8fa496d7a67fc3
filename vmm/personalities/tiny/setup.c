// SPDX-License-Identifier: Apache-2.0
// Makes guests. One with several vcpus spans as many agents, when there are so many: vcpus belong to the core of the
// agent that makes them, so each agent makes its own.
#include "setup.h"

enum { WAITS_PER_SECOND = 100 };

/// Guests that span agents, by the first agent's number and the place among the arguments. Made by the first agent.
static struct team teams[PV_MAX_CORES][MAX_GUESTS];
static _Atomic bool team_ready[PV_MAX_CORES][MAX_GUESTS];

static int64_t make_team(struct team *team, const struct program *program, uint32_t count)
{
    team->count = count;
    const int64_t result = pv_guest_memory_create(&team->memory, program->memory);
    if (result < 0)
        return result;
    return program_load(program, &team->memory) ? PV_OK : PV_ERR_INVALID;
}

/// A vcpu of a team on this agent.
static int64_t add_cpu(const struct pv_info *info, const struct options *options, uint32_t agent,
                       const struct program *program, struct team *team, uint32_t index)
{
    struct agent *self = &agents[agent];
    struct cpu *cpu = &self->cpus[self->count];
    cpu->program = program;
    cpu->team = team;
    cpu->agent = agent;
    cpu->index = index;
    const int64_t result = cpu_create(cpu, options, info);
    if (result < 0)
        return result;
    team->cpus[index] = cpu;
    self->count++;
    return PV_OK;
}

static void wait_a_moment(const struct pv_info *info)
{
    pv_event_wait(PV_EVENT_USER, pv_tsc() + info->tsc_hz / WAITS_PER_SECOND);
}

/// Waits until the agent that makes a team has done so.
static void await_team(const struct pv_info *info, uint32_t first, size_t place)
{
    while (!team_ready[first][place])
        wait_a_moment(info);
}

/// Waits until all vcpus of a team are there: each is made with the page tables and descriptors that all share, written anew.
static void await_fellows(const struct pv_info *info, const struct team *team)
{
    for (uint32_t i = 0; i < team->count; i++)
        while (team->cpus[i] == NULL)
            wait_a_moment(info);
}

/// This agent's share of one guest.
static int64_t add_guest(const struct pv_info *info, const struct options *options, uint32_t agent, size_t place)
{
    const struct program *program = options->guests[place];
    const uint32_t wanted = program->max_cpus < options->smp ? program->max_cpus : options->smp;
    // With too few agents the vcpus share one; agents left over by division have none.
    const uint32_t span = wanted <= info->agent_count ? wanted : 1;
    const uint32_t first = agent - agent % span;
    if (first + span > info->agent_count)
        return PV_OK;
    struct team *team = &teams[first][place];
    if (agent == first) {
        const int64_t result = make_team(team, program, wanted);
        if (result < 0)
            return result;
        team_ready[first][place] = true;
    }
    await_team(info, first, place);
    for (uint32_t index = agent - first; index < wanted; index += span) {
        const int64_t result = add_cpu(info, options, agent, program, team, index);
        if (result < 0)
            return result;
    }
    await_fellows(info, team);
    return PV_OK;
}

const char *setup_agent(const struct pv_info *info, const struct options *options, uint32_t agent, int64_t *error)
{
    for (size_t place = 0; place < options->guest_count; place++) {
        *error = add_guest(info, options, agent, place);
        if (*error < 0)
            return options->guests[place]->name;
    }
    return NULL;
}
