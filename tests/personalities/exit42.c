// SPDX-License-Identifier: Apache-2.0
// Exits at once with code 42.
#include "personality.h"

PV_PERSONALITY(0);

int main(const struct pv_info *info, uint32_t agent)
{
    (void)info;
    (void)agent;
    return 42;
}
