// SPDX-License-Identifier: Apache-2.0
// Spaces that are changed while a guest on another core uses them, by two agents at once, in pieces, and by calls that are not finished.
// Exit code 0 when every call did the whole of what it promises, or nothing. Wants two cores, and a quota that leaks use up.
#include "isolation.h"

enum { ROUNDS = 60, HOLE = 0x400000, PAGES = 700, QUIET = 3000, ENDLESS = 300, AGENTS = 2 };
enum { RIGHTS = PV_ACCESS_ALL | PV_MEMORY_WB << 8, BUSY_GPA = 0x40000000 };

/// Counts in a page that comes and goes.
GUEST_CODE(counter, 64, "1: incq 0x400000; jmp 1b");

static struct guest guest;
static uint64_t pages; ///< pool offset of what is mapped at HOLE
static _Atomic uint32_t rounds_left = ROUNDS, faults, other_changes;
static _Atomic bool ready, done;

static void expect(bool good, const char *what, int64_t detail)
{
    isolation_failures += !good;
    if (!good)
        pv_printf("wrong: %s (%ld)\n", what, detail);
}

/* ---- agent 1: the guest, and a place of its own in the space ---- */

static void run_guest(void)
{
    const int64_t reason = guest_run(&guest);
    if (reason == PV_EXIT_EPT_VIOLATION)
        faults++;
    else if (reason != -100) // not the budget either
        expect(false, "the guest's end", reason);
}

static void change_elsewhere(uint64_t round)
{
    const uint64_t bytes = (1 + round % PAGES) * PV_PAGE_SIZE;
    int64_t result = pv_space_map(guest.memory.space, BUSY_GPA, pages, bytes, PV_ACCESS_READ, PV_MEMORY_WB);
    expect(result == 0, "a map by the other agent", result);
    result = pv_space_unmap(guest.memory.space, BUSY_GPA, bytes);
    expect(result == 0, "an unmap by the other agent", result);
    other_changes++;
}

static void second_agent(void)
{
    while (!ready)
        pv_yield();
    if (pv_vcpu_open(&guest.vcpu, guest.memory.space) < 0) {
        expect(false, "a vcpu", 0);
        done = true;
        return;
    }
    guest_start(&guest, GUEST_LONG, counter, counter_end);
    for (uint64_t round = 0; rounds_left > 0; round++) {
        run_guest();
        change_elsewhere(round);
    }
    pv_vcpu_destroy(guest.vcpu.id);
    done = true;
}

/* ---- agent 0 ---- */

static void wait_until_counted(volatile const uint64_t *count)
{
    const uint64_t before = *count, start = pv_tsc();
    while (*count == before && pv_tsc() - start < UINT64_C(100000000)) {
    }
    expect(*count != before, "a guest that gets on", (int64_t)*count);
}

/// After an unmap nobody changes the memory, and a map brings it back.
static void come_and_go(void)
{
    volatile uint64_t *count = pv_pool_pointer(pages);
    const uint64_t bytes = PAGES * PV_PAGE_SIZE;
    for (; rounds_left > 0 && isolation_failures == 0; rounds_left--) {
        int64_t result = pv_space_map(guest.memory.space, HOLE, pages, bytes, PV_ACCESS_ALL, PV_MEMORY_WB);
        expect(result == 0, "a map", result);
        wait_until_counted(count);
        result = pv_space_unmap(guest.memory.space, HOLE, bytes);
        const uint64_t left = *count, start = pv_tsc();
        expect(result == 0, "an unmap", result);
        while (pv_tsc() - start < QUIET && *count == left) {
        }
        expect(*count == left, "memory after an unmap", (int64_t)(*count - left));
    }
    rounds_left = 0;
    while (!done)
        pv_yield();
    pv_printf("%u faults, %u changes by the other agent\n", faults, other_changes);
    expect(faults > 0 && other_changes > 0, "what the other agent saw", faults);
}

/// A space that is made, filled and destroyed again and again: with a leak the quota would not do.
static void spaces_leave_nothing(void)
{
    for (int i = 0; i < ENDLESS && isolation_failures == 0; i++) {
        const int64_t space = pv_space_create();
        expect(space >= 0, "a space", space);
        int64_t result =
            pv_space_map((uint64_t)space, 0x7000, pages, PAGES * PV_PAGE_SIZE, PV_ACCESS_ALL, PV_MEMORY_WB);
        expect(result == 0, "a map of a new space", result);
        if (i % 2 == 0)
            result = pv_space_unmap((uint64_t)space, 0x8000, (PAGES - 2) * PV_PAGE_SIZE);
        expect(result == 0, "an unmap of most of it", result);
        result = pv_space_destroy((uint64_t)space);
        expect(result == 0, "its end", result);
        expect(pv_space_destroy((uint64_t)space) == PV_ERR_NOT_FOUND, "a second end", space);
    }
}

/// Calls the system call once: a large change is not finished by that.
static void start_only(uint64_t number, uint64_t space, uint64_t gpa, uint64_t a, uint64_t b, uint64_t c)
{
    const int64_t result = pv_syscall(number, space, gpa, a, b, c);
    expect(result == PV_ERR_AGAIN, "a part of a change", result);
}

static void unfinished_calls(void)
{
    const uint64_t space = (uint64_t)pv_space_create(), bytes = PAGES * PV_PAGE_SIZE;
    // A map that has changed something has to be finished; the same call does that.
    int64_t result = PV_ERR_AGAIN;
    for (int i = 0; i < 2; i++)
        start_only(PV_SYS_SPACE_MAP, space, 0, pages, bytes, RIGHTS);
    result = pv_space_unmap(space, 0, bytes);
    expect(result == PV_ERR_STATE, "an unmap during an unfinished map", result);
    result = pv_space_map(space, 0, pages, bytes, PV_ACCESS_READ, PV_MEMORY_WB);
    expect(result == PV_ERR_STATE, "another map during an unfinished map", result);
    result = pv_space_map(space, 0, pages, bytes, PV_ACCESS_ALL, PV_MEMORY_WB);
    expect(result == 0, "the rest of a map", result);
    result = pv_space_map(space, 0, pages, bytes, PV_ACCESS_ALL, PV_MEMORY_WB);
    expect(result == PV_ERR_STATE, "the same map again", result);
    // One that will be refused has changed nothing.
    result = pv_space_map(space, bytes - PV_PAGE_SIZE, pages, bytes, PV_ACCESS_ALL, PV_MEMORY_WB);
    expect(result == PV_ERR_STATE, "a map over what is mapped", result);
    result = pv_space_map(space, bytes, pages, bytes, PV_ACCESS_ALL, PV_MEMORY_WB);
    expect(result == 0, "a map behind it", result);
    // Unfinished changes go with the space.
    start_only(PV_SYS_SPACE_UNMAP, space, 0, 2 * bytes, 0, 0);
    result = pv_space_destroy(space);
    expect(result == 0, "the end of a space with an unfinished unmap", result);
    const int64_t next = pv_space_create();
    expect(next == (int64_t)space, "its number", next);
    start_only(PV_SYS_SPACE_MAP, space, 0, pages, bytes, RIGHTS);
    start_only(PV_SYS_SPACE_DESTROY, space, 0, 0, 0, 0);
    result = pv_vcpu_create(space, 0, PV_OWN_REGISTERS);
    expect(result == PV_ERR_NOT_FOUND, "a vcpu in a space at its end", result);
    result = pv_space_map(space, 0, pages, bytes, PV_ACCESS_ALL, PV_MEMORY_WB);
    expect(result == PV_ERR_NOT_FOUND, "a map in a space at its end", result);
    expect(pv_space_destroy(space) == 0, "the rest of its end", 0);
}

/// More small pages than the quota has room for the tables of.
static void refused_maps_change_nothing(const struct pv_info *info)
{
    const int64_t space = pv_space_create();
    int64_t result = 0;
    uint64_t maps = 0;
    const uint64_t bytes = info->pool_size & ~(uint64_t)(PV_PAGE_SIZE - 1);
    for (; result == 0; maps++)
        result = pv_space_map((uint64_t)space, PV_PAGE_SIZE + maps * bytes, 0, bytes, PV_ACCESS_ALL, PV_MEMORY_WB);
    expect(result == PV_ERR_QUOTA, "more tables than there are", result);
    result =
        pv_space_map((uint64_t)space, PV_PAGE_SIZE + (maps - 1) * bytes, 0, PV_PAGE_SIZE, PV_ACCESS_ALL, PV_MEMORY_WB);
    expect(result == 0, "a small map where a large one was refused", result);
    expect(pv_space_destroy((uint64_t)space) == 0, "its end", 0);
    pv_printf("%lu maps until the quota was used up\n", maps);
}

int main(const struct pv_info *info, uint32_t agent)
{
    if (agent == 1)
        second_agent();
    if (agent != 0)
        return 0;
    if (info->agent_count < AGENTS || pv_guest_memory_create(&guest.memory, GUEST_SIZE) < 0)
        return 2;
    pages = pv_pool_alloc(PAGES * PV_PAGE_SIZE, PV_PAGE_SIZE);
    if (pages == PV_POOL_FULL)
        return 3;
    ready = true;
    come_and_go();
    spaces_leave_nothing();
    unfinished_calls();
    refused_maps_change_nothing(info);
    pv_printf("%u wrong\n", isolation_failures);
    return isolation_failures != 0;
}
