// SPDX-License-Identifier: Apache-2.0
/// Four local APICs and an I/O APIC on a bus.
#ifndef POLYVISOR_TESTS_APICS_H
#define POLYVISOR_TESTS_APICS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "devices/ioapic.h"

enum { EOI = 0xb0, TPR = 0x80, PPR = 0xa0, LDR = 0xd0, DFR = 0xe0, SVR = 0xf0, ESR = 0x280, ICR = 0x300, ICR2 = 0x310 };
enum { TIMER = 0x320, LINT0 = 0x350, ERROR_LVT = 0x370, INITIAL = 0x380, CURRENT = 0x390, DIVIDE = 0x3e0 };
enum { CPUS = 4 };

static struct apic_bus bus;
static struct lapic lapics[CPUS];
static struct ioapic ioapic;
static unsigned wakes[CPUS];

static void wake(void *context, uint32_t index)
{
    (void)context;
    wakes[index]++;
}

static void end(void *context, uint8_t vector)
{
    ioapic_end(context, vector);
}

static inline int setup(void **state)
{
    (void)state;
    memset(wakes, 0, sizeof(wakes));
    bus = (struct apic_bus){.wake = wake, .end = end, .context = &ioapic};
    for (uint32_t i = 0; i < CPUS; i++) {
        lapic_init(&lapics[i], &bus, i);
        lapic_write(&lapics[i], SVR, 0x1ff, 0);
    }
    ioapic_init(&ioapic, &bus, CPUS);
    return 0;
}

static inline void take(struct lapic *l, uint8_t vector)
{
    assert_int_equal(lapic_next(l), vector);
    lapic_accept(l, vector);
}

/// Which processors have a vector requested, as a mask; takes it from them.
static inline unsigned got(uint8_t vector)
{
    unsigned mask = 0;
    for (unsigned i = 0; i < CPUS; i++) {
        if (lapic_next(&lapics[i]) != vector)
            continue;
        lapic_accept(&lapics[i], vector);
        lapic_write(&lapics[i], EOI, 0, 0);
        mask |= 1u << i;
    }
    return mask;
}

#endif
