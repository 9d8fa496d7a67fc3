// SPDX-License-Identifier: Apache-2.0
/// What a personality may open to its guests: what its configuration grants, and MSRs that each guest has of its own. Pure;
/// host-tested.
#ifndef POLYVISOR_GRANTS_H
#define POLYVISOR_GRANTS_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/config.h"

/// Whether guests may do `how` (enum pv_grant bits; none: always) with all MSRs [first, first + count). count is not 0.
bool grants_allow_msrs(const struct config_personality *config, uint64_t first, uint64_t count, uint32_t how);
/// Whether guests may use all ports [first, first + count). count is not 0.
bool grants_allow_ports(const struct config_personality *config, uint64_t first, uint64_t count);

#endif
