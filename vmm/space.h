// SPDX-License-Identifier: Apache-2.0
/// Spaces: guest-physical address spaces made of pages of one personality's pool, tables paid by its quota.
#ifndef POLYVISOR_VMM_SPACE_H
#define POLYVISOR_VMM_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include <polyvisor/vcpu.h>

#include "arch/x86/core.h"
#include "arch/x86/vmx/ept.h"
#include "vmm/message.h"

struct agent;
struct core;
struct personality;
struct regs;

/// A map or unmap that is being made: the system call comes again until it is done.
struct space_change {
    struct agent *agent; ///< whose call it is; NULL: there is none
    uint64_t call[5];    ///< its number and arguments
    enum space_phase {
        SPACE_TABLES, ///< `job` is at work
        SPACE_CORES,  ///< an unmap: the agent is blocked until all cores have left the space's guests
        SPACE_RELEASE ///< an unmap: done, but for table pages that go back to the quota
    } phase;
    struct ept_job job;
};

/// One page of the owner's quota. Changed under the owner's lock.
struct space {
    struct ept ept;
    struct personality *owner;
    uint64_t page;  ///< its own, physical
    uint32_t vcpus; ///< that use it
    uint64_t cores; ///< mask: have entered a guest of it
    /// Per core: the EPT generation up to which its cached translations are forgotten. A core that is behind executes
    /// INVEPT before it enters. A new space starts behind on every core, since its root page may have been another
    /// space's.
    uint64_t seen[PV_MAX_CORES];

    struct space_change change; ///< one at a time
    bool dying;                 ///< space_destroy has begun: nobody finds it any more
    uint32_t pending;           ///< in SPACE_CORES: cores that have not answered
    struct message kicks[PV_MAX_CORES];
};
_Static_assert(sizeof(struct space) <= 4096, "a space is one page");

/// What the processor needs to know once, at boot: width of addresses, errata.
void space_init(void);
/// The space with a number, or NULL. Not one that is being destroyed.
struct space *space_find(const struct personality *p, uint64_t number);
/// For ept.h: table pages come from its personality's quota.
struct ept_pages space_pages(struct personality *p);
/// Makes this core forget translations that the space has withdrawn since it last looked.
void space_forget(struct space *space, const struct core *core);
static inline bool space_is_behind(const struct space *space, const struct core *core)
{
    uint64_t generation = __atomic_load_n(&space->ept.generation, __ATOMIC_ACQUIRE);
    return generation != space->seen[core->id];
}
/// The same where it has to be: before every entry into the space's guests.
static inline void space_catch_up(struct space *space, const struct core *core)
{
    if (space->seen[core->id] != __atomic_load_n(&space->ept.generation, __ATOMIC_ACQUIRE)) {
        space_forget(space, core);
    }
}

/* the system calls, polyvisor/vcpu.h */
int64_t space_create(struct regs *regs, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4);
int64_t space_map(struct regs *regs, uint64_t number, uint64_t gpa, uint64_t offset, uint64_t size, uint64_t how);
int64_t space_unmap(struct regs *regs, uint64_t number, uint64_t gpa, uint64_t size, uint64_t a3, uint64_t a4);
int64_t space_destroy(struct regs *regs, uint64_t number, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4);

#endif
