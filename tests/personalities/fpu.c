// SPDX-License-Identifier: Apache-2.0
// Executes an SSE instruction: #NM, because the FPU holds the state of a virtual machine.
#include "personality.h"

PV_PERSONALITY(0);

int main(const struct pv_info *info, uint32_t agent)
{
    (void)agent;
    pv_printf("%s: about to execute an SSE instruction\n", info->name);
    __asm__ volatile("pxor %xmm0, %xmm0");
    pv_printf("%s: still runs\n", info->name);
    return 1;
}
