// SPDX-License-Identifier: Apache-2.0
// Has the debug capability, and makes the calls of tracing with wrong arguments: each is refused, and nothing has changed.
#include <polyvisor/trace.h>

#include "personality.h"

PV_PERSONALITY(0);

static struct pv_trace_settings settings;
static struct pv_trace_core cores[PV_MAX_CORES];
static struct pv_trace_batch batch;
static unsigned wrong;

static void expect(const char *what, int64_t result, int64_t expected)
{
    if (result == expected)
        return;
    wrong++;
    pv_printf("%s: %s (%ld) instead of %s (%ld)\n", what, pv_error_name(result), result, pv_error_name(expected),
              expected);
}

static int64_t set(uint64_t on, uint32_t kinds, uint32_t personality)
{
    settings = (struct pv_trace_settings){.cores = on, .kinds = kinds, .personality = personality};
    return pv_debug(PV_DEBUG_TRACE_SET, 0, 0, &settings, sizeof(settings));
}

static int64_t read_events(uint64_t core, uint64_t first, void *buffer, size_t bytes)
{
    return pv_debug(PV_DEBUG_TRACE_READ, core, first, buffer, bytes);
}

static void refused(uint32_t personalities)
{
    void *const nowhere = (void *)0x10, *const kernel = (void *)0xffff800000000000;
    expect("a personality that is not there", set(1, PV_TRACE_ALL_KINDS, personalities), PV_ERR_INVALID);
    expect("a kind that is not there", set(1, PV_TRACE_ALL_KINDS + 1, PV_TRACE_EVERYBODY), PV_ERR_INVALID);
    expect("settings too small", pv_debug(PV_DEBUG_TRACE_SET, 0, 0, &settings, sizeof(settings) - 1), PV_ERR_INVALID);
    expect("settings too large", pv_debug(PV_DEBUG_TRACE_SET, 0, 0, &settings, sizeof(settings) + 1), PV_ERR_INVALID);
    expect("settings nowhere", pv_debug(PV_DEBUG_TRACE_SET, 0, 0, nowhere, sizeof(settings)), PV_ERR_FAULT);
    expect("settings in the kernel", pv_debug(PV_DEBUG_TRACE_SET, 0, 0, kernel, sizeof(settings)), PV_ERR_FAULT);
    expect("state nowhere", pv_debug(PV_DEBUG_TRACE, 0, 0, nowhere, sizeof(cores)), PV_ERR_FAULT);
    expect("a core that is not there", read_events(PV_MAX_CORES, 0, &batch, sizeof(batch)), PV_ERR_NOT_FOUND);
    expect("a core that is not there", read_events(UINT64_MAX, 0, &batch, sizeof(batch)), PV_ERR_NOT_FOUND);
    expect("a batch too small", read_events(0, 0, &batch, sizeof(batch) - 1), PV_ERR_INVALID);
    expect("a batch nowhere", read_events(0, 0, nowhere, sizeof(batch)), PV_ERR_FAULT);
    expect("a batch in the kernel", read_events(0, 0, kernel, sizeof(batch)), PV_ERR_FAULT);
}

int main(const struct pv_info *info, uint32_t agent)
{
    if (agent != 0)
        return 0;
    const int64_t count = pv_debug(PV_DEBUG_TRACE, 0, 0, cores, sizeof(cores));
    expect("as many cores as agents", count, info->agent_count);
    const struct pv_trace_core before = cores[0];
    refused(1);
    pv_debug(PV_DEBUG_TRACE, 0, 0, cores, sizeof(cores));
    expect("still off", cores[0].on, 0);
    expect("nothing recorded", (int64_t)cores[0].recorded, (int64_t)before.recorded);
    expect("events after the last", read_events(0, UINT64_MAX, &batch, sizeof(batch)), 0);
    expect("cores that are not there", set(~UINT64_C(0), 0, PV_TRACE_EVERYBODY), PV_OK); // nothing matters for them
    pv_debug(PV_DEBUG_TRACE, 0, 0, cores, sizeof(cores));
    expect("on", cores[0].on, 1);
    for (int i = 0; i < 100; i++)
        pv_null();
    expect("off", set(0, 0, PV_TRACE_EVERYBODY), PV_OK);
    const int64_t got = read_events(0, before.recorded, &batch, sizeof(batch));
    expect("no kinds: only ON and OFF", got, 2);
    expect("ON", batch.events[0].kind & 15, PV_TRACE_ON);
    expect("OFF", batch.events[1].kind & 15, PV_TRACE_OFF);
    set(1, PV_TRACE_ALL_KINDS, PV_TRACE_EVERYBODY);
    for (int i = 0; i < 100; i++)
        expect("an unknown call", pv_syscall(0x1000000000 + (uint64_t)i, 0, 0, 0, 0, 0), PV_ERR_NO_SYSCALL);
    set(0, 0, PV_TRACE_EVERYBODY);
    const int64_t calls = read_events(0, before.recorded + 2, &batch, sizeof(batch));
    unsigned unknown = 0;
    for (int64_t i = 0; i < calls; i++)
        unknown += (batch.events[i].kind & 15) == PV_TRACE_CALL && batch.events[i].cause == PV_TRACE_UNKNOWN_CALL;
    expect("unknown calls are recorded", unknown, 100);
    pv_printf("tracecalls: %u wrong\n", wrong);
    pv_idle();
}
