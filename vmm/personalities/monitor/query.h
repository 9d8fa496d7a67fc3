// SPDX-License-Identifier: Apache-2.0
/// What the debug capability tells, fetched into buffers that stay valid until the next question of the same kind.
#ifndef POLYVISOR_MONITOR_QUERY_H
#define POLYVISOR_MONITOR_QUERY_H

#include <stdbool.h>
#include <stddef.h>

#include <polyvisor/abi.h>
#include <polyvisor/net.h>

/// Lists. The result is the number of records; 0 also when the multiplexer refuses to tell.
size_t query_cores(const struct pv_core_info **list);
size_t query_personalities(const struct pv_personality_info **list);
/// With the times as they were when query_cores was asked last: those of cores and personalities fit together.
size_t query_personalities_then(const struct pv_personality_info **list);
size_t query_memory(const struct pv_memory_info **list);
/// The first QUERY_MAX_AGENTS agents; *left_out tells how many more there are.
size_t query_agents(const struct pv_agent_info **list, size_t *left_out);
/// The first QUERY_MAX_VCPUS vcpus; *left_out tells how many more there are.
size_t query_vcpus(const struct pv_vcpu_info **list, size_t *left_out);
/// The ports of virtual switches.
size_t query_net(const struct pv_net_info **list);
/// A personality's devices, as it says itself.
size_t query_devices(uint32_t personality, const struct pv_device **list);
/// All fields 0 when the multiplexer does not tell.
const struct pv_machine_info *query_machine(void);
const struct pv_sched_info *query_sched(void);

enum { QUERY_MAX_PERSONALITIES = 129, QUERY_MAX_AGENTS = 2048, QUERY_MAX_VCPUS = 2048 };

/// NULL: there is no such core or personality.
const struct pv_core_info *query_core(uint64_t core);
const struct pv_personality_info *query_personality(const char *name);

/// A text (PV_DEBUG_LOG, _CONFIG or _CONSOLE), whole as far as it is kept. Not NUL-terminated.
size_t query_text(enum pv_debug which, uint64_t argument, const char **text);

/// Reads an MSR of a core: 0 or an enum pv_error.
int64_t query_msr(uint32_t core, uint32_t msr, uint64_t *value);
/// Reads a VMCS field of a vcpu: 0 or an enum pv_error; PV_ERR_GP: the processor has no such field.
int64_t query_vmcs(const struct pv_vcpu_info *vcpu, uint32_t field, uint64_t *value);
/// A vcpu's exits so far: 0 or an enum pv_error.
int64_t query_exits(const struct pv_vcpu_info *vcpu, struct pv_exit_counts *counts);
/// CPUID on a core; all registers 0 when it cannot be had.
struct pv_cpuid query_cpuid(uint32_t core, uint32_t leaf, uint32_t subleaf);

#endif
