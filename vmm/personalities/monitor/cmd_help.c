// SPDX-License-Identifier: Apache-2.0
// help, set: the shell itself.
#include "commands.h"
#include "out.h"
#include "personality.h"

static void print_usage(const struct command *command)
{
    out("%s%s%s\n", command->name, command->arguments[0] != '\0' ? " " : "", command->arguments);
}

static void run_help(const struct call *call)
{
    if (call->count == 0) {
        for (size_t i = 0; i < command_count; i++)
            out("%-9s %s\n", commands[i]->name, commands[i]->summary);
        out("\nhelp COMMAND tells more; Tab completes; arrow keys edit and go through the history.\n");
        return;
    }
    for (size_t i = 0; i < command_count; i++) {
        if (strcmp(commands[i]->name, call->arguments[0]) != 0)
            continue;
        print_usage(commands[i]);
        out("  %s\n%s", commands[i]->summary, commands[i]->details);
        if (commands[i]->json)
            out("With --json, the answer is one line of JSON.\n");
        return;
    }
    call_fail(call, "there is no command '%s'", call->arguments[0]);
}

enum { LEAST_ROWS = 2, LEAST_COLUMNS = 20, MOST = 1000 };

static void set_pager(const struct call *call)
{
    const char *value = call->arguments[1];
    if (strcmp(value, "on") == 0)
        out_settings.pager = true;
    else if (strcmp(value, "off") == 0)
        out_settings.pager = false;
    else
        call_fail(call, "pager is on or off, not '%s'", value);
}

static void set_number(const struct call *call, unsigned least, unsigned *setting)
{
    uint64_t value;
    if (!call_number(call, 1, call->arguments[0], MOST, &value))
        return;
    if (value < least)
        call_fail(call, "%s must be at least %u", call->arguments[0], least);
    else
        *setting = (unsigned)value;
}

static void run_set(const struct call *call)
{
    if (call->count == 0) {
        out("pager %s\nrows %u\ncolumns %u\n", out_settings.pager ? "on" : "off", out_settings.rows,
            out_settings.columns);
        return;
    }
    const char *name = call->arguments[0];
    if (call->count == 1)
        call_fail(call, "needs a value for %s", name);
    else if (strcmp(name, "pager") == 0)
        set_pager(call);
    else if (strcmp(name, "rows") == 0)
        set_number(call, LEAST_ROWS, &out_settings.rows);
    else if (strcmp(name, "columns") == 0)
        set_number(call, LEAST_COLUMNS, &out_settings.columns);
    else
        call_fail(call, "there is no setting '%s': pager, rows, columns", name);
}

static const char *candidate_set(size_t argument, size_t index)
{
    static const char *const names[] = {"pager", "rows", "columns"};
    static const char *const values[] = {"on", "off"};
    if (argument == 0)
        return index < sizeof(names) / sizeof(names[0]) ? names[index] : NULL;
    return argument == 1 && index < sizeof(values) / sizeof(values[0]) ? values[index] : NULL;
}

const struct command command_help = {
    .name = "help",
    .arguments = "[COMMAND]",
    .summary = "list the commands, or explain one",
    .details = "",
    .most = 1,
    .run = run_help,
    .candidate = candidate_command,
};

const struct command command_set = {
    .name = "set",
    .arguments = "[pager on|off | rows N | columns N]",
    .summary = "show or change settings of this terminal",
    .details = "pager: whether long output stops after each page; rows, columns: the size of the terminal.\n",
    .most = 2,
    .run = run_set,
    .candidate = candidate_set,
};
