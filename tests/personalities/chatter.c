// SPDX-License-Identifier: Apache-2.0
// Prints numbered lines as fast as it can; args: how many (default 1000).
#include "personality.h"

PV_PERSONALITY(0);

int main(const struct pv_info *info, uint32_t agent)
{
    uint64_t lines = 1000;
    if (agent != 0)
        return 0;
    if (info->args[0] != '\0' && !pv_parse_number(info->args, &lines)) {
        pv_printf("%s: '%s' is not a number of lines\n", info->name, info->args);
        return 2;
    }
    for (uint64_t i = 1; i <= lines; i++)
        pv_printf("line %lu of %lu\n", i, lines);
    return 0;
}
