// SPDX-License-Identifier: Apache-2.0
/// Reset and power-off of the machine.
#ifndef POLYVISOR_ARCH_POWER_H
#define POLYVISOR_ARCH_POWER_H

struct acpi_info;

/// Tries ACPI's reset register, port CF9H, the keyboard controller, a triple fault.
_Noreturn void power_reset(const struct acpi_info *acpi);
/// Tries ACPI S5, then the emulator's own port. Returns when the machine cannot be switched off.
void power_off(const struct acpi_info *acpi);

#endif
