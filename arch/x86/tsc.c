// SPDX-License-Identifier: Apache-2.0
#include "arch/x86/tsc.h"

#include <stdbool.h>

#include "arch/x86/cpu.h"
#include "arch/x86/registers.h"

enum {
    PIT_HZ = 1193182,
    PIT_CHANNEL2 = 0x42,
    PIT_COMMAND = 0x43,
    PIT_MODE0_CHANNEL2 = 0xb0, // count down once, both bytes
    PIT_LATCH_CHANNEL2 = 0x80,
    PORT_B = 0x61,
    PORT_B_GATE2 = 1,
    PORT_B_SPEAKER = 2,
    PM_TIMER_HZ = 3579545, // ACPI 4.8.3.3
    PM_TIMER_MASK = 0xffffff,
    MEASURE_MS = 5,
    POLL_LIMIT = 10000000,
    STANDSTILL = 2000, // reads of an unchanged count, some milliseconds: the PIT's clock is off (recent Intel clients)
    SAMPLES = 3,       // the shortest counts: an SMI can only make one longer
};

static uint64_t rate = UINT64_C(10000000000);
static const char *source = "none";

void tsc_clear_adjust(void)
{
    if (cpu_cpuid(0, 0).eax >= 7 && (cpu_cpuid(7, 0).ebx & CPUID_7_EBX_TSC_ADJUST) && cpu_rdmsr(MSR_TSC_ADJUST)) {
        cpu_wrmsr(MSR_TSC_ADJUST, 0);
    }
}

static uint32_t pit_count(void)
{
    cpu_out8(PIT_COMMAND, PIT_LATCH_CHANNEL2);
    uint32_t low = cpu_in8(PIT_CHANNEL2);
    return low | (uint32_t)cpu_in8(PIT_CHANNEL2) << 8;
}

/// Waits for the PIT's count to change. False: it stands still.
static bool pit_counts(uint32_t *count)
{
    uint32_t first = pit_count();
    for (int i = 0; i < STANDSTILL; i++) {
        *count = pit_count();
        if (*count != first) {
            return true;
        }
    }
    return false;
}

/// TSC ticks while PIT channel 2 counts MEASURE_MS, as ticks a second; 0 when it does not count.
static uint64_t sample_pit(void)
{
    const uint32_t want = PIT_HZ * MEASURE_MS / 1000;
    uint32_t start, now;
    cpu_out8(PIT_COMMAND, PIT_MODE0_CHANNEL2);
    cpu_out8(PIT_CHANNEL2, 0xff);
    cpu_out8(PIT_CHANNEL2, 0xff);
    if (!pit_counts(&start)) {
        return 0;
    }
    uint64_t tsc_start = cpu_rdtsc_ordered();
    now = start;
    for (int i = 0; i < POLL_LIMIT && start - now < want && now <= start; i++) {
        now = pit_count();
    }
    uint64_t ticks = cpu_rdtsc_ordered() - tsc_start;
    uint32_t counted = start - now;
    return now <= start && counted >= want ? ticks * PIT_HZ / counted : 0;
}

static uint64_t measure_pit(void)
{
    uint8_t port_b = cpu_in8(PORT_B);
    cpu_out8(PORT_B, (uint8_t)((port_b & ~PORT_B_SPEAKER) | PORT_B_GATE2));
    uint64_t least = 0;
    for (int i = 0; i < SAMPLES; i++) {
        uint64_t hz = sample_pit();
        if (!hz) {
            break;
        }
        least = least && least < hz ? least : hz;
    }
    cpu_out8(PORT_B, port_b);
    return least;
}

static uint64_t measure_pm_timer(uint32_t port)
{
    const uint32_t want = PM_TIMER_HZ * MEASURE_MS / 1000;
    if (!port) {
        return 0;
    }
    uint32_t start = cpu_in32((uint16_t)port);
    uint64_t tsc_start = cpu_rdtsc_ordered();
    uint32_t counted = 0;
    for (int i = 0; i < POLL_LIMIT && counted < want; i++) {
        counted = (cpu_in32((uint16_t)port) - start) & PM_TIMER_MASK;
    }
    uint64_t ticks = cpu_rdtsc_ordered() - tsc_start;
    return counted >= want ? ticks * PM_TIMER_HZ / counted : 0;
}

/// SDM Vol. 3B 18.7.3: TSC rate = crystal * EBX / EAX; 0 when the leaf does not say.
static uint64_t cpuid_rate(void)
{
    if (cpu_cpuid(0, 0).eax < 0x15) {
        return 0;
    }
    struct cpuid r = cpu_cpuid(0x15, 0);
    return r.eax ? (uint64_t)r.ecx * r.ebx / r.eax : 0;
}

static bool agree(uint64_t a, uint64_t b)
{
    uint64_t difference = a > b ? a - b : b - a;
    return difference <= b / 100;
}

uint64_t tsc_calibrate(uint32_t pm_timer)
{
    uint64_t measured = measure_pit();
    source = "pit";
    if (!measured) {
        measured = measure_pm_timer(pm_timer);
        source = "pm-timer";
    }
    uint64_t stated = cpuid_rate();
    if (stated && (!measured || agree(measured, stated))) {
        measured = stated;
        source = "cpuid";
    }
    if (measured) {
        rate = measured;
    } else {
        source = "none";
    }
    return rate;
}

uint64_t tsc_hz(void)
{
    return rate;
}

const char *tsc_source(void)
{
    return source;
}

void tsc_wait_us(uint64_t microseconds)
{
    uint64_t end = cpu_rdtsc() + cpu_scale(microseconds, rate, 1000000);
    while (cpu_rdtsc() < end) {
        cpu_pause();
    }
}
