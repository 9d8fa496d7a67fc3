// SPDX-License-Identifier: Apache-2.0
// Tries to halt the core: #GP in ring 3.
#include "personality.h"

PV_PERSONALITY(0);

int main(const struct pv_info *info, uint32_t agent)
{
    (void)agent;
    pv_printf("%s: about to execute HLT\n", info->name);
    __asm__ volatile("hlt");
    pv_printf("%s: still runs\n", info->name);
    return 1;
}
