// SPDX-License-Identifier: Apache-2.0
/// The weighted policy's part of every switch (vmm/level1.h), to be compiled into it.
#ifndef POLYVISOR_LEVEL1_WEIGHTED_H
#define POLYVISOR_LEVEL1_WEIGHTED_H

#include <stddef.h>

#include "vmm/level1.h"

/// Works out an entity's numbers.
void level1_work_out(const struct level1 *l1, struct level1_entity *entity);

/* ---- the calendar ---- */

/// Puts an entity into the list of a round, `ahead` rounds from now.
static inline void level1_insert(struct level1 *l1, struct level1_entity *entity, uint64_t ahead)
{
    uint64_t slot = (l1->round + ahead) % LEVEL1_ROUNDS;
    struct level1_link *head = &l1->rounds[slot], *last = head->prev;
    entity->link.next = head;
    entity->link.prev = last;
    last->next = &entity->link;
    head->prev = &entity->link;
    l1->occupied |= UINT64_C(1) << slot;
}

/// Lets a runnable entity wait for its next turn. Credit for the rounds that it waits is given in advance. What it has
/// yet to earn is counted to the nearest round: carrying the rest on keeps ticks of overrun from changing the order of a ring.
static inline void level1_enqueue(struct level1 *l1, struct level1_entity *entity)
{
    int64_t credit = entity->due - entity->credit;
    uint64_t rounds = 0;
    if (credit > 0) {
        rounds = (uint64_t)credit / (uint64_t)entity->earned;
        if (__builtin_expect(rounds > LEVEL1_ROUNDS - 1, 0)) {
            rounds = LEVEL1_ROUNDS - 1; // what is missing then is seen when it comes up
        }
        entity->credit += (int64_t)rounds * entity->earned;
    }
    level1_insert(l1, entity, rounds);
}

/// The first entity of the calendar, which is not empty, taken out.
static inline struct level1_entity *level1_take_first(struct level1 *l1)
{
    uint64_t round = l1->round;
    uint64_t ahead = l1->occupied >> (round & 63) | l1->occupied << (-round & 63);
    round = (round + (unsigned)__builtin_ctzll(ahead)) % LEVEL1_ROUNDS;
    l1->round = round;
    struct level1_link *head = &l1->rounds[round], *first = head->next, *next = first->next;
    head->next = next;
    next->prev = head;
    if (next == head) {
        l1->occupied &= ~(UINT64_C(1) << round);
    }
    return (struct level1_entity *)first;
}

static inline bool level1_has_turn(const struct level1_entity *entity)
{
    return entity->due - entity->credit < entity->earned;
}

/// Goes on when the first entity of the calendar has not earned a turn yet.
struct level1_entity *level1_look_further(struct level1 *l1, struct level1_entity *entity);

/// Takes the next entity that has earned a turn out of the calendar, which is not empty.
static inline struct level1_entity *level1_dequeue(struct level1 *l1)
{
    struct level1_entity *entity = level1_take_first(l1);
    if (__builtin_expect(!level1_has_turn(entity) && l1->occupied, 0)) { // who is alone keeps nobody waiting
        return level1_look_further(l1, entity);
    }
    return entity;
}

/* ---- turns ---- */

static inline void level1_charge_weighted(struct level1 *l1, struct level1_entity *entity, uint64_t ticks)
{
    entity->used += ticks;
    if (l1->current != entity || l1->free) {
        return;
    }
    int64_t used = ticks < (uint64_t)entity->debt ? (int64_t)ticks : entity->debt;
    l1->left -= used;
    entity->credit -= used * LEVEL1_UNITS;
    if (__builtin_expect(entity->credit < -entity->debt * LEVEL1_UNITS, 0)) {
        entity->credit = -entity->debt * LEVEL1_UNITS;
    }
}

static inline struct level1_entity *level1_pick_weighted(struct level1 *l1, uint64_t now, uint64_t *end)
{
    struct level1_entity *current = l1->current;
    if (!current || l1->left < l1->remnant) {
        if (current) {
            l1->current = NULL;
            level1_enqueue(l1, current);
        }
        l1->current = current = l1->occupied ? level1_dequeue(l1) : NULL;
        l1->left = current ? current->turn : 0;
    }
    l1->free = current && !l1->occupied;
    *end = l1->occupied ? now + (uint64_t)l1->left : LEVEL1_NO_END;
    return current;
}

/// level1_charge and level1_pick in one, for the usual end of a slice: the current entity's turn is over, and the next one in the
/// calendar has earned a turn. NULL: not that usual; then level1_pick has to be asked, and the time is charged.
static inline struct level1_entity *level1_next_turn(struct level1 *l1, struct level1_entity *entity, uint64_t ticks)
{
    int64_t credit = entity->credit - (int64_t)ticks * LEVEL1_UNITS, missing = entity->due - credit;
    uint64_t rounds = (uint64_t)missing / (uint64_t)entity->earned;
    if (__builtin_expect(rounds > entity->quick, 0)) { // a deep debt; or a negative one, which is no end of a turn
        level1_charge_weighted(l1, entity, ticks);
        return NULL;
    }
    entity->used += ticks;
    entity->credit = credit + (int64_t)rounds * entity->earned;
    level1_insert(l1, entity, rounds);
    struct level1_entity *next = level1_take_first(l1);
    if (__builtin_expect(!level1_has_turn(next), 0)) {
        l1->current = NULL;
        level1_enqueue(l1, next);
        return NULL;
    }
    l1->current = next; // and l1->free is false, or there would have been no end
    l1->left = next->turn;
    return next;
}

#endif
