// SPDX-License-Identifier: Apache-2.0
#include "trace_dump.h"

#include "arch/x86/vmx/vmcs_bits.h"
#include "out.h"
#include "personality.h"
#include "query.h"
#include "text.h"
#include "trace_lines.h"

enum { FORMAT = 1 };

/// What was printed so far.
static struct {
    struct trace_line line;
    struct json json;
    uint64_t lines, events;
} dump;

static void json_mark(struct json *json, const char *key, const struct pv_trace_mark *mark)
{
    json_open(json, key, '{');
    json_number(json, "tsc", mark->tsc);
    json_number(json, "ticks_idle", mark->idle);
    json_number(json, "ticks_ring3", mark->ring3);
    json_number(json, "ticks_guest", mark->guest);
    json_number(json, "switches", mark->switches);
    json_close(json, '}');
}

void trace_dump_core(struct json *json, const struct pv_trace_core *core)
{
    json_number(json, "core", core->core);
    json_bool(json, "on", core->on);
    json_number(json, "capacity", core->capacity);
    json_number(json, "recorded", core->recorded);
    json_number(json, "begin", core->begin);
    json_number(json, "kinds", core->kinds);
    json_number(json, "personality", core->personality);
    json_mark(json, "first", &core->first);
    json_mark(json, "last", &core->last);
}

/* ---- what the numbers mean: lines of JSON ---- */

static struct json *begin_meta(void)
{
    trace_line_begin(&dump.line, ++dump.lines, "meta");
    json_init(&dump.json, trace_line_sink, &dump.line);
    json_open(&dump.json, NULL, '{');
    return &dump.json;
}

static void print_line(void)
{
    trace_line_end(&dump.line);
    out_sink(NULL, dump.line.text, dump.line.used);
}

static void end_meta(void)
{
    json_close(&dump.json, '}');
    print_line();
}

static void print_machine(size_t cores)
{
    const struct pv_machine_info *machine = query_machine();
    const struct pv_sched_info *sched = query_sched();
    struct json *json = begin_meta();
    json_number(json, "format", FORMAT);
    json_string(json, "version", machine->version);
    json_number(json, "tsc_hz", machine->tsc_hz);
    json_number(json, "tsc_entry", machine->tsc_entry);
    json_string(json, "policy", text_policy(sched->policy));
    json_number(json, "slice_ticks", sched->slice_ticks);
    json_number(json, "cores", cores);
    json_number(json, "agents", PV_TRACE_AGENTS);
    json_number(json, "vcpus", PV_TRACE_VCPUS);
    end_meta();
}

static void print_reasons(void)
{
    struct json *json = begin_meta();
    json_open(json, "reasons", '{');
    for (uint32_t i = 0; i < PV_EXIT_REASONS; i++) {
        char number[8];
        const char *name = vmx_exit_reason_name(i);
        pv_snprintf(number, sizeof(number), "%u", i);
        if (name != NULL)
            json_string(json, number, name);
    }
    json_close(json, '}');
    end_meta();
}

static void print_personalities(void)
{
    const struct pv_personality_info *list;
    const size_t count = query_personalities(&list);
    for (size_t i = 0; i < count; i++) {
        struct json *json = begin_meta();
        json_number(json, "personality", list[i].id);
        json_string(json, "name", list[i].name);
        json_number(json, "weight", list[i].weight);
        end_meta();
    }
}

static void print_cores(const struct pv_trace_core *cores, size_t count)
{
    const struct pv_core_info *list;
    const size_t known = query_cores(&list);
    for (size_t i = 0; i < count; i++) {
        struct json *json = begin_meta();
        trace_dump_core(json, &cores[i]);
        if (i < known) {
            json_string(json, "state", text_core_state(list[i].state));
            json_number(json, "vmxon", list[i].vmxon);
            json_number(json, "vmxoff", list[i].vmxoff);
        }
        end_meta();
    }
}

/* ---- events ---- */

/// Prints events [from, to) of a core, as far as they are kept.
static void print_events(uint32_t core, uint64_t from, uint64_t to)
{
    static struct pv_trace_batch batch;
    while (from < to) {
        const int64_t got = pv_debug(PV_DEBUG_TRACE_READ, core, from, &batch, sizeof(batch));
        if (got <= 0)
            return;
        const struct pv_trace_event *event = &batch.events[batch.skipped];
        size_t left = (size_t)got;
        for (from = batch.first; left > 0 && from < to;) {
            const size_t wanted = to - from < left ? (size_t)(to - from) : left;
            const size_t taken = trace_line_events(&dump.line, ++dump.lines, core, from, event, wanted);
            out_sink(NULL, dump.line.text, dump.line.used);
            event += taken;
            left -= taken;
            from += taken;
            dump.events += taken;
        }
    }
}

void trace_dump(const struct pv_trace_core *cores, size_t count, bool all)
{
    dump.lines = dump.events = 0;
    print_machine(count);
    print_reasons();
    print_personalities();
    print_cores(cores, count);
    for (size_t i = 0; i < count; i++)
        if (cores[i].capacity != 0)
            print_events(cores[i].core, all ? 0 : cores[i].begin, cores[i].recorded);
    struct json *json = begin_meta();
    json_number(json, "lines", dump.lines);
    json_number(json, "events", dump.events);
    end_meta();
}
