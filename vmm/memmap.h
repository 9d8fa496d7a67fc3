// SPDX-License-Identifier: Apache-2.0
/// The physical memory map: sorted, disjoint regions of one kind and owner each. Pure; host-tested.
#ifndef POLYVISOR_MEMMAP_H
#define POLYVISOR_MEMMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <polyvisor/abi.h>

enum { MEMMAP_MAX = 1024, MEMMAP_NO_OWNER = 0xffffffff };

struct memmap_region {
    uint64_t base, size;
    uint32_t kind;  ///< enum pv_memory_kind
    uint32_t owner; ///< personality or module number, or MEMMAP_NO_OWNER
};

struct memmap {
    uint32_t count;
    struct memmap_region regions[MEMMAP_MAX]; ///< ascending, disjoint, neighbours of one kind and owner merged
};

void memmap_init(struct memmap *map);

/// Adds a region as a firmware reports it. Overlaps are resolved: anything beats PV_MEMORY_FREE, otherwise what is
/// already there stays, but PV_MEMORY_BAD and PV_MEMORY_MMIO beat everything. Free regions shrink to whole 4 KiB
/// pages, others grow to whole pages. Wrap-around and zero sizes are ignored or cut at 2^52. False: the table is full
/// (map unchanged).
bool memmap_add(struct memmap *map, uint64_t base, uint64_t size, uint32_t kind, uint32_t owner);

/// Claims [base, base + size), rounded out to pages, for a kind and owner, whatever was there; pages that were in no
/// region are added too. False: table full (map unchanged).
bool memmap_claim(struct memmap *map, uint64_t base, uint64_t size, uint32_t kind, uint32_t owner);

/// Takes size bytes (rounded up to pages) of free memory, aligned (a power of two >= 4096), wholly inside [min, max),
/// lowest fit first, and marks them. Returns the base, or 0: none (page 0 is never given out).
uint64_t memmap_alloc(struct memmap *map, uint64_t size, uint64_t align, uint64_t min, uint64_t max, uint32_t kind,
                      uint32_t owner);

/// Bytes of a kind.
uint64_t memmap_total(const struct memmap *map, uint32_t kind);

/// The region that holds an address, or NULL.
const struct memmap_region *memmap_find(const struct memmap *map, uint64_t address);

#endif
