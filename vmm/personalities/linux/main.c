// SPDX-License-Identifier: Apache-2.0
/*
 * linux: runs an unmodified Linux kernel on a virtual PC. Modules: kernel (a bzImage, or what has a PVH or
 * Multiboot entry), initrd (optional); the arguments are the kernel's command line; each agent has a processor, or several.
 * docs/linux.md and docs/guest-boot.md tell more.
 */
#include "machine.h"

static _Noreturn void give_up(const char *why)
{
    pv_printf("linux: %s\n", why);
    pv_exit(MACHINE_UNUSABLE);
}

/// From power-on or reset to the next one. Returns when the machine ends.
static void serve(uint32_t agent)
{
    while (machine.phase != PHASE_ENDED) {
        for (uint32_t i = agent; i < machine.cpu_count; i += machine.agent_count) {
            const int64_t result = cpu_create(&machine.cpus[i], i);
            if (result < 0)
                give_up(pv_error_name(result));
        }
        if (agent == 0 && !cpu_enter_kernel(&machine.cpus[0]))
            give_up("the tables of the entry do not fit");
        agent_loop(agent);
        const char *wrong = machine.phase == PHASE_ENDED ? NULL : machine_await_reset(agent);
        if (wrong != NULL)
            give_up(wrong);
    }
}

int main(const struct pv_info *info, uint32_t agent)
{
    static _Atomic bool ready;
    if (agent == 0) {
        const char *wrong = machine_make(info);
        if (wrong != NULL)
            give_up(wrong);
        ready = true;
    }
    while (!ready)
        pv_event_wait(PV_EVENT_USER, pv_tsc() + info->tsc_hz / 1000);
    if (agent < machine.agent_count)
        serve(agent);
    return agent == 0 ? (int)machine.exit_code : 0;
}
