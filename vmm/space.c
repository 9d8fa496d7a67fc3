// SPDX-License-Identifier: Apache-2.0
#include "vmm/space.h"

#include <stddef.h>

#include <polyvisor/string.h>

#include "arch/x86/core.h"
#include "arch/x86/paging.h"
#include "arch/x86/registers.h"
#include "arch/x86/vmx/caps.h"
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmx.h"
#include "vmm/log.h"
#include "vmm/panic.h"
#include "vmm/personality.h"
#include "vmm/vcpu.h"

static unsigned physical_bits;
static bool large_pages_may_execute;

void space_init(void)
{
    uint64_t arch_capabilities = 0;
    physical_bits = cpu_cpuid(0x80000008, 0).eax & 0xff;
    msr_read_safe(MSR_ARCH_CAPABILITIES, &arch_capabilities);
    large_pages_may_execute = arch_capabilities & ARCH_CAPABILITIES_IF_PSCHANGE_MC_NO;
}

/* ---- pages from the owner's quota ---- */

static uint64_t alloc_page(void *context)
{
    return quota_alloc(&((struct personality *)context)->quota);
}

static void free_page(void *context, uint64_t page)
{
    ASSERT(quota_free(&((struct personality *)context)->quota, page));
}

static void *view_page(void *context, uint64_t page)
{
    (void)context;
    return phys_to_virt(page);
}

static bool reserve_pages(void *context, uint64_t count)
{
    return quota_reserve(&((struct personality *)context)->quota, count);
}

static uint64_t take_page(void *context, bool zeroed)
{
    return quota_take(&((struct personality *)context)->quota, zeroed);
}

static void unreserve_pages(void *context, uint64_t count)
{
    quota_unreserve(&((struct personality *)context)->quota, count);
}

struct ept_pages space_pages(struct personality *p)
{
    return (struct ept_pages){.alloc = alloc_page,
                              .free = free_page,
                              .reserve = reserve_pages,
                              .take = take_page,
                              .unreserve = unreserve_pages,
                              .view = view_page,
                              .ctx = p};
}

/// Also one that is being destroyed.
static struct space *find_any(const struct personality *p, uint64_t number)
{
    return number < PV_MAX_SPACES ? __atomic_load_n(&p->spaces[number], __ATOMIC_ACQUIRE) : NULL;
}

struct space *space_find(const struct personality *p, uint64_t number)
{
    struct space *space = find_any(p, number);
    return space && !space->dying ? space : NULL;
}

void space_forget(struct space *space, const struct core *core)
{
    // The mark before the generation is read (space_unmap does it the other way round). A core that has caught up before is marked.
    __atomic_fetch_or(&space->cores, UINT64_C(1) << core->id, __ATOMIC_SEQ_CST);
    uint64_t generation = ept_generation(&space->ept);
    vmx_invept(ept_pointer(&space->ept));
    space->seen[core->id] = generation;
}

/* ---- the system calls ---- */

static int64_t create(struct personality *p, uint64_t number)
{
    struct ept_pages pages = space_pages(p);
    uint64_t page = quota_alloc(&p->quota);
    if (!page) {
        return PV_ERR_QUOTA;
    }
    struct space *space = phys_to_virt(page);
    space->owner = p;
    space->page = page;
    if (ept_init(&space->ept, &pages, vmx_caps.ept_vpid, physical_bits) != EPT_OK) {
        free_page(p, page);
        return PV_ERR_QUOTA;
    }
    space->ept.large_exec = large_pages_may_execute;
    space->ept.generation++; // seen[] is 0: the first entry on each core forgets what an earlier space left there
    __atomic_store_n(&p->spaces[number], space, __ATOMIC_RELEASE);
    return (int64_t)number;
}

int64_t space_create(struct regs *regs, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
    (void)a0, (void)a1, (void)a2, (void)a3, (void)a4;
    struct personality *p = agent_of(regs)->personality;
    if (!vmx_ready()) {
        return PV_ERR_UNSUPPORTED;
    }
    lock_take(&p->lock);
    uint64_t number = 0;
    while (number < PV_MAX_SPACES && p->spaces[number]) {
        number++;
    }
    int64_t result = number < PV_MAX_SPACES ? create(p, number) : PV_ERR_QUOTA;
    lock_drop(&p->lock);
    return result;
}

/* ---- changes, in steps ---- */

/*
 * A change may take long. A system call does a step of it and answers PV_ERR_AGAIN until it is done, so that interrupts, and the end of the
 * slice, get through between two calls. Entries' worth of a step: with a system call's own time it stays below 50 us
 * on the slowest machine there is, the emulator (tests/personalities/ring0_time.c).
 */
enum { STEP = 240, RELEASE_STEP = 16, RELEASE_AT_ONCE = 4 };

static int64_t error_of(enum ept_result result)
{
    switch (result) {
    case EPT_OK:
        return PV_OK;
    case EPT_MORE:
        return PV_ERR_AGAIN;
    case EPT_NO_MEMORY:
        return PV_ERR_QUOTA;
    case EPT_OVERLAP:
        return PV_ERR_STATE;
    case EPT_INVALID:
        break;
    }
    return PV_ERR_INVALID;
}

static bool same_call(const uint64_t a[5], const uint64_t b[5])
{
    return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3] && a[4] == b[4];
}

/// Who may use the space's `change` for a call. PV_OK: this call, from its beginning (nothing is going on) or again. PV_ERR_AGAIN: another
/// agent's has to end first. PV_ERR_STATE: the agent has left another one unfinished.
static int64_t claim_change(struct space *space, const struct ept_pages *pages, struct agent *agent,
                            const uint64_t call[5])
{
    struct space_change *change = &space->change;
    if (!change->agent) {
        return PV_OK;
    }
    if (change->agent != agent) {
        return PV_ERR_AGAIN;
    }
    if (same_call(change->call, call)) {
        return PV_OK;
    }
    if (change->phase != SPACE_TABLES || !ept_may_give_up(&change->job)) {
        return PV_ERR_STATE;
    }
    ept_give_up(pages, &change->job); // nothing has changed yet
    change->agent = NULL;
    return PV_OK;
}

static void begin_change(struct space *space, struct agent *agent, const uint64_t call[5])
{
    space->change.agent = agent;
    space->change.phase = SPACE_TABLES;
    memcpy(space->change.call, call, sizeof(space->change.call));
}

/// A step of the job. Anything but PV_ERR_AGAIN ends the change.
static int64_t step_change(struct space *space, const struct ept_pages *pages)
{
    int64_t result = error_of(ept_step(&space->ept, pages, &space->change.job, STEP));
    if (result != PV_ERR_AGAIN) {
        space->change.agent = NULL;
    }
    return result;
}

/// Once in a personality's life the log says what to do about a quota that is used up.
static void tell_quota(struct personality *p)
{
    if (!p->quota.told) {
        p->quota.told = true;
        log_line("%s: its kernel memory, %luK, does not suffice for the tables of its spaces: give it a larger 'quota' "
                 "in the configuration; 1G of guest memory takes 2M of it%s",
                 p->config->name, p->quota.size >> 10,
                 large_pages_may_execute ? ", unless large pages can map it" : " on this processor");
    }
}

/// Another agent is at work on the space: the rest of the slice is of no use to this one.
static int64_t let_others(struct regs *regs)
{
    regs->rax = (uint64_t)PV_ERR_AGAIN;
    sched_yield();
    sched_settle();
    return (int64_t)regs->rax;
}

/* ---- mapping ---- */

/// Under the owner's lock.
static int64_t map(struct space *space, struct agent *agent, const uint64_t call[5])
{
    struct personality *p = agent->personality;
    struct ept_pages pages = space_pages(p);
    uint64_t gpa = call[1], offset = call[2], size = call[3];
    uint32_t access = call[4] & 0xff, type = call[4] >> 8 & 0xff;
    int64_t result = claim_change(space, &pages, agent, call);
    if (result == PV_OK && !space->change.agent) {
        // The host maps the pool write-back: a guest's PAT must not make an alias of another type (SDM Vol. 3A 12.12.4).
        result = error_of(ept_begin_map(&space->ept, &space->change.job, gpa, p->memory + offset, size, access,
                                        type == PV_MEMORY_WB ? EPT_TYPE_WB | EPT_IGNORE_PAT : type));
        if (result == PV_OK) {
            begin_change(space, agent, call);
        }
    }
    return result == PV_OK ? step_change(space, &pages) : result;
}

int64_t space_map(struct regs *regs, uint64_t number, uint64_t gpa, uint64_t offset, uint64_t size, uint64_t how)
{
    struct agent *agent = agent_of(regs);
    struct personality *p = agent->personality;
    const uint64_t call[5] = {PV_SYS_SPACE_MAP, gpa, offset, size, how};
    if (how >> 16 || (how & 0xff & ~(uint64_t)PV_ACCESS_ALL) || how >> 8 > PV_MEMORY_WB || size == 0 ||
        offset > p->pool_size || size > p->pool_size - offset) {
        return PV_ERR_INVALID;
    }
    lock_take(&p->lock);
    struct space *space = space_find(p, number);
    int64_t result = space ? map(space, agent, call) : PV_ERR_NOT_FOUND;
    bool busy = result == PV_ERR_AGAIN && space->change.agent != agent;
    lock_drop(&p->lock);
    if (result == PV_ERR_QUOTA) {
        tell_quota(p);
    }
    return busy ? let_others(regs) : result;
}

/* ---- unmapping ---- */

/// Tables that were taken out go back to the quota: nobody walks them any more.
static int64_t release(struct space *space, const struct ept_pages *pages, uint32_t count)
{
    space->change.phase = SPACE_RELEASE;
    if (!ept_garbage_release(&space->change.job.garbage, pages, count)) {
        return PV_ERR_AGAIN;
    }
    space->change.agent = NULL;
    return PV_OK;
}

/// Every core has left the guests.
static int64_t finish_unmap(struct remote_call *call)
{
    struct personality *p = call->agent->personality;
    struct ept_pages pages = space_pages(p);
    lock_take(&p->lock);
    int64_t result = release((struct space *)call->arguments[0], &pages, RELEASE_AT_ONCE);
    lock_drop(&p->lock);
    return result;
}

static void answer(struct space *space)
{
    if (__atomic_sub_fetch(&space->pending, 1, __ATOMIC_ACQ_REL) == 0) {
        sched_unblock(space->change.agent);
    }
}

/// On a core that may have been in a guest of the space, and may go back to that guest at once, without vcpu_load. If it was in none it
/// need not be disturbed again until it has been: seen[] of 0 makes the next entry begin with space_forget, which marks the core again.
static void run_kick(struct message *message)
{
    const struct core *core = core_self();
    struct message *first = message - core->id; // its place in kicks[]
    struct space *space = (struct space *)((char *)first - offsetof(struct space, kicks));
    const struct agent *current = sched_current();
    if (current && current->regs.kind == REGS_GUEST && current->regs.guest->space == space) {
        space_catch_up(space, core);
    } else {
        space->seen[core->id] = 0;
        __atomic_fetch_and(&space->cores, ~(UINT64_C(1) << core->id), __ATOMIC_SEQ_CST);
    }
    answer(space);
}

/// Waits, with the agent blocked, for all cores that have used the space. Takes effect through finish_unmap.
static void shoot_down(struct agent *agent, struct space *space)
{
    uint64_t others = __atomic_load_n(&space->cores, __ATOMIC_SEQ_CST) & ~(UINT64_C(1) << agent->core->id);
    agent->call.arguments[0] = (uint64_t)space;
    agent->call.finish = finish_unmap;
    space->pending = 1;
    sched_block(agent);
    for (uint32_t core = 0; core < core_count; core++) {
        if (others >> core & 1) {
            __atomic_fetch_add(&space->pending, 1, __ATOMIC_RELAXED);
            space->kicks[core].run = run_kick;
            message_send(&cores[core], &space->kicks[core]);
        }
    }
    answer(space); // this core
}

/// Under the owner's lock. *shoot: the tables are changed, now the cores have to be told.
static int64_t unmap(struct space *space, struct agent *agent, const uint64_t call[5], bool *shoot)
{
    struct space_change *change = &space->change;
    struct ept_pages pages = space_pages(agent->personality);
    int64_t result = claim_change(space, &pages, agent, call);
    if (result == PV_OK && !change->agent) {
        result = error_of(ept_begin_unmap(&space->ept, &change->job, call[1], call[2]));
        if (result == PV_OK) {
            begin_change(space, agent, call);
        }
    } else if (result == PV_OK && change->phase == SPACE_RELEASE) {
        return release(space, &pages, RELEASE_STEP);
    }
    result = result == PV_OK ? step_change(space, &pages) : result;
    *shoot = result == PV_OK && change->job.changed;
    if (*shoot) {
        change->agent = agent;
        change->phase = SPACE_CORES;
    }
    return result;
}

int64_t space_unmap(struct regs *regs, uint64_t number, uint64_t gpa, uint64_t size, uint64_t a3, uint64_t a4)
{
    (void)a3, (void)a4;
    struct agent *agent = agent_of(regs);
    struct personality *p = agent->personality;
    const uint64_t call[5] = {PV_SYS_SPACE_UNMAP, gpa, size, 0, 0};
    bool shoot = false;
    lock_take(&p->lock);
    struct space *space = space_find(p, number);
    int64_t result = space ? unmap(space, agent, call, &shoot) : PV_ERR_NOT_FOUND;
    bool busy = result == PV_ERR_AGAIN && space->change.agent != agent;
    lock_drop(&p->lock);
    if (busy) {
        return let_others(regs);
    }
    if (!shoot) {
        return result;
    }
    shoot_down(agent, space);
    sched_settle();
    return (int64_t)regs->rax;
}

/* ---- the end ---- */

/// Under the owner's lock. Whether the caller may destroy a space, or may go on with that.
static int64_t begin_destroy(struct space *space, const struct agent *agent, const struct ept_pages *pages)
{
    struct space_change *change = &space->change;
    if (space->dying) {
        return PV_OK;
    }
    if (space->vcpus || (change->agent && (change->agent != agent || change->phase == SPACE_CORES))) {
        return PV_ERR_STATE;
    }
    // No vcpu is left, and none will come, so no core can enter with these tables; what is cached of them is forgotten by
    // the next space's first entry, should it get the same root.
    space->dying = true;
    ept_begin_destroy(&space->ept, pages, &change->job);
    return PV_OK;
}

int64_t space_destroy(struct regs *regs, uint64_t number, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
    (void)a1, (void)a2, (void)a3, (void)a4;
    struct agent *agent = agent_of(regs);
    struct personality *p = agent->personality;
    struct ept_pages pages = space_pages(p);
    lock_take(&p->lock);
    struct space *space = find_any(p, number);
    int64_t result = space ? begin_destroy(space, agent, &pages) : PV_ERR_NOT_FOUND;
    if (result == PV_OK) {
        result = step_change(space, &pages);
    }
    if (result == PV_OK) {
        __atomic_store_n(&p->spaces[number], NULL, __ATOMIC_RELEASE);
        free_page(p, space->page);
    }
    lock_drop(&p->lock);
    return result;
}
