// SPDX-License-Identifier: Apache-2.0
/// A guest's own page tables (SDM Vol. 3A chapter 4): from its virtual to its physical addresses. Pure.
#ifndef POLYVISOR_MONITOR_GDB_WALK_H
#define POLYVISOR_MONITOR_GDB_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <polyvisor/abi.h>

/// Reads guest-physical memory; never beyond a page. False: there is none.
typedef bool gdb_read_physical(void *context, uint64_t gpa, void *bytes, size_t size);

/// False: not mapped, or a table is not there. Rights are not looked at: a debugger may read everything.
bool gdb_translate(const struct pv_guest_registers *registers, uint64_t address, gdb_read_physical *read, void *context,
                   uint64_t *gpa);

#endif
