// SPDX-License-Identifier: Apache-2.0
#include "commands.h"

const struct command *const commands[] = {
    &command_attach, &command_config,  &command_console, &command_cores,    &command_cpu,
    &command_crash,  &command_help,    &command_kill,    &command_log,      &command_machine,
    &command_mem,    &command_msr,     &command_peek,    &command_poweroff, &command_ps,
    &command_reboot, &command_restart, &command_set,     &command_version,
};
const size_t command_count = sizeof(commands) / sizeof(commands[0]);
