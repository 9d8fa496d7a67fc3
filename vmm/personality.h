// SPDX-License-Identifier: Apache-2.0
/// Personalities: their memory, image, address space, and how they start and end.
#ifndef POLYVISOR_PERSONALITY_H
#define POLYVISOR_PERSONALITY_H

#include <stdbool.h>
#include <stdint.h>

#include <polyvisor/abi.h>
#include <polyvisor/vcpu.h>

#include "vmm/config.h"
#include "vmm/console.h"
#include "vmm/lock.h"
#include "vmm/quota.h"
#include "vmm/sched.h"

struct net_member;
struct space;
struct vcpu;

struct personality {
    uint32_t id;
    const struct config_personality *config;
    struct lock lock; ///< guards state, quota and page tables
    enum pv_personality_state state;
    enum pv_personality_state next_state; ///< while PV_STATE_STOPPING
    uint64_t cores;                       ///< mask
    uint64_t root;                        ///< page tables
    struct pv_info *info;                 ///< the info page, NULL before it was loaded
    uint64_t memory, memory_size;         ///< physical: the pool, above it image, stacks and info page
    uint64_t pool_size;                   ///< what is left of it for the personality's own use
    struct quota quota;
    uint32_t agent_count;
    struct agent *agents;
    uint32_t remaining;        ///< agents not yet stopped, while PV_STATE_STOPPING
    struct agent *stop_waiter; ///< its remote call ends when the personality has stopped
    uint32_t moving;           ///< agents that have not arrived, while somebody pins it
    struct agent *move_waiter; ///< its remote call ends when all have
    uint32_t restarts;
    uint32_t short_lives; ///< in a row, that ended by themselves
    uint32_t weight;      ///< the configuration's, until the shell changes it
    bool paused;
    struct agent *only;           ///< the one that runs in spite of `paused`: a debugger steps its guest; or NULL
    uint32_t held_runs;           ///< vmm/vcpu_debug.c
    struct personality *debugger; ///< watches its guests (vmm/vcpu_debug.h), or NULL
    uint64_t started;             ///< TSC
    int64_t exit_code;
    struct space *spaces[PV_MAX_SPACES];
    struct vcpu *vcpus[PV_MAX_VCPUS];
    uint64_t exits_absorbed, exits_delivered; ///< of vcpus that are no more
    struct net_member *net;                   ///< its port, or NULL
    uint64_t devices_at;                      ///< in the pool: its table of devices
    uint32_t device_count;
    struct console console;
    char why[PV_WHY_SIZE];
    struct pv_registers registers; ///< of the agent that faulted
};

extern struct personality personalities[CONFIG_MAX_PERSONALITIES];
extern uint32_t personality_count;

/// At boot: takes memory for all personalities of machine.config and loads and starts them.
void personality_create_all(void);
/// Loads and starts one that does not run. On false its state is PV_STATE_REFUSED and why tells.
bool personality_start(struct personality *p);
/// Starts one that has ended once more. False: it runs, is being stopped or started by somebody else, or was refused.
bool personality_restart(struct personality *p);
/// Ends a running personality: its agents are stopped, on every core, then it gets the state. Any core; the first
/// cause wins. A waiter (blocked by the caller) is unblocked with result 0 when it is done. False: it does not run
/// (the waiter is not kept).
bool personality_stop(struct personality *p, enum pv_personality_state state, struct agent *waiter);
/// sched_request.c tells that an agent is to stop, or that one whose remote call had to end first is out now.
void personality_agent_stopped(struct agent *agent);
/// An exception (or what counts as one) of the current agent: keeps the registers, tells, stops the personality.
void personality_fault(struct agent *agent, uint64_t vector, uint64_t error_code, uint64_t address, const char *what);
/// Holds or releases all agents. Takes effect on other cores a moment later, in order with what else is asked of them.
/// False: it does not run.
bool personality_pause(struct personality *p, bool paused);
/// Releases all agents, or one alone. What made its guests stop is forgotten.
bool personality_resume(struct personality *p, struct agent *only);
void personality_set_weight(struct personality *p, uint32_t weight);
/// Moves the agents, with their vcpus and whatever they do, to the cores of a mask, in turn, whether it runs or not. The caller
/// is blocked until all have arrived, but not when an error is returned: PV_ERR_NOT_FOUND: there is no such core,
/// PV_ERR_UNSUPPORTED: one has no VMX, PV_ERR_STATE: somebody else moves it.
int64_t personality_pin(struct personality *p, uint64_t mask, struct agent *waiter);
/// sched_request.c tells that an agent is where personality_pin wanted it.
void personality_agent_moved(struct agent *agent);
/// Adds the exits of a vcpu that ends to its personality's.
void personality_keep_counts(struct personality *p, const struct vcpu *vcpu);
/// Events for agent 0. Any core.
void personality_signal(struct personality *p, uint32_t events);
struct console *personality_console(struct personality *p);
/// RUNNING is refined to WAITING when all agents wait.
enum pv_personality_state personality_state(const struct personality *p);

#endif
