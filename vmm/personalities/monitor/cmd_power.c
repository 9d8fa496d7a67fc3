// SPDX-License-Identifier: Apache-2.0
// poweroff, reboot, crash: the ends of a session.
#include "commands.h"
#include "out.h"
#include "personality.h"

static void run_poweroff(const struct call *call)
{
    out("leaving VMX operation and switching off\n");
    out_end();
    call_fail_error(call, "could not", pv_debug(PV_DEBUG_POWEROFF, 0, 0, NULL, 0));
}

static void run_reboot(const struct call *call)
{
    out("rebooting\n");
    out_end();
    call_fail_error(call, "could not", pv_debug(PV_DEBUG_REBOOT, 0, 0, NULL, 0));
}

/// By enum pv_crash.
static const char *const crashes[] = {"page", "divide", "stack", "ud", "nmi", "vmcs-elsewhere", "vmcs-uncleared"};
enum { CRASHES = sizeof(crashes) / sizeof(crashes[0]) };

static void run_crash(const struct call *call)
{
    const char *name = call->count > 0 ? call->arguments[0] : crashes[0];
    for (size_t how = 0; how < CRASHES; how++) {
        if (strcmp(crashes[how], name) != 0)
            continue;
        const int64_t result = pv_debug(PV_DEBUG_CRASH, how, 0, NULL, 0);
        if (result == PV_OK)
            out("%s: the multiplexer went on\n", name); // it only counts NMIs
        else if (result == PV_ERR_UNSUPPORTED)
            call_fail(call, "only a debug build can do that (make DEBUG=1)");
        else if (result == PV_ERR_NOT_FOUND)
            call_fail(call, "no guest has run on another core");
        else
            call_fail_error(call, name, result);
        return;
    }
    call_fail(call, "'%s' is not a way to crash: page, divide, stack, ud, nmi, vmcs-elsewhere, vmcs-uncleared", name);
}

static const char *candidate_crash(size_t argument, size_t index)
{
    return argument == 0 && index < CRASHES ? crashes[index] : NULL;
}

const struct command command_poweroff = {
    .name = "poweroff",
    .arguments = "",
    .summary = "leave VMX operation on every core and switch the machine off",
    .details = "",
    .run = run_poweroff,
};

const struct command command_reboot = {
    .name = "reboot",
    .arguments = "",
    .summary = "start the machine anew",
    .details = "",
    .run = run_reboot,
};

const struct command command_crash = {
    .name = "crash",
    .arguments = "[page|divide|stack|ud|nmi|vmcs-elsewhere|vmcs-uncleared]",
    .summary = "provoke a fault in ring 0 (debug build only)",
    .details =
        "page: read an unmapped address; divide: by zero; stack: overflow it; ud: an invalid instruction; nmi: "
        "send one.\n"
        "vmcs-elsewhere: load a VMCS that is bound to another core; vmcs-uncleared: bind it here first, but without "
        "the VMCLEAR there.\n"
        "The multiplexer prints registers and a backtrace and stays in the panic console.\n",
    .most = 1,
    .run = run_crash,
    .candidate = candidate_crash,
};
