// SPDX-License-Identifier: Apache-2.0
// Tries to reach an I/O port: #GP, because no port was given to it.
#include "personality.h"

PV_PERSONALITY(0);

int main(const struct pv_info *info, uint32_t agent)
{
    (void)agent;
    pv_printf("%s: about to write port 0x80\n", info->name);
    __asm__ volatile("outb %0, $0x80" : : "a"((uint8_t)0));
    pv_printf("%s: still runs\n", info->name);
    return 1;
}
