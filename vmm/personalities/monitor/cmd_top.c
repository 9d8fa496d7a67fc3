// SPDX-License-Identifier: Apache-2.0
// top: a live view of who uses the cores, once a second.
#include "commands.h"
#include "out.h"
#include "personality.h"
#include "query.h"
#include "terminal.h"
#include "text.h"
#include "top.h"

#define HOME "\x1b[H"
#define CLEAR_LINE "\x1b[K"
#define CLEAR_REST "\x1b[J"

/// The last two samples, and how much everything grew between them.
static struct top_sample samples[2], growth;

static void take_sample(struct top_sample *sample)
{
    const struct pv_core_info *cores;
    const struct pv_personality_info *personalities;
    const size_t core_count = query_cores(&cores);
    const size_t personality_count = query_personalities_then(&personalities);
    top_sample_fill(sample, cores, core_count, personalities, personality_count);
}

static void end_line(void)
{
    out(CLEAR_LINE "\n");
}

static void print_percent(uint64_t part, uint64_t whole)
{
    char text[TEXT_PERCENT_MAX];
    text_percent(text, part, whole);
    out(" %7s", text);
}

static void print_core(const struct top_core *core, uint64_t hz)
{
    out("%4u", core->core);
    print_percent(core->guest, core->total);
    print_percent(core->ring3, core->total);
    print_percent(core->mux, core->total);
    print_percent(core->idle, core->total);
    out(" %11lu %13lu", top_per_second(core->switches, core->total, hz),
        top_per_second(core->interrupts, core->total, hz));
    end_line();
}

static void print_personality(const struct top_personality *p, uint64_t ticks, uint64_t hz)
{
    char cores[TEXT_CORES_MAX];
    text_cores(cores, p->cores);
    out("%-14s %-8s %6u %-7s", p->name, text_personality_state(p->state), p->weight, cores);
    print_percent(p->guest, ticks);
    print_percent(p->ring3, ticks);
    out(" %10lu %11lu", top_per_second(p->absorbed, ticks, hz), top_per_second(p->delivered, ticks, hz));
    end_line();
}

static void print_rest(size_t count)
{
    if (count == 0)
        return;
    out("and %zu more", count);
    end_line();
}

/// Cores that run come first in what is shown; returns how many of the sample's cores do.
static size_t running_cores(void)
{
    size_t count = 0;
    for (size_t i = 0; i < growth.core_count; i++)
        count += !growth.cores[i].absent;
    return count;
}

static void print_cores(size_t room, uint64_t hz)
{
    size_t shown = 0;
    out("core   guest  ring 3     mux    idle  switches/s  interrupts/s");
    end_line();
    for (size_t i = 0; i < growth.core_count && shown < room; i++) {
        if (growth.cores[i].absent)
            continue;
        print_core(&growth.cores[i], hz);
        shown++;
    }
    print_rest(running_cores() - shown);
}

static void print_personalities(size_t room, uint64_t ticks, uint64_t hz)
{
    const size_t shown = growth.personality_count < room ? growth.personality_count : room;
    out("personality    state    weight cores     guest  ring 3 absorbed/s delivered/s");
    end_line();
    for (size_t i = 0; i < shown; i++)
        print_personality(&growth.personalities[i], ticks, hz);
    print_rest(growth.personality_count - shown);
}

/// Draws what happened in so many ticks over what stands on the terminal.
static void draw(uint64_t ticks, uint64_t hz)
{
    enum { OTHER_ROWS = 7, LEAST = 2 }; // titles, empty lines, "and more", and where the cursor stays
    const size_t rows = out_settings.rows > OTHER_ROWS + 2 * LEAST ? out_settings.rows - OTHER_ROWS : 2 * LEAST;
    const size_t cores = running_cores() < rows / 2 ? running_cores() : rows / 2;
    const struct pv_sched_info *sched = query_sched();
    const uint64_t slice_us = text_microseconds(sched->slice_ticks, hz);
    char up[TEXT_TIME_MAX];
    text_seconds(up, pv_tsc() - query_machine()->tsc_entry, hz);
    out(HOME "up %s s; policy %s, slice %lu.%03lu ms; any key ends this", up, text_policy(sched->policy),
        slice_us / 1000, slice_us % 1000);
    end_line();
    end_line();
    print_cores(cores, hz);
    end_line();
    print_personalities(rows - cores, ticks, hz);
    out(CLEAR_REST);
    out_end(); // it is to be seen now
}

static void json_top(uint64_t ticks)
{
    struct json json;
    call_json_begin(&json);
    json_number(&json, "ticks", ticks);
    json_open(&json, "cores", '[');
    for (size_t i = 0; i < growth.core_count; i++) {
        const struct top_core *core = &growth.cores[i];
        json_open(&json, NULL, '{');
        json_number(&json, "core", core->core);
        json_number(&json, "ticks_total", core->total);
        json_number(&json, "ticks_idle", core->idle);
        json_number(&json, "ticks_mux", core->mux);
        json_number(&json, "ticks_guest", core->guest);
        json_number(&json, "ticks_ring3", core->ring3);
        json_number(&json, "switches", core->switches);
        json_number(&json, "interrupts", core->interrupts);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_open(&json, "personalities", '[');
    for (size_t i = 0; i < growth.personality_count; i++) {
        const struct top_personality *p = &growth.personalities[i];
        json_open(&json, NULL, '{');
        json_string(&json, "name", p->name);
        json_string(&json, "state", text_personality_state(p->state));
        json_number(&json, "weight", p->weight);
        json_cores(&json, "cores", p->cores);
        json_number(&json, "ticks_guest", p->guest);
        json_number(&json, "ticks_ring3", p->ring3);
        json_number(&json, "exits_absorbed", p->absorbed);
        json_number(&json, "exits_delivered", p->delivered);
        json_number(&json, "switches", p->switches);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    call_json_end(&json);
}

/// Draws once a second until a key is pressed.
static void watch(uint64_t hz)
{
    enum { ESCAPE = 0x1b };
    out_begin(false); // it is not to stop at the end of a page
    out(HOME CLEAR_REST "measuring for a second; any key ends this\n");
    out_end();
    take_sample(&samples[0]);
    uint64_t deadline = pv_tsc();
    int key;
    for (unsigned newest = 1;; newest ^= 1) {
        deadline += hz;
        if (deadline < pv_tsc()) // drawing took too long
            deadline = pv_tsc() + hz;
        key = terminal_read_until(deadline);
        if (key != TERMINAL_TIMEOUT)
            break;
        take_sample(&samples[newest]);
        draw(top_difference(&growth, &samples[newest ^ 1], &samples[newest]), hz);
    }
    if (key == ESCAPE)
        terminal_discard();
    out("\n");
}

static void run_top(const struct call *call)
{
    const uint64_t hz = call->info->tsc_hz;
    if (hz == 0) {
        call_fail(call, "the rate of the time stamp counter is not known");
    } else if (call->json) {
        take_sample(&samples[0]);
        pv_event_wait(0, pv_tsc() + hz);
        take_sample(&samples[1]);
        json_top(top_difference(&growth, &samples[0], &samples[1]));
    } else {
        watch(hz);
    }
}

const struct command command_top = {
    .name = "top",
    .arguments = "[--json]",
    .summary = "watch who uses the cores, once a second, until a key is pressed",
    .details =
        "Of each core, where its time went: guests, ring 3, the multiplexer, idle. Of each personality, its time in\n"
        "guests and in ring 3 (100% is one core), and its exits. --json measures one second.\n",
    .json = true,
    .run = run_top,
};
