// SPDX-License-Identifier: Apache-2.0
// cores: the state of every core, and where its time went.
#include "commands.h"
#include "out.h"
#include "query.h"
#include "text.h"

/// A share of the core's time, 8 characters.
static void print_share(const struct pv_core_info *core, uint64_t ticks)
{
    char text[TEXT_PERCENT_MAX];
    text_percent(text, ticks, core->ticks_total);
    out(" %7s", text);
}

static void print_core(const struct pv_core_info *core)
{
    out("%4u %4u%c %-6s %5lu %6lu %9lu %10lu", core->core, core->apic, core->flags & PV_CORE_BSP ? '*' : ' ',
        text_core_state(core->state), core->vmxon, core->vmxoff, core->switches, core->interrupts);
    print_share(core, core->ticks_guest);
    print_share(core, core->ticks_ring3);
    print_share(core, core->ticks_mux);
    print_share(core, core->ticks_idle);
    out("\n");
    if (core->why[0] != '\0')
        out("     %s\n", core->why);
}

static void json_core(struct json *json, const struct pv_core_info *core)
{
    json_open(json, NULL, '{');
    json_number(json, "core", core->core);
    json_number(json, "apic", core->apic);
    json_string(json, "state", text_core_state(core->state));
    json_number(json, "vmxon", core->vmxon);
    json_number(json, "vmxoff", core->vmxoff);
    if (core->vmx_instructions) // a build that counts them
        json_number(json, "vmx_instructions", core->vmx_instructions);
    json_bool(json, "bsp", core->flags & PV_CORE_BSP);
    json_bool(json, "x2apic", core->flags & PV_CORE_X2APIC);
    json_number(json, "ticks_total", core->ticks_total);
    json_number(json, "ticks_idle", core->ticks_idle);
    json_number(json, "ticks_mux", core->ticks_mux);
    json_number(json, "ticks_guest", core->ticks_guest);
    json_number(json, "ticks_ring3", core->ticks_ring3);
    json_number(json, "switches", core->switches);
    json_number(json, "interrupts", core->interrupts);
    json_number(json, "syscalls", core->syscalls);
    json_string(json, "why", core->why);
    json_close(json, '}');
}

static void run_cores(const struct call *call)
{
    const struct pv_core_info *list;
    const size_t count = query_cores(&list);
    if (!call->json) {
        out("core apic  state  vmxon vmxoff  switches interrupts   guest  ring 3     mux    idle\n");
        for (size_t i = 0; i < count; i++)
            print_core(&list[i]);
        return;
    }
    struct json json;
    call_json_begin(&json);
    json_open(&json, "cores", '[');
    for (size_t i = 0; i < count; i++)
        json_core(&json, &list[i]);
    json_close(&json, ']');
    call_json_end(&json);
}

const struct command command_cores = {
    .name = "cores",
    .arguments = "[--json]",
    .summary = "list the cores: VMX state, counters, where the time went",
    .details =
        "state is vmx (in VMX operation), no-vmx (runs, the line below says why not) or absent (did not start).\n"
        "vmxon and vmxoff count how often these instructions were executed; * marks the core that booted.\n"
        "guest, ring 3, mux (the multiplexer) and idle are the shares of the core's time.\n",
    .json = true,
    .run = run_cores,
};
