// SPDX-License-Identifier: Apache-2.0
// Prints what it was given: name, arguments, pool, modules, and a line from every agent. Exits with code 0.
#include "personality.h"

PV_PERSONALITY(0);

enum { SHOWN = 16, PATIENCE_SECONDS = 5 };

static _Atomic uint32_t agents_done;

static void print_module(const struct pv_module *module)
{
    char text[SHOWN + 1];
    const char *contents = (const char *)module->address;
    size_t length = 0;
    for (; length < SHOWN && length < module->size; length++)
        text[length] = contents[length] >= ' ' && contents[length] <= '~' ? contents[length] : '.';
    text[length] = '\0';
    pv_printf("module %s: %lu bytes at %#lx: \"%s\"\n", module->name, module->size, module->address, text);
}

/// Returning from main on agent 0 ends everybody, so it waits for the others.
static void wait_for_agents(const struct pv_info *info)
{
    const uint64_t deadline = pv_tsc() + PATIENCE_SECONDS * info->tsc_hz;
    while (agents_done < info->agent_count)
        if (pv_event_wait(PV_EVENT_USER, deadline) == PV_ERR_TIMEOUT) {
            pv_printf("%s: only %u of %u agents came\n", info->name, agents_done, info->agent_count);
            return;
        }
}

int main(const struct pv_info *info, uint32_t agent)
{
    if (agent == 0) {
        pv_printf("hello from %s: ABI %u, id %u, args \"%s\"\n", info->name, info->abi_version, info->id, info->args);
        pv_printf("%u agents, %lu KiB of pool, %lu ticks a second, VMX %s\n", info->agent_count, info->pool_size / 1024,
                  info->tsc_hz, info->flags & PV_INFO_VMX ? "yes" : "no");
        for (uint32_t i = 0; i < info->module_count; i++)
            print_module(&info->modules[i]);
    }
    pv_printf("agent %u on core %u\n", agent, info->cores[agent]);
    agents_done++;
    pv_event_signal(0, PV_EVENT_USER);
    if (agent == 0)
        wait_for_agents(info);
    return 0;
}
