// SPDX-License-Identifier: Apache-2.0
// kill, restart: end and begin personalities.
#include "commands.h"
#include "out.h"
#include "personality.h"
#include "query.h"

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
