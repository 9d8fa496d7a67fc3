// SPDX-License-Identifier: Apache-2.0
/// Changes of level 1's policy and slice, and the frame tables of the cores.
#include <stddef.h>

#include "arch/x86/core.h"
#include "arch/x86/tsc.h"
#include "vmm/lock.h"
#include "vmm/log.h"
#include "vmm/machine.h"
#include "vmm/panic.h"
#include "vmm/personality.h"
#include "vmm/sched_state.h"

/// A change of policy on its way to a core, and the table that the core then uses.
static struct change {
    struct message message;
    struct level1_slot slots[CONFIG_MAX_SLOTS];
} changes[PV_MAX_CORES];

/// What all cores are to use.
struct setting {
    enum pv_policy policy;
    uint64_t slice;
    uint64_t start; ///< of the first frame, one moment for all cores
};
static struct setting wanted;
static struct lock lock; ///< of `wanted`

/* ---- on each core ---- */

/// The agents of a personality that are on a core, linked as mates: they share its slots. One of them, or NULL.
static struct level1_entity *entities_on(uint32_t personality, const struct core *core)
{
    struct personality *p = personality < personality_count ? &personalities[personality] : NULL;
    struct level1_entity *first = NULL, *last = NULL;
    for (uint32_t i = 0; p && i < p->agent_count; i++) {
        if (__atomic_load_n(&p->agents[i].core, __ATOMIC_ACQUIRE) == core) {
            struct level1_entity *entity = &p->agents[i].entity;
            *(last ? &last->mate : &first) = entity;
            entity->mate = first;
            last = entity;
        }
    }
    return first;
}

static void fill_table(struct level1_slot *slots, const struct core *core)
{
    for (uint32_t i = 0; i < machine.config.slot_count; i++) {
        slots[i].entity = entities_on(machine.config.slots[i].personality, core);
    }
}

void sched_refresh_frame(struct sched *s, struct core *core)
{
    if (s->level1.policy == LEVEL1_FRAME) {
        fill_table(changes[core->id].slots, core);
        s->repick = true;
    }
}

static void run_change(struct message *message)
{
    struct change *change = (struct change *)message;
    struct core *core = core_self();
    struct sched *s = core->sched;
    lock_take(&lock);
    struct setting setting = wanted;
    lock_drop(&lock);
    if (s->current) {
        sched_charge_current(s, core);
    }
    level1_set_slice(&s->level1, setting.slice);
    if (setting.policy == PV_POLICY_WEIGHTED) {
        level1_use_weighted(&s->level1);
    } else {
        fill_table(change->slots, core);
        for (uint32_t i = 0; i < machine.config.slot_count; i++) {
            change->slots[i].ticks = cpu_scale(machine.config.slots[i].us, tsc_hz(), 1000000);
        }
        ASSERT(level1_use_frame(&s->level1, change->slots, machine.config.slot_count, setting.start)); // checked before
    }
    s->repick = true;
}

/* ---- from any core ---- */

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
    lock_take(&lock);
    // Frames that run go on as they are when only the slice changes.
    bool begins = policy == PV_POLICY_FRAME && wanted.policy != PV_POLICY_FRAME;
    wanted = (struct setting){policy, slice, begins ? cpu_rdtsc() : wanted.start};
    machine.slice_ticks = slice;
    lock_drop(&lock);
    for (uint32_t i = 0; i < core_count; i++) {
        if (cores[i].ready) {
            changes[i].message.run = run_change;
            message_send(&cores[i], &changes[i].message);
        }
    }
    return true;
}
