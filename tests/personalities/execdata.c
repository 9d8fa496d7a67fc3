// SPDX-License-Identifier: Apache-2.0
// Jumps into data that holds a RET instruction: #PF, because only code can be executed. args: stack (default), data, pool.
#include "personality.h"

PV_PERSONALITY(0);

enum { RET = 0xc3 };

static uint8_t data[16] = {RET};

int main(const struct pv_info *info, uint32_t agent)
{
    (void)agent;
    volatile uint8_t stack[16] = {RET};
    const volatile uint8_t *target = stack;
    if (strcmp(info->args, "data") == 0)
        target = data;
    if (strcmp(info->args, "pool") == 0) {
        uint8_t *pool = (uint8_t *)PV_POOL_VA;
        *pool = RET;
        target = pool;
    }
    pv_printf("%s: about to jump to %p\n", info->name, (const void *)(uintptr_t)target);
    __asm__ volatile("call *%0" : : "r"(target) : "memory");
    pv_printf("%s: still runs\n", info->name);
    return 1;
}
