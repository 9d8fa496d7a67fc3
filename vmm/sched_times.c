// SPDX-License-Identifier: Apache-2.0
/*
 * Where time went. The clocks that entries to ring 0 advance (arch/x86/entry.asm) belong to their core: another one could
 * read them in the middle of a change. So a core is asked, and notes for itself, in ring 0, what is charged up to that
 * moment: its own clocks and, with the same ticks in them, those of the agents that are on it.
 */
#include "arch/x86/core.h"
#include "vmm/personality.h"
#include "vmm/sched_state.h"
#include "vmm/vcpu.h"

static void note_agent(struct agent *agent, const struct sched *s, const struct core *core)
{
    uint64_t guest = agent->guest_before;
    for (uint32_t i = 0; i < PV_MAX_VCPUS; i++) {
        guest += agent->vcpus[i] ? agent->vcpus[i]->run_time : 0;
    }
    agent->ticks = agent->entity.used + (s->current == agent ? core->stamp - s->charged : 0);
    agent->ticks_guest = guest;
    agent->ticks_ring3 = agent->regs.ticks;
}

void sched_note_times(void)
{
    const struct core *core = core_self();
    struct sched_times t = {
        .total = cpu_rdtsc() - core->tsc_start,
        .idle = core->clock[CLOCK_IDLE],
        .ring3 = core->clock[CLOCK_RING3],
        .guest = core->clock[CLOCK_GUEST],
    };
    t.mux = t.total - t.idle - t.ring3 - t.guest; // nobody else had the core
    core->sched->noted = t;
    for (uint32_t i = 0; i < personality_count; i++) {
        struct personality *p = &personalities[i];
        for (uint32_t a = 0; a < p->agent_count; a++) {
            if (sched_is_here(&p->agents[a])) {
                note_agent(&p->agents[a], core->sched, core);
            }
        }
    }
}

struct sched_times sched_noted_times(const struct core *core)
{
    return core->sched->noted;
}

uint64_t sched_switches(const struct core *core)
{
    return core->sched->switches;
}
