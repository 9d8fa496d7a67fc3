// SPDX-License-Identifier: Apache-2.0
/// Tracing, as the monitor steers and reads it.
#include "arch/x86/core.h"
#include "vmm/debug_call.h"
#include "vmm/personality.h"
#include "vmm/trace.h"
#include "vmm/user.h"

int64_t debug_list_trace(const struct debug_call *call)
{
    for (uint32_t i = 0; i < core_count; i++) {
        struct pv_trace_core info;
        trace_describe(&cores[i], &info);
        if (!debug_put_record(call, i, &info, sizeof(info))) {
            return PV_ERR_FAULT;
        }
    }
    return core_count;
}

int64_t debug_set_trace(const struct debug_call *call)
{
    struct pv_trace_settings settings;
    if (call->size != sizeof(settings)) {
        return PV_ERR_INVALID;
    }
    if (!user_read(&settings, call->buffer, sizeof(settings))) {
        return PV_ERR_FAULT;
    }
    if (settings.kinds > PV_TRACE_ALL_KINDS ||
        (settings.personality >= personality_count && settings.personality != PV_TRACE_EVERYBODY)) {
        return PV_ERR_INVALID;
    }
    trace_set(&settings);
    return PV_OK;
}

int64_t debug_read_trace(const struct debug_call *call)
{
    if (call->size < sizeof(struct pv_trace_batch)) {
        return PV_ERR_INVALID;
    }
    if (call->a1 >= core_count) {
        return PV_ERR_NOT_FOUND;
    }
    return trace_read(&cores[call->a1], call->a2, call->buffer);
}
