// SPDX-License-Identifier: Apache-2.0
// How long changes of spaces keep a core in ring 0, at their worst: a slice cannot end, and no interrupt gets through, before a system call
// is over. A line for each, in ticks; exit code 1 when a call took longer than LIMIT_US microseconds. With the argument "all" other system
// calls are measured too, which do not count.
#include "vcpu.h"

enum {
    LIMIT_US = 50,
    REPEATS = 5,
    MICROSECONDS = 1000000,
    BATCH = PV_MAX_VMCS_BATCH,
    MAX_CALLS = 4096,
    SCATTERED = 64
};

/// A system call.
struct call {
    uint64_t number, a0, a1, a2, a3, a4;
};

static uint64_t limit;
static int failures;

/// The least time that was seen for each call of an operation: what is more is the end of a slice, or an interrupt.
static uint64_t least[MAX_CALLS];
static uint32_t calls;

static void begin(void)
{
    for (uint32_t i = 0; i < MAX_CALLS; i++)
        least[i] = UINT64_MAX;
}

/// Makes a call until it is done.
static int64_t timed(struct call c)
{
    int64_t result;
    calls = 0;
    do {
        const uint64_t start = pv_tsc();
        result = pv_syscall(c.number, c.a0, c.a1, c.a2, c.a3, c.a4);
        const uint64_t ticks = pv_tsc() - start;
        least[calls] = ticks < least[calls] ? ticks : least[calls];
    } while (result == PV_ERR_AGAIN && ++calls < MAX_CALLS);
    calls++;
    return result;
}

static void report(const char *what, bool counts)
{
    uint64_t longest = 0, sum = 0;
    for (uint32_t i = 0; i < calls; i++) {
        longest = least[i] > longest ? least[i] : longest;
        sum += least[i];
    }
    failures += counts && longest > limit;
    pv_printf("%s%s: %lu ticks at most, %u calls, %lu in sum\n", longest > limit ? "LONG: " : "", what, longest, calls,
              sum);
}

/* ---- spaces ---- */

enum { RIGHTS = PV_ACCESS_ALL | PV_MEMORY_WB << 8 };

static uint64_t space;

/// An operation on the space, and another that has the first one's preconditions again.
static void try_pair(const char *what, struct call call, const char *other_what, struct call other)
{
    static uint64_t saved[MAX_CALLS];
    uint32_t saved_calls = 0;
    begin();
    for (uint32_t i = 0; i < MAX_CALLS; i++)
        saved[i] = UINT64_MAX;
    for (int i = 0; i < REPEATS; i++) {
        const int64_t result = timed(call);
        if (result != 0)
            pv_printf("%s: %s\n", what, pv_error_name(result));
        for (uint32_t k = 0; k < calls; k++) {
            const uint64_t mine = least[k];
            least[k] = saved[k]; // the other's
            saved[k] = mine;
        }
        saved_calls = calls;
        timed(other);
        const uint32_t most = calls > saved_calls ? calls : saved_calls;
        for (uint32_t k = 0; k < most; k++) {
            const uint64_t others = least[k];
            least[k] = saved[k];
            saved[k] = others;
        }
    }
    const uint32_t other_calls = calls;
    calls = saved_calls;
    report(what, true);
    for (uint32_t k = 0; k < other_calls; k++)
        least[k] = saved[k];
    calls = other_calls;
    report(other_what, true);
}

/// Pages far from each other: four tables for each.
static void scatter(void)
{
    for (uint64_t i = 0; i < SCATTERED; i++)
        pv_space_map(space, i << 30, 0, PV_PAGE_SIZE, PV_ACCESS_READ, PV_MEMORY_WB);
}

static void try_scattered(void)
{
    begin();
    for (int i = 0; i < REPEATS; i++) {
        scatter();
        timed((struct call){PV_SYS_SPACE_UNMAP, space, 0, UINT64_C(1) << 38, 0, 0});
    }
    report("unmap of scattered pages", true);
    begin();
    for (int i = 0; i < REPEATS; i++) {
        scatter();
        timed((struct call){PV_SYS_SPACE_DESTROY, space, 0, 0, 0, 0});
        space = (uint64_t)pv_space_create();
    }
    report("destroying scattered pages", true);
}

static void try_holes(uint64_t half)
{
    begin();
    for (int i = 0; i < REPEATS; i++)
        timed((struct call){PV_SYS_SPACE_UNMAP, space, 0, UINT64_C(1) << 38, 0, 0});
    report("unmap of nothing", true);
    pv_space_map(space, half - PV_PAGE_SIZE, 0, PV_PAGE_SIZE, PV_ACCESS_READ, PV_MEMORY_WB);
    begin();
    for (int i = 0; i < REPEATS; i++)
        timed((struct call){PV_SYS_SPACE_MAP, space, 0, 0, half, RIGHTS});
    report("map of what is mapped at its end", true);
    pv_space_unmap(space, 0, half);
}

/// Large pages, which only data can have where the processor has a certain flaw; of which the unmap cuts two.
static void try_large(uint64_t half)
{
    const uint64_t data = PV_ACCESS_READ | PV_ACCESS_WRITE | PV_MEMORY_WB << 8;
    begin();
    for (int i = 0; i < REPEATS; i++) {
        pv_syscall_whole(PV_SYS_SPACE_MAP, space, 0, 0, half, data);
        timed((struct call){PV_SYS_SPACE_UNMAP, space, PV_PAGE_SIZE, half - 2 * PV_PAGE_SIZE, 0, 0});
        pv_space_unmap(space, 0, half);
    }
    report("unmap of large pages, split at both ends", true);
}

static void try_spaces(const struct pv_info *info)
{
    const uint64_t half = info->pool_size / 2 & ~(uint64_t)(PV_LARGE_PAGE_SIZE - 1);
    space = (uint64_t)pv_space_create();
    try_pair("map of half the pool in small pages",
             (struct call){PV_SYS_SPACE_MAP, space, PV_PAGE_SIZE, 0, half, RIGHTS}, "unmap of it",
             (struct call){PV_SYS_SPACE_UNMAP, space, PV_PAGE_SIZE, half, 0, 0});
    try_pair("map of a page", (struct call){PV_SYS_SPACE_MAP, space, 0, 0, PV_PAGE_SIZE, RIGHTS}, "unmap of a page",
             (struct call){PV_SYS_SPACE_UNMAP, space, 0, PV_PAGE_SIZE, 0, 0});
    try_large(half);
    try_holes(half);
    try_scattered();
}

/* ---- other calls ---- */

static void repeated(const char *what, struct call call, bool counts)
{
    begin();
    for (int i = 0; i < REPEATS; i++)
        timed(call);
    report(what, counts);
}

static void try_tables(uint64_t vcpu)
{
    static struct pv_vmcs_entry fields[BATCH];
    static struct pv_cpuid_entry leaves[PV_MAX_CPUID];
    static struct pv_msr_entry msrs[PV_MAX_MSRS];
    const uint64_t list = (uintptr_t)fields;
    for (uint32_t i = 0; i < BATCH; i++)
        fields[i].field = 0x6c16; // host RIP: denied
    for (uint32_t i = 0; i < PV_MAX_CPUID; i++)
        leaves[i].leaf = i << 16; // the same place in a table
    repeated("VMCS fields, denied", (struct call){PV_SYS_VMCS_READ, vcpu, list, BATCH, 0, 0}, false);
    for (uint32_t i = 0; i < BATCH; i++)
        fields[i].field = 0x681c; // guest RSP
    repeated("VMCS fields, read", (struct call){PV_SYS_VMCS_READ, vcpu, list, BATCH, 0, 0}, false);
    repeated("VMCS fields, written", (struct call){PV_SYS_VMCS_WRITE, vcpu, list, BATCH, 0, 0}, false);
    repeated("CPUID table", (struct call){PV_SYS_VCPU_CPUID, vcpu, (uintptr_t)leaves, PV_MAX_CPUID, 0, 0}, false);
    repeated("MSR table", (struct call){PV_SYS_VCPU_MSRS, vcpu, (uintptr_t)msrs, PV_MAX_MSRS, 0, 0}, false);
    repeated("all low MSRs", (struct call){PV_SYS_MSR_ALLOW, vcpu, 0, 0x2000, PV_GRANT_NONE, 0}, true);
    repeated("all ports", (struct call){PV_SYS_IO_ALLOW, vcpu, 0, 65536, PV_GRANT_NONE, 0}, true);
}

static void try_refused_entry(struct pv_vcpu *vcpu)
{
    vcpu->state->rflags = 0;
    begin();
    for (int i = 0; i < REPEATS; i++) {
        vcpu->state->dirty = PV_GROUP_FLAGS;
        timed((struct call){PV_SYS_VCPU_RUN, vcpu->id, 1000, 0, 0, 0});
    }
    report("refused entry", false);
    pv_printf("%s\n", vcpu->state->entry_rule);
}

static void try_others(const struct pv_info *info)
{
    struct pv_guest_memory memory;
    struct pv_vcpu vcpu;
    const uint64_t most = (uint64_t)PV_MAP_MAX_PAGES * PV_PAGE_SIZE, pool = info->pool_size;
    if (pv_guest_memory_create(&memory, PV_LARGE_PAGE_SIZE) < 0 || pv_vcpu_open(&vcpu, memory.space) < 0)
        return;
    const uint64_t page = pv_pool_alloc(PV_PAGE_SIZE, PV_PAGE_SIZE);
    begin();
    timed((struct call){PV_SYS_VCPU_CREATE, memory.space, page, PV_OWN_REGISTERS, 0, 0});
    report("a vcpu", false);
    begin();
    timed((struct call){PV_SYS_VCPU_DESTROY, vcpu.id + 1, 0, 0, 0, 0});
    report("its end", false);
    try_tables(vcpu.id);
    try_refused_entry(&vcpu);
    begin();
    timed((struct call){PV_SYS_MEMORY_MAP, PV_USER_MAP_MIN + PV_PAGE_SIZE, 0, pool < most ? pool : most, 0, 0});
    report("memory map", false);
}

int main(const struct pv_info *info, uint32_t agent)
{
    if (agent != 0)
        return 0;
    limit = LIMIT_US * info->tsc_hz / MICROSECONDS;
    pv_printf("limit: %lu ticks\n", limit);
    repeated("nothing", (struct call){PV_SYS_NULL, 0, 0, 0, 0, 0}, true);
    repeated("a new space", (struct call){PV_SYS_SPACE_CREATE, 0, 0, 0, 0, 0}, true);
    try_spaces(info);
    if (strcmp(info->args, "all") == 0)
        try_others(info);
    return failures != 0;
}
