// SPDX-License-Identifier: Apache-2.0
// Divides by zero: #DE.
#include "personality.h"

PV_PERSONALITY(0);

int main(const struct pv_info *info, uint32_t agent)
{
    pv_printf("%s: about to divide by zero\n", info->name);
    uint32_t quotient = 1, remainder = 0;
    __asm__ volatile("divl %2" : "+a"(quotient), "+d"(remainder) : "r"(agent & 0));
    pv_printf("%s: still runs\n", info->name);
    return (int)quotient;
}
