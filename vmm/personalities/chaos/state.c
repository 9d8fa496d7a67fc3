// SPDX-License-Identifier: Apache-2.0
// Garbage in state pages: before an entry, and from another agent during one.
#include "chaos.h"

enum { MAX_CHANGES = 8, MAX_MEDDLING = 64 };

struct pv_vcpu_state *chaos_state(uint64_t vcpu)
{
    return pv_pool_pointer(playground.pages[vcpu < PV_MAX_VCPUS ? playground.page_of[vcpu] % PAGES : 0]);
}

/// Flips a bit, or replaces 8 bytes.
static void spoil(struct random *r, volatile uint64_t *words)
{
    volatile uint64_t *word = &words[random_below(r, sizeof(struct pv_vcpu_state) / sizeof(*words))];
    if (random_chance(r, 2))
        *word ^= UINT64_C(1) << random_below(r, 64);
    else
        *word = random_nasty(r);
}

/// An event such as may be injected, or not: any type and vector.
static void spoil_event(struct random *r, struct pv_vcpu_state *state)
{
    state->inject = (uint32_t)(PV_INJECT_VALID | random_next(r) >> 33);
    if (random_chance(r, 2))
        state->inject &= PV_INJECT_VALID | 0xfff;
    state->inject_error = (uint32_t)random_nasty(r);
    state->inject_length = (uint32_t)random_below(r, 32);
}

void chaos_spoil_state(struct random *r, struct pv_vcpu_state *state)
{
    for (uint64_t changes = random_below(r, MAX_CHANGES); changes > 0; changes--)
        spoil(r, (volatile uint64_t *)state);
    if (random_chance(r, 4))
        spoil_event(r, state);
    state->dirty = (uint32_t)random_next(r) & (random_chance(r, 4) ? UINT32_MAX : PV_GROUP_ALL);
    state->fill = (uint32_t)random_next(r);
}

void chaos_garbage(struct player *player)
{
    chaos_spoil_state(&player->random, chaos_state(chaos_number(player)));
}

void chaos_meddle(struct player *player)
{
    struct random *r = &player->random;
    for (uint64_t i = random_below(r, MAX_MEDDLING); i > 0; i--)
        spoil(r, pv_pool_pointer(playground.pages[random_below(r, PAGES)]));
}
