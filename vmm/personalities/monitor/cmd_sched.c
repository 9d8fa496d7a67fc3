// SPDX-License-Identifier: Apache-2.0
// sched: how level 1 divides the cores' time, and how to change it.
#include "commands.h"
#include "out.h"
#include "parse.h"
#include "personality.h"
#include "query.h"
#include "text.h"

enum { SLICE_MIN_US = 100, SLICE_MAX_US = 1000000, WEIGHT_MAX = 10000 }; // as in the configuration

/// The slice in microseconds, as it was asked for: the ticks were cut to whole ones.
static uint64_t slice_us(const struct pv_sched_info *sched, uint64_t hz)
{
    return text_microseconds(sched->slice_ticks, hz);
}

static void print_sched(const struct pv_sched_info *sched, uint64_t hz)
{
    const uint64_t us = slice_us(sched, hz);
    const struct pv_personality_info *list;
    const size_t count = query_personalities(&list);
    out("policy  %s\n", text_policy(sched->policy));
    out("slice   %lu.%03lu ms (%lu ticks)\n", us / 1000, us % 1000, sched->slice_ticks);
    if (sched->frame_slots > 0)
        out("frame   %u slots in the configuration's table\n", sched->frame_slots);
    out("\nname             state    weight cores\n");
    for (size_t i = 0; i < count; i++) {
        char cores[TEXT_CORES_MAX];
        text_cores(cores, list[i].cores);
        out("%-16s %-8s %6u %s\n", list[i].name, text_personality_state(list[i].state), list[i].weight, cores);
    }
}

static void json_sched(const struct pv_sched_info *sched, uint64_t hz)
{
    const struct pv_personality_info *list;
    const size_t count = query_personalities(&list);
    struct json json;
    call_json_begin(&json);
    json_string(&json, "policy", text_policy(sched->policy));
    json_number(&json, "slice_us", slice_us(sched, hz));
    json_number(&json, "slice_ticks", sched->slice_ticks);
    json_number(&json, "frame_slots", sched->frame_slots);
    json_open(&json, "personalities", '[');
    for (size_t i = 0; i < count; i++) {
        json_open(&json, NULL, '{');
        json_string(&json, "name", list[i].name);
        json_string(&json, "state", text_personality_state(list[i].state));
        json_number(&json, "weight", list[i].weight);
        json_cores(&json, "cores", list[i].cores);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    call_json_end(&json);
}

static void show(const struct call *call)
{
    if (call->json)
        json_sched(query_sched(), call->info->tsc_hz);
    else
        print_sched(query_sched(), call->info->tsc_hz);
}

/// Says what was changed, or why not; for a program, how things are now.
static void finish(const struct call *call, int64_t result, const char *what)
{
    if (result == PV_ERR_UNSUPPORTED)
        call_fail(call, "the configuration has no frame table");
    else if (result < 0)
        call_fail_error(call, what, result);
    else if (call->json)
        json_sched(query_sched(), call->info->tsc_hz);
    else
        out("%s\n", what);
}

static void set_policy(const struct call *call)
{
    const char *name = call->arguments[1];
    uint32_t policy = PV_POLICY_WEIGHTED;
    while (policy <= PV_POLICY_FRAME && strcmp(text_policy(policy), name) != 0)
        policy++;
    if (policy > PV_POLICY_FRAME) {
        call_fail(call, "there is no policy '%s': weighted, frame", name);
        return;
    }
    char done[64];
    pv_snprintf(done, sizeof(done), "policy: %s", name);
    finish(call, pv_debug(PV_DEBUG_POLICY, policy, 0, NULL, 0), done);
}

static void set_slice(const struct call *call)
{
    uint64_t us;
    if (!parse_time(call->arguments[1], &us) || us < SLICE_MIN_US || us > SLICE_MAX_US) {
        call_fail(call, "slice '%s': expected a time from 100us to 1s, such as 500us or 2ms", call->arguments[1]);
        return;
    }
    char done[64];
    pv_snprintf(done, sizeof(done), "slice: %lu.%03lu ms", us / 1000, us % 1000);
    finish(call, pv_debug(PV_DEBUG_POLICY, query_sched()->policy, us, NULL, 0), done);
}

static void set_weight(const struct call *call)
{
    if (call->count < 3) {
        call_fail(call, "needs a personality and its weight: sched weight NAME N");
        return;
    }
    uint64_t weight;
    const struct pv_personality_info *personality = call_personality(call, 1);
    if (personality == NULL || !call_number(call, 2, "weight", UINT64_MAX, &weight))
        return;
    if (weight < 1 || weight > WEIGHT_MAX) {
        call_fail(call, "weight %lu: expected 1 to %u", weight, WEIGHT_MAX);
        return;
    }
    char done[64];
    pv_snprintf(done, sizeof(done), "%s: weight %lu", personality->name, weight);
    finish(call, pv_debug(PV_DEBUG_WEIGHT, personality->id, weight, NULL, 0), done);
}

static void run_sched(const struct call *call)
{
    if (call->count == 0) {
        show(call);
        return;
    }
    const char *what = call->arguments[0];
    if (call->count == 1)
        call_fail(call, "needs a value for %s", what);
    else if (strcmp(what, "weight") == 0)
        set_weight(call);
    else if (call->count > 2)
        call_fail(call, "has no use for '%s'", call->arguments[2]);
    else if (strcmp(what, "policy") == 0)
        set_policy(call);
    else if (strcmp(what, "slice") == 0)
        set_slice(call);
    else
        call_fail(call, "there is no setting '%s': policy, slice, weight", what);
}

/// policy, slice, weight; then the policies, and the personalities for a weight.
static const char *candidate_sched(size_t argument, size_t index)
{
    static const char *const settings[] = {"policy", "slice", "weight"};
    enum { SETTINGS = sizeof(settings) / sizeof(settings[0]), POLICIES = PV_POLICY_FRAME + 1 };
    if (argument == 0)
        return index < SETTINGS ? settings[index] : NULL;
    if (argument > 1)
        return NULL;
    return index < POLICIES ? text_policy((uint32_t)index) : candidate_personality(0, index - POLICIES);
}

const struct command command_sched = {
    .name = "sched",
    .arguments = "[policy weighted|frame | slice TIME | weight NAME N] [--json]",
    .summary = "show or change how level 1 divides the cores' time",
    .details =
        "policy weighted: time in proportion to weights; frame: the table of the configuration, round and round.\n"
        "slice: how long an agent may keep a core, 100us to 1s. weight: 1 to 10000.\n",
    .most = 3,
    .json = true,
    .run = run_sched,
    .candidate = candidate_sched,
};
