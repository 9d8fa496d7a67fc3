// SPDX-License-Identifier: Apache-2.0
// vcpus: the VMX contexts.
#include "commands.h"
#include "out.h"
#include "personality.h"
#include "query.h"
#include "text.h"

static void print_vcpu(const struct pv_vcpu_info *v, uint64_t hz)
{
    char id[PV_NAME_SIZE + 12], time[TEXT_TIME_MAX]; // with a slash and a number
    pv_snprintf(id, sizeof(id), "%s/%u", v->name, v->vcpu);
    text_seconds(time, v->run_time, hz);
    out("%-16s %4u %-5s %5u %4u %9s %9lu %9lu %5lu %#lx\n", id, v->core, v->running ? "yes" : "no", v->space, v->vpid,
        time, v->absorbed, v->delivered, v->moves, v->rip);
}

static void json_vcpu(struct json *json, const struct pv_vcpu_info *v)
{
    json_open(json, NULL, '{');
    json_string(json, "personality", v->name);
    json_number(json, "vcpu", v->vcpu);
    json_number(json, "core", v->core);
    json_bool(json, "running", v->running);
    json_number(json, "space", v->space);
    json_number(json, "vpid", v->vpid);
    json_number(json, "run_time", v->run_time);
    json_number(json, "exits_absorbed", v->absorbed);
    json_number(json, "exits_delivered", v->delivered);
    json_number(json, "moves", v->moves);
    json_hex(json, "rip", v->rip);
    json_close(json, '}');
}

/// What of the list was asked for, and what of that is shown.
struct selection {
    const struct pv_vcpu_info *list;
    size_t count;
    size_t left_out;
    const char *name; ///< of the personality; NULL: all
};

static bool selected(const struct selection *s, size_t index)
{
    return s->name == NULL || strcmp(s->list[index].name, s->name) == 0;
}

static void print_vcpus(const struct selection *s, uint64_t hz)
{
    out("vcpu             core runs  space vpid   guest s  absorbed delivered moves rip\n");
    for (size_t i = 0; i < s->count; i++)
        if (selected(s, i))
            print_vcpu(&s->list[i], hz);
    if (s->left_out > 0)
        out("and %zu more\n", s->left_out);
}

static void json_vcpus(const struct selection *s)
{
    struct json json;
    call_json_begin(&json);
    json_number(&json, "left_out", s->left_out);
    json_open(&json, "vcpus", '[');
    for (size_t i = 0; i < s->count; i++)
        if (selected(s, i))
            json_vcpu(&json, &s->list[i]);
    json_close(&json, ']');
    call_json_end(&json);
}

static void run_vcpus(const struct call *call)
{
    struct selection selection = {.name = call->count == 1 ? call->arguments[0] : NULL};
    if (selection.name != NULL && call_personality(call, 0) == NULL)
        return;
    selection.count = query_vcpus(&selection.list, &selection.left_out);
    if (call->json)
        json_vcpus(&selection);
    else
        print_vcpus(&selection, call->info->tsc_hz);
}

const struct command command_vcpus = {
    .name = "vcpus",
    .arguments = "[NAME] [--json]",
    .summary = "list the vcpus, of all personalities or of one",
    .details =
        "runs: its personality is in vcpu_run with it; guest s: seconds that the guest has run; absorbed, delivered:\n"
        "its exits; moves: from core to core; rip: where the guest was at the last delivered exit.\n",
    .most = 1,
    .json = true,
    .run = run_vcpus,
    .candidate = candidate_personality,
};
