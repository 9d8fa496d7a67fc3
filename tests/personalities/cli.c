// SPDX-License-Identifier: Apache-2.0
// Tries to switch interrupts off: #GP, because the I/O privilege level is 0.
#include "personality.h"

PV_PERSONALITY(0);

int main(const struct pv_info *info, uint32_t agent)
{
    (void)agent;
    pv_printf("%s: about to execute CLI\n", info->name);
    __asm__ volatile("cli");
    pv_printf("%s: still runs\n", info->name);
    return 1;
}
