// SPDX-License-Identifier: Apache-2.0
/*
 * What a core records while tracing is on (docs/tracing.md), and how the monitor asks for it. Every time that somebody
 * has the core (a guest, ring 3, idling) is one event, written when it ends; the time between two of them is the
 * multiplexer's. So begin and end can never be without each other, and the sums are those of the core's clocks.
 */
#ifndef POLYVISOR_TRACE_H
#define POLYVISOR_TRACE_H

#include <stdint.h>

#include <polyvisor/abi.h>
#include <polyvisor/vcpu.h>

/// What an event is about, and what its fields hold then.
enum pv_trace_kind {
    PV_TRACE_LONG = 0,    ///< the next event's time took value * 2^32 ticks more
    PV_TRACE_ON = 1,      ///< recording begins; who: the current agent; value: the kinds wanted; cause: the personality
    PV_TRACE_OFF = 2,     ///< recording ends
    PV_TRACE_GUEST = 3,   ///< a guest ran; who: its VPID; cause: exit reason; outcome: enum pv_trace_outcome
    PV_TRACE_CALL = 4,    ///< ring 3 ran; who: the agent; cause: number of the system call that it made
    PV_TRACE_TRAP = 5,    ///< ring 3 ran; who: the agent; cause: vector of the exception or interrupt
    PV_TRACE_IDLE = 6,    ///< nobody ran; cause: vector of the interrupt
    PV_TRACE_SWITCH = 7,  ///< who: last agent; value: next one; cause: enum pv_trace_left; outcome: switches counted
    PV_TRACE_VMPTRLD = 8, ///< who: VPID
    PV_TRACE_VMCLEAR = 9, ///< who: VPID
    PV_TRACE_VMX = 10,    ///< cause 1: VMXON, 0: VMXOFF. Recorded at any time
    PV_TRACE_IPI = 11,    ///< sent; cause: vector; value: to which core
    PV_TRACE_INTERRUPT = 12, ///< that took a guest from the core; cause: vector
    PV_TRACE_INJECT = 13,    ///< at the next entry; who: VPID; value: interruption information, without its valid bit
    PV_TRACE_FAILED = 14,    ///< VM entry; who: VPID; value: VM-instruction error
    PV_TRACE_KINDS = 15,     ///< kinds that there are
};

/// GUEST, CALL, TRAP, IDLE: value is how many ticks the core was theirs, up to `when`.
struct pv_trace_event {
    uint64_t when; ///< TSC
    uint32_t value;
    uint16_t who;
    uint8_t cause;
    uint8_t kind; ///< bits 3:0 enum pv_trace_kind, bits 7:4 outcome
};
_Static_assert(sizeof(struct pv_trace_event) == 16, "compact");

/// What became of a guest's exit.
enum pv_trace_outcome {
    PV_TRACE_ABSORBED = 0,
    PV_TRACE_DELIVERED = 1, ///< these end vcpu_run: PV_RUN_EXIT ...
    PV_TRACE_BUDGET = 2,    ///< PV_RUN_BUDGET
    PV_TRACE_KICKED = 3,    ///< PV_RUN_KICKED
    PV_TRACE_REFUSED = 4,   ///< PV_ERR_ENTRY
};

/// What the last agent did when it lost the core.
enum pv_trace_left {
    PV_TRACE_LEFT_READY = 0,   ///< its slice was over, it yielded, or another one came first
    PV_TRACE_LEFT_WAITING = 1, ///< waits for an event
    PV_TRACE_LEFT_BLOCKED = 2, ///< its system call goes on elsewhere
    PV_TRACE_LEFT_STOPPED = 3, ///< its personality ended
    PV_TRACE_LEFT_IDLE = 4,    ///< there was none
};

enum {
    PV_TRACE_UNKNOWN_CALL = 255, ///< `cause` of PV_TRACE_CALL: there is no such system call
};

/// Agents and VPIDs have numbers without gaps a personality.
enum {
    PV_TRACE_AGENTS = PV_MAX_CORES, ///< a personality's
    PV_TRACE_VCPUS = PV_MAX_VCPUS,  ///< a personality's
    PV_TRACE_NOBODY = 0xffff,       ///< no agent
};
/// An agent's number.
#define PV_TRACE_AGENT(personality, agent) ((uint16_t)((personality) * PV_TRACE_AGENTS + (agent)))
/// A vcpu's VPID.
#define PV_TRACE_VPID(personality, vcpu) ((uint16_t)(1 + (personality) * PV_TRACE_VCPUS + (vcpu)))

/* ---- debug calls ---- */

enum {
    PV_TRACE_ALL_KINDS = (1 << PV_TRACE_KINDS) - 1, ///< for `kinds`
    PV_TRACE_EVERYBODY = 255,                       ///< for `personality`
    PV_TRACE_BATCH = 256,                           ///< events that one PV_DEBUG_TRACE_READ gives at most
};

/// For PV_DEBUG_TRACE_SET. Takes effect on each core by itself, a moment later; PV_DEBUG_TRACE tells. Where tracing was
/// on with other settings, a new recording begins.
struct pv_trace_settings {
    uint64_t cores;       ///< mask: where tracing is on; nothing else matters elsewhere
    uint32_t kinds;       ///< mask of 1 << enum pv_trace_kind; ON, OFF and VMX are always recorded
    uint32_t personality; ///< only what is about it, or PV_TRACE_EVERYBODY
};

/// A core's clocks at one moment.
struct pv_trace_mark {
    uint64_t tsc;
    uint64_t idle, ring3, guest; ///< ticks, as in struct pv_core_info
    uint64_t switches;
};

/// PV_DEBUG_TRACE: a list.
struct pv_trace_core {
    uint32_t core;
    uint32_t on;
    uint64_t capacity; ///< events that the ring holds; 0: there was no memory for one
    uint64_t recorded; ///< events since boot: the number of the next one. The newest `capacity` are kept
    uint64_t begin;    ///< number of the newest PV_TRACE_ON
    uint32_t kinds, personality;
    struct pv_trace_mark first, last; ///< when the recording began, and ended (or now)
};

/// PV_DEBUG_TRACE_READ: at most PV_TRACE_BATCH events, beginning with the oldest that is kept if the first is not. Does
/// not disturb the core. The result says how many events stand in the buffer, from events[skipped] on.
struct pv_trace_batch {
    uint64_t first;   ///< number of events[skipped]
    uint32_t skipped; ///< events that were overwritten while they were copied
    uint32_t reserved;
    struct pv_trace_event events[PV_TRACE_BATCH];
};

#endif
