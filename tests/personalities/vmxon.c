// SPDX-License-Identifier: Apache-2.0
// Tries to enter VMX operation once more: #GP in ring 3 (or #UD where CR4.VMXE is 0).
#include "personality.h"

PV_PERSONALITY(0);

int main(const struct pv_info *info, uint32_t agent)
{
    (void)agent;
    uint64_t region = 0;
    pv_printf("%s: about to execute VMXON\n", info->name);
    __asm__ volatile("vmxon %0" : : "m"(region));
    pv_printf("%s: still runs\n", info->name);
    return 1;
}
