// SPDX-License-Identifier: Apache-2.0
/// Random numbers that a seed determines (xorshift64*, Vigna 2016).
#ifndef POLYVISOR_CHAOS_RANDOM_H
#define POLYVISOR_CHAOS_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
    uint64_t state; ///< not 0
};

static inline void random_seed(struct random *random, uint64_t seed)
{
    random->state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

static inline uint64_t random_next(struct random *random)
{
    random->state ^= random->state >> 12;
    random->state ^= random->state << 25;
    random->state ^= random->state >> 27;
    return random->state * UINT64_C(0x2545f4914f6cdd1d);
}

/// A number below a limit, which is not 0.
static inline uint64_t random_below(struct random *random, uint64_t limit)
{
    return (random_next(random) >> 16) % limit;
}

/// True once in so many times.
static inline bool random_chance(struct random *random, uint64_t times)
{
    return random_below(random, times) == 0;
}

/// A number such as breaks programs: small ones, borders, addresses of all sorts, single bits, anything.
uint64_t random_nasty(struct random *random);

#endif
