// SPDX-License-Identifier: Apache-2.0
/// A debugger on COM2, for the guests of one personality.
#ifndef POLYVISOR_MONITOR_GDB_SERVER_H
#define POLYVISOR_MONITOR_GDB_SERVER_H

#include <stdbool.h>
#include <stdint.h>

/// Opens the line for a personality. An enum pv_error.
int64_t gdb_server_open(uint32_t personality);
/// Takes breakpoints out, lets the personality run, closes the line.
void gdb_server_close(void);
/// False: the line is closed.
bool gdb_server_personality(uint32_t *personality);

#endif
