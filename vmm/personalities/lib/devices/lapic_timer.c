// SPDX-License-Identifier: Apache-2.0
// The local APIC's timer: one-shot, periodic, TSC-deadline. Source: Intel SDM Vol. 3A 11.5.4.
#include "devices/lapic.h"

enum { MODE_SHIFT = 17, MODE_MASK = 3, ONE_SHOT = 0, PERIODIC = 1, TSC_DEADLINE = 2, MASKED = 1 << 16 };

static uint32_t mode_of(uint32_t lvt)
{
    return lvt >> MODE_SHIFT & MODE_MASK;
}

/// Ticks of the TSC for one of the timer: bits 3, 1 and 0 are the logarithm of the divisor less 1, 7 stands for 1.
static uint64_t divisor(const struct lapic *lapic)
{
    const uint32_t code = (lapic->divide & 3) | (lapic->divide >> 1 & 4);
    return UINT64_C(1) << ((code + 1) & 7);
}

static uint64_t period(const struct lapic *lapic)
{
    return lapic->initial * divisor(lapic);
}

uint32_t lapic_timer_count(const struct lapic *lapic, uint64_t now)
{
    if (mode_of(lapic->lvt[LVT_TIMER]) == TSC_DEADLINE || lapic->deadline == DEV_NEVER)
        return 0;
    // A start before the TSC's 0 is right, too: after a change of the divisor.
    const uint64_t passed = (int64_t)(now - lapic->start) > 0 ? (now - lapic->start) / divisor(lapic) : 0;
    if (mode_of(lapic->lvt[LVT_TIMER]) == PERIODIC)
        return lapic->initial - (uint32_t)(passed % lapic->initial);
    return passed < lapic->initial ? lapic->initial - (uint32_t)passed : 0;
}

void lapic_timer_write(struct lapic *lapic, uint32_t initial, uint64_t now)
{
    if (mode_of(lapic->lvt[LVT_TIMER]) == TSC_DEADLINE)
        return; // ignored in this mode
    lapic->initial = initial;
    lapic->start = now;
    lapic->deadline = initial != 0 ? now + period(lapic) : DEV_NEVER;
}

/// The count goes on from where it is, at another rate.
void lapic_timer_divide(struct lapic *lapic, uint32_t value, uint64_t now)
{
    const uint32_t count = lapic_timer_count(lapic, now);
    lapic->divide = value & 0xb;
    if (count == 0)
        return;
    lapic->start = now - (lapic->initial - count) * divisor(lapic);
    lapic->deadline = now + count * divisor(lapic);
}

/// To or from TSC-deadline mode the timer is disarmed; between the others it goes on.
void lapic_timer_mode(struct lapic *lapic, uint32_t lvt, uint64_t now)
{
    const uint32_t before = mode_of(lapic->lvt[LVT_TIMER]), after = mode_of(lvt);
    (void)now;
    if ((before == TSC_DEADLINE) == (after == TSC_DEADLINE))
        return;
    lapic->deadline = DEV_NEVER;
    lapic->tsc_deadline = 0;
    lapic->initial = 0;
}

void lapic_timer_tsc(struct lapic *lapic, uint64_t value)
{
    if (mode_of(lapic->lvt[LVT_TIMER]) != TSC_DEADLINE)
        return;
    lapic->tsc_deadline = value;
    lapic->deadline = value != 0 ? value : DEV_NEVER;
}

uint64_t lapic_timer_tsc_read(const struct lapic *lapic)
{
    return mode_of(lapic->lvt[LVT_TIMER]) == TSC_DEADLINE ? lapic->tsc_deadline : 0;
}

uint64_t lapic_deadline(const struct lapic *lapic)
{
    return lapic->deadline;
}

/// Periods that passed unseen are one interrupt, and the next one is in step again.
void lapic_advance(struct lapic *lapic, uint64_t now)
{
    if (now < lapic->deadline)
        return;
    if (mode_of(lapic->lvt[LVT_TIMER]) == PERIODIC && period(lapic) != 0) {
        lapic->start += (now - lapic->start) / period(lapic) * period(lapic);
        lapic->deadline = lapic->start + period(lapic);
    } else {
        lapic->deadline = DEV_NEVER;
        lapic->tsc_deadline = 0;
    }
    if ((lapic->lvt[LVT_TIMER] & MASKED) == 0)
        lapic_raise(lapic, (uint8_t)lapic->lvt[LVT_TIMER], false);
}
