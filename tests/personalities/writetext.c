// SPDX-License-Identifier: Apache-2.0
// Writes to its own code: #PF, because code cannot be written. args "rodata": to a constant.
#include "personality.h"

PV_PERSONALITY(0);

static const uint8_t constants[] = {1, 2, 3}; // not volatile, which would make the compiler put them into .data

int main(const struct pv_info *info, uint32_t agent)
{
    (void)agent;
    const uintptr_t target = strcmp(info->args, "rodata") == 0 ? (uintptr_t)constants : (uintptr_t)&main;
    pv_printf("%s: about to write %#lx\n", info->name, target);
    *(volatile uint8_t *)target = 0;
    pv_printf("%s: still runs\n", info->name);
    return 1;
}
