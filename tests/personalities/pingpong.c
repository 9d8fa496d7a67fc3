// SPDX-License-Identifier: Apache-2.0
// The agents pass a signal round in a ring; agent 0 counts the laps (args: how many, default 1000) and exits with code 0.
#include "personality.h"

PV_PERSONALITY(0);

enum { PATIENCE_SECONDS = 10 };

static _Atomic uint64_t passes;

/// Waits for the signal. False when it does not come.
static bool await(const struct pv_info *info)
{
    return pv_event_wait(PV_EVENT_USER, pv_tsc() + PATIENCE_SECONDS * info->tsc_hz) == PV_EVENT_USER;
}

static void pass_on(const struct pv_info *info, uint32_t agent)
{
    passes++;
    pv_event_signal((agent + 1) % info->agent_count, PV_EVENT_USER);
}

int main(const struct pv_info *info, uint32_t agent)
{
    uint64_t laps = 1000;
    if (info->args[0] != '\0' && !pv_parse_number(info->args, &laps)) {
        pv_printf("%s: '%s' is not a number of laps\n", info->name, info->args);
        return 2;
    }
    for (uint64_t lap = 0; lap < laps; lap++) {
        if (agent == 0)
            pass_on(info, agent);
        if (!await(info)) {
            pv_printf("%s: agent %u lost the signal in lap %lu\n", info->name, agent, lap);
            return 1;
        }
        if (agent != 0)
            pass_on(info, agent);
    }
    if (agent == 0)
        pv_printf("%s: %lu laps, %lu signals among %u agents\n", info->name, laps, passes, info->agent_count);
    return 0;
}
