// SPDX-License-Identifier: Apache-2.0
// agents: what level 1 switches between.
#include "commands.h"
#include "out.h"
#include "personality.h"
#include "query.h"
#include "text.h"

static void print_agent(const struct pv_agent_info *a, uint64_t hz)
{
    char id[PV_NAME_SIZE + 12]; // with a slash and a number
    char time[TEXT_TIME_MAX], guest[TEXT_TIME_MAX], ring3[TEXT_TIME_MAX];
    pv_snprintf(id, sizeof(id), "%s/%u", a->name, a->agent);
    text_seconds(time, a->ticks, hz);
    text_seconds(guest, a->ticks_guest, hz);
    text_seconds(ring3, a->ticks_ring3, hz);
    out("%-16s %4u %-8s %8lu %8lu %8s %8s %8s\n", id, a->core, text_agent_state(a->state), a->switches, a->syscalls,
        time, guest, ring3);
}

static void json_agent(struct json *json, const struct pv_agent_info *a)
{
    json_open(json, NULL, '{');
    json_string(json, "personality", a->name);
    json_number(json, "agent", a->agent);
    json_number(json, "core", a->core);
    json_string(json, "state", text_agent_state(a->state));
    json_number(json, "switches", a->switches);
    json_number(json, "syscalls", a->syscalls);
    json_number(json, "ticks", a->ticks);
    json_number(json, "ticks_guest", a->ticks_guest);
    json_number(json, "ticks_ring3", a->ticks_ring3);
    json_close(json, '}');
}

/// What of the list was asked for, and what of that is shown.
struct selection {
    const struct pv_agent_info *list;
    size_t count;
    size_t left_out;
    const char *name; ///< of the personality; NULL: all
};

static bool selected(const struct selection *s, size_t index)
{
    return s->name == NULL || strcmp(s->list[index].name, s->name) == 0;
}

static void print_agents(const struct selection *s, uint64_t hz)
{
    out("agent            core state    switches    calls   time s  guest s  ring3 s\n");
    for (size_t i = 0; i < s->count; i++)
        if (selected(s, i))
            print_agent(&s->list[i], hz);
    if (s->left_out > 0)
        out("and %zu more\n", s->left_out);
}

static void json_agents(const struct selection *s)
{
    struct json json;
    call_json_begin(&json);
    json_number(&json, "left_out", s->left_out);
    json_open(&json, "agents", '[');
    for (size_t i = 0; i < s->count; i++)
        if (selected(s, i))
            json_agent(&json, &s->list[i]);
    json_close(&json, ']');
    call_json_end(&json);
}

static void run_agents(const struct call *call)
{
    struct selection selection = {.name = call->count == 1 ? call->arguments[0] : NULL};
    if (selection.name != NULL && call_personality(call, 0) == NULL)
        return;
    selection.count = query_agents(&selection.list, &selection.left_out);
    if (call->json)
        json_agents(&selection);
    else
        print_agents(&selection, call->info->tsc_hz);
}

const struct command command_agents = {
    .name = "agents",
    .arguments = "[NAME] [--json]",
    .summary = "list the agents, among which cores' time is divided",
    .details =
        "calls: system calls; time s: seconds that the agent has had its core, in its guests (guest s), in ring 3\n"
        "(ring3 s), and in the multiplexer meanwhile. Level 1's shares are shares of time s.\n",
    .most = 1,
    .json = true,
    .run = run_agents,
    .candidate = candidate_personality,
};
