// SPDX-License-Identifier: Apache-2.0
/*
 * The guest's MSRs beyond those that the processor or the multiplexer keeps for each vcpu (SYSCALL, SYSENTER, segment
 * bases, EFER) and those of the local APIC: constants, and values that are only kept. Others do not exist: #GP.
 * docs/linux.md has the list. Pure; host-tested.
 */
#ifndef POLYVISOR_LINUX_MSR_H
#define POLYVISOR_LINUX_MSR_H

#include <stdbool.h>

#include <polyvisor/vcpu.h>

enum { MSR_KEPT = 40 };

/// One vcpu's.
struct msr_file {
    uint64_t kept[MSR_KEPT];
};

/// The values after reset, or rather those that firmware leaves: memory is cached.
void msr_init(struct msr_file *file);

/// Those that always read the same, for the multiplexer's table; returns how many, at most PV_MAX_MSRS.
uint32_t msr_table(struct pv_msr_entry *table);

/// False: #GP.
bool msr_read(const struct msr_file *file, uint32_t msr, uint64_t *value);
bool msr_write(struct msr_file *file, uint32_t msr, uint64_t value);

#endif
