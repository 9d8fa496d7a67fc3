// SPDX-License-Identifier: Apache-2.0
/// The time of day that the machine's clock keeps.
#ifndef POLYVISOR_ARCH_CMOS_H
#define POLYVISOR_ARCH_CMOS_H

#include <stdint.h>

/// Seconds from 1970 to now, taking what the clock shows as it is (UTC, or whatever else its owner has set). century: the clock's
/// register with the century (ACPI's FADT), or 0. Returns 0 when there is no clock, or nothing in it that is a date.
uint64_t cmos_time(uint8_t century);

/// The same, by a function that reads one of its registers.
uint64_t cmos_time_by(uint8_t (*read)(uint8_t number), uint8_t century);

#endif
