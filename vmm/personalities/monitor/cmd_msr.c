// SPDX-License-Identifier: Apache-2.0
// msr: reads a model-specific register of a core.
#include "commands.h"
#include "msr_names.h"
#include "out.h"
#include "personality.h"
#include "query.h"

/// Reads an argument as a name or number of an MSR; says what is wrong with it otherwise.
static bool parse_msr(const struct call *call, size_t argument, uint32_t *number)
{
    const char *text = call->arguments[argument];
    const struct msr_name *known = msr_by_name(text);
    if (known != NULL) {
        *number = known->number;
        return true;
    }
    if (text[0] < '0' || text[0] > '9') {
        call_fail(call, "there is no MSR named '%s' here; Tab lists the names, any number can be given", text);
        return false;
    }
    uint64_t value;
    if (!call_number(call, argument, "MSR number", UINT32_MAX, &value))
        return false;
    *number = (uint32_t)value;
    return true;
}

static void print_value(uint32_t core, uint32_t number, uint64_t value)
{
    const struct msr_name *known = msr_by_number(number);
    out("core %u  0x%x", core, number);
    if (known != NULL)
        out(" %s", known->name);
    out(" = 0x%016lx\n", value);
    if (known != NULL)
        out("  %s\n", known->meaning);
}

static void json_value(uint32_t core, uint32_t number, uint64_t value)
{
    const struct msr_name *known = msr_by_number(number);
    struct json json;
    call_json_begin(&json);
    json_number(&json, "core", core);
    json_hex(&json, "msr", number);
    if (known != NULL)
        json_string(&json, "name", known->name);
    json_hex(&json, "value", value);
    call_json_end(&json);
}

static void run_msr(const struct call *call)
{
    uint32_t core = call->info->cores[0];
    uint32_t number;
    if (call->count > 1 && !call_core(call, 0, &core))
        return;
    const size_t which = call->count - 1;
    if (!parse_msr(call, which, &number))
        return;
    uint64_t value;
    const int64_t result = query_msr(core, number, &value);
    if (result == PV_ERR_GP)
        call_fail_about(call, call->arguments[which], "core %u has no such MSR (#GP)", core);
    else if (result < 0)
        call_fail_error(call, call->arguments[which], result);
    else if (call->json)
        json_value(core, number, value);
    else
        print_value(core, number, value);
}

static const char *candidate_msr(size_t argument, size_t index)
{
    return argument <= 1 && index < msr_name_count ? msr_names[index].name : NULL;
}

const struct command command_msr = {
    .name = "msr",
    .arguments = "[CORE] NUMBER|NAME [--json]",
    .summary = "read a model-specific register",
    .details =
        "NUMBER is decimal, or hexadecimal after 0x; NAME as in the SDM, capitals do not matter, Tab completes.\n"
        "Without CORE, the one that the shell runs on. Nothing can be written.\n",
    .least = 1,
    .most = 2,
    .json = true,
    .run = run_msr,
    .candidate = candidate_msr,
};
