// SPDX-License-Identifier: Apache-2.0
/// The inside of PV_SYS_DEBUG (vmm/debug*.c): one call, and what its operations share.
#ifndef POLYVISOR_DEBUG_CALL_H
#define POLYVISOR_DEBUG_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/message.h"

struct agent;
struct personality;
struct regs;

struct debug_call {
    struct regs *regs; ///< of the caller, the monitor's agent
    uint64_t a1, a2, buffer, size;
};

typedef int64_t debug_operation(const struct debug_call *call);

/// Writes record number `index` of a list, when the buffer has room for it. False: the buffer is not the caller's.
bool debug_put_record(const struct debug_call *call, uint64_t index, const void *record, uint64_t size);
/// Lets a core run something and the caller wait for it. run finds a1 and a2 of the call in arguments[1] and [0] of its
/// struct remote_call, puts its answer into data and result there, and ends with sched_unblock. `bytes` of data go to
/// the buffer.
int64_t debug_call_core(const struct debug_call *call, uint64_t core, void (*run)(struct message *), uint64_t bytes);

/// The personality of a number from PV_VCPU_ID, or NULL.
struct personality *debug_vcpu_personality(uint64_t id);
/// Whose such a vcpu is. NULL: it is gone, or on its way.
struct agent *debug_vcpu_agent(uint64_t id);

/// A list with times in it: has all cores note theirs (unless a1 is PV_DEBUG_AS_NOTED), then writes it.
int64_t debug_list_with_times(const struct debug_call *call, debug_operation *list);

/* debug_times.c */
debug_operation debug_list_agents, debug_list_cores, debug_list_personalities;
/* device_table.c */
debug_operation debug_list_devices;
/* debug_vcpu.c */
debug_operation debug_list_vcpus, debug_read_vmcs, debug_read_exits;
/* debug_baseline.c */
debug_operation debug_baseline;
/* debug_sched.c */
debug_operation debug_list_sched, debug_set_policy, debug_set_weight, debug_pause, debug_resume, debug_pin;
/* debug_net.c */
debug_operation debug_list_net;
/* debug_line.c */
debug_operation debug_line, debug_read_line, debug_write_line;
/* debug_guest.c */
debug_operation debug_read_registers, debug_write_registers, debug_read_guest, debug_write_guest;
debug_operation debug_watch, debug_arm, debug_step, debug_pass, debug_why_stopped;
/* debug_trace.c */
debug_operation debug_list_trace, debug_set_trace, debug_read_trace;

#endif
