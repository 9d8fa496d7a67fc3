// SPDX-License-Identifier: Apache-2.0
/// ACPI's fixed hardware: power management events and control (sleep states), the timer, and the reset register.
#ifndef POLYVISOR_DEVICES_ACPI_PM_H
#define POLYVISOR_DEVICES_ACPI_PM_H

#include "devices/device.h"

enum {
    ACPI_PM_FIRST_PORT = 0x600,
    ACPI_PM_EVENT = 0x600,   ///< status and enable, 2 bytes each
    ACPI_PM_CONTROL = 0x604, ///< 2 bytes
    ACPI_PM_TIMER = 0x608,   ///< 4 bytes
    ACPI_PM_LAST_PORT = 0x60b,
    ACPI_RESET_PORT = 0xcf9,
    ACPI_RESET_VALUE = 6,
    ACPI_PM_TIMER_HZ = 3579545,
    ACPI_SLEEP_OFF = 5, ///< SLP_TYP of S5, as the DSDT has it
};

enum acpi_pm_request { ACPI_PM_NOTHING, ACPI_PM_OFF, ACPI_PM_RESET };

struct acpi_pm {
    uint64_t hz; ///< ticks a second
    uint16_t enabled, control;
};

void acpi_pm_init(struct acpi_pm *pm, uint64_t hz);

/// Accesses of 1, 2 or 4 bytes to the ports above. A write may ask for something.
uint32_t acpi_pm_read(const struct acpi_pm *pm, uint16_t port, uint32_t size, uint64_t now);
enum acpi_pm_request acpi_pm_write(struct acpi_pm *pm, uint16_t port, uint32_t size, uint32_t value);

#endif
