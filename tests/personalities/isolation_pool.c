// SPDX-License-Identifier: Apache-2.0
// Tries to give guests memory that is not its own: beyond its pool, by offsets that wrap, with sizes, rights and memory types that
// make no sense, and state pages in such places. And to see such memory itself, through pv_memory_map.
#include "isolation.h"

#define GIB (UINT64_C(1) << 30)

struct attempt {
    const char *what;
    uint64_t gpa, offset, bytes, access;
};

static const uint64_t page = PV_PAGE_SIZE;
static const uint64_t plain = PV_ACCESS_ALL | PV_MEMORY_WB << 8;

static void try_maps(const struct pv_info *info, uint64_t space)
{
    const uint64_t end = info->pool_size;
    const struct attempt attempts[] = {
        {"the page behind the pool", 0, end, page, plain},
        {"two pages across the pool's end", 0, end - page, 2 * page, plain},
        {"the pool and a page more", 0, 0, end + page, plain},
        {"an offset of 1 GiB", 0, GIB, page, plain},
        {"an offset of 2^52", 0, UINT64_C(1) << 52, page, plain},
        {"the page before the pool", 0, 0 - page, page, plain},
        {"two pages from the page before the pool", 0, 0 - page, 2 * page, plain},
        {"an offset and size that wrap to the pool", 0, 2 * page, 0 - page, plain},
        {"a kernel address as offset", 0, UINT64_C(0xffffffff80000000), page, plain},
        {"the physmap as offset", 0, UINT64_C(0xffff800000000000), page, plain},
        {"the address of the pool as offset", 0, PV_POOL_VA, page, plain},
        {"no bytes", 0, 0, 0, plain},
        {"a crooked offset", 0, 1, page, plain},
        {"a crooked gpa", 8, 0, page, plain},
        {"a crooked size", 0, 0, page + 1, plain},
        {"a gpa of 2^48", UINT64_C(1) << 48, 0, page, plain},
        {"a gpa of 2^63", UINT64_C(1) << 63, 0, page, plain},
        {"a gpa and size that wrap", 0 - page, 0, 2 * page, plain},
        {"writing without reading", 0, 0, page, PV_ACCESS_WRITE | PV_MEMORY_WB << 8},
        {"no access", 0, 0, page, PV_MEMORY_WB << 8},
        {"a fourth access bit", 0, 0, page, 8 | plain},
        {"a memory type of 2", 0, 0, page, PV_ACCESS_ALL | 2 << 8},
        {"a memory type of 7", 0, 0, page, PV_ACCESS_ALL | 7 << 8},
        {"a memory type of 255", 0, 0, page, PV_ACCESS_ALL | 255 << 8},
        {"bits above the memory type", 0, 0, page, plain | UINT64_C(1) << 16},
        {"bit 63 of the rights", 0, 0, page, plain | UINT64_C(1) << 63},
    };
    for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
        const struct attempt *a = &attempts[i];
        isolation_call(a->what, pv_syscall_whole(PV_SYS_SPACE_MAP, space, a->gpa, a->offset, a->bytes, a->access));
    }
}

static void try_state_pages(const struct pv_info *info, uint64_t space)
{
    static const struct {
        const char *what;
        uint64_t offset;
    } wild[] = {
        {"a state page before the pool", UINT64_C(0) - PV_PAGE_SIZE},
        {"a crooked state page", 8},
        {"a state page at a kernel address", UINT64_C(0xffffffff80000000)},
        {"a state page in the physmap", UINT64_C(0xffff800000000000)},
        {"a state page at 2^52", UINT64_C(1) << 52},
    };
    for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++)
        isolation_call(wild[i].what, pv_vcpu_create(space, wild[i].offset, PV_OWN_REGISTERS));
    isolation_call("a state page behind the pool", pv_vcpu_create(space, info->pool_size, PV_OWN_REGISTERS));
}

/// The personality's own view of the pool is bounded as its guests' is.
static void try_own_maps(const struct pv_info *info)
{
    const uint64_t end = info->pool_size, at = PV_USER_MAP_MIN;
    const struct {
        const char *what;
        uint64_t address, offset, bytes;
    } attempts[] = {
        {"for itself, the page behind the pool", at, end, page},
        {"for itself, two pages across the pool's end", at, end - page, 2 * page},
        {"for itself, the page before the pool", at, 0 - page, page},
        {"for itself, an offset and size that wrap", at, 2 * page, 0 - page},
        {"for itself, an offset of 1 GiB", at, GIB, page},
        {"for itself, the physmap as offset", at, UINT64_C(0xffff800000000000), page},
        {"its info page replaced", PV_INFO_VA, 0, page},
        {"its code replaced", PV_IMAGE_MIN, 0, page},
        {"a page among the kernel's", UINT64_C(0xffffffff80000000), 0, page},
        {"a range that reaches the kernel's half", PV_USER_MAP_MAX - page, 0, 2 * page},
    };
    for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
        isolation_call(attempts[i].what,
                       pv_memory_map(attempts[i].address, attempts[i].offset, attempts[i].bytes, true));
    // What is its own does work, so that nothing above was refused for another reason.
    isolation_check(pv_memory_map(at, end - page, page, true) == PV_OK, "no more than that: its last page is mapped",
                    0);
}

/// Likewise for guests.
static void try_last_page(const struct pv_info *info, uint64_t space)
{
    const int64_t result = pv_space_map(space, GIB, info->pool_size - page, page, PV_ACCESS_ALL, PV_MEMORY_WB);
    isolation_check(result == PV_OK, "no more than that: a guest gets the pool's last page", result);
}

static void try_occupied(uint64_t space)
{
    if (pv_space_map(space, 4 * page, 0, 4 * page, PV_ACCESS_ALL, PV_MEMORY_WB) != PV_OK) {
        isolation_check(false, "a map that has to work", 0);
        return;
    }
    isolation_call("what is mapped already", pv_space_map(space, 5 * page, page, page, PV_ACCESS_ALL, PV_MEMORY_WB));
    isolation_call("a range that is mapped in its middle",
                   pv_space_map(space, 0, 0, 16 * page, PV_ACCESS_ALL, PV_MEMORY_WB));
    isolation_call("unmapping a crooked address", pv_space_unmap(space, 1, page));
    isolation_call("unmapping a range that wraps", pv_space_unmap(space, 0 - page, 2 * page));
    // What was refused must have changed nothing: the gap before the mapped range is still free.
    isolation_check(pv_space_map(space, 0, 0, 4 * page, PV_ACCESS_ALL, PV_MEMORY_WB) == PV_OK,
                    "a refused map leaves nothing behind", 0);
}

int main(const struct pv_info *info, uint32_t agent)
{
    if (agent != 0)
        return 0;
    const int64_t space = pv_space_create();
    if (space < 0) {
        pv_printf("cannot make a space: %s\n", pv_error_name(space));
        return 2;
    }
    try_maps(info, (uint64_t)space);
    try_state_pages(info, (uint64_t)space);
    try_occupied((uint64_t)space);
    try_last_page(info, (uint64_t)space);
    try_own_maps(info);
    return isolation_verdict();
}
