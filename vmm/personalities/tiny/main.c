// SPDX-License-Identifier: Apache-2.0
/*
 * tiny: runs a few small guests on each of its cores, under a level-2 scheduler of your choice, and counts their rounds
 * and the errors that they find. Arguments: options.h, for example
 *     guests=real16,prot32,long64 sched=prio quantum=100us
 */
#include "agent.h"
#include "report.h"

int main(const struct pv_info *info, uint32_t agent)
{
    static struct options options;
    static _Atomic bool ready;
    if (agent == 0) {
        const char *wrong = options_parse(&options, info->args);
        if (wrong != NULL) {
            pv_printf("%s\n", wrong);
            return 2;
        }
        report_start(info, &options);
        ready = true;
    }
    while (!ready)
        pv_event_wait(PV_EVENT_USER, pv_tsc() + info->tsc_hz / 1000);
    pv_exit(agent_main(info, &options, agent)); // an agent that cannot do its part ends all
}
