// SPDX-License-Identifier: Apache-2.0
/*
 * Agents on a core: level 1 (vmm/level1.h) says who runs; events with deadlines say who can. An agent is on one core at a
 * time; its state, queues and timer are touched by that core alone. Others make requests, which find the agent wherever it
 * has gone meanwhile. Functions here run on the agent's core unless they say otherwise. They only decide; core_resume()
 * then runs whoever is current.
 */
#ifndef POLYVISOR_SCHED_H
#define POLYVISOR_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#include <polyvisor/vcpu.h>

#include "arch/x86/regs.h"
#include "vmm/level1.h"
#include "vmm/message.h"

struct core;
struct personality;

enum agent_state {
    AGENT_STOPPED = 0, ///< not started, or its personality ended
    AGENT_READY,       ///< waits for the core
    AGENT_RUNNING,     ///< is the core's current one
    AGENT_WAITING,     ///< in event_wait
    AGENT_BLOCKED,     ///< its system call goes on elsewhere (struct remote_call)
};

/// What other cores ask of an agent: a mask. Its core does what was asked in this order, whatever the order of asking.
enum agent_request {
    REQUEST_ARRIVE = 1 << 0,    ///< it has come from another core: nobody touches it before
    REQUEST_START = 1 << 1,     ///< its personality starts, registers and all are prepared
    REQUEST_CALL_DONE = 1 << 2, ///< its remote call is done, with call->result set
    REQUEST_STOP = 1 << 3,      ///< its personality ends
    REQUEST_SETTINGS = 1 << 4,  ///< its personality's `paused` or `weight` has changed
    REQUEST_WAKE = 1 << 5,      ///< there are events that it waits for
    REQUEST_MOVE = 1 << 6,      ///< to its `target`
};

/// A system call that another core finishes. One an agent at a time.
struct remote_call {
    struct message message;
    int64_t result;
    uint64_t arguments[4];
    uint8_t data[216]; ///< struct pv_guest_registers is the largest
    /// On the agent's core, when it is done, with the agent's address space loaded: may copy data out; returns the
    /// call's result.
    int64_t (*finish)(struct remote_call *call);
    struct agent *agent;
};

struct agent {
    struct regs regs; ///< first: a pointer to it is a pointer to the agent
    struct personality *personality;
    struct core *core;
    uint32_t index; ///< in its personality
    enum agent_state state;
    bool stop_after_call;      ///< stop it when its remote call is done
    uint32_t events;           ///< pending; set by any core
    uint32_t wait_mask;        ///< what it waits for, 0 unless AGENT_WAITING; others read it
    uint64_t run_mask;         ///< what ends its last vcpu_run, which may be over; others read it
    uint64_t deadline;         ///< while AGENT_WAITING; UINT64_MAX: none
    struct agent *next, *prev; ///< in the list of deadlines
    struct level1_entity entity;
    bool held;              ///< paused: ready, but level 1 does not know it
    struct core *target;    ///< of REQUEST_MOVE
    struct message message; ///< brings requests
    uint32_t requests;      ///< enum agent_request, set by any core
    struct remote_call call;
    uint64_t switches;
    uint64_t guest_before; ///< ticks in guests of vcpus that it had; less those that vcpus it has now had before
    uint64_t ticks, ticks_ring3,
        ticks_guest;                  ///< as noted last; ticks: that it had the core, the multiplexer's included
    struct vcpu *vcpus[PV_MAX_VCPUS]; ///< its own, by number; touched on its core only
} __attribute__((aligned(64)));

/// Where a core's time went, in TSC ticks: the parts add up to total exactly.
struct sched_times {
    uint64_t total, idle, ring3, guest, mux;
};

static inline struct agent *agent_of(struct regs *regs)
{
    return (struct agent *)regs;
}

/// Starts the accounting of this core. Once, before anything else here.
void sched_init_core(void);
/// Level 1's slice for all cores, in ticks. At boot, before the first agent starts.
void sched_configure(uint64_t slice);
/// This core's current agent, or NULL.
struct agent *sched_current(void);
/// A new agent, stopped, on a core. At boot.
void sched_init_agent(struct agent *agent, struct core *core);
/// Asks an agent for something (enum agent_request). Any core; on the agent's own it is done when this returns.
void sched_request(struct agent *agent, uint32_t requests);
/// Takes an agent out for good, whatever it does.
void sched_stop(struct agent *agent);
/// The current agent gives back the rest of its slice.
void sched_yield(void);
/// PV_SYS_EVENT_WAIT for the current agent.
int64_t sched_wait(uint32_t mask, uint64_t deadline);
/// The current agent waits for its remote call.
void sched_block(struct agent *agent);
/// The remote call of an agent is done, with call->result set. Any core.
static inline void sched_unblock(struct agent *agent)
{
    sched_request(agent, REQUEST_CALL_DONE);
}
/// Makes events pending for an agent, and wakes it. Any core.
void sched_signal(struct agent *agent, uint32_t events);
/// From now on this core polls the serial lines every millisecond, as long as console_needs_poll or debug_line_poll say so.
void sched_poll_lines(void);
/// The core's local APIC timer went off.
void sched_timer(void);
/// The guest's preemption timer went off: handles what is due by now. The current agent may have changed or be none.
void sched_guest_timer(void);
/// Where there is no preemption timer: the local APIC's is to go off at a TSC value, while the current agent is in its guest.
void sched_time_guest(uint64_t at);
/// The current agent leaves its guest for ring 3: from now on the local APIC ends its slice.
void sched_enter_ring3(void);
/// To be called at the end of an entry to ring 0 that may have changed who should run: switches, sets the timer.
void sched_settle(void);
/// For the handler of a message that touches an agent: true when the agent is not on this core; the message is on its way
/// then.
bool sched_forward(struct agent *agent, struct message *message);
/// All cores change to a policy and slice. frame: the configuration's table. Any core. False: there is no table.
bool sched_set_policy(enum pv_policy policy, uint64_t slice);
enum pv_policy sched_policy(void);

/* sched_times.c */
/// Notes where this core's time went, and that of the agents on it, all up to now.
void sched_note_times(void);
/// What a core has noted last, and how often it went from agent to agent. Any core.
struct sched_times sched_noted_times(const struct core *core);
uint64_t sched_switches(const struct core *core);

#endif
