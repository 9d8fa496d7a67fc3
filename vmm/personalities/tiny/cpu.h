// SPDX-License-Identifier: Apache-2.0
/// A guest's vcpu with the little machine around it: a timer, interrupts from its fellow, and the ports of
/// guests/protocol.h.
#ifndef POLYVISOR_TINY_CPU_H
#define POLYVISOR_TINY_CPU_H

#include <stdatomic.h>

#include "level2.h"
#include "options.h"
#include "program.h"
#include "vcpu.h"

enum { MAX_TEAM = 2 };

/// The vcpus of one guest.
struct team {
    struct cpu *_Atomic cpus[MAX_TEAM]; ///< NULL until its agent has made it
    _Atomic bool ipi_due[MAX_TEAM];     ///< an interrupt from a fellow has not been injected yet
    uint32_t count;
    struct pv_guest_memory memory;
};

struct cpu {
    struct pv_vcpu vcpu;
    struct l2_vcpu turn; ///< as the level-2 scheduler sees it
    const struct program *program;
    struct team *team;
    uint32_t agent; ///< on which it runs
    uint32_t index; ///< in its team
    uint32_t seed;  ///< guests make all their values from it
    bool halted;    ///< waits for an interrupt
    bool stopped;   ///< will never run again
    bool timer_due;
    uint64_t timer_period;    ///< ticks; 0: off
    uint64_t timer_next;      ///< TSC
    uint64_t found, expected; ///< what the guest has told about an error so far
    _Atomic uint64_t rounds, errors;
};

/// Makes a vcpu of a guest on this agent, ready to run. PV_OK or why not.
int64_t cpu_create(struct cpu *cpu, const struct options *options, const struct pv_info *info);

/// Its timer has expired: an interrupt is due, and the next period begins.
void cpu_timer_expired(struct cpu *cpu, uint64_t now);

/// Whether it has something to run for.
bool cpu_is_runnable(const struct cpu *cpu);

/// Runs it for at most so many ticks and handles the exit, if there was one.
void cpu_run(struct cpu *cpu, uint64_t budget);

/// Counts an error, prints it unless there were many, and stops the vcpu if it cannot go on.
void cpu_error(struct cpu *cpu, bool stop, const char *format, ...) __attribute__((format(printf, 3, 4)));

/// exits.c: handles a delivered exit.
void cpu_handle_exit(struct cpu *cpu);

#endif
