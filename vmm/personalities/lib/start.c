// SPDX-License-Identifier: Apache-2.0
#include "start.h"

_Noreturn void pv_start(const struct pv_info *info, uint32_t agent)
{
    const int code = main(info, agent);
    if (agent == 0)
        pv_exit(code);
    pv_idle();
}

_Noreturn void pv_idle(void)
{
    for (;;)
        pv_event_wait(PV_EVENT_USER_MASK, PV_NO_DEADLINE);
}
