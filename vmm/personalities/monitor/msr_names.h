// SPDX-License-Identifier: Apache-2.0
/// Names of model-specific registers (SDM Vol. 4, chapter 2).
#ifndef POLYVISOR_MONITOR_MSR_NAMES_H
#define POLYVISOR_MONITOR_MSR_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include <polyvisor/vmx_msrs.h>

enum {
    MSR_BIOS_SIGN_ID = 0x8b,
    MSR_ARCH_CAPABILITIES = 0x10a,
};

struct msr_name {
    uint32_t number;
    const char *name;
    const char *meaning;
};

/// By number.
extern const struct msr_name msr_names[];
extern const size_t msr_name_count;

/// NULL: no such name (capitals do not matter), or no name for such a number.
const struct msr_name *msr_by_name(const char *name);
const struct msr_name *msr_by_number(uint32_t number);

#endif
