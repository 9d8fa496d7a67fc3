// SPDX-License-Identifier: Apache-2.0
/// A ticket lock. Ring 0 runs with interrupts off, so holders are never preempted. Hold times are bounded and short.
#ifndef POLYVISOR_LOCK_H
#define POLYVISOR_LOCK_H

#include <stdint.h>

#include "arch/x86/cpu.h"

struct lock {
    uint32_t next, serving;
};

static inline void lock_take(struct lock *lock)
{
    uint32_t ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&lock->serving, __ATOMIC_ACQUIRE) != ticket) {
        cpu_pause();
    }
}

static inline void lock_drop(struct lock *lock)
{
    __atomic_store_n(&lock->serving, lock->serving + 1, __ATOMIC_RELEASE);
}

#endif
