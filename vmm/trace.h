// SPDX-License-Identifier: Apache-2.0
/*
 * Tracing (polyvisor/trace.h): each core records into a ring of its own, which nobody else writes. While it is off, a
 * place that could record costs one test of core->tracing; system calls and CPUID exits cost nothing, because what a
 * test compares with anyway (core->call_limit, core->quick_reason) makes them come here.
 *
 * Ring 0 is entered and left at few places. When an entry has been dealt with, and tracing is on, what the entry ended
 * is recorded (trace_call, trace_exit, trace_trap), and then what has changed since: who is current, which VMCS. So
 * scheduler and switching need no hooks; those that are there tell of what is not to be seen afterwards. An event that
 * such a hook records stands before the one of its entry, with a later time.
 */
#ifndef POLYVISOR_VMM_TRACE_H
#define POLYVISOR_VMM_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include <polyvisor/trace.h>

#include "arch/x86/core.h"

struct agent;
struct memmap;
struct vcpu;

struct trace {
    struct pv_trace_event *events;
    uint64_t mask; ///< capacity - 1
    uint64_t head; ///< number of the next event
    /// Times shorter than that are recorded at once: 2^32, or 0 where more has to be looked at.
    uint64_t guest_limit, ring3_limit;
    // As they were at the last look:
    uint64_t charged[CLOCKS];
    uint64_t switches;
    struct agent *current;
    struct vcpu *loaded; ///< VMCS
    uint16_t number;     ///< of current
    bool everything;     ///< all kinds of events, of everybody
    bool fresh;          ///< nothing was recorded yet since it is on
    bool stopping;       ///< the settings have changed: the recording ends when the core is left
    uint32_t kinds, personality;
    /// The personality's agents and VPIDs are first to first + span.
    uint32_t first_agent, agent_span, first_vpid, vpid_span;
    uint64_t begin; ///< number of the last PV_TRACE_ON
    struct pv_trace_mark first, last;
};

/// Makes the rings of all cores: as many KiB each as the command line's trace=N says, if there is memory for that.
void trace_init(struct memmap *memory, uint64_t kib);

static inline bool trace_is_on(const struct core *core)
{
    return __builtin_expect(core->tracing, 0);
}

void trace_record(struct core *core, enum pv_trace_kind kind, uint16_t who, uint32_t cause, uint32_t value);

/// Not tracing: what is frequent goes the short ways. How a core begins.
void trace_leave_alone(struct core *core);

/// Records something that happens now.
static inline void trace_event(struct core *core, enum pv_trace_kind kind, uint16_t who, uint32_t cause, uint32_t value)
{
    if (trace_is_on(core)) {
        trace_record(core, kind, who, cause, value);
    }
}

/// VMXON or VMXOFF was executed. Recorded always.
void trace_vmx(struct core *core, bool on);

/// An exception or interrupt, which ended ring 3's time or idling, has been dealt with.
void trace_trapped(struct core *core, bool ring3, uint32_t vector);
static inline void trace_trap(struct core *core, bool ring3, uint32_t vector)
{
    if (trace_is_on(core)) {
        trace_trapped(core, ring3, vector);
    }
}

/// A VMCS was made current, or cleared, otherwise than on the way into its guest.
void trace_vmptrld(struct core *core, struct vcpu *vcpu);
void trace_vmclear(struct core *core, const struct vcpu *vcpu);

/// An event was put into the current VMCS.
void trace_injected(struct core *core, uint32_t info);
static inline void trace_inject(struct core *core, uint32_t info)
{
    if (trace_is_on(core)) {
        trace_injected(core, info);
    }
}

/// Ring 0 is about to be left where nothing would be recorded, had tracing not begun on this very entry.
void trace_first_look(struct core *core);
static inline void trace_settle(struct core *core)
{
    if (trace_is_on(core)) {
        trace_first_look(core);
    }
}

/// Tells all cores. Any core.
void trace_set(const struct pv_trace_settings *settings);

#endif
