// SPDX-License-Identifier: Apache-2.0
#ifndef POLYVISOR_MONITOR_SHELL_H
#define POLYVISOR_MONITOR_SHELL_H

#include <stdint.h>

struct pv_info;

/// Greets, then reads and answers commands until the input fails.
void shell_run(const struct pv_info *info);

/// TSC when the first prompt was shown.
uint64_t shell_first_prompt(void);

#endif
