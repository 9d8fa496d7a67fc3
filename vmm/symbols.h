// SPDX-License-Identifier: Apache-2.0
/// Names of the multiplexer's functions, for backtraces (tools/mksyms made the table).
#ifndef POLYVISOR_SYMBOLS_H
#define POLYVISOR_SYMBOLS_H

#include <stdint.h>

/// The function that an address lies in, and how far into it. NULL: none of ours.
const char *symbol_find(uint64_t address, uint64_t *offset);

#endif
