// SPDX-License-Identifier: Apache-2.0
// Agent 0 makes work for agent 1's core without end, in the hope to slow down whoever else runs there: by signals, kicks or unmaps (args:
// signal, kick, unmap, refused). Agent 1 does what lets such a request through, as often as it can.
#include "isolation.h"

GUEST_CODE(spinner, 64, "1: jmp 1b");

enum {
    SCRATCH_AT = 1 << 30,
    SCRATCH = 1 << 20
}; ///< a page that is mapped and unmapped: where the guest sees it, in its memory

static struct guest guest;
static _Atomic bool ready;

/// One request, in the way that args say.
static void disturb(const char *how)
{
    if (strcmp(how, "signal") == 0) {
        pv_event_signal(1, PV_EVENT_USER);
    } else if (strcmp(how, "kick") == 0) {
        pv_vcpu_kick(guest.vcpu.id);
    } else if (strcmp(how, "unmap") == 0) {
        const uint64_t page = guest.memory.pool_offset + SCRATCH;
        pv_space_map(guest.memory.space, SCRATCH_AT, page, PV_PAGE_SIZE, PV_ACCESS_ALL, PV_MEMORY_WB);
        pv_space_unmap(guest.memory.space, SCRATCH_AT, PV_PAGE_SIZE);
    } else { // what cannot be had, as the vcpu runs
        pv_vcpu_move(guest.vcpu.id);
        pv_vcpu_destroy(guest.vcpu.id);
    }
}

int main(const struct pv_info *info, uint32_t agent)
{
    if (info->agent_count != 2)
        return 2;
    if (agent == 0) {
        while (!ready)
            pv_yield();
        for (;;)
            disturb(info->args);
    }
    if (!guest_open(&guest))
        return 3;
    guest_start(&guest, GUEST_LONG, spinner, spinner_end);
    ready = true;
    pv_printf("%s: a storm of %s\n", info->name, info->args);
    for (;;) {
        if (strcmp(info->args, "signal") == 0)
            pv_event_wait(PV_EVENT_USER, PV_NO_DEADLINE);
        else
            pv_vcpu_run(guest.vcpu.id, 0);
    }
}
