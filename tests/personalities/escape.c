// SPDX-License-Identifier: Apache-2.0
// Prints what would act on a terminal: erase its own prefix, pretend to be the shell, make the terminal type.
#include "personality.h"

PV_PERSONALITY(0);

int main(const struct pv_info *info, uint32_t agent)
{
    (void)info;
    if (agent == 0)
        pv_printf("\033[1A\033[2Kpolyvisor> forged\033[6n\x9b"
                  "6n\177end\n");
    pv_event_wait(0, PV_NO_DEADLINE);
    return 0;
}
