// SPDX-License-Identifier: Apache-2.0
/// A vcpu's answers to CPUID and RDMSR that its personality gave beforehand, as hash tables in pages of its quota.
#ifndef POLYVISOR_VCPU_TABLE_H
#define POLYVISOR_VCPU_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include <polyvisor/vcpu.h>

struct vcpu;

/// NULL: not in the table.
const struct pv_cpuid_entry *vcpu_table_cpuid(const struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf);
bool vcpu_table_msr(const struct vcpu *vcpu, uint32_t msr, uint64_t *value);

#endif
