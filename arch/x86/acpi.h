// SPDX-License-Identifier: Apache-2.0
/// The few ACPI tables that ring 0 needs (ACPI 6.5 chapter 5): cores and I/O APIC from the MADT, timer, reset and
/// power-off from the FADT and the DSDT's \_S5 object. Everything read is checked against its table's length and
/// checksum.
#ifndef POLYVISOR_ARCH_ACPI_H
#define POLYVISOR_ARCH_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ACPI_MAX_CORES = 256, ACPI_MAX_IOAPICS = 8 };

struct acpi_info {
    bool present;
    uint32_t core_count;
    uint32_t cores[ACPI_MAX_CORES]; ///< APIC ids of enabled processors
    uint32_t ioapic_count;
    uint64_t ioapics[ACPI_MAX_IOAPICS]; ///< all of them
    uint64_t ioapic;                    ///< of the first I/O APIC (inputs from 0), or 0
    uint32_t com1_input;                ///< I/O APIC input of ISA interrupt 4
    bool com1_level, com1_low;
    uint32_t pm_timer; ///< port, or 0
    uint8_t century;   ///< the clock's register, or 0
    bool has_reset;
    uint8_t reset_space; ///< 0 memory, 1 port
    uint64_t reset_address;
    uint8_t reset_value;
    uint32_t pm1a_control, pm1b_control; ///< ports, or 0
    bool has_s5;
    uint8_t s5_a, s5_b; ///< SLP_TYP values
    char problem[96];   ///< first thing found wrong, or ""
};

/// Gives a readable pointer to physical memory, or NULL.
typedef const void *acpi_map(uint64_t physical, uint64_t size);

/// Reads the tables from the root pointer on; rsdp 0: nothing there. Pure but for the mapping; host-tested.
void acpi_read(uint64_t rsdp, acpi_map *map, struct acpi_info *info);

#endif
