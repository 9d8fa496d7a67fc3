// SPDX-License-Identifier: Apache-2.0
// Recurses until its stack is used up: #PF at the unmapped page below, not somebody else's memory.
#include "personality.h"

PV_PERSONALITY(0);

static volatile uint64_t depth;

static uint64_t recurse(uint64_t level)
{
    volatile uint64_t frame[32];
    frame[0] = level;
    depth = level;
    if (level == UINT64_MAX)
        return 0;
    return recurse(level + 1) + frame[0];
}

int main(const struct pv_info *info, uint32_t agent)
{
    (void)agent;
    pv_printf("%s: about to use the stack up\n", info->name);
    pv_printf("%s: still runs, %lu\n", info->name, recurse(0) + depth);
    return 1;
}
