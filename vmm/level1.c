// SPDX-License-Identifier: Apache-2.0
#include "vmm/level1.h"

#include <stddef.h>

#include "vmm/config.h"
#include "vmm/level1_weighted.h"

/// A turn of the default weight is a slice, so in units it is ten times the weight.
enum { UNITS_PER_WEIGHT = LEVEL1_UNITS / (int)CONFIG_WEIGHT_DEFAULT };
_Static_assert(LEVEL1_MAX_TURN >= (int)CONFIG_WEIGHT_MAX, "the heaviest entity earns no more in a round than a turn");
_Static_assert(LEVEL1_MIN_TURN < (int)LEVEL1_ROUNDS, "the lightest entity earns its turn within the calendar");

#define FRAME_TICKS_MAX (UINT64_C(1) << 62)

/* ---- numbers: credit is in ticks / LEVEL1_UNITS, so that nothing here has to be rounded ---- */

void level1_work_out(const struct level1 *l1, struct level1_entity *entity)
{
    uint64_t units = (uint64_t)entity->weight * UNITS_PER_WEIGHT;
    units = units < LEVEL1_MIN_TURN ? LEVEL1_MIN_TURN : units > LEVEL1_MAX_TURN ? LEVEL1_MAX_TURN : units;
    uint64_t price = units * l1->slice, turn = price / LEVEL1_UNITS;
    entity->earned = (int64_t)(entity->weight * l1->slice);
    entity->due = (int64_t)price + entity->earned / 2;
    entity->turn = (int64_t)turn;
    entity->debt = (int64_t)(LEVEL1_MAX_DEBT * (turn > l1->slice ? turn : l1->slice));
    uint64_t rounds = (uint64_t)(entity->debt * LEVEL1_UNITS / entity->earned) - 1;
    entity->quick = rounds < LEVEL1_ROUNDS - 1 ? rounds : LEVEL1_ROUNDS - 1;
}

/// Works out the numbers anew, and keeps the credit within what they allow: turns that were earned, or debts that were
/// made, when turns were longer would count as many turns now, and keep the others (or the entity) waiting for all of them.
static void change_numbers(const struct level1 *l1, struct level1_entity *entity)
{
    level1_work_out(l1, entity);
    int64_t lowest = -entity->debt * LEVEL1_UNITS;
    entity->credit = entity->credit > entity->due ? entity->due : entity->credit < lowest ? lowest : entity->credit;
}

uint64_t level1_turn(const struct level1 *l1, const struct level1_entity *entity)
{
    struct level1_entity worked_out = *entity;
    level1_work_out(l1, &worked_out);
    return (uint64_t)worked_out.turn;
}

struct level1_entity *level1_look_further(struct level1 *l1, struct level1_entity *entity)
{
    while (!level1_has_turn(entity) && l1->occupied) {
        level1_enqueue(l1, entity);
        entity = level1_take_first(l1);
    }
    return entity;
}

static void take_out(struct level1 *l1, struct level1_entity *entity)
{
    struct level1_link *next = entity->link.next, *prev = entity->link.prev;
    next->prev = prev;
    prev->next = next;
    if (next == prev) { // the list's head
        l1->occupied &= ~(UINT64_C(1) << (next - l1->rounds));
    }
}

/// Ends the current entity's turn.
static void put_back(struct level1 *l1)
{
    struct level1_entity *entity = l1->current;
    l1->current = NULL;
    if (entity) {
        level1_enqueue(l1, entity);
    }
}

/* ---- entities ---- */

void level1_init(struct level1 *l1, uint64_t slice)
{
    *l1 = (struct level1){.policy = LEVEL1_WEIGHTED};
    for (uint32_t i = 0; i < LEVEL1_ROUNDS; i++) {
        l1->rounds[i].next = l1->rounds[i].prev = &l1->rounds[i];
    }
    level1_set_slice(l1, slice);
}

void level1_entity_init(struct level1_entity *entity, uint32_t weight)
{
    *entity = (struct level1_entity){.weight = weight};
}

void level1_wake(struct level1 *l1, struct level1_entity *entity)
{
    if (!entity->where) {
        entity->where = l1;
        change_numbers(l1, entity); // weight and slice may be others than when it went to sleep
        level1_enqueue(l1, entity);
    }
}

static void drop_credit(struct level1_entity *entity)
{
    if (entity->credit > 0) {
        entity->credit = 0;
    }
}

void level1_sleep(struct level1 *l1, struct level1_entity *entity)
{
    if (entity->where != l1) {
        return;
    }
    entity->where = NULL;
    if (l1->current == entity) {
        l1->current = NULL;
    } else {
        take_out(l1, entity);
    }
    drop_credit(entity);
}

void level1_yield(struct level1 *l1, struct level1_entity *entity)
{
    if (l1->current == entity) {
        drop_credit(entity);
        l1->left = 0;
    }
}

void level1_charge(struct level1 *l1, struct level1_entity *entity, uint64_t ticks)
{
    level1_charge_weighted(l1, entity, ticks);
}

void level1_set_weight(struct level1_entity *entity, uint32_t weight)
{
    entity->weight = weight;
    if (entity->where) {
        change_numbers(entity->where, entity);
    }
}

void level1_set_slice(struct level1 *l1, uint64_t slice)
{
    l1->slice = slice < LEVEL1_MIN_SLICE ? LEVEL1_MIN_SLICE : slice;
    l1->remnant = (int64_t)(l1->slice / LEVEL1_REMNANT);
    if (l1->current) {
        change_numbers(l1, l1->current);
        l1->left = l1->left < l1->current->turn ? l1->left : l1->current->turn;
    }
    for (uint32_t i = 0; i < LEVEL1_ROUNDS; i++) {
        for (struct level1_link *e = l1->rounds[i].next; e != &l1->rounds[i]; e = e->next) {
            change_numbers(l1, (struct level1_entity *)e);
        }
    }
}

/* ---- weighted ---- */

void level1_use_weighted(struct level1 *l1)
{
    l1->policy = LEVEL1_WEIGHTED;
}

/* ---- frame ---- */

bool level1_use_frame(struct level1 *l1, struct level1_slot *slots, uint32_t count, uint64_t start)
{
    uint64_t ticks = 0;
    if (count == 0 || count > LEVEL1_MAX_SLOTS) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (slots[i].ticks < LEVEL1_MIN_QUANTUM || slots[i].ticks >= FRAME_TICKS_MAX - ticks) {
            return false;
        }
        ticks += slots[i].ticks;
        slots[i].end = ticks;
    }
    put_back(l1); // everybody waits in the calendar while it is not used
    l1->policy = LEVEL1_FRAME;
    l1->slots = slots;
    l1->slot_count = count;
    l1->slot = 0;
    l1->frame_start = start;
    l1->frame_ticks = ticks;
    return true;
}

/// The first slot that ends after `offset` ticks of the frame.
static uint32_t slot_at(const struct level1 *l1, uint64_t offset)
{
    uint32_t low = 0, high = l1->slot_count - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (l1->slots[middle].end > offset) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/// Brings the present slot and frame_start up to `now`. Both follow from the table's start alone: nothing drifts.
static void advance(struct level1 *l1, uint64_t now)
{
    uint64_t offset = now - l1->frame_start;
    if (offset < l1->slots[l1->slot].end) {
        return;
    }
    uint64_t frames = offset / l1->frame_ticks;
    uint32_t slot = slot_at(l1, offset % l1->frame_ticks);
    l1->slots_missed += frames * l1->slot_count + slot - l1->slot - 1;
    l1->frame_start += frames * l1->frame_ticks;
    l1->slot = slot;
    struct level1_slot *begun = &l1->slots[slot];
    if (begun->entity && begun->entity->mate) {
        begun->entity = begun->entity->mate;
    }
}

/// Who runs in a slot: the one whose turn it is; when that sleeps, the next of its mates that does not.
static struct level1_entity *runner(const struct level1 *l1, struct level1_slot *slot)
{
    struct level1_entity *entity = slot->entity;
    while (entity && entity->where != l1) {
        entity = entity->mate != slot->entity ? entity->mate : NULL;
    }
    slot->entity = entity ? entity : slot->entity;
    return entity;
}

static struct level1_entity *pick_frame(struct level1 *l1, uint64_t now, uint64_t *end)
{
    if ((int64_t)(now - l1->frame_start) < 0) {
        *end = l1->frame_start;
        return NULL;
    }
    advance(l1, now);
    struct level1_slot *slot = &l1->slots[l1->slot];
    *end = l1->frame_start + slot->end;
    return runner(l1, slot);
}

struct level1_entity *level1_pick(struct level1 *l1, uint64_t now, uint64_t *end)
{
    return l1->policy == LEVEL1_FRAME ? pick_frame(l1, now, end) : level1_pick_weighted(l1, now, end);
}
