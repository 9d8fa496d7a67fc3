// SPDX-License-Identifier: Apache-2.0
#ifndef POLYVISOR_PERSONALITY_START_H
#define POLYVISOR_PERSONALITY_START_H

#include "personality.h"

/// Called by crt0.asm on every agent: runs main and does what follows its return.
_Noreturn void pv_start(const struct pv_info *info, uint32_t agent);

#endif
