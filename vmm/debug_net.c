// SPDX-License-Identifier: Apache-2.0
/// What the monitor may see of virtual switches.
#include "vmm/debug_call.h"
#include "vmm/net.h"

int64_t debug_list_net(const struct debug_call *call)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < personality_count; i++) {
        struct pv_net_info info;
        if (!net_info(&personalities[i], &info)) {
            continue;
        }
        if (!debug_put_record(call, count, &info, sizeof(info))) {
            return PV_ERR_FAULT;
        }
        count++;
    }
    return (int64_t)count;
}
