// SPDX-License-Identifier: Apache-2.0
// Reads memory of the multiplexer: #PF. The address is args, or where the kernel half begins its last 2 GiB.
#include "personality.h"

PV_PERSONALITY(0);

int main(const struct pv_info *info, uint32_t agent)
{
    (void)agent;
    uint64_t address = UINT64_C(0xffffffff80000000);
    if (info->args[0] != '\0' && !pv_parse_number(info->args, &address)) {
        pv_printf("%s: '%s' is not an address\n", info->name, info->args);
        return 2;
    }
    pv_printf("%s: about to read %#lx\n", info->name, address);
    const int value = *(const volatile int *)(uintptr_t)address;
    pv_printf("%s: still runs, read %d\n", info->name, value);
    return 1;
}
