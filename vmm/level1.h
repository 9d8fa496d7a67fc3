// SPDX-License-Identifier: Apache-2.0
/*
 * Level-1 scheduling: which entity (agent) of one core runs, and until when. Pure arithmetic over intrusive
 * structures: no allocation, no clock, no locks; one struct level1 a core, used by that core alone. All times are TSC
 * ticks. docs/scheduling.md explains both policies with examples.
 *
 * weighted: deficit round robin. Time is counted in rounds. In each round a runnable entity earns weight * unit ticks
 * of credit, where unit = slice / LEVEL1_UNITS; when it has earned a turn it runs one, and sits out the rounds in
 * which it earns the next. A turn is
 *
 *     slice * weight / CONFIG_WEIGHT_DEFAULT, at least slice / 20, at most 10 * slice
 *
 * so entities with weights from 5 to 1000 earn a turn in 10 rounds, which makes a plain ring; heavier ones run longest
 * turns more often, lighter ones shortest turns more rarely. Whatever an entity ran too long or too short, it carries
 * to the following turns as (signed) credit: over time shares are exactly as the weights, whatever turns come out.
 *
 * Entities wait in a calendar, one list for each of the next 64 rounds with a bit mask of those that are not empty.
 * Rounds in which nobody runs cost nothing, nobody is visited in vain, and so every function here takes constant time.
 * (But for one: an entity that overran so much that it must sit out more than 63 rounds is looked at once in 63.)
 *
 * Bound on lateness. With all entities staying runnable, an entity i whose turn takes K rounds to earn (turn_i /
 * (weight_i * unit) + 1 at most) waits between two turns no longer than the sum, over all others j, of
 *
 *     turn_j + (K + 1) * weight_j * unit      (plus what they overrun)
 *
 * and, when all weights lie between 5 and 1000 and nobody overruns, exactly one turn of each other.
 *
 * frame: a fixed cyclic table of slots, aligned to a TSC value for ever. An entity runs in its slots only; a slot whose
 * entity is not runnable stays idle.
 */
#ifndef POLYVISOR_LEVEL1_H
#define POLYVISOR_LEVEL1_H

#include <stdbool.h>
#include <stdint.h>

enum {
    LEVEL1_ROUNDS = 64,       ///< of the calendar
    LEVEL1_UNITS = 1000,      ///< of a slice
    LEVEL1_MIN_TURN = 50,     ///< units: a slice / 20
    LEVEL1_MAX_TURN = 10000,  ///< units: 10 slices
    LEVEL1_MIN_QUANTUM = 250, ///< ticks: no turn and no slot is shorter, as a switch would cost more
    LEVEL1_MIN_SLICE = LEVEL1_MIN_QUANTUM * LEVEL1_UNITS / LEVEL1_MIN_TURN,
    LEVEL1_MAX_DEBT = 16,   ///< turns, or slices if those are longer; who overran by more is forgiven the rest
    LEVEL1_MAX_SLOTS = 256, ///< of a frame
    LEVEL1_REMNANT = 160,   ///< a turn with less than slice / 160 left is over
};

/// No end: nothing else wants the core.
#define LEVEL1_NO_END UINT64_MAX

enum level1_policy { LEVEL1_WEIGHTED, LEVEL1_FRAME };

/// Lists of the calendar are rings through their heads: to put in and to take out needs no look at whether one is empty.
struct level1_link {
    struct level1_link *next, *prev;
};

/// What is scheduled; part of an agent.
struct level1_entity {
    struct level1_link link;    ///< first; in a list of the calendar
    int64_t credit;             ///< ticks / LEVEL1_UNITS that it may run; negative: that it ran too long
    uint64_t used;              ///< ticks that it has had the core, under either policy
    uint32_t weight;            ///< 1 to CONFIG_WEIGHT_MAX
    const struct level1 *where; ///< the core that it is runnable on, or NULL
    /* what follows from weight and slice; right while it is runnable */
    int64_t earned; ///< credit, in a round
    int64_t due;    ///< the credit for a turn, and half a round more
    int64_t turn;   ///< ticks
    int64_t debt;   ///< the deepest, ticks
    uint64_t quick; ///< rounds that level1_next_turn lets it sit out: beyond may be a debt of which a part is forgiven
    /// The next of the entities that share slots of a frame, in a ring; NULL: alone. The caller's.
    struct level1_entity *mate;
};

/// A slot of a frame. The table is the caller's and stays while it is in use; so do the entities, runnable or not. One
/// that moved to another core does not run in its slots here any more. The caller may change who has a slot at any time.
struct level1_slot {
    struct level1_entity *entity; ///< who has it, or one of the mates that do: another each time. NULL: idle
    uint64_t ticks;               ///< its length, at least LEVEL1_MIN_QUANTUM
    uint64_t end;                 ///< from the beginning of the frame; filled by level1_use_frame
};

struct level1 {
    /* weighted; the calendar is kept under both policies */
    struct level1_link rounds[LEVEL1_ROUNDS]; ///< runnable entities but for the current one, by round % 64
    uint64_t occupied;                        ///< bit n: rounds[n] is not empty
    uint64_t round;                           ///< % 64
    struct level1_entity *current;            ///< whose turn it is; NULL under frame
    int64_t left;                             ///< ticks of its turn
    bool free;                                ///< current was alone when it was picked: its time is nobody's loss

    enum level1_policy policy;
    uint64_t slice;  ///< ticks
    int64_t remnant; ///< a turn with fewer ticks left is over

    /* frame */
    struct level1_slot *slots;
    uint32_t slot_count, slot; ///< slot: the present one
    uint64_t frame_start;      ///< when the present frame began
    uint64_t frame_ticks;
    uint64_t slots_missed; ///< that went by without a pick
};

/// Starts with the weighted policy and no entities. slice: ticks; at least LEVEL1_MIN_SLICE is taken.
void level1_init(struct level1 *l1, uint64_t slice);
/// A new entity, which is not runnable.
void level1_entity_init(struct level1_entity *entity, uint32_t weight);

/// The entity can run here: its first turn comes when it has earned it, behind those who wait already. Nothing if it is
/// runnable. To bring it to another core: level1_sleep on the old one, then level1_wake on the new.
void level1_wake(struct level1 *l1, struct level1_entity *entity);
/// The entity cannot run any more, whether it is its turn or not. Credit is lost, debt stays. Nothing if it is not
/// runnable.
void level1_sleep(struct level1 *l1, struct level1_entity *entity);
/// The entity gives back the rest of its turn. Only weighted: in a frame nobody could use it.
void level1_yield(struct level1 *l1, struct level1_entity *entity);
/// The entity used the core for that long. To be called before level1_sleep, level1_yield and level1_pick.
void level1_charge(struct level1 *l1, struct level1_entity *entity, uint64_t ticks);

/// Who runs now: the present entity while its turn lasts, else the next. NULL: nobody. *end: when to ask again at the
/// latest (under frame also when idle), or LEVEL1_NO_END. To be asked again, too, when an entity woke or went to sleep.
struct level1_entity *level1_pick(struct level1 *l1, uint64_t now, uint64_t *end);

/// New numbers at run time. Credit earned before is kept as far as it is worth a turn, debts as far as such could be made
/// now. A new slice cuts the present turn; a new weight counts from the next turn on.
void level1_set_weight(struct level1_entity *entity, uint32_t weight);
void level1_set_slice(struct level1 *l1, uint64_t slice);
/// Change of policy. use_frame: the table's first frame begins at `start`; before that the core is idle. False, and
/// nothing changed: no slots, more than LEVEL1_MAX_SLOTS, a slot that is too short, or 2^62 ticks altogether.
void level1_use_weighted(struct level1 *l1);
bool level1_use_frame(struct level1 *l1, struct level1_slot *slots, uint32_t count, uint64_t start);

/// The ticks of an entity's turn (weighted).
uint64_t level1_turn(const struct level1 *l1, const struct level1_entity *entity);

#endif
