// SPDX-License-Identifier: Apache-2.0
/// What the shell's command `devices` shows of the PC: a table in the pool that the models' users count in, under the machine's
/// lock. Counts go on over resets of the guest, but for those of virtio devices, which begin anew.
#ifndef POLYVISOR_LINUX_DEVICES_H
#define POLYVISOR_LINUX_DEVICES_H

#include <stdbool.h>

#include <polyvisor/abi.h>

/// Those that are always there; virtio devices and local APICs follow in the table.
enum device_row {
    DEVICE_UART,
    DEVICE_PIC,
    DEVICE_PIT,
    DEVICE_RTC,
    DEVICE_PM,
    DEVICE_PVPANIC,
    DEVICE_PCI,
    DEVICE_IOAPIC,
    DEVICE_NONE,        ///< ports and memory where nobody answers
    DEVICE_MSR,         ///< MSRs that do not exist, or not with that value: each access was answered with #GP
    DEVICE_INSTRUCTION, ///< accesses to devices by instructions that are not emulated: #UD
    DEVICE_FIXED,
};

/// Makes the table and tells the multiplexer of it, the first time. NULL, or what is wrong.
const char *devices_publish(void);

/// A row to count in; before devices_publish, one that nobody sees.
struct pv_device *device_row(enum device_row row);
struct pv_device *device_lapic(uint32_t cpu);

/// An ISA interrupt line has this level now.
void devices_isa_line(uint32_t number, bool high);

/// Brings the rows of virtio devices, which count for themselves, up to date.
void devices_update(void);

#endif
