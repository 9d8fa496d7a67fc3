// SPDX-License-Identifier: Apache-2.0
// Tries to leave VMX operation: #GP in ring 3 (or #UD where the core is not in VMX operation).
#include "personality.h"

PV_PERSONALITY(0);

int main(const struct pv_info *info, uint32_t agent)
{
    (void)agent;
    pv_printf("%s: about to execute VMXOFF\n", info->name);
    __asm__ volatile("vmxoff");
    pv_printf("%s: still runs\n", info->name);
    return 1;
}
