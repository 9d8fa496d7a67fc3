// SPDX-License-Identifier: Apache-2.0
#include "text.h"

#include <polyvisor/abi.h>
#include <polyvisor/format.h>
#include <polyvisor/string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

void text_size(char text[TEXT_SIZE_MAX], uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    uint64_t rest = 0; // of the division, in 1024ths
    for (; bytes >= 1024 && unit + 1 < COUNT(units); unit++) {
        rest = bytes % 1024;
        bytes /= 1024;
    }
    const uint64_t tenths = rest * 10 / 1024;
    if (tenths == 0)
        pv_snprintf(text, TEXT_SIZE_MAX, "%lu %s", bytes, units[unit]);
    else
        pv_snprintf(text, TEXT_SIZE_MAX, "%lu.%lu %s", bytes, tenths, units[unit]);
}

void text_cores(char text[TEXT_CORES_MAX], uint64_t cores)
{
    size_t used = 0;
    text[0] = '\0';
    for (unsigned first = 0; first < PV_MAX_CORES; first++) {
        if (!(cores >> first & 1))
            continue;
        unsigned last = first;
        while (last + 1 < PV_MAX_CORES && (cores >> (last + 1) & 1))
            last++;
        used += pv_snprintf(text + used, TEXT_CORES_MAX - used, "%s%u", used > 0 ? "," : "", first);
        if (last > first)
            used += pv_snprintf(text + used, TEXT_CORES_MAX - used, "-%u", last);
        first = last;
    }
    if (used == 0)
        pv_strcopy(text, TEXT_CORES_MAX, "none");
}

uint64_t text_permille(uint64_t part, uint64_t whole)
{
    // Cut both alike where the product would not fit.
    for (; part > UINT64_MAX / 1000; part /= 2)
        whole /= 2;
    return whole == 0 ? 0 : part * 1000 / whole;
}

void text_percent(char text[TEXT_PERCENT_MAX], uint64_t part, uint64_t whole)
{
    const uint64_t permille = text_permille(part, whole);
    pv_snprintf(text, TEXT_PERCENT_MAX, "%lu.%lu%%", permille / 10, permille % 10);
}

uint64_t text_microseconds(uint64_t ticks, uint64_t hz)
{
    enum { PER_SECOND = 1000000 };
    if (hz == 0)
        return 0;
    const uint64_t seconds = ticks / hz;
    const uint64_t rest = ticks % hz;
    // rest < hz, so this fits for every rate below 2^43 Hz.
    return seconds * PER_SECOND + (rest * PER_SECOND + hz / 2) / hz;
}

void text_seconds(char text[TEXT_TIME_MAX], uint64_t ticks, uint64_t hz)
{
    enum { LONG = 1000 };
    const uint64_t ms = text_microseconds(ticks, hz) / 1000;
    if (ms / 1000 < LONG)
        pv_snprintf(text, TEXT_TIME_MAX, "%lu.%03lu", ms / 1000, ms % 1000);
    else
        pv_snprintf(text, TEXT_TIME_MAX, "%lu", ms / 1000);
}

const char *text_core_state(uint32_t state)
{
    static const char *const names[] = {"absent", "no-vmx", "vmx"};
    _Static_assert(PV_CORE_ABSENT == 0 && PV_CORE_NO_VMX == 1 && PV_CORE_VMX == 2, "the order of the names");
    return state < COUNT(names) ? names[state] : "unknown";
}

const char *text_personality_state(uint32_t state)
{
    static const char *const names[] = {
        [PV_STATE_RUNNING] = "running",   [PV_STATE_WAITING] = "waiting", [PV_STATE_EXITED] = "exited",
        [PV_STATE_FAULTED] = "faulted",   [PV_STATE_KILLED] = "killed",   [PV_STATE_REFUSED] = "refused",
        [PV_STATE_STOPPING] = "stopping", [PV_STATE_PAUSED] = "paused",
    };
    return state < COUNT(names) && names[state] != NULL ? names[state] : "unknown";
}

const char *text_agent_state(uint32_t state)
{
    static const char *const names[] = {
        [PV_AGENT_STOPPED] = "stopped", [PV_AGENT_READY] = "ready",     [PV_AGENT_RUNNING] = "running",
        [PV_AGENT_WAITING] = "waiting", [PV_AGENT_BLOCKED] = "blocked",
    };
    return state < COUNT(names) ? names[state] : "unknown";
}

const char *text_memory_kind(uint32_t kind)
{
    static const char *const names[] = {
        [PV_MEMORY_FREE] = "free",     [PV_MEMORY_POOL] = "pool",
        [PV_MEMORY_QUOTA] = "quota",   [PV_MEMORY_MULTIPLEXER] = "multiplexer",
        [PV_MEMORY_MODULE] = "module", [PV_MEMORY_FIRMWARE] = "firmware",
        [PV_MEMORY_MMIO] = "mmio",     [PV_MEMORY_BAD] = "bad",
    };
    return kind < COUNT(names) && names[kind] != NULL ? names[kind] : "unknown";
}

const char *text_policy(uint32_t policy)
{
    static const char *const names[] = {[PV_POLICY_WEIGHTED] = "weighted", [PV_POLICY_FRAME] = "frame"};
    return policy < COUNT(names) ? names[policy] : "unknown";
}

const char *text_exception_or_null(uint64_t vector)
{
    static const char *const names[] = {
        // SDM Vol. 3A, table 6-1
        [0] = "#DE divide error",
        [1] = "#DB debug",
        [2] = "NMI",
        [3] = "#BP breakpoint",
        [4] = "#OF overflow",
        [5] = "#BR bound range exceeded",
        [6] = "#UD invalid opcode",
        [7] = "#NM device not available",
        [8] = "#DF double fault",
        [10] = "#TS invalid TSS",
        [11] = "#NP segment not present",
        [12] = "#SS stack-segment fault",
        [13] = "#GP general protection",
        [14] = "#PF page fault",
        [16] = "#MF x87 floating-point error",
        [17] = "#AC alignment check",
        [18] = "#MC machine check",
        [19] = "#XM SIMD floating-point exception",
        [20] = "#VE virtualization exception",
        [21] = "#CP control protection",
    };
    return vector < COUNT(names) ? names[vector] : NULL;
}

const char *text_exception(uint64_t vector)
{
    const char *name = text_exception_or_null(vector);
    return name != NULL ? name : "unknown";
}

void json_cores(struct json *json, const char *key, uint64_t cores)
{
    json_open(json, key, '[');
    for (unsigned core = 0; core < PV_MAX_CORES; core++)
        if (cores >> core & 1)
            json_number(json, NULL, core);
    json_close(json, ']');
}
