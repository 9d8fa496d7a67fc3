// SPDX-License-Identifier: Apache-2.0
/*
 * What the guest sees by CPUID. Each feature bit is one that somebody has thought about: it needs nothing but what the
 * multiplexer switches with a vcpu, or it is emulated here. Everything else is hidden. docs/linux.md has the list.
 * Pure; host-tested.
 */
#ifndef POLYVISOR_LINUX_CPUID_H
#define POLYVISOR_LINUX_CPUID_H

#include <polyvisor/vcpu.h>
#include <stdbool.h>

struct cpuid_machine {
    struct pv_cpuid (*host)(uint32_t leaf, uint32_t subleaf); ///< the processor's own answers
    uint64_t tsc_hz;
    uint32_t cpus;
    uint32_t apic_id; ///< of the vcpu concerned
    bool no_x2apic;   ///< local APICs without that mode
};

/// Fills the table from which the multiplexer answers; returns the number of entries, at most PV_MAX_CPUID.
uint32_t cpuid_table(const struct cpuid_machine *machine, struct pv_cpuid_entry *table);

/// Answers what is not in the table: leaf 0xd, whose sizes follow XCR0, and leaves that do not exist (zeros).
struct pv_cpuid cpuid_delivered(const struct cpuid_machine *machine, uint32_t leaf, uint32_t subleaf, uint64_t xcr0);

#endif
