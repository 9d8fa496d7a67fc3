// SPDX-License-Identifier: Apache-2.0
#include "vmm/level1.h"

#include <stddef.h>

#include "vmm/config.h"

/// A turn of the default weight is a slice, so in units it is ten times the weight.
enum { UNITS_PER_WEIGHT = LEVEL1_UNITS / (int)CONFIG_WEIGHT_DEFAULT };
_Static_assert(LEVEL1_MAX_TURN >= (int)CONFIG_WEIGHT_MAX, "the heaviest entity earns no more in a round than a turn");
_Static_assert(LEVEL1_MIN_TURN < (int)LEVEL1_ROUNDS, "the lightest entity earns its turn within the calendar");

#define FRAME_TICKS_MAX (UINT64_C(1) << 62)

/* ---- the calendar ---- */

/// Puts an entity into the list of a round, `ahead` rounds from now.
static inline void insert(struct level1 *l1, struct level1_entity *entity, uint64_t ahead)
{
    unsigned slot = (unsigned)((l1->round + ahead) % LEVEL1_ROUNDS);
    struct level1_list *list = &l1->rounds[slot];
    entity->slot = (uint8_t)slot;
    entity->next = NULL;
    entity->prev = list->last;
    *(list->last ? &list->last->next : &list->first) = entity;
    list->last = entity;
    l1->occupied |= UINT64_C(1) << slot;
}

static inline void take_out(struct level1 *l1, struct level1_entity *entity)
{
    struct level1_list *list = &l1->rounds[entity->slot];
    *(entity->prev ? &entity->prev->next : &list->first) = entity->next;
    *(entity->next ? &entity->next->prev : &list->last) = entity->prev;
    entity->next = entity->prev = NULL;
    if (!list->first) {
        l1->occupied &= ~(UINT64_C(1) << entity->slot);
    }
}

/* ---- credit: in ticks / LEVEL1_UNITS, so that nothing here has to be rounded ---- */

/// The credit for a turn.
static uint64_t price(const struct level1 *l1, const struct level1_entity *entity)
{
    uint64_t units = (uint64_t)entity->weight * UNITS_PER_WEIGHT;
    units = units < LEVEL1_MIN_TURN ? LEVEL1_MIN_TURN : units > LEVEL1_MAX_TURN ? LEVEL1_MAX_TURN : units;
    return units * l1->slice;
}

uint64_t level1_turn(const struct level1 *l1, const struct level1_entity *entity)
{
    return price(l1, entity) / LEVEL1_UNITS;
}

static __attribute__((cold, noinline)) void work_out_terms(const struct level1 *l1, struct level1_entity *entity)
{
    uint64_t earned = entity->weight * l1->slice, turn = level1_turn(l1, entity);
    int64_t limit = (int64_t)(LEVEL1_MAX_DEBT * (turn > l1->slice ? turn : l1->slice));
    entity->terms = (struct level1_terms){
        .slice = l1->slice,
        .earned = earned,
        // Half a round more: counting to the nearest round, and carrying the rest on, keeps ticks of overrun from
        // changing the order of a ring.
        .wanted = (int64_t)(price(l1, entity) + earned / 2),
        .turn = (int64_t)turn,
        .limit = limit,
        .floor = -limit * LEVEL1_UNITS,
    };
}

/// The entity's terms here. They are out of date after a change of its weight or of the slice, or on another core.
static inline const struct level1_terms *terms_of(const struct level1 *l1, struct level1_entity *entity)
{
    if (__builtin_expect(entity->terms.slice != l1->slice, 0)) {
        work_out_terms(l1, entity);
    }
    return &entity->terms;
}

/// Lets a runnable entity wait for its next turn. Credit for the rounds that it waits is given in advance.
static inline void enqueue(struct level1 *l1, struct level1_entity *entity)
{
    const struct level1_terms *terms = terms_of(l1, entity);
    int64_t missing = terms->wanted - entity->credit;
    uint64_t rounds = missing > 0 ? (uint64_t)missing / terms->earned : 0;
    if (rounds > LEVEL1_ROUNDS - 1) {
        rounds = LEVEL1_ROUNDS - 1; // what is missing then is seen when it comes up
    }
    entity->credit += (int64_t)(rounds * terms->earned);
    insert(l1, entity, rounds);
}

static __attribute__((cold, noinline)) void enqueue_again(struct level1 *l1, struct level1_entity *entity)
{
    enqueue(l1, entity);
}

/// Takes the next entity that has earned a turn out of the calendar, or NULL.
static inline struct level1_entity *dequeue(struct level1 *l1)
{
    while (l1->occupied) {
        unsigned from = (unsigned)(l1->round % LEVEL1_ROUNDS);
        uint64_t ahead = l1->occupied >> from | l1->occupied << (-from % LEVEL1_ROUNDS); // a rotation
        l1->round += (unsigned)__builtin_ctzll(ahead);
        struct level1_entity *entity = l1->rounds[l1->round % LEVEL1_ROUNDS].first;
        const struct level1_terms *terms = terms_of(l1, entity);
        take_out(l1, entity);
        bool has_turn = terms->wanted - entity->credit < (int64_t)terms->earned;
        if (has_turn || !l1->occupied) { // who is alone keeps nobody waiting
            return entity;
        }
        enqueue_again(l1, entity);
    }
    return NULL;
}

/// Ends the current entity's turn.
static inline void put_back(struct level1 *l1)
{
    struct level1_entity *entity = l1->current;
    l1->current = NULL;
    if (entity) {
        enqueue(l1, entity);
    }
}

/* ---- entities ---- */

void level1_init(struct level1 *l1, uint64_t slice)
{
    *l1 = (struct level1){.policy = LEVEL1_WEIGHTED};
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
        enqueue(l1, entity);
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

static inline void charge(struct level1 *l1, struct level1_entity *entity, uint64_t ticks)
{
    if (l1->current != entity || l1->free) {
        return;
    }
    const struct level1_terms *terms = terms_of(l1, entity);
    int64_t used = ticks < (uint64_t)terms->limit ? (int64_t)ticks : terms->limit;
    l1->left -= used;
    int64_t credit = entity->credit - used * LEVEL1_UNITS;
    entity->credit = credit < terms->floor ? terms->floor : credit;
}

void level1_charge(struct level1 *l1, struct level1_entity *entity, uint64_t ticks)
{
    charge(l1, entity, ticks);
}

void level1_set_weight(struct level1_entity *entity, uint32_t weight)
{
    entity->weight = weight;
    entity->terms.slice = 0;
}

void level1_set_slice(struct level1 *l1, uint64_t slice)
{
    l1->slice = slice < LEVEL1_MIN_SLICE ? LEVEL1_MIN_SLICE : slice;
    l1->remnant = (int64_t)(l1->slice / LEVEL1_REMNANT);
}

/* ---- weighted ---- */

static inline struct level1_entity *pick_weighted(struct level1 *l1, uint64_t now, uint64_t *end)
{
    if (!l1->current || l1->left < l1->remnant) {
        put_back(l1);
        l1->current = dequeue(l1);
        l1->left = l1->current ? l1->current->terms.turn : 0; // dequeue has looked at the terms
    }
    l1->free = l1->current && !l1->occupied;
    *end = l1->occupied ? now + (uint64_t)l1->left : LEVEL1_NO_END;
    return l1->current;
}

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
}

static __attribute__((noinline)) struct level1_entity *pick_frame(struct level1 *l1, uint64_t now, uint64_t *end)
{
    if ((int64_t)(now - l1->frame_start) < 0) {
        *end = l1->frame_start;
        return NULL;
    }
    advance(l1, now);
    const struct level1_slot *slot = &l1->slots[l1->slot];
    *end = l1->frame_start + slot->end;
    return slot->entity && slot->entity->where == l1 ? slot->entity : NULL;
}

struct level1_entity *level1_pick(struct level1 *l1, uint64_t now, uint64_t *end)
{
    return l1->policy == LEVEL1_FRAME ? pick_frame(l1, now, end) : pick_weighted(l1, now, end);
}

struct level1_entity *level1_charge_and_pick(struct level1 *l1, struct level1_entity *entity, uint64_t ticks,
                                             uint64_t now, uint64_t *end)
{
    if (entity) {
        charge(l1, entity, ticks);
    }
    return l1->policy == LEVEL1_FRAME ? pick_frame(l1, now, end) : pick_weighted(l1, now, end);
}
