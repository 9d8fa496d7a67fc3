// SPDX-License-Identifier: Apache-2.0
/// Hexadecimal text of packets: writing the answer, and reading what came. What does not fit is cut, never written beyond.
#ifndef POLYVISOR_MONITOR_GDB_PACKETS_H
#define POLYVISOR_MONITOR_GDB_PACKETS_H

#include "gdb_protocol.h"

/// Adds to the answer.
void gdb_put_char(struct gdb *gdb, char c);
void gdb_put_text(struct gdb *gdb, const char *text);
void gdb_put_number(struct gdb *gdb, uint64_t number);
/// Bytes, two digits each.
void gdb_put_bytes(struct gdb *gdb, const void *bytes, size_t size);

/// Reads a number and moves on behind it. False: there is none, or it has more than 64 bits.
bool gdb_take_number(const char **text, uint64_t *number);
/// Moves on behind a character. False: another one stands there.
bool gdb_take_char(const char **text, char c);
/// Moves on behind a word that the text begins with.
bool gdb_take_word(const char **text, const char *word);
/// Reads exactly `size` bytes of two digits each.
bool gdb_take_bytes(const char **text, void *bytes, size_t size);

/// Sends the answer as a packet, and begins a new one.
void gdb_send(struct gdb *gdb);
/// Answers a packet whose checksum was right (gdb_commands.c).
void gdb_command(struct gdb *gdb, const char *packet);
/// ^C (gdb_commands.c).
void gdb_interrupt(struct gdb *gdb);

#endif
