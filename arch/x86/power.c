// SPDX-License-Identifier: Apache-2.0
#include "arch/x86/power.h"

#include <stdint.h>

#include "arch/x86/acpi.h"
#include "arch/x86/cpu.h"
#include "arch/x86/paging.h"
#include "arch/x86/tsc.h"

enum {
    PORT_RESET_CONTROL = 0xcf9,
    RESET_SYSTEM = 0x02,
    RESET_CPU = 0x06,
    PORT_KEYBOARD = 0x64,
    KEYBOARD_RESET = 0xfe,
    PORT_BOCHS_SHUTDOWN = 0x8900, // Bochs ends when it reads "Shutdown" here, byte by byte
    PM1_SLP_EN = 1 << 13,         // ACPI 4.8.3.2.1
    PM1_SLP_TYP_SHIFT = 10,
    SETTLE_US = 50000, // for a request to take effect before the next is tried
};

void power_reset(const struct acpi_info *acpi)
{
    if (acpi->has_reset && acpi->reset_space == 1) {
        cpu_out8((uint16_t)acpi->reset_address, acpi->reset_value);
        tsc_wait_us(SETTLE_US);
    }
    cpu_out8(PORT_RESET_CONTROL, RESET_SYSTEM);
    cpu_out8(PORT_RESET_CONTROL, RESET_CPU);
    tsc_wait_us(SETTLE_US);
    cpu_out8(PORT_KEYBOARD, KEYBOARD_RESET);
    tsc_wait_us(SETTLE_US);
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } nothing = {0, 0};
    __asm__ volatile("lidt %0; int3" : : "m"(nothing)); // no handler: triple fault, which resets
    for (;;) {
        cpu_halt();
    }
}

void power_off(const struct acpi_info *acpi)
{
    if (acpi->has_s5 && acpi->pm1a_control) {
        uint16_t a = (uint16_t)cpu_in16((uint16_t)acpi->pm1a_control) & (uint16_t)~(7u << PM1_SLP_TYP_SHIFT);
        cpu_out16((uint16_t)acpi->pm1a_control, (uint16_t)(a | acpi->s5_a << PM1_SLP_TYP_SHIFT | PM1_SLP_EN));
        if (acpi->pm1b_control) {
            cpu_out16((uint16_t)acpi->pm1b_control, (uint16_t)(acpi->s5_b << PM1_SLP_TYP_SHIFT | PM1_SLP_EN));
        }
        tsc_wait_us(SETTLE_US);
    }
    for (const char *p = "Shutdown"; *p; p++) {
        cpu_out8(PORT_BOCHS_SHUTDOWN, (uint8_t)*p);
    }
    tsc_wait_us(SETTLE_US);
}
