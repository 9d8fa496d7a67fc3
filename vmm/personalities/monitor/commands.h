// SPDX-License-Identifier: Apache-2.0
/// Every command of the shell; commands.c makes the table of them.
#ifndef POLYVISOR_MONITOR_COMMANDS_H
#define POLYVISOR_MONITOR_COMMANDS_H

#include "command.h"

// cmd_agents.c
extern const struct command command_agents;
// cmd_console.c
extern const struct command command_attach;
extern const struct command command_console;
// cmd_log.c
extern const struct command command_config;
extern const struct command command_log;
// cmd_cores.c
extern const struct command command_cores;
// cmd_cpu.c
extern const struct command command_cpu;
// cmd_devices.c
extern const struct command command_devices;
// cmd_gdb.c
extern const struct command command_gdb;
// cmd_help.c
extern const struct command command_help;
extern const struct command command_set;
// cmd_machine.c
extern const struct command command_machine;
extern const struct command command_version;
// cmd_mem.c
extern const struct command command_mem;
// cmd_net.c
extern const struct command command_net;
// cmd_peek.c
extern const struct command command_peek;
// cmd_msr.c
extern const struct command command_msr;
// cmd_power.c
extern const struct command command_crash;
extern const struct command command_poweroff;
extern const struct command command_reboot;
// cmd_ps.c
extern const struct command command_ps;
// cmd_control.c
extern const struct command command_kill;
extern const struct command command_pause;
extern const struct command command_pin;
extern const struct command command_restart;
extern const struct command command_resume;
// cmd_exits.c
extern const struct command command_exits;
// cmd_sched.c
extern const struct command command_sched;
// cmd_top.c
extern const struct command command_top;
// cmd_trace.c
extern const struct command command_trace;
// cmd_vcpus.c
extern const struct command command_vcpus;
// cmd_vmcs.c
extern const struct command command_vmcs;

#endif
