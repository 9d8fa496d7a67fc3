// SPDX-License-Identifier: Apache-2.0
/// Tracing, as the monitor steers and reads it.
#include <stddef.h>

#include "arch/x86/core.h"
#include "vmm/debug_call.h"
#include "vmm/personality.h"
#include "vmm/trace.h"
#include "vmm/user.h"

static void describe(const struct core *core, struct pv_trace_core *info)
{
    const struct trace *t = core->trace;
    *info = (struct pv_trace_core){
        .core = core->id,
        .on = core->tracing,
        .capacity = t->events ? t->mask + 1 : 0,
        .recorded = __atomic_load_n(&t->head, __ATOMIC_ACQUIRE),
        .begin = t->begin,
        .kinds = t->kinds,
        .personality = t->personality,
        .first = t->first,
        .last = t->last,
    };
}

/// The oldest event that is kept; the one before it is perhaps being overwritten.
static uint64_t oldest(const struct trace *t)
{
    uint64_t head = __atomic_load_n(&t->head, __ATOMIC_ACQUIRE);
    return head > t->mask ? head - t->mask : 0;
}

static bool copy_out(const struct trace *t, uint64_t first, uint64_t count, uint64_t to)
{
    uint64_t index = first & t->mask, room = t->mask + 1 - index, size = sizeof(*t->events);
    uint64_t before_end = count < room ? count : room;
    return user_write(to, t->events + index, before_end * size) &&
           user_write(to + before_end * size, t->events, (count - before_end) * size);
}

/// Copies at most PV_TRACE_BATCH events beginning with `first`, or the oldest, to ring 3. Their core is not disturbed.
static int64_t read_events(const struct core *core, uint64_t first, uint64_t buffer)
{
    const struct trace *t = core->trace;
    struct {
        uint64_t first;
        uint32_t skipped, reserved;
    } header = {0};
    if (!t->events) {
        return 0;
    }
    uint64_t end = __atomic_load_n(&t->head, __ATOMIC_ACQUIRE), kept = oldest(t);
    first = first > kept ? first : kept;
    uint64_t count = first < end ? end - first : 0;
    count = count < PV_TRACE_BATCH ? count : PV_TRACE_BATCH;
    if (!copy_out(t, first, count, buffer + offsetof(struct pv_trace_batch, events))) {
        return PV_ERR_FAULT;
    }
    kept = oldest(t); // the core went on
    uint64_t lost = kept > first ? kept - first : 0;
    lost = lost < count ? lost : count;
    header.first = first + lost;
    header.skipped = (uint32_t)lost;
    return user_write(buffer, &header, sizeof(header)) ? (int64_t)(count - lost) : PV_ERR_FAULT;
}

/* ---- the calls ---- */

int64_t debug_list_trace(const struct debug_call *call)
{
    for (uint32_t i = 0; i < core_count; i++) {
        struct pv_trace_core info;
        describe(&cores[i], &info);
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
    return read_events(&cores[call->a1], call->a2, call->buffer);
}
