// SPDX-License-Identifier: Apache-2.0
#include "vmm/space.h"

#include <stddef.h>

#include "arch/x86/core.h"
#include "arch/x86/paging.h"
#include "arch/x86/registers.h"
#include "arch/x86/vmx/caps.h"
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmx.h"
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

static struct ept_pages pages_of(struct personality *p)
{
    return (struct ept_pages){.alloc = alloc_page, .free = free_page, .view = view_page, .ctx = p};
}

struct space *space_find(const struct personality *p, uint64_t number)
{
    return number < PV_MAX_SPACES ? __atomic_load_n(&p->spaces[number], __ATOMIC_ACQUIRE) : NULL;
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
    struct ept_pages pages = pages_of(p);
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

static int64_t error_of(enum ept_result result)
{
    switch (result) {
    case EPT_OK:
        return PV_OK;
    case EPT_NO_MEMORY:
        return PV_ERR_QUOTA;
    case EPT_OVERLAP:
        return PV_ERR_STATE;
    case EPT_INVALID:
        break;
    }
    return PV_ERR_INVALID;
}

int64_t space_map(struct regs *regs, uint64_t number, uint64_t gpa, uint64_t offset, uint64_t size, uint64_t how)
{
    struct personality *p = agent_of(regs)->personality;
    uint32_t access = how & 0xff, type = how >> 8 & 0xff;
    if (how >> 16 || (access & ~(uint32_t)PV_ACCESS_ALL) || type > PV_MEMORY_WB || size == 0 || offset > p->pool_size ||
        size > p->pool_size - offset) {
        return PV_ERR_INVALID;
    }
    struct ept_pages pages = pages_of(p);
    lock_take(&p->lock);
    struct space *space = space_find(p, number);
    // The host maps the pool write-back: a guest's PAT must not make an alias of another type (SDM Vol. 3A 12.12.4).
    int64_t result = space ? error_of(ept_map(&space->ept, &pages, gpa, p->memory + offset, size, access,
                                              type == PV_MEMORY_WB ? EPT_TYPE_WB | EPT_IGNORE_PAT : type))
                           : PV_ERR_NOT_FOUND;
    lock_drop(&p->lock);
    return result;
}

/// Every core has left the guests: nobody walks the removed tables any more.
static int64_t finish_unmap(struct remote_call *call)
{
    struct personality *p = call->agent->personality;
    struct space *space = (struct space *)call->arguments[0];
    struct ept_pages pages = pages_of(p);
    lock_take(&p->lock);
    ept_garbage_release(&space->garbage, &pages);
    space->unmapper = NULL;
    lock_drop(&p->lock);
    return PV_OK;
}

static void answer(struct space *space)
{
    if (__atomic_sub_fetch(&space->pending, 1, __ATOMIC_ACQ_REL) == 0) {
        sched_unblock(space->unmapper);
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

int64_t space_unmap(struct regs *regs, uint64_t number, uint64_t gpa, uint64_t size, uint64_t a3, uint64_t a4)
{
    (void)a3, (void)a4;
    struct agent *agent = agent_of(regs);
    struct personality *p = agent->personality;
    struct ept_pages pages = pages_of(p);
    bool changed = false;
    lock_take(&p->lock);
    struct space *space = space_find(p, number);
    int64_t result = !space ? PV_ERR_NOT_FOUND : space->unmapper ? PV_ERR_STATE : PV_OK;
    if (result == PV_OK) {
        result = error_of(ept_unmap(&space->ept, &pages, gpa, size, &space->garbage, &changed));
    }
    if (changed) {
        space->unmapper = agent;
    }
    lock_drop(&p->lock);
    if (!changed) {
        return result;
    }
    shoot_down(agent, space);
    sched_settle();
    return (int64_t)regs->rax;
}

int64_t space_destroy(struct regs *regs, uint64_t number, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
    (void)a1, (void)a2, (void)a3, (void)a4;
    struct personality *p = agent_of(regs)->personality;
    struct ept_pages pages = pages_of(p);
    int64_t result = PV_OK;
    lock_take(&p->lock);
    struct space *space = space_find(p, number);
    if (!space) {
        result = PV_ERR_NOT_FOUND;
    } else if (space->vcpus || space->unmapper) {
        result = PV_ERR_STATE;
    } else {
        // No vcpu is left, so no core can enter with these tables; what is cached of them is forgotten by the next
        // space's first entry, should it get the same root.
        p->spaces[number] = NULL;
        ept_destroy(&space->ept, &pages);
        free_page(p, space->page);
    }
    lock_drop(&p->lock);
    return result;
}
