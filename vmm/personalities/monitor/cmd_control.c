// SPDX-License-Identifier: Apache-2.0
// kill, restart, pause, resume, pin: end, begin, hold and move personalities.
#include "commands.h"
#include "out.h"
#include "parse.h"
#include "personality.h"
#include "query.h"
#include "text.h"

/// Performs a debug operation on the personality that the first argument names, and says what was done.
static void control(const struct call *call, enum pv_debug operation, const char *done)
{
    const struct pv_personality_info *personality = call_personality(call, 0);
    if (personality == NULL)
        return;
    const char *name = call->arguments[0];
    const int64_t result = pv_debug(operation, personality->id, 0, NULL, 0);
    if (result == PV_OK) {
        out("%s: %s\n", name, done);
        return;
    }
    const struct pv_personality_info *now = query_personality(name);
    if (result == PV_ERR_DENIED)
        call_fail(call, "%s is the monitor, and this is its shell", name);
    else if (now != NULL && now->state == PV_STATE_REFUSED)
        call_fail(call, "%s was not started: %s", name, now->why);
    else if (result == PV_ERR_STATE)
        call_fail(call, "%s is not running", name);
    else
        call_fail_error(call, name, result);
}

static void run_kill(const struct call *call)
{
    control(call, PV_DEBUG_KILL, "killed");
}

static void run_restart(const struct call *call)
{
    control(call, PV_DEBUG_RESTART, "restarted");
}

static void run_pause(const struct call *call)
{
    control(call, PV_DEBUG_PAUSE, "paused");
}

static void run_resume(const struct call *call)
{
    const struct pv_personality_info *personality = call_personality(call, 0);
    if (personality == NULL)
        return;
    if (personality->state == PV_STATE_RUNNING || personality->state == PV_STATE_WAITING)
        call_fail(call, "%s is not paused", call->arguments[0]);
    else
        control(call, PV_DEBUG_RESUME, "resumed");
}

/// Reads an argument as a set of cores that run; says what is wrong with it otherwise.
static bool take_cores(const struct call *call, size_t argument, uint64_t *cores)
{
    const char *text = call->arguments[argument];
    const struct pv_core_info *list;
    const size_t count = query_cores(&list);
    uint64_t running = 0;
    for (size_t i = 0; i < count; i++)
        if (list[i].state != PV_CORE_ABSENT)
            running |= UINT64_C(1) << list[i].core;
    if (strcmp(text, "all") == 0) {
        *cores = running;
        return true;
    }
    if (!parse_cores(text, cores)) {
        call_fail(call, "'%s' are no cores: expected a list such as 0-2,5, or all", text);
        return false;
    }
    if ((*cores & ~running) == 0)
        return true;
    char missing[TEXT_CORES_MAX];
    text_cores(missing, *cores & ~running);
    call_fail(call, "these do not run: %s; cores lists those that do", missing);
    return false;
}

static void run_pin(const struct call *call)
{
    uint64_t cores;
    const struct pv_personality_info *personality = call_personality(call, 0);
    if (personality == NULL || !take_cores(call, 1, &cores))
        return;
    const char *name = call->arguments[0];
    const int64_t result = pv_debug(PV_DEBUG_PIN, personality->id, cores, NULL, 0);
    if (result == PV_OK) {
        const struct pv_personality_info *now = query_personality(name);
        char text[TEXT_CORES_MAX];
        text_cores(text, now != NULL ? now->cores : cores);
        out("%s: on cores %s\n", name, text);
    } else if (result == PV_ERR_UNSUPPORTED) {
        call_fail(call, "%s needs VMX, which not all of these cores have", name);
    } else if (result == PV_ERR_STATE) {
        call_fail(call, "%s is still moving; try again", name);
    } else {
        call_fail_error(call, name, result);
    }
}

static const char *candidate_pin(size_t argument, size_t index)
{
    if (argument == 1)
        return index == 0 ? "all" : NULL;
    return candidate_personality(argument, index);
}

const struct command command_kill = {
    .name = "kill",
    .arguments = "NAME",
    .summary = "stop a personality",
    .details = "All its agents are stopped when the command returns; restart starts it again.\n",
    .least = 1,
    .most = 1,
    .run = run_kill,
    .candidate = candidate_personality,
};

const struct command command_restart = {
    .name = "restart",
    .arguments = "NAME",
    .summary = "load a personality again and start it",
    .details = "A personality that still runs is killed first.\n",
    .least = 1,
    .most = 1,
    .run = run_restart,
    .candidate = candidate_personality,
};

const struct command command_pause = {
    .name = "pause",
    .arguments = "NAME",
    .summary = "hold a personality where it is, until resume",
    .details = "Its agents and guests keep their state but get no time.\n",
    .least = 1,
    .most = 1,
    .run = run_pause,
    .candidate = candidate_personality,
};

const struct command command_resume = {
    .name = "resume",
    .arguments = "NAME",
    .summary = "let a personality run again that was paused",
    .details = "",
    .least = 1,
    .most = 1,
    .run = run_resume,
    .candidate = candidate_personality,
};

const struct command command_pin = {
    .name = "pin",
    .arguments = "NAME CORES",
    .summary = "move a personality to other cores",
    .details =
        "CORES is a list such as 0-2,5, or all. The agents go there in turn, with their vcpus, whatever they do,\n"
        "and are there when the command returns.\n",
    .least = 2,
    .most = 2,
    .run = run_pin,
    .candidate = candidate_pin,
};
