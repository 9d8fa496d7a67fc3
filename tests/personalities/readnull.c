// SPDX-License-Identifier: Apache-2.0
// Reads through a NULL pointer: #PF.
#include "personality.h"

PV_PERSONALITY(0);

int main(const struct pv_info *info, uint32_t agent)
{
    (void)agent;
    pv_printf("%s: about to read address 0\n", info->name);
    uintptr_t null = 0;
    __asm__("" : "+r"(null)); // the compiler may not know that it is NULL
    const int value = *(const volatile int *)null;
    pv_printf("%s: still runs, read %d\n", info->name, value);
    return 1;
}
