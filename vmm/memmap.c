// SPDX-License-Identifier: Apache-2.0
/// The physical memory map. All changes are made of one operation, paint: give a range of whole pages one kind and
/// owner.
#include "memmap.h"

#include <polyvisor/string.h>

#define PAGE_SIZE UINT64_C(4096)
/// MAXPHYADDR is at most 52 (SDM Vol. 3A 4.1.4); regions that firmware describes beyond do not exist.
#define ADDRESS_LIMIT (UINT64_C(1) << 52)

static uint64_t end_of(const struct memmap_region *region)
{
    return region->base + region->size;
}

static uint64_t page_down(uint64_t address)
{
    return address & ~(PAGE_SIZE - 1);
}

/// For addresses up to ADDRESS_LIMIT, where it cannot overflow.
static uint64_t page_up(uint64_t address)
{
    return page_down(address + PAGE_SIZE - 1);
}

static bool same(const struct memmap_region *region, uint32_t kind, uint32_t owner)
{
    return region->kind == kind && region->owner == owner;
}

void memmap_init(struct memmap *map)
{
    map->count = 0;
}

/// Index of the first region that ends after an address; map->count when there is none.
static uint32_t first_after(const struct memmap *map, uint64_t address)
{
    uint32_t low = 0, high = map->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (end_of(&map->regions[middle]) > address)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/// Puts `count` regions in the place of those from index `from` to (not including) `to`. False: no room, nothing
/// changed.
static bool splice(struct memmap *map, uint32_t from, uint32_t to, const struct memmap_region *regions, uint32_t count)
{
    uint32_t new_count = map->count - (to - from) + count;

    if (new_count > MEMMAP_MAX)
        return false;
    memmove(&map->regions[from + count], &map->regions[to], (map->count - to) * sizeof(*regions));
    memcpy(&map->regions[from], regions, count * sizeof(*regions));
    map->count = new_count;
    return true;
}

/// Gives [base, end) a kind and owner. What it covers in part is cut; neighbours like it become one with it.
static bool paint(struct memmap *map, uint64_t base, uint64_t end, uint32_t kind, uint32_t owner)
{
    uint32_t from = first_after(map, base), to = from, count = 0;
    struct memmap_region pieces[3];
    struct memmap_region left = {0}, right = {0};

    while (to < map->count && map->regions[to].base < end)
        to++;
    if (from < to && map->regions[from].base < base) {
        left = map->regions[from];
        left.size = base - left.base;
    }
    if (from < to && end_of(&map->regions[to - 1]) > end) {
        right = map->regions[to - 1];
        right.size = end_of(&right) - end;
        right.base = end;
    }
    // A neighbour that only touches the range takes part as if it had been cut off at its edge.
    if (left.size == 0 && from > 0 && end_of(&map->regions[from - 1]) == base)
        left = map->regions[--from];
    if (right.size == 0 && to < map->count && map->regions[to].base == end)
        right = map->regions[to++];

    if (left.size != 0 && same(&left, kind, owner))
        base = left.base;
    else if (left.size != 0)
        pieces[count++] = left;
    if (right.size != 0 && same(&right, kind, owner)) {
        end = end_of(&right);
        right.size = 0;
    }
    pieces[count++] = (struct memmap_region){.base = base, .size = end - base, .kind = kind, .owner = owner};
    if (right.size != 0)
        pieces[count++] = right;
    return splice(map, from, to, pieces, count);
}

/// Who wins where two reports overlap: the higher; of equals, who came first.
static int rank(uint32_t kind)
{
    switch (kind) {
    case PV_MEMORY_FREE:
        return 0;
    case PV_MEMORY_MMIO:
        return 2;
    case PV_MEMORY_BAD:
        return 3;
    default:
        return 1;
    }
}

/// A part of a range that is one gap or lies in one region, and whether a new kind wins there.
struct piece {
    uint64_t base, end;
    bool wins;
    uint32_t cost; ///< how many more regions the map has at most when it is painted
};

/// The piece of [base, end) at its beginning.
static struct piece first_piece(const struct memmap *map, uint64_t base, uint64_t end, uint32_t kind)
{
    uint32_t at = first_after(map, base);
    struct piece piece = {.base = base, .end = end, .wins = true, .cost = 1};
    const struct memmap_region *region = &map->regions[at];

    if (at == map->count)
        return piece;
    if (region->base > base) {
        piece.end = region->base < end ? region->base : end;
        return piece;
    }
    piece.end = end_of(region) < end ? end_of(region) : end;
    piece.wins = rank(kind) > rank(region->kind);
    piece.cost = (region->base < base ? 1U : 0U) + (end_of(region) > end ? 1U : 0U);
    return piece;
}

bool memmap_add(struct memmap *map, uint64_t base, uint64_t size, uint32_t kind, uint32_t owner)
{
    uint64_t end = size < ADDRESS_LIMIT - base && base < ADDRESS_LIMIT ? base + size : ADDRESS_LIMIT;
    uint32_t cost = 0;
    struct piece piece;

    if (size == 0 || base >= ADDRESS_LIMIT)
        return true;
    base = kind == PV_MEMORY_FREE ? page_up(base) : page_down(base);
    end = kind == PV_MEMORY_FREE ? page_down(end) : page_up(end);

    // First whether there is room, so that a full table stays as it was.
    for (uint64_t at = base; at < end; at = piece.end) {
        piece = first_piece(map, at, end, kind);
        cost += piece.wins ? piece.cost : 0;
    }
    if (cost > MEMMAP_MAX - map->count)
        return false;
    for (uint64_t at = base; at < end; at = piece.end) {
        piece = first_piece(map, at, end, kind);
        if (piece.wins && !paint(map, piece.base, piece.end, kind, owner))
            return false; // cannot happen: the cost was counted
    }
    return true;
}

bool memmap_claim(struct memmap *map, uint64_t base, uint64_t size, uint32_t kind, uint32_t owner)
{
    if (size == 0 || base >= ADDRESS_LIMIT)
        return true;
    if (size > ADDRESS_LIMIT - base)
        size = ADDRESS_LIMIT - base;
    return paint(map, page_down(base), page_up(base + size), kind, owner);
}

uint64_t memmap_alloc(struct memmap *map, uint64_t size, uint64_t align, uint64_t min, uint64_t max, uint32_t kind,
                      uint32_t owner)
{
    if (size == 0 || size > ADDRESS_LIMIT || align < PAGE_SIZE || (align & (align - 1)) != 0)
        return 0;
    size = page_up(size);
    if (min < PAGE_SIZE)
        min = PAGE_SIZE; // 0 means failure
    if (max > ADDRESS_LIMIT)
        max = ADDRESS_LIMIT;
    for (uint32_t i = first_after(map, min); i < map->count; i++) {
        const struct memmap_region *region = &map->regions[i];
        uint64_t lowest = region->base > min ? region->base : min;
        uint64_t end = end_of(region) < max ? end_of(region) : max;
        uint64_t padding = -lowest & (align - 1);
        if (region->kind != PV_MEMORY_FREE || lowest >= end || padding >= end - lowest)
            continue;
        if (size <= end - lowest - padding && paint(map, lowest + padding, lowest + padding + size, kind, owner))
            return lowest + padding;
    }
    return 0;
}

uint64_t memmap_total(const struct memmap *map, uint32_t kind)
{
    uint64_t total = 0;

    for (uint32_t i = 0; i < map->count; i++)
        total += map->regions[i].kind == kind ? map->regions[i].size : 0;
    return total;
}

const struct memmap_region *memmap_find(const struct memmap *map, uint64_t address)
{
    uint32_t at = first_after(map, address);

    return at < map->count && map->regions[at].base <= address ? &map->regions[at] : NULL;
}
