// SPDX-License-Identifier: Apache-2.0
// Passes pointers and ranges that are not its own to every system call that takes any. Each must answer with an error.
// Prints "all refused" and exits with code 0, or prints what was not refused and exits with code 1.
#include <polyvisor/vcpu.h>

#include "personality.h"

PV_PERSONALITY(0);

enum { PAGE = 4096 };

struct range {
    const char *what;
    uint64_t address, size;
};

static uint32_t accepted;

/// Notes it when a call was not refused.
static void expect_error(const char *call, const char *what, int64_t result)
{
    if (result < 0)
        return;
    accepted++;
    pv_printf("%s with %s: answered %ld\n", call, what, result);
}

/// Ranges of which at least one byte can neither be read nor written.
static const struct range unreachable[] = {
    {"NULL", 0, 16},
    {"the last byte", UINT64_MAX, 1},
    {"a range that wraps", UINT64_MAX - 15, 32},
    {"the image of the multiplexer", UINT64_C(0xffffffff80000000), 64},
    {"the physmap", UINT64_C(0xffff800000000000), 64},
    {"a page table slot of the kernel half", UINT64_C(0xffffff8000000000), 64},
    {"the first non-canonical address", UINT64_C(0x0000800000000000), 16},
    {"the last non-canonical address", UINT64_C(0xffff7fffffffffff), 1},
    {"a range across the end of the user half", UINT64_C(0x00007fffffffffff), 2},
    {"an unmapped address", UINT64_C(0x0000600000000000), 8},
    {"the guard page below the stack", PV_STACKS_VA + PV_STACK_STRIDE - PV_STACK_SIZE - PAGE, 8},
    {"the page above the info page", PV_INFO_VA + PAGE, 8},
    {"a range that begins well", PV_INFO_VA + PAGE - 8, 16},
    {"a huge range", PV_INFO_VA, UINT64_C(1) << 46},
    {"everything", 0, UINT64_MAX},
};

static void try_ranges(void)
{
    for (size_t i = 0; i < sizeof(unreachable) / sizeof(unreachable[0]); i++) {
        const struct range *r = &unreachable[i];
        expect_error("console_write", r->what, pv_syscall(PV_SYS_CONSOLE_WRITE, r->address, r->size, 0, 0, 0));
        expect_error("console_write (partial)", r->what,
                     pv_syscall(PV_SYS_CONSOLE_WRITE, r->address, r->size, PV_CONSOLE_PARTIAL, 0, 0));
        expect_error("console_read", r->what, pv_syscall(PV_SYS_CONSOLE_READ, r->address, r->size, 0, 0, 0));
        for (uint64_t op = PV_DEBUG_CORES; op <= PV_DEBUG_CPUID; op++)
            expect_error("debug", r->what, pv_syscall(PV_SYS_DEBUG, op, 0, 0, r->address, r->size));
    }
}

/// Memory that may be read must not be written for the caller.
static void try_read_only(const struct pv_info *info)
{
    expect_error("console_read", "the info page", pv_syscall(PV_SYS_CONSOLE_READ, (uintptr_t)info, 16, 0, 0, 0));
    expect_error("console_read", "code", pv_syscall(PV_SYS_CONSOLE_READ, (uintptr_t)&try_read_only, 16, 0, 0, 0));
    expect_error("console_read", "constants", pv_syscall(PV_SYS_CONSOLE_READ, (uintptr_t)unreachable, 16, 0, 0, 0));
}

struct mapping {
    const char *what;
    uint64_t address, offset, size, writable;
};

static void try_mappings(const struct pv_info *info)
{
    const struct mapping mappings[] = {
        {"NULL", 0, 0, PAGE, 1},
        {"its image", PV_IMAGE_MIN, 0, PAGE, 1},
        {"its stack", PV_STACKS_VA + PV_STACK_STRIDE - PAGE, 0, PAGE, 1},
        {"its info page", PV_INFO_VA, 0, PAGE, 1},
        {"its pool", PV_POOL_VA, 0, PAGE, 1},
        {"the kernel half", UINT64_C(0xffff800000000000), 0, PAGE, 1},
        {"a non-canonical address", UINT64_C(0x0000800000000000), 0, PAGE, 1},
        {"the page before the range", PV_USER_MAP_MIN - PAGE, 0, PAGE, 1},
        {"the page after the range", PV_USER_MAP_MAX, 0, PAGE, 1},
        {"a mapping across the end", PV_USER_MAP_MAX - PAGE, 0, 2 * PAGE, 1},
        {"a crooked address", PV_USER_MAP_MIN + 1, 0, PAGE, 1},
        {"a crooked offset", PV_USER_MAP_MIN, 1, PAGE, 1},
        {"a crooked size", PV_USER_MAP_MIN, 0, PAGE + 1, 1},
        {"no size", PV_USER_MAP_MIN, 0, 0, 1},
        {"an offset beyond the pool", PV_USER_MAP_MIN, info->pool_size, PAGE, 1},
        {"a size beyond the pool", PV_USER_MAP_MIN, 0, info->pool_size + PAGE, 1},
        {"an offset and size that wrap", PV_USER_MAP_MIN, 0 - (uint64_t)PAGE, 2 * PAGE, 1},
        {"an address and size that wrap", PV_USER_MAP_MIN, 0, 0 - (uint64_t)PAGE, 1},
        {"writable 2", PV_USER_MAP_MIN, 0, PAGE, 2},
    };
    for (size_t i = 0; i < sizeof(mappings) / sizeof(mappings[0]); i++) {
        const struct mapping *m = &mappings[i];
        expect_error("memory_map", m->what,
                     pv_syscall(PV_SYS_MEMORY_MAP, m->address, m->offset, m->size, m->writable, 0));
    }
    if (pv_memory_map(PV_USER_MAP_MIN, 0, PAGE, false) == 0)
        expect_error("memory_map", "an address that is mapped", pv_memory_map(PV_USER_MAP_MIN, 0, PAGE, true));
    expect_error("console_read", "a read-only mapping", pv_syscall(PV_SYS_CONSOLE_READ, PV_USER_MAP_MIN, 16, 0, 0, 0));
}

static void try_numbers(const struct pv_info *info)
{
    static const uint64_t numbers[] = {PV_SYSCALL_COUNT,  100,       0x7fffffff,        0x80000000, UINT32_MAX,
                                       UINT64_C(1) << 32, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX};
    expect_error("event_signal", "the agent behind the last", pv_event_signal(info->agent_count, PV_EVENT_USER));
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        expect_error("a system call", "a wild number", pv_syscall(numbers[i], 0, 0, 0, 0, 0));
        expect_error("debug", "a wild operation", pv_syscall(PV_SYS_DEBUG, numbers[i] + PV_DEBUG_CRASH, 0, 0, 0, 0));
        if (numbers[i] >= info->agent_count)
            expect_error("event_signal", "a wild agent",
                         pv_syscall(PV_SYS_EVENT_SIGNAL, numbers[i], PV_EVENT_USER, 0, 0, 0));
    }
    expect_error("event_signal", "an event that is not the user's", pv_event_signal(0, PV_EVENT_CONSOLE_INPUT));
    expect_error("event_signal", "an event beyond the mask", pv_event_signal(0, UINT64_C(1) << 31));
    expect_error("event_signal", "an event beyond 32 bits", pv_event_signal(0, UINT64_C(1) << 40));
}

int main(const struct pv_info *info, uint32_t agent)
{
    if (agent != 0)
        return 0;
    try_ranges();
    try_read_only(info);
    try_mappings(info);
    try_numbers(info);
    if (accepted != 0)
        return 1;
    pv_printf("%s: all refused\n", info->name);
    return 0;
}
