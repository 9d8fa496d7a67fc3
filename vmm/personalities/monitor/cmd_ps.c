// SPDX-License-Identifier: Apache-2.0
// ps: the personalities.
#include "commands.h"
#include "out.h"
#include "query.h"
#include "text.h"

static void print_row(const struct pv_personality_info *p, uint64_t hz)
{
    char cores[TEXT_CORES_MAX], pool[TEXT_SIZE_MAX], guest[TEXT_TIME_MAX], ring3[TEXT_TIME_MAX];
    text_cores(cores, p->cores);
    text_size(pool, p->pool);
    text_seconds(guest, p->ticks_guest, hz);
    text_seconds(ring3, p->ticks_ring3, hz);
    out("%2u %-12s %-8s %-7s %6u %-9s %5lu %8lu %7s %7s\n", p->id, p->name, text_personality_state(p->state), cores,
        p->weight, pool, p->vcpus, p->switches, guest, ring3);
    if (p->why[0] != '\0')
        out("   %s\n", p->why);
}

static void print_registers(const struct pv_registers *r)
{
    out("\nstopped by   %s, error code 0x%lx, on core %lu\n", text_exception(r->vector), r->error_code, r->core);
    out("rip %016lx  rflags %016lx  fault address %016lx\n", r->rip, r->rflags, r->fault_address);
    out("rax %016lx  rbx %016lx  rcx %016lx\n", r->rax, r->rbx, r->rcx);
    out("rdx %016lx  rsi %016lx  rdi %016lx\n", r->rdx, r->rsi, r->rdi);
    out("rbp %016lx  rsp %016lx  r8  %016lx\n", r->rbp, r->rsp, r->r8);
    out("r9  %016lx  r10 %016lx  r11 %016lx\n", r->r9, r->r10, r->r11);
    out("r12 %016lx  r13 %016lx  r14 %016lx\n", r->r12, r->r13, r->r14);
    out("r15 %016lx\n", r->r15);
}

static void print_size(const char *what, uint64_t bytes)
{
    char text[TEXT_SIZE_MAX];
    text_size(text, bytes);
    out("%-12s %s\n", what, text);
}

static void print_time(const char *what, uint64_t ticks, uint64_t hz)
{
    char text[TEXT_TIME_MAX];
    text_seconds(text, ticks, hz);
    out("%-12s %lu ticks (%s s)\n", what, ticks, text);
}

static void print_one(const struct pv_personality_info *p, uint64_t hz)
{
    char cores[TEXT_CORES_MAX];
    text_cores(cores, p->cores);
    out("name         %s (number %u)\n", p->name, p->id);
    out("state        %s\n", text_personality_state(p->state));
    if (p->why[0] != '\0')
        out("why          %s\n", p->why);
    if (p->state == PV_STATE_EXITED)
        out("exit code    %ld\n", p->exit_code);
    out("image        %s\n", p->image);
    out("cores        %s (%u agents, weight %u)\n", cores, p->agents, p->weight);
    print_size("pool", p->pool);
    print_size("quota", p->quota);
    print_size("quota used", p->quota_used);
    out("vcpus        %lu\n", p->vcpus);
    out("exits        %lu absorbed, %lu delivered\n", p->exits_absorbed, p->exits_delivered);
    out("switches     %lu\n", p->switches);
    print_time("guest", p->ticks_guest, hz);
    print_time("ring 3", p->ticks_ring3, hz);
    out("system calls %lu\n", p->syscalls);
    out("restarts     %u\n", p->restarts);
    out("console      %lu bytes lost\n", p->console_dropped);
    out("capabilities %s\n", p->flags & PV_INFO_DEBUG ? "debug" : "none");
    if (p->state == PV_STATE_FAULTED)
        print_registers(&p->registers);
}

static void json_registers(struct json *json, const struct pv_registers *r)
{
    static const char *const names[] = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8",
                                        "r9",  "r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags"};
    const uint64_t values[] = {r->rax, r->rbx, r->rcx, r->rdx, r->rsi, r->rdi, r->rbp, r->rsp, r->r8,
                               r->r9,  r->r10, r->r11, r->r12, r->r13, r->r14, r->r15, r->rip, r->rflags};
    json_open(json, "registers", '{');
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        json_hex(json, names[i], values[i]);
    json_number(json, "vector", r->vector);
    json_string(json, "exception", text_exception(r->vector));
    json_hex(json, "error_code", r->error_code);
    json_hex(json, "fault_address", r->fault_address);
    json_number(json, "core", r->core);
    json_close(json, '}');
}

static void json_one(struct json *json, const struct pv_personality_info *p)
{
    json_open(json, NULL, '{');
    json_number(json, "id", p->id);
    json_string(json, "name", p->name);
    json_string(json, "state", text_personality_state(p->state));
    json_string(json, "why", p->why);
    json_signed(json, "exit_code", p->exit_code);
    json_string(json, "image", p->image);
    json_cores(json, "cores", p->cores);
    json_number(json, "agents", p->agents);
    json_number(json, "weight", p->weight);
    json_number(json, "pool", p->pool);
    json_number(json, "quota", p->quota);
    json_number(json, "quota_used", p->quota_used);
    json_number(json, "vcpus", p->vcpus);
    json_number(json, "switches", p->switches);
    json_number(json, "ticks_guest", p->ticks_guest);
    json_number(json, "ticks_ring3", p->ticks_ring3);
    json_number(json, "exits_absorbed", p->exits_absorbed);
    json_number(json, "exits_delivered", p->exits_delivered);
    json_number(json, "syscalls", p->syscalls);
    json_number(json, "restarts", p->restarts);
    json_number(json, "console_dropped", p->console_dropped);
    json_bool(json, "debug", p->flags & PV_INFO_DEBUG);
    if (p->state == PV_STATE_FAULTED)
        json_registers(json, &p->registers);
    json_close(json, '}');
}

static void run_ps(const struct call *call)
{
    const struct pv_personality_info *list;
    size_t count = query_personalities(&list);
    if (call->count == 1) {
        list = call_personality(call, 0);
        if (list == NULL)
            return;
        count = 1;
    }
    if (call->json) {
        struct json json;
        call_json_begin(&json);
        json_open(&json, "personalities", '[');
        for (size_t i = 0; i < count; i++)
            json_one(&json, &list[i]);
        json_close(&json, ']');
        call_json_end(&json);
    } else if (call->count == 1) {
        print_one(list, call->info->tsc_hz);
    } else {
        out("id name         state    cores   weight pool      vcpus switches guest s ring3 s\n");
        for (size_t i = 0; i < count; i++)
            print_row(&list[i], call->info->tsc_hz);
    }
}

const struct command command_ps = {
    .name = "ps",
    .arguments = "[NAME] [--json]",
    .summary = "list the personalities, or show all about one",
    .details =
        "state is running, waiting (for events), paused, exited, faulted (an exception stopped it), killed, refused\n"
        "(was not started) or stopping; the line below says why. guest s and ring3 s are seconds of processor time.\n"
        "With NAME, also exits, system calls, memory, and the registers at a fault.\n",
    .most = 1,
    .json = true,
    .run = run_ps,
    .candidate = candidate_personality,
};
