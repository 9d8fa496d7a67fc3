// SPDX-License-Identifier: Apache-2.0
// trace: has the cores record what they do, and prints it for tools/trace.
#include "commands.h"
#include "out.h"
#include "parse.h"
#include "personality.h"
#include "query.h"
#include "terminal.h"
#include "text.h"
#include "trace_dump.h"

enum { WAIT_US = 1000, WAITS = 3000 }; // a core that computes without exits hears of a change at the end of its slice
enum { RECORD_MAX_S = 600 };

/// What can be left out, in words.
static const struct kind {
    const char *name;
    uint32_t mask;
} kinds[] = {
    {"guest", 1u << PV_TRACE_GUEST | 1u << PV_TRACE_FAILED},
    {"ring3", 1u << PV_TRACE_CALL | 1u << PV_TRACE_TRAP},
    {"idle", 1u << PV_TRACE_IDLE},
    {"switch", 1u << PV_TRACE_SWITCH},
    {"vmcs", 1u << PV_TRACE_VMPTRLD | 1u << PV_TRACE_VMCLEAR},
    {"ipi", 1u << PV_TRACE_IPI},
    {"interrupt", 1u << PV_TRACE_INTERRUPT},
    {"inject", 1u << PV_TRACE_INJECT},
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };
static const uint32_t always = 1u << PV_TRACE_LONG | 1u << PV_TRACE_ON | 1u << PV_TRACE_OFF | 1u << PV_TRACE_VMX;

/// What was asked for. The cores know it too, but not before they are switched on.
static struct pv_trace_settings settings = {.kinds = PV_TRACE_ALL_KINDS, .personality = PV_TRACE_EVERYBODY};

static struct pv_trace_core cores[PV_MAX_CORES];

static size_t query(void)
{
    const int64_t count = pv_debug(PV_DEBUG_TRACE, 0, 0, cores, sizeof(cores));
    return count < 0 ? 0 : (size_t)count;
}

/* ---- how it is ---- */

static const char *personality_name(uint32_t id)
{
    const struct pv_personality_info *list;
    const size_t count = query_personalities(&list);
    for (size_t i = 0; i < count; i++)
        if (list[i].id == id)
            return list[i].name;
    return "everybody";
}

static uint64_t lost(const struct pv_trace_core *core)
{
    const uint64_t oldest = core->recorded > core->capacity ? core->recorded - core->capacity : 0;
    return oldest > core->begin ? oldest - core->begin : 0;
}

static void print_filter(void)
{
    out("kinds        ");
    for (size_t i = 0; i < KINDS; i++)
        if (settings.kinds & kinds[i].mask)
            out(" %s", kinds[i].name);
    out("\npersonality   %s\n", personality_name(settings.personality));
}

static void print_status(size_t count, uint64_t hz)
{
    out("core tracing     events   of these lost   capacity   seconds\n");
    for (size_t i = 0; i < count; i++) {
        const struct pv_trace_core *c = &cores[i];
        const bool ever = c->first.tsc != 0;
        char seconds[TEXT_TIME_MAX];
        text_seconds(seconds, ever ? (c->on ? pv_tsc() : c->last.tsc) - c->first.tsc : 0, hz);
        out("%4u %-7s %10lu %15lu %10lu %9s\n", c->core, c->on ? "on" : "off", ever ? c->recorded - c->begin : 0,
            lost(c), c->capacity, seconds);
    }
    print_filter();
}

static void json_filter(struct json *json)
{
    json_open(json, "kinds", '[');
    for (size_t i = 0; i < KINDS; i++)
        if (settings.kinds & kinds[i].mask)
            json_string(json, NULL, kinds[i].name);
    json_close(json, ']');
    json_string(json, "personality", personality_name(settings.personality));
}

static void show(const struct call *call)
{
    const size_t count = query();
    if (!call->json) {
        print_status(count, call->info->tsc_hz);
        return;
    }
    struct json json;
    call_json_begin(&json);
    json_filter(&json);
    json_open(&json, "cores", '[');
    for (size_t i = 0; i < count; i++) {
        json_open(&json, NULL, '{');
        trace_dump_core(&json, &cores[i]);
        json_number(&json, "lost", lost(&cores[i]));
        json_close(&json, '}');
    }
    json_close(&json, ']');
    call_json_end(&json);
}

/* ---- changing it ---- */

/// Which of the wanted cores have not followed yet.
static uint64_t missing(void)
{
    uint64_t mask = 0;
    const size_t count = query();
    for (size_t i = 0; i < count; i++) {
        const bool wanted = settings.cores >> cores[i].core & 1;
        const bool same = cores[i].kinds == settings.kinds && cores[i].personality == settings.personality;
        if (cores[i].capacity != 0 && (wanted != cores[i].on || (wanted && !same)))
            mask |= UINT64_C(1) << cores[i].core;
    }
    return mask;
}

static uint64_t running_cores(void)
{
    const struct pv_core_info *list;
    const size_t count = query_cores(&list);
    uint64_t mask = 0;
    for (size_t i = 0; i < count; i++)
        if (list[i].state != PV_CORE_ABSENT)
            mask |= UINT64_C(1) << list[i].core;
    return mask;
}

/// Tells the cores, and waits until they have followed. False, with a message: they have not.
static bool apply(const struct call *call)
{
    const uint64_t wait = call->info->tsc_hz / 1000000 * WAIT_US;
    const int64_t result = pv_debug(PV_DEBUG_TRACE_SET, 0, 0, &settings, sizeof(settings));
    if (result < 0) {
        call_fail_error(call, "set", result);
        return false;
    }
    uint64_t late = missing();
    for (unsigned i = 0; late != 0 && i < WAITS; i++) {
        pv_event_wait(0, pv_tsc() + wait);
        late = missing();
    }
    if (late != 0) {
        char text[TEXT_CORES_MAX];
        text_cores(text, late);
        call_fail(call, "cores %s do not follow", text);
    }
    return late == 0;
}

static void print_state(const struct call *call)
{
    char text[TEXT_CORES_MAX];
    if (call->json) {
        show(call);
    } else if (settings.cores == 0) {
        out("tracing is off\n");
    } else {
        text_cores(text, settings.cores);
        out("tracing is on: cores %s\n", text);
    }
}

/// The cores that an optional argument names; false, with a message: it is wrong.
static bool choose_cores(const struct call *call, size_t argument)
{
    const uint64_t running = running_cores();
    settings.cores = running;
    if (call->count <= argument)
        return true;
    const char *text = call->arguments[argument];
    if (!parse_cores(text, &settings.cores) || (settings.cores & ~running) != 0) {
        call_fail(call, "'%s': expected cores that run, such as 0-2,5", text);
        settings.cores = 0;
        return false;
    }
    return true;
}

static bool rings_exist(const struct call *call)
{
    const size_t count = query();
    for (size_t i = 0; i < count; i++)
        if (cores[i].capacity != 0)
            return true;
    call_fail(call, "there was no memory for it at boot");
    return false;
}

static void turn_on(const struct call *call)
{
    if (rings_exist(call) && choose_cores(call, 1) && apply(call))
        print_state(call);
}

static void turn_off(const struct call *call)
{
    settings.cores = 0;
    if (apply(call))
        print_state(call);
}

/// Waits until a deadline. True: somebody pressed a key first. Who types ahead, or is a program, does not.
static bool wait_or_key(const struct call *call, uint64_t deadline)
{
    if (!call->json && !terminal_has_input())
        return terminal_read_until(deadline) != TERMINAL_TIMEOUT;
    pv_event_wait(0, deadline);
    return false;
}

static void record(const struct call *call)
{
    uint64_t us;
    if (call->count < 2 || !parse_time(call->arguments[1], &us) || us > RECORD_MAX_S * UINT64_C(1000000)) {
        call_fail(call, "record needs a time, such as 500us, 20ms or 1s, at most %us", RECORD_MAX_S);
        return;
    }
    if (!rings_exist(call) || !choose_cores(call, 2) || !apply(call))
        return;
    const bool by_key = wait_or_key(call, pv_tsc() + us * call->info->tsc_hz / 1000000);
    settings.cores = 0;
    if (!apply(call))
        return;
    if (by_key)
        out("ended by a key\n");
    show(call);
}

/// Reads kinds and "of NAME" into new settings. False, with a message: something is wrong.
static bool parse_filter(const struct call *call, struct pv_trace_settings *new)
{
    uint32_t named = 0;
    for (size_t i = 1; i < call->count; i++) {
        const char *word = call->arguments[i];
        size_t k = 0;
        while (k < KINDS && strcmp(kinds[k].name, word) != 0)
            k++;
        if (strcmp(word, "of") == 0) {
            if (i + 2 != call->count) {
                call_fail(call, "'of' needs one personality, or everybody, at the end");
                return false;
            }
            const bool everybody = strcmp(call->arguments[i + 1], "everybody") == 0;
            const struct pv_personality_info *p = everybody ? NULL : call_personality(call, i + 1);
            if (!everybody && p == NULL)
                return false;
            new->personality = everybody ? PV_TRACE_EVERYBODY : p->id;
            break;
        }
        if (strcmp(word, "all") == 0) {
            named = PV_TRACE_ALL_KINDS;
        } else if (k < KINDS) {
            named |= kinds[k].mask;
        } else {
            call_fail(call, "there is no kind '%s': all, guest, ring3, idle, switch, vmcs, ipi, interrupt, inject",
                      word);
            return false;
        }
    }
    if (named != 0)
        new->kinds = named | always;
    return true;
}

static void filter(const struct call *call)
{
    struct pv_trace_settings new = settings;
    if (!parse_filter(call, &new))
        return;
    settings = new;
    if (settings.cores != 0 && call->count > 1 && !apply(call)) // a new recording begins
        return;
    if (!call->json) {
        print_filter();
        return;
    }
    struct json json;
    call_json_begin(&json);
    json_filter(&json);
    call_json_end(&json);
}

static void dump(const struct call *call)
{
    const bool all = call->count == 2 && strcmp(call->arguments[1], "all") == 0;
    if (call->json) {
        call_fail(call, "dump has a form of its own, which tools/trace reads");
    } else if (call->count > 2 || (call->count == 2 && !all)) {
        call_fail(call, "dump takes nothing, or 'all'");
    } else {
        out_begin(false); // not page by page
        trace_dump(cores, query(), all);
    }
}

static void run_trace(const struct call *call)
{
    const char *what = call->count > 0 ? call->arguments[0] : "status";
    const bool few = call->count <= 2;
    if (strcmp(what, "filter") == 0)
        filter(call);
    else if (strcmp(what, "record") == 0 && call->count <= 3)
        record(call);
    else if (strcmp(what, "dump") == 0)
        dump(call);
    else if (strcmp(what, "on") == 0 && few)
        turn_on(call);
    else if (strcmp(what, "off") == 0 && call->count == 1)
        turn_off(call);
    else if (strcmp(what, "status") == 0 && call->count <= 1)
        show(call);
    else
        call_fail(call,
                  "cannot '%s': on [CORES], off, record TIME [CORES], filter [KIND...] [of NAME], dump [all], status",
                  call->arguments[call->count > 2 ? 2 : call->count - 1]);
}

static const char *candidate_trace(size_t argument, size_t index)
{
    static const char *const words[] = {"on", "off", "record", "filter", "dump", "status"};
    enum { WORDS = sizeof(words) / sizeof(words[0]) };
    if (argument == 0)
        return index < WORDS ? words[index] : NULL;
    if (index < KINDS)
        return kinds[index].name;
    if (index < KINDS + 2)
        return index == KINDS ? "all" : "of";
    return candidate_personality(0, index - KINDS - 2);
}

const struct command command_trace = {
    .name = "trace",
    .arguments = "[on [CORES] | off | record TIME [CORES] | filter [KIND...] [of NAME] | dump [all] | status] [--json]",
    .summary = "record what the cores do, event by event",
    .details =
        "record: on, and off again after TIME, or when a key is pressed. filter: record only some KINDs of events: "
        "guest,\n"
        "ring3, idle, switch, vmcs, ipi, interrupt, inject, or all; only what is about one personality, or everybody.\n"
        "dump prints the last recording, or all that the rings hold, for tools/trace, which makes pictures of it.\n",
    .most = CALL_MAX_WORDS,
    .json = true,
    .run = run_trace,
    .candidate = candidate_trace,
};
