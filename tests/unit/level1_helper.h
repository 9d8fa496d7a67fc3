// SPDX-License-Identifier: Apache-2.0
/// What tests of level-1 scheduling share.
#ifndef POLYVISOR_TESTS_LEVEL1_HELPER_H
#define POLYVISOR_TESTS_LEVEL1_HELPER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "random.h"
#include "vmm/level1.h"

enum { MAX_ENTITIES = 128 };

/// Ticks of a thousandth of a slice, in which turns are given here.
#define UNIT UINT64_C(40)
#define SLICE (1000 * UNIT)

static struct level1 l1;
static struct level1_entity entities[MAX_ENTITIES];

static inline int setup(void **state)
{
    (void)state;
    memset(entities, 0, sizeof(entities));
    level1_init(&l1, SLICE);
    return 0;
}

static inline void add(unsigned count, const uint32_t *weights)
{
    for (unsigned i = 0; i < count; i++) {
        level1_entity_init(&entities[i], weights[i]);
        level1_wake(&l1, &entities[i]);
    }
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

#endif
