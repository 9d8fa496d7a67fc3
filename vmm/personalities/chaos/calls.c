// SPDX-License-Identifier: Apache-2.0
// System calls with random arguments.
#include "chaos.h"

enum { MAX_WAIT = 2000, GIVES_UP = 200, MAX_BUDGET = 60000, USER_MAPS = 8, BATCH = 8, TABLE = 16 };

/// Folds a number into the digest of an agent's first calls (FNV-1a, a word at a time).
static void digest(struct player *player, uint64_t number)
{
    if (player->calls < DIGEST_CALLS)
        player->digest = (player->digest ^ number) * UINT64_C(0x100000001b3);
}

int64_t chaos_call(struct player *player, uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3,
                   uint64_t a4)
{
    switch (number) {
    case PV_SYS_EXIT: // ends everything: not before the time
        return 0;
    case PV_SYS_CONSOLE_WRITE: // readable memory would flood the terminal
        a1 = a0 >= PV_USER_MAP_MAX ? a1 : 0;
        break;
    case PV_SYS_EVENT_WAIT:
        a1 = pv_tsc() + a1 % MAX_WAIT;
        break;
    case PV_SYS_MEMORY_MAP: // nothing unmaps: page tables for few places only
        if (a0 >= PV_USER_MAP_MIN && a0 < PV_USER_MAP_MAX)
            a0 = PV_USER_MAP_MIN + a0 % (USER_MAPS * PV_PAGE_SIZE);
        break;
    case PV_SYS_VCPU_RUN: // agent 0 has to come back to see the end
        if (a1 == 0 || a1 > MAX_BUDGET)
            a1 = player->agent == 0 || a1 != 0 ? 1 + a1 % MAX_BUDGET : 0;
        break;
    default:
        break;
    }
    digest(player, number);
    digest(player, number == PV_SYS_EVENT_WAIT ? a0 : a0 ^ a1 << 1 ^ a2 << 2);
    int64_t result;
    do { // what is not finished is mostly finished, but sometimes left as it is
        result = pv_syscall(number, a0, a1, a2, a3, a4);
        player->calls++;
    } while (result == PV_ERR_AGAIN && !random_chance(&player->random, GIVES_UP));
    player->quota += result == PV_ERR_QUOTA;
    return result;
}

uint64_t chaos_number(struct player *player)
{
    return random_chance(&player->random, 16) ? random_nasty(&player->random) : random_below(&player->random, NUMBERS);
}

void chaos_wild_call(struct player *player)
{
    struct random *r = &player->random;
    const uint64_t number = random_chance(r, 8) ? random_nasty(r) : random_below(r, PV_SYSCALL_COUNT + 2);
    const uint64_t a0 = random_chance(r, 2) ? chaos_number(player) : random_nasty(r);
    const uint64_t a1 = random_nasty(r), a2 = random_nasty(r), a3 = random_nasty(r), a4 = random_nasty(r);
    chaos_call(player, number, a0, a1, a2, a3, a4);
}

/// A page-aligned part of the pool, mostly.
static uint64_t pool_offset(struct player *player)
{
    const struct pv_info *info = (const struct pv_info *)PV_INFO_VA;
    struct random *r = &player->random;
    switch (random_below(r, 4)) {
    case 0:
        return random_nasty(r);
    case 1:
        return playground.pages[random_below(r, PAGES)]; // state pages, which guests should not have
    case 2:
        return playground.memories[random_below(r, MEMORIES)];
    default:
        return random_below(r, info->pool_size / PV_PAGE_SIZE + 2) * PV_PAGE_SIZE;
    }
}

static uint64_t size(struct random *r)
{
    static const uint64_t sizes[] = {PV_PAGE_SIZE, 2 * PV_PAGE_SIZE, 64 << 10, PV_LARGE_PAGE_SIZE};
    return random_chance(r, 8) ? random_nasty(r) : sizes[random_below(r, sizeof(sizes) / sizeof(sizes[0]))];
}

static uint64_t guest_address(struct random *r)
{
    switch (random_below(r, 4)) {
    case 0:
        return random_nasty(r);
    case 1:
        return random_below(r, 16) * PV_LARGE_PAGE_SIZE;
    case 2:
        return random_next(r) & UINT64_C(0x7ffffffff000); // far apart: tables of their own
    default:
        return random_below(r, 1024) * PV_PAGE_SIZE;
    }
}

static uint64_t rights(struct random *r)
{
    static const uint64_t types[] = {PV_MEMORY_UC, PV_MEMORY_WC, PV_MEMORY_WT, PV_MEMORY_WP, PV_MEMORY_WB};
    if (random_chance(r, 8))
        return random_nasty(r);
    return random_below(r, PV_ACCESS_ALL + 1) | types[random_below(r, sizeof(types) / sizeof(types[0]))] << 8;
}

void chaos_space(struct player *player)
{
    struct random *r = &player->random;
    const uint64_t space = chaos_number(player);
    switch (random_below(r, 8)) {
    case 0:
        chaos_call(player, PV_SYS_SPACE_CREATE, 0, 0, 0, 0, 0);
        break;
    case 1:
        chaos_call(player, PV_SYS_SPACE_DESTROY, space, 0, 0, 0, 0);
        break;
    case 2:
    case 3: {
        const uint64_t gpa = guest_address(r), bytes = size(r);
        chaos_call(player, PV_SYS_SPACE_UNMAP, space, gpa, bytes, 0, 0);
        break;
    }
    default: {
        const uint64_t gpa = guest_address(r), offset = pool_offset(player), bytes = size(r), how = rights(r);
        chaos_call(player, PV_SYS_SPACE_MAP, space, gpa, offset, bytes, how);
        break;
    }
    }
}

int64_t chaos_create_vcpu(struct player *player, uint64_t space)
{
    struct random *r = &player->random;
    const uint64_t page = random_below(r, PAGES);
    const uint64_t offset = random_chance(r, 8) ? random_nasty(r) : playground.pages[page];
    const uint64_t registers = random_chance(r, 8) ? chaos_number(player) : PV_OWN_REGISTERS;
    const int64_t vcpu = chaos_call(player, PV_SYS_VCPU_CREATE, space, offset, registers, 0, 0);
    if (vcpu >= 0 && vcpu < PV_MAX_VCPUS)
        playground.page_of[vcpu] = (uint8_t)page;
    return vcpu;
}

void chaos_vcpu(struct player *player)
{
    const uint64_t number = chaos_number(player);
    switch (random_below(&player->random, 6)) {
    case 0:
    case 1:
        chaos_call(player, PV_SYS_VCPU_DESTROY, number, 0, 0, 0, 0);
        break;
    case 2:
        chaos_call(player, PV_SYS_VCPU_KICK, number, 0, 0, 0, 0);
        break;
    case 3:
        chaos_call(player, PV_SYS_VCPU_MOVE, number, 0, 0, 0, 0);
        break;
    default:
        chaos_create_vcpu(player, number);
        break;
    }
}

/// An encoding as the SDM makes them (Vol. 3C table 25-21), or anything.
static uint32_t vmcs_field(struct random *r)
{
    if (random_chance(r, 16))
        return (uint32_t)random_nasty(r);
    const uint64_t width = random_below(r, 4), type = random_below(r, 4), index = random_below(r, 48);
    return (uint32_t)(width << 13 | type << 10 | index << 1 | random_chance(r, 16));
}

void chaos_vmcs(struct player *player)
{
    struct random *r = &player->random;
    struct pv_vmcs_entry entries[BATCH] = {0};
    const uint64_t vcpu = chaos_number(player), count = 1 + random_below(r, BATCH);
    for (uint64_t i = 0; i < count; i++)
        entries[i].field = vmcs_field(r);
    const uint64_t address = random_chance(r, 16) ? random_nasty(r) : (uintptr_t)entries;
    const uint64_t claimed = random_chance(r, 16) && address != (uintptr_t)entries ? random_nasty(r) : count;
    chaos_call(player, PV_SYS_VMCS_READ, vcpu, address, claimed, 0, 0);
    for (uint64_t i = 0; i < count; i++) // bits of what is there, or something else
        entries[i].value =
            random_chance(r, 2) ? entries[i].value ^ UINT64_C(1) << random_below(r, 64) : random_nasty(r);
    if (random_chance(r, 2))
        chaos_call(player, PV_SYS_VMCS_WRITE, vcpu, (uintptr_t)entries, count, 0, 0);
}

void chaos_tables(struct player *player)
{
    struct random *r = &player->random;
    static uint64_t table[TABLE * 3];
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        table[i] = random_nasty(r);
    const uint64_t vcpu = chaos_number(player);
    const uint64_t address = random_chance(r, 8) ? random_nasty(r) : (uintptr_t)table;
    const uint64_t count = random_chance(r, 8) ? random_nasty(r) : random_below(r, TABLE);
    const uint64_t first = random_nasty(r), how = random_below(r, 5);
    switch (random_below(r, 4)) {
    case 0:
        chaos_call(player, PV_SYS_VCPU_CPUID, vcpu, address, count, 0, 0);
        break;
    case 1:
        chaos_call(player, PV_SYS_VCPU_MSRS, vcpu, address, count, 0, 0);
        break;
    case 2:
        chaos_call(player, PV_SYS_MSR_ALLOW, vcpu, first, count, how, 0);
        break;
    default:
        chaos_call(player, PV_SYS_IO_ALLOW, vcpu, first, count, how, 0);
        break;
    }
}
