// SPDX-License-Identifier: Apache-2.0
// Loops for ever on every core that it has. Only the end of its slice lets others run.
#include "personality.h"

PV_PERSONALITY(0);

int main(const struct pv_info *info, uint32_t agent)
{
    pv_printf("%s: agent %u spins on core %u\n", info->name, agent, info->cores[agent]);
    for (;;)
        __asm__ volatile("");
}
