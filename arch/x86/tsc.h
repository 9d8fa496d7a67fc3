// SPDX-License-Identifier: Apache-2.0
/// The time-stamp counter and what it counts a second.
#ifndef POLYVISOR_ARCH_TSC_H
#define POLYVISOR_ARCH_TSC_H

#include <stdint.h>

/// Takes back what was added to this core's counter (IA32_TSC_ADJUST, SDM Vol. 3B 18.17.3), so that all cores count
/// alike whatever the firmware did. Before the counter is looked at for the first time, because it jumps. Bochs needs
/// it too: a reset leaves a value there, by which its TSC-deadline timer then fires too early.
void tsc_clear_adjust(void);
/// Measures the TSC's rate against the PIT or, where that stands still, the ACPI timer (pm_timer: its port, or 0);
/// CPUID leaf 15H only decides where it agrees with a measurement within 1 %, or where nothing else is there. Returns
/// Hz; tsc_source() tells which.
uint64_t tsc_calibrate(uint32_t pm_timer);
uint64_t tsc_hz(void);
const char *tsc_source(void);
/// Waits; for device set-up at boot only. Before tsc_calibrate the rate is taken as 10 GHz, so it waits long rather
/// than short.
void tsc_wait_us(uint64_t microseconds);

#endif
