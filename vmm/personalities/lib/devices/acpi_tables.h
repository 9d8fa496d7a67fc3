// SPDX-License-Identifier: Apache-2.0
/// The ACPI tables of a PC made of the models in this folder: RSDP, XSDT, FADT, FACS, MADT, DSDT.
#ifndef POLYVISOR_DEVICES_ACPI_TABLES_H
#define POLYVISOR_DEVICES_ACPI_TABLES_H

#include "devices/device.h"

struct acpi_machine {
    uint32_t cpus; ///< local APIC ids 0 to cpus - 1; the I/O APIC has the next one
    const void *dsdt;
    size_t dsdt_size;
};

/// Writes the tables into `memory` of `size` bytes, which the guest sees from `address` (a multiple of 64) on; the RSDP
/// comes first. Returns the bytes used, 0 when they do not fit.
size_t acpi_tables(const struct acpi_machine *machine, void *memory, size_t size, uint64_t address);

#endif
