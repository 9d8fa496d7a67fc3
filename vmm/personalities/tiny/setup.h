// SPDX-License-Identifier: Apache-2.0
#ifndef POLYVISOR_TINY_SETUP_H
#define POLYVISOR_TINY_SETUP_H

#include "agent.h"

/// Makes all guests of an agent. NULL, or the name of the program that failed, and why in *error.
const char *setup_agent(const struct pv_info *info, const struct options *options, uint32_t agent, int64_t *error);

#endif
