// SPDX-License-Identifier: Apache-2.0
/// Repeatable random numbers for tests: the same in every run and on every C library.
#ifndef POLYVISOR_TESTS_RANDOM_H
#define POLYVISOR_TESTS_RANDOM_H

#include <stdint.h>

/// A number below `limit`, which is not 0 (xorshift64*, Vigna 2016).
static inline uint64_t random_below(uint64_t *state, uint64_t limit)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (*state * UINT64_C(0x2545f4914f6cdd1d) >> 11) % limit;
}

#endif
