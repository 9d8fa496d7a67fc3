// SPDX-License-Identifier: Apache-2.0
/// Page tables for the way to mux_entry: 4-level, large pages only, everything writable and executable. The multiplexer
/// soon replaces them. Inline, because two separate programs use it (the EFI loader and the multiboot2 entry). Pure.
#ifndef POLYVISOR_BOOT_PAGE_MAP_H
#define POLYVISOR_BOOT_PAGE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Entry bits (SDM Vol. 3A 4.5, tables 4-15 to 4-18).
enum {
    PAGE_MAP_PRESENT = 1 << 0,
    PAGE_MAP_WRITE = 1 << 1,
    PAGE_MAP_LARGE = 1 << 7,
    PAGE_MAP_ENTRIES = 512,
};
#define PAGE_MAP_TABLE UINT64_C(0x000ffffffffff000)
#define PAGE_MAP_2M UINT64_C(0x200000)
#define PAGE_MAP_1G UINT64_C(0x40000000)
#define PAGE_MAP_4G UINT64_C(0x100000000)
/// Physical addresses from here on have no identity address: virtual ones have 48 bits, of which the last is the sign.
#define PAGE_MAP_IDENTITY_MAX (UINT64_C(1) << 47)

/// A page-table tree. Tables are reached at their physical addresses.
struct page_map {
    uint64_t *root; ///< the PML4
    uint8_t *spare; ///< zeroed 4 KiB pages for more tables
    size_t spare_pages;
    bool giant; ///< the processor has 1 GiB pages
};

/// The table below an entry, made when there is none. NULL: no page is left for it.
static inline uint64_t *page_map_descend(struct page_map *map, uint64_t *entry)
{
    if (!(*entry & PAGE_MAP_PRESENT)) {
        if (map->spare_pages == 0)
            return NULL;
        *entry = (uintptr_t)map->spare | PAGE_MAP_PRESENT | PAGE_MAP_WRITE;
        map->spare += 4096;
        map->spare_pages--;
    }
    return (uint64_t *)(uintptr_t)(*entry & PAGE_MAP_TABLE);
}

static inline size_t page_map_index(uint64_t address, unsigned shift)
{
    return (size_t)(address >> shift) % PAGE_MAP_ENTRIES;
}

/// Maps one page at an address that is a multiple of 2 MiB: a 1 GiB page where possible and allowed, else one of 2 MiB.
/// What is mapped already stays. Returns the bytes mapped from the address on, or 0: no page is left for a table.
static inline uint64_t page_map_one(struct page_map *map, uint64_t virtual, uint64_t physical, uint64_t size,
                                    bool giant)
{
    enum { PML4_SHIFT = 39, PDPT_SHIFT = 30, PD_SHIFT = 21 };
    uint64_t *pdpt = page_map_descend(map, &map->root[page_map_index(virtual, PML4_SHIFT)]);
    if (!pdpt)
        return 0;
    uint64_t *entry = &pdpt[page_map_index(virtual, PDPT_SHIFT)];
    if (*entry & PAGE_MAP_LARGE)
        return PAGE_MAP_1G - virtual % PAGE_MAP_1G;
    if (giant && !*entry && virtual % PAGE_MAP_1G == 0 && physical % PAGE_MAP_1G == 0 && size >= PAGE_MAP_1G) {
        *entry = physical | PAGE_MAP_PRESENT | PAGE_MAP_WRITE | PAGE_MAP_LARGE;
        return PAGE_MAP_1G;
    }
    uint64_t *pd = page_map_descend(map, entry);
    if (!pd)
        return 0;
    entry = &pd[page_map_index(virtual, PD_SHIFT)];
    if (!*entry)
        *entry = physical | PAGE_MAP_PRESENT | PAGE_MAP_WRITE | PAGE_MAP_LARGE;
    return PAGE_MAP_2M;
}

/// Maps [virtual, virtual + size) to physical on, rounded out to 2 MiB; both addresses have the same offset within 2
/// MiB, and neither range wraps round. False: no page is left for a table.
static inline bool page_map_add(struct page_map *map, uint64_t virtual, uint64_t physical, uint64_t size, bool giant)
{
    uint64_t offset = virtual % PAGE_MAP_2M;
    virtual -= offset;
    physical -= offset;
    size = (size + offset + PAGE_MAP_2M - 1) & ~(PAGE_MAP_2M - 1);
    while (size > 0) {
        uint64_t done = page_map_one(map, virtual, physical, size, giant && map->giant);
        if (done == 0)
            return false;
        if (done >= size)
            break;
        virtual += done;
        physical += done;
        size -= done;
    }
    return true;
}

/// Maps physical memory at its own address. Below 4 GiB with 2 MiB pages, since device registers lie there and a page
/// should have one memory type (SDM Vol. 3A 12.11.9). False: beyond PAGE_MAP_IDENTITY_MAX, or no page is left for a
/// table.
static inline bool page_map_identity(struct page_map *map, uint64_t base, uint64_t size)
{
    if (base >= PAGE_MAP_IDENTITY_MAX || size > PAGE_MAP_IDENTITY_MAX - base)
        return false;
    uint64_t low = base >= PAGE_MAP_4G ? 0 : size > PAGE_MAP_4G - base ? PAGE_MAP_4G - base : size;
    if (low > 0 && !page_map_add(map, base, base, low, false))
        return false;
    return size == low || page_map_add(map, base + low, base + low, size - low, true);
}

/// Whether an address is mapped.
static inline bool page_map_holds(const struct page_map *map, uint64_t virtual)
{
    enum { PML4_SHIFT = 39, PDPT_SHIFT = 30, PD_SHIFT = 21 };
    uint64_t entry = map->root[page_map_index(virtual, PML4_SHIFT)];
    if (!(entry & PAGE_MAP_PRESENT))
        return false;
    entry = ((const uint64_t *)(uintptr_t)(entry & PAGE_MAP_TABLE))[page_map_index(virtual, PDPT_SHIFT)];
    if (!(entry & PAGE_MAP_PRESENT) || entry & PAGE_MAP_LARGE)
        return entry & PAGE_MAP_PRESENT;
    entry = ((const uint64_t *)(uintptr_t)(entry & PAGE_MAP_TABLE))[page_map_index(virtual, PD_SHIFT)];
    return entry & PAGE_MAP_PRESENT;
}

/// Whether all of [base, base + size) is mapped at its own address (the range does not wrap round).
static inline bool page_map_holds_identity(const struct page_map *map, uint64_t base, uint64_t size)
{
    if (base >= PAGE_MAP_IDENTITY_MAX || size > PAGE_MAP_IDENTITY_MAX - base)
        return false;
    for (uint64_t at = base & ~(PAGE_MAP_2M - 1); at < base + size; at += PAGE_MAP_2M) {
        if (!page_map_holds(map, at))
            return false;
    }
    return true;
}

#endif
