// SPDX-License-Identifier: Apache-2.0
#include "vmm/grants.h"

#include <stddef.h>

#include <polyvisor/vcpu.h>

#include "arch/x86/vmx/bitmaps.h"

/// The grant that has `at` and allows `how`, or NULL.
static const struct config_grant *find(const struct config_grant *grants, uint32_t count, uint64_t at, uint32_t how)
{
    for (uint32_t i = 0; i < count; i++) {
        if (at >= grants[i].first && at <= grants[i].last && (how & ~grants[i].how) == 0) {
            return &grants[i];
        }
    }
    return NULL;
}

bool grants_allow_msrs(const struct config_personality *config, uint64_t first, uint64_t count, uint32_t how)
{
    for (uint64_t at = first; how != PV_GRANT_NONE && at < first + count;) {
        const struct config_grant *grant = find(config->msr_grants, config->msr_grant_count, at, how);
        if (grant != NULL) {
            at = (uint64_t)grant->last + 1;
        } else if ((how & ~msr_own_access((uint32_t)at)) == 0) {
            at++;
        } else {
            return false;
        }
    }
    return true;
}

bool grants_allow_ports(const struct config_personality *config, uint64_t first, uint64_t count)
{
    for (uint64_t at = first; at < first + count;) {
        const struct config_grant *grant =
            find(config->io_grants, config->io_grant_count, at, PV_GRANT_READ | PV_GRANT_WRITE);
        if (grant == NULL) {
            return false;
        }
        at = (uint64_t)grant->last + 1;
    }
    return true;
}
