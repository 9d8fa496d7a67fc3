// SPDX-License-Identifier: Apache-2.0
#include "top.h"

#include <polyvisor/string.h>

static struct top_core core_of(const struct pv_core_info *c)
{
    return (struct top_core){
        .core = c->core,
        .absent = c->state == PV_CORE_ABSENT,
        .total = c->ticks_total,
        .guest = c->ticks_guest,
        .ring3 = c->ticks_ring3,
        .mux = c->ticks_mux,
        .idle = c->ticks_idle,
        .switches = c->switches,
        .interrupts = c->interrupts,
    };
}

static struct top_personality personality_of(const struct pv_personality_info *p)
{
    struct top_personality record = {
        .id = p->id,
        .state = p->state,
        .weight = p->weight,
        .cores = p->cores,
        .guest = p->ticks_guest,
        .ring3 = p->ticks_ring3,
        .absorbed = p->exits_absorbed,
        .delivered = p->exits_delivered,
        .switches = p->switches,
    };
    pv_strcopy(record.name, sizeof(record.name), p->name);
    return record;
}

void top_sample_fill(struct top_sample *sample, const struct pv_core_info *cores, size_t core_count,
                     const struct pv_personality_info *personalities, size_t personality_count)
{
    sample->core_count = core_count;
    sample->personality_count = personality_count;
    for (size_t i = 0; i < core_count; i++)
        sample->cores[i] = core_of(&cores[i]);
    for (size_t i = 0; i < personality_count; i++)
        sample->personalities[i] = personality_of(&personalities[i]);
}

/// Counters do not go back; should one seem to, nothing happened.
static uint64_t growth_of(uint64_t before, uint64_t after)
{
    return after > before ? after - before : 0;
}

static struct top_core core_growth(const struct top_core *before, const struct top_core *after)
{
    struct top_core growth = *after;
    growth.total = growth_of(before->total, after->total);
    growth.guest = growth_of(before->guest, after->guest);
    growth.ring3 = growth_of(before->ring3, after->ring3);
    growth.mux = growth_of(before->mux, after->mux);
    growth.idle = growth_of(before->idle, after->idle);
    growth.switches = growth_of(before->switches, after->switches);
    growth.interrupts = growth_of(before->interrupts, after->interrupts);
    return growth;
}

static struct top_personality personality_growth(const struct top_personality *before,
                                                 const struct top_personality *after)
{
    struct top_personality growth = *after;
    growth.guest = growth_of(before->guest, after->guest);
    growth.ring3 = growth_of(before->ring3, after->ring3);
    growth.absorbed = growth_of(before->absorbed, after->absorbed);
    growth.delivered = growth_of(before->delivered, after->delivered);
    growth.switches = growth_of(before->switches, after->switches);
    return growth;
}

static uint64_t used(const struct top_personality *p)
{
    return p->guest + p->ring3;
}

/// Moves one that was put at the end to its place: behind all that used as much or more.
static void sort_in(struct top_personality *list, size_t last)
{
    const struct top_personality moved = list[last];
    for (; last > 0 && used(&list[last - 1]) < used(&moved); last--)
        list[last] = list[last - 1];
    list[last] = moved;
}

uint64_t top_difference(struct top_sample *growth, const struct top_sample *before, const struct top_sample *after)
{
    static const struct top_core no_core;
    static const struct top_personality no_personality;
    uint64_t ticks = 0;
    growth->core_count = after->core_count;
    growth->personality_count = after->personality_count;
    for (size_t i = 0; i < after->core_count; i++) {
        growth->cores[i] = core_growth(i < before->core_count ? &before->cores[i] : &no_core, &after->cores[i]);
        if (growth->cores[i].total > ticks)
            ticks = growth->cores[i].total;
    }
    for (size_t i = 0; i < after->personality_count; i++) {
        const bool known = i < before->personality_count;
        growth->personalities[i] =
            personality_growth(known ? &before->personalities[i] : &no_personality, &after->personalities[i]);
        sort_in(growth->personalities, i);
    }
    return ticks;
}

uint64_t top_per_second(uint64_t count, uint64_t ticks, uint64_t hz)
{
    if (ticks == 0)
        return 0;
    for (; hz > 0 && count > UINT64_MAX / hz; count /= 2)
        ticks /= 2;
    return ticks == 0 ? 0 : count * hz / ticks;
}
