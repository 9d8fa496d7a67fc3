// SPDX-License-Identifier: Apache-2.0
/*
 * The hostile tenant. Each agent does one random thing after another, all of them with the same spaces, vcpus and state
 * pages, so that with several agents they also disturb each other.
 */
#ifndef POLYVISOR_CHAOS_CHAOS_H
#define POLYVISOR_CHAOS_CHAOS_H

#include "random.h"
#include "vcpu.h"

enum { PAGES = 24, MEMORIES = 2, NUMBERS = 8 };

/// What all agents use. Its own data are in the image and not in the pool, where guests could overwrite them.
struct playground {
    uint64_t pages[PAGES]; ///< pool offsets of state pages
    uint64_t memories[MEMORIES];
    uint8_t page_of[PV_MAX_VCPUS]; ///< the state page that a vcpu was made with last
};

extern struct playground playground;

/// One agent's.
struct player {
    struct random random;
    uint32_t agent, agents;
    uint64_t calls, runs, exits, refused,
        quota;       ///< counts: system calls; runs, their exits, entries refused; quota errors
    uint64_t digest; ///< of the first DIGEST_CALLS calls' arguments
};

enum { DIGEST_CALLS = 1000 };

/// A system call, counted. What it does to time (waiting, running without limit) and to the terminal is bounded first.
int64_t chaos_call(struct player *player, uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3,
                   uint64_t a4);

/// A vcpu or space number, mostly one that may exist.
uint64_t chaos_number(struct player *player);

/// Makes a vcpu in a space, with a random state page; what the call answers.
int64_t chaos_create_vcpu(struct player *player, uint64_t space);

/// The state page of a vcpu.
struct pv_vcpu_state *chaos_state(uint64_t vcpu);

/* calls.c: system calls with arguments from nowhere, and with arguments that look right */
void chaos_wild_call(struct player *player);
void chaos_space(struct player *player);
void chaos_vcpu(struct player *player);
void chaos_vmcs(struct player *player);
void chaos_tables(struct player *player);

/* state.c: garbage in state pages */
void chaos_garbage(struct player *player);
void chaos_spoil_state(struct random *random, struct pv_vcpu_state *state);
void chaos_meddle(struct player *player);

/* run.c */
void chaos_run(struct player *player);
void chaos_hostile_guest(struct player *player);

#endif
