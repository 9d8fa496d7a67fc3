// SPDX-License-Identifier: Apache-2.0
/// The port by which a guest's kernel tells that it has panicked (ACPI device QEMU0001). Source: QEMU, docs/specs/pvpanic:
/// a read tells which events are understood, a write reports them.
#ifndef POLYVISOR_DEVICES_PVPANIC_H
#define POLYVISOR_DEVICES_PVPANIC_H

#include <stdbool.h>
#include <stdint.h>

enum {
    PVPANIC_PORT = 0x505,
    PVPANIC_PANICKED = 1, ///< and nothing follows; a kernel that starts another one for the dump reports bit 1 instead
};

/// The events that are understood.
uint8_t pvpanic_read(void);
/// Whether the write says that the guest has panicked.
bool pvpanic_write(uint8_t value);

#endif
