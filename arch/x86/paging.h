// SPDX-License-Identifier: Apache-2.0
/// 4-level page tables (SDM Vol. 3A 4.5): ring 0's own half, and mappings for ring 3.
#ifndef POLYVISOR_ARCH_PAGING_H
#define POLYVISOR_ARCH_PAGING_H

#include <stdbool.h>
#include <stdint.h>

struct memmap;

/// Rights of a mapping, as the bits of a page-table entry. Present is implied; what is not asked for is not given.
#define PAGE_WRITE (UINT64_C(1) << 1)
#define PAGE_USER (UINT64_C(1) << 2)
#define PAGE_UNCACHED (UINT64_C(3) << 3) // PCD and PWT
#define PAGE_GLOBAL (UINT64_C(1) << 8)
#define PAGE_NO_EXECUTE (UINT64_C(1) << 63)

/// Gives a zeroed page for a table: its physical address, or 0: none left.
typedef uint64_t paging_alloc(void *context);

/// Where a physical address is seen. Before paging_init the loader's identity mapping, after it the physmap.
extern uint64_t physmap_offset;
static inline void *phys_to_virt(uint64_t physical)
{
    return (void *)(physical + physmap_offset);
}

/// Physical address of something in the multiplexer's image.
uint64_t image_to_phys(const void *address);

/// Builds ring 0's tables from the memory map (which pays for them) and switches to them. image_base: where the image
/// stands.
void paging_init(struct memmap *map, uint64_t image_base);
/// The root with ring 0's half and nothing else.
uint64_t paging_kernel_root(void);
/// Maps pages for ring 0 at boot, paid by the memory map. Panics when it cannot.
void paging_map_kernel(uint64_t address, uint64_t physical, uint64_t size, uint64_t flags);
/// Maps device registers, uncached; returns where. Only at boot.
volatile void *paging_map_device(uint64_t physical, uint64_t size);
/// Makes [physical, physical + size) readable through phys_to_virt where the memory map did not promise it (firmware
/// tables).
const void *paging_map_firmware(uint64_t physical, uint64_t size);

/// A root that also maps one low page to itself, executable: a starting core switches paging on while it runs there.
uint64_t paging_make_trampoline_root(uint64_t page);

/// Fills a page as the root of an address space: ring 0's half, empty lower half.
void paging_init_root(uint64_t root);
/// Maps [address, +size) to [physical, +size), all multiples of 4 KiB, with the largest pages that fit. False: no page
/// for a table, or something is mapped there already; what was mapped till then stays.
bool paging_map(uint64_t root, uint64_t address, uint64_t physical, uint64_t size, uint64_t flags, paging_alloc *alloc,
                void *context);
/// What paging_map would need for a range in which nothing is mapped: pages for tables, and leaf entries to write.
/// Counts no further than one more leaf than `most`.
void paging_cost(uint64_t root, uint64_t address, uint64_t physical, uint64_t size, uint64_t most, uint64_t *tables,
                 uint64_t *leaves);
/// The leaf entry that maps an address, or 0. *page_size gets its size in bytes.
uint64_t paging_lookup(uint64_t root, uint64_t address, uint64_t *page_size);
/// Whether nothing is mapped in [address, +size).
bool paging_range_empty(uint64_t root, uint64_t address, uint64_t size);

#endif
