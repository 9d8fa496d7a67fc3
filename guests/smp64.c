// SPDX-License-Identifier: Apache-2.0
// What the two vcpus of a 64-bit guest do together: interrupt each other and share memory under a lock.
#include "smp64.h"

#include "guest.h"
#include "processor.h"

enum { PATIENCE_TICKS = 20000 }; ///< of this vcpu's timer; the other one may have to wait for its core

static uint32_t lock;
/// Equal whenever nobody holds the lock.
static volatile uint64_t first_count, second_count;

static void take_lock(void)
{
    while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE) != 0)
        __asm__ volatile("pause");
}

static void count_together(void)
{
    take_lock();
    const uint64_t first = first_count, second = second_count;
    first_count = first + 1;
    expect(GUEST_ERROR_MEMORY, 0xffff, first, second);
    second_count = second + 1;
    __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
}

/// Interrupts the other vcpu and waits until it has noticed, half of the times halted.
static void interrupt_other(struct context *context)
{
    const uint32_t other = 1 - context->cpu;
    const uint32_t before = contexts[other].ipis;
    const uint32_t start = context->ticks;
    out32(GUEST_PORT_IPI, other);
    while (contexts[other].ipis == before) {
        if (context->ticks - start > PATIENCE_TICKS) {
            expect(GUEST_ERROR_IPI, other, before, before + 1);
            return;
        }
        if (context->round % 2 == 0)
            wait_for_interrupt();
        else
            __asm__ volatile("pause");
    }
}

void mode_meet(struct context *context)
{
    count_together();
    if (context->cpus > 1)
        interrupt_other(context);
}
