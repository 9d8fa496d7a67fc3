// SPDX-License-Identifier: Apache-2.0
/// Faults on purpose, to show what a fault in ring 0 looks like. In a debug build only (make DEBUG=1).
#ifndef POLYVISOR_CRASH_H
#define POLYVISOR_CRASH_H

#include <stdbool.h>
#include <stdint.h>

bool crash_built_in(void);
/// Provokes a fault (enum pv_crash). Returns when that is not built in, or there is no such kind; false: what it needs is not there.
bool crash_now(uint64_t how);

#endif
