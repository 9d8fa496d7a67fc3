// SPDX-License-Identifier: Apache-2.0
// machine, version: what was built, what it runs on, and how long the start took.
#include "commands.h"
#include "out.h"
#include "query.h"
#include "shell.h"
#include "text.h"

static void print_ticks(const char *what, uint64_t ticks, uint64_t hz)
{
    const uint64_t us = text_microseconds(ticks, hz);
    out("%-12s %lu ticks (%lu.%03lu ms)\n", what, ticks, us / 1000, us % 1000);
}

static void print_machine(const struct pv_machine_info *m, uint64_t prompt)
{
    out("version      %s%s\n", m->version, m->flags & PV_MACHINE_DEBUG_BUILD ? " (debug build)" : "");
    out("loader       %s\n", m->loader);
    out("cores        %u\n", m->cores);
    out("TSC          %lu Hz (%s)\n", m->tsc_hz, m->tsc_source);
    print_ticks("slice", m->slice_ticks, m->tsc_hz);
    print_ticks("load", m->loader_ticks, m->tsc_hz);
    print_ticks("start", m->tsc_ready - m->tsc_entry, m->tsc_hz);
    print_ticks("prompt", prompt - m->tsc_entry, m->tsc_hz);
    if (m->flags & PV_MACHINE_CONFIG_BROKEN)
        out("The configuration is wrong; config tells what.\n");
}

static void json_machine(const struct pv_machine_info *m, uint64_t prompt)
{
    struct json json;
    call_json_begin(&json);
    json_string(&json, "version", m->version);
    json_string(&json, "loader", m->loader);
    json_bool(&json, "debug_build", m->flags & PV_MACHINE_DEBUG_BUILD);
    json_bool(&json, "config_broken", m->flags & PV_MACHINE_CONFIG_BROKEN);
    json_number(&json, "cores", m->cores);
    json_number(&json, "tsc_hz", m->tsc_hz);
    json_string(&json, "tsc_source", m->tsc_source);
    json_number(&json, "slice_ticks", m->slice_ticks);
    json_number(&json, "loader_ticks", m->loader_ticks);
    json_number(&json, "ready_ticks", m->tsc_ready - m->tsc_entry);
    json_number(&json, "prompt_ticks", prompt - m->tsc_entry);
    call_json_end(&json);
}

static void run_machine(const struct call *call)
{
    if (call->json)
        json_machine(query_machine(), shell_first_prompt());
    else
        print_machine(query_machine(), shell_first_prompt());
}

static void run_version(const struct call *call)
{
    const struct pv_machine_info *machine = query_machine();
    if (!call->json) {
        out("Polyvisor %s, ABI %u\n", machine->version, call->info->abi_version);
        return;
    }
    struct json json;
    call_json_begin(&json);
    json_string(&json, "version", machine->version);
    json_number(&json, "abi", call->info->abi_version);
    call_json_end(&json);
}

const struct command command_machine = {
    .name = "machine",
    .arguments = "[--json]",
    .summary = "show version, loader, time stamp counter and how long the start took",
    .details =
        "load: in the boot loader; start: from the multiplexer's entry to the first personality; prompt: to the first\n"
        "prompt of this shell.\n",
    .json = true,
    .run = run_machine,
};

const struct command command_version = {
    .name = "version",
    .arguments = "[--json]",
    .summary = "show the version",
    .details = "",
    .json = true,
    .run = run_version,
};
