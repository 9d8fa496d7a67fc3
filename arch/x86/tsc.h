// SPDX-License-Identifier: Apache-2.0
/// The time-stamp counter and what it counts a second.
#ifndef POLYVISOR_ARCH_TSC_H
#define POLYVISOR_ARCH_TSC_H

#include <stdint.h>

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
