// SPDX-License-Identifier: Apache-2.0
// Source: ACPI Specification 6.4, 4.8.3 (PM1 registers, PM timer), 4.8.3.6 (reset register).
#include "devices/acpi_pm.h"

enum {
    ENABLE = 2,
    CONTROL_SCI = 1,
    SLEEP_TYPE_SHIFT = 10,
    SLEEP_ENABLE = 1 << 13,
    CONTROL_KEPT = 0x1c01,
    RESET_CPU = 4
};

void acpi_pm_init(struct acpi_pm *pm, uint64_t hz)
{
    *pm = (struct acpi_pm){.hz = hz, .control = CONTROL_SCI}; // there is no legacy mode to leave
}

/// The register block as bytes.
static uint8_t read_byte(const struct acpi_pm *pm, uint32_t offset, uint32_t timer)
{
    const uint32_t words[] = {(uint32_t)pm->enabled << 16, pm->control, timer}; // nothing ever happens: status is 0
    return (uint8_t)(words[offset / 4] >> 8 * (offset % 4));
}

uint32_t acpi_pm_read(const struct acpi_pm *pm, uint16_t port, uint32_t size, uint64_t now)
{
    const uint32_t timer = (uint32_t)dev_scale(now, ACPI_PM_TIMER_HZ, pm->hz);
    uint32_t value = 0;
    for (uint32_t i = 0; i < size; i++) {
        const uint32_t at = port + i;
        const bool known = at >= ACPI_PM_FIRST_PORT && at <= ACPI_PM_LAST_PORT;
        value |= (uint32_t)(known ? read_byte(pm, at - ACPI_PM_FIRST_PORT, timer) : 0) << 8 * i;
    }
    return value;
}

static enum acpi_pm_request write_control(struct acpi_pm *pm, uint32_t value)
{
    pm->control = (uint16_t)((value & CONTROL_KEPT) | CONTROL_SCI);
    const bool sleeps = (value & SLEEP_ENABLE) != 0;
    return sleeps && (value >> SLEEP_TYPE_SHIFT & 7) == ACPI_SLEEP_OFF ? ACPI_PM_OFF : ACPI_PM_NOTHING;
}

enum acpi_pm_request acpi_pm_write(struct acpi_pm *pm, uint16_t port, uint32_t size, uint32_t value)
{
    if (port == ACPI_RESET_PORT)
        return (value & RESET_CPU) != 0 ? ACPI_PM_RESET : ACPI_PM_NOTHING;
    if (port == ACPI_PM_EVENT + ENABLE)
        pm->enabled = (uint16_t)value;
    if (port == ACPI_PM_EVENT && size == 4)
        pm->enabled = (uint16_t)(value >> 16);
    if (port == ACPI_PM_CONTROL + 1 && size == 1)
        return write_control(pm, (pm->control & 0xffu) | (value & 0xff) << 8);
    return port == ACPI_PM_CONTROL && size >= 2 ? write_control(pm, value) : ACPI_PM_NOTHING;
}
