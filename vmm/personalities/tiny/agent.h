// SPDX-License-Identifier: Apache-2.0
/// What each agent does: runs its guests under the level-2 scheduler that the arguments name.
#ifndef POLYVISOR_TINY_AGENT_H
#define POLYVISOR_TINY_AGENT_H

#include "cpu.h"
#include "options.h"

/// One agent's vcpus.
struct agent {
    struct cpu cpus[MAX_GUESTS * MAX_TEAM];
    struct l2_scheduler scheduler;
    _Atomic uint32_t count; ///< grows while the agent sets itself up
};

extern struct agent agents[PV_MAX_CORES];

/// Makes this agent's guests and runs them; returns the personality's exit code.
int agent_main(const struct pv_info *info, const struct options *options, uint32_t agent);

#endif
