// SPDX-License-Identifier: Apache-2.0
/// PV_SYS_DEBUG: what the monitor may see and do.
#ifndef POLYVISOR_DEBUG_H
#define POLYVISOR_DEBUG_H

#include <stdint.h>

struct regs;

/// The system call (abi.h, enum pv_debug).
int64_t debug_call(struct regs *regs, uint64_t op, uint64_t a1, uint64_t a2, uint64_t buffer, uint64_t size);

#endif
