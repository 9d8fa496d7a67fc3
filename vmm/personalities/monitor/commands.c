// SPDX-License-Identifier: Apache-2.0
#include "commands.h"

const struct command *const commands[] = {
    &command_agents,  &command_attach,  &command_config,   &command_console, &command_cores,  &command_cpu,
    &command_crash,   &command_devices, &command_exits,    &command_gdb,     &command_help,   &command_kill,
    &command_log,     &command_machine, &command_mem,      &command_msr,     &command_net,    &command_pause,
    &command_peek,    &command_pin,     &command_poweroff, &command_ps,      &command_reboot, &command_restart,
    &command_resume,  &command_sched,   &command_set,      &command_top,     &command_trace,  &command_vcpus,
    &command_version, &command_vmcs,
};
const size_t command_count = sizeof(commands) / sizeof(commands[0]);
