// SPDX-License-Identifier: Apache-2.0
// gdb: a debugger on the second serial line.
#include "commands.h"
#include "gdb_server.h"
#include "out.h"
#include "personality.h"
#include "query.h"

static void show(void)
{
    uint32_t id;
    const struct pv_personality_info *list;
    const size_t count = query_personalities(&list);
    if (!gdb_server_personality(&id)) {
        out("COM2 is closed; 'gdb NAME' opens it\n");
        return;
    }
    for (size_t i = 0; i < count; i++)
        if (list[i].id == id)
            out("COM2 is for the guests of %s\n", list[i].name);
}

static void run_gdb(const struct call *call)
{
    if (call->count == 0) {
        show();
        return;
    }
    if (strcmp(call->arguments[0], "off") == 0) {
        gdb_server_close();
        out("COM2 is closed\n");
        return;
    }
    const struct pv_personality_info *personality = call_personality(call, 0);
    if (personality == NULL)
        return;
    if (personality->id == call->info->id) {
        call_fail(call, "%s has no guests, and would have to debug itself", call->arguments[0]);
        return;
    }
    const int64_t result = gdb_server_open(personality->id);
    if (result == PV_OK)
        out("COM2 is for the guests of %s: connect gdb to it with 'target remote'\n", call->arguments[0]);
    else if (result == PV_ERR_NOT_FOUND)
        call_fail(call, "there is no COM2");
    else if (result == PV_ERR_STATE)
        call_fail(call, "the configuration grants COM2's ports to a personality");
    else
        call_fail_error(call, call->arguments[0], result);
}

const struct command command_gdb = {
    .name = "gdb",
    .arguments = "[NAME|off]",
    .summary = "let a debugger at COM2 control the guests of a personality",
    .details =
        "NAME opens the line for it: gdb's 'target remote' then stops this personality, and no other. Threads are\n"
        "vcpus. off closes it: breakpoints are taken out, the guests run on. Served while the shell waits for input.\n",
    .most = 1,
    .run = run_gdb,
    .candidate = candidate_personality,
};
