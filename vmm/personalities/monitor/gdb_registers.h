// SPDX-License-Identifier: Apache-2.0
/// GDB's numbering and layout of registers, as gdb_target_xml describes them.
#ifndef POLYVISOR_MONITOR_GDB_REGISTERS_H
#define POLYVISOR_MONITOR_GDB_REGISTERS_H

#include "gdb_packets.h"

enum { GDB_REGISTERS = 46 };

extern const char gdb_target_xml[];

/// Adds a register's value to the answer, "xx" for bytes that are not known. False: there is none with that number.
bool gdb_put_register(struct gdb *gdb, const struct pv_guest_registers *registers, uint64_t number);
/// Reads a register's value from a packet. False: there is none, its value is cut, or it cannot be written.
bool gdb_take_register(const char **text, struct pv_guest_registers *registers, uint64_t number);
/// Digits that a register has in packets.
size_t gdb_register_digits(uint64_t number);

#endif
