// SPDX-License-Identifier: Apache-2.0
/// An agent and its processors: one of them runs at a time. Processor i is the business of agent i modulo their number.
#ifndef POLYVISOR_LINUX_AGENT_H
#define POLYVISOR_LINUX_AGENT_H

#include <stdint.h>

#include "personality.h"

struct cpu;

/// Events that end its runs and waits: news of another agent; for the first agent input.
enum { AGENT_NEWS = PV_EVENT_USER | PV_EVENT_CONSOLE_INPUT | PV_EVENT_NET };

/// What it does, under the lock.
enum agent_place {
    AGENT_AT_WORK,  ///< holds the lock, or waits for it: then it looks at everything
    AGENT_IN_GUEST, ///< in vcpu_run, or just before: events are kept
    AGENT_WAITING,  ///< in event_wait, or just before: events are kept
};

struct agent {
    _Atomic enum agent_place place;
    uint32_t current;  ///< the processor whose turn it is
    uint32_t spinning; ///< how many processors have, one after the other, only waited for others (give_way)
    uint64_t turn_end; ///< when another one gets its turn, if there is one that wants it
};

struct agent *agent_of(const struct cpu *cpu);

/// Runs its processors until the machine ends or is reset.
void agent_loop(uint32_t number);

/// Events have come: what is no news of another agent's is looked after by machine_poll.
void agent_take(int64_t events);

/// Has a processor's agent look at the processor's interrupts, wherever it is. From any agent, with the lock held.
void agent_wake(const struct cpu *cpu);

#endif
