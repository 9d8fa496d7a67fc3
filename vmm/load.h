// SPDX-License-Identifier: Apache-2.0
/// Builds a personality's address space from its image: the lower half as abi.h describes it.
#ifndef POLYVISOR_LOAD_H
#define POLYVISOR_LOAD_H

#include <stdbool.h>

struct personality;

/// Checks the image, then builds page tables (from the quota), copies segments, and sets the agents' registers to the
/// entry point. The personality must not run. On false p->why tells.
bool load_personality(struct personality *p);

#endif
