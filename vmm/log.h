// SPDX-License-Identifier: Apache-2.0
/// The multiplexer's log: lines with time and core, kept in memory (shell command `log`) and shown on the serial line.
#ifndef POLYVISOR_LOG_H
#define POLYVISOR_LOG_H

#include <stddef.h>
#include <stdint.h>

/// Adds a line (without "\n"); cut at some 240 characters.
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
