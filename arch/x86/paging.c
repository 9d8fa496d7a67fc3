// SPDX-License-Identifier: Apache-2.0
#include "arch/x86/paging.h"

#include <polyvisor/string.h>

#include "arch/x86/core.h"
#include "arch/x86/cpu.h"
#include "arch/x86/layout.h"
#include "arch/x86/registers.h"
#include "vmm/memmap.h"
#include "vmm/panic.h"

enum { ENTRIES = 512, LEVELS = 4, ENTRY_PRESENT = 1, ENTRY_LARGE = 1 << 7 };
#define ENTRY_ADDRESS UINT64_C(0x000ffffffffff000)

uint64_t physmap_offset; // 0: the loader's identity mapping

static uint64_t kernel_root;
static uint64_t image_physical;
static struct memmap *boot_map;
static uint64_t next_device = DEVICES_BASE;
static bool have_1g_pages;

extern const uint8_t image_start[], text_end[], rodata_end[], image_end[];

static uint64_t alloc_boot(void *context)
{
    (void)context;
    // Below 4 GiB because a starting core loads CR3 in 32-bit mode.
    uint64_t page =
        memmap_alloc(boot_map, PAGE_SIZE, PAGE_SIZE, 0, UINT64_C(1) << 32, PV_MEMORY_MULTIPLEXER, MEMMAP_NO_OWNER);
    if (page) {
        memset(phys_to_virt(page), 0, PAGE_SIZE);
    }
    return page;
}

static uint64_t *entry_of(uint64_t table, uint64_t address, int level)
{
    return (uint64_t *)phys_to_virt(table) + (address >> (12 + 9 * level) & (ENTRIES - 1));
}

/// Largest page for the rest of a mapping: level 0 (4 KiB), 1 (2 MiB) or 2 (1 GiB).
static int leaf_level(uint64_t address, uint64_t physical, uint64_t size)
{
    uint64_t both = address | physical;
    if (have_1g_pages && !(both & (PAGE_SIZE_1G - 1)) && size >= PAGE_SIZE_1G) {
        return 2;
    }
    return !(both & (PAGE_SIZE_2M - 1)) && size >= PAGE_SIZE_2M ? 1 : 0;
}

static bool map_one(uint64_t root, uint64_t address, uint64_t physical, int leaf, uint64_t flags, paging_alloc *alloc,
                    void *context)
{
    uint64_t table = root;
    for (int level = LEVELS - 1; level > leaf; level--) {
        uint64_t *entry = entry_of(table, address, level);
        if (!(*entry & ENTRY_PRESENT)) {
            uint64_t page = alloc(context);
            if (!page) {
                return false;
            }
            *entry = page | ENTRY_PRESENT | PAGE_WRITE | (flags & PAGE_USER); // the leaf restricts
        } else if (*entry & ENTRY_LARGE) {
            return false;
        }
        table = *entry & ENTRY_ADDRESS;
    }
    uint64_t *entry = entry_of(table, address, leaf);
    if (*entry & ENTRY_PRESENT) {
        return false;
    }
    *entry = physical | flags | ENTRY_PRESENT | (leaf ? ENTRY_LARGE : 0);
    return true;
}

bool paging_map(uint64_t root, uint64_t address, uint64_t physical, uint64_t size, uint64_t flags, paging_alloc *alloc,
                void *context)
{
    while (size) {
        int leaf = leaf_level(address, physical, size);
        uint64_t step = UINT64_C(1) << (12 + 9 * leaf);
        if (!map_one(root, address, physical, leaf, flags, alloc, context)) {
            return false;
        }
        address += step;
        physical += step;
        size -= step;
    }
    return true;
}

/// Tables of a level and above it that are missing for an address, given that nothing else is mapped by this call so
/// far.
static uint64_t missing_tables(uint64_t root, uint64_t address, int leaf)
{
    uint64_t table = root;
    for (int level = LEVELS - 1; level > leaf; level--) {
        uint64_t entry = *entry_of(table, address, level);
        if (!(entry & ENTRY_PRESENT)) {
            return (uint64_t)(level - leaf);
        }
        table = entry & ENTRY_ADDRESS;
    }
    return 0;
}

void paging_cost(uint64_t root, uint64_t address, uint64_t physical, uint64_t size, uint64_t most, uint64_t *tables,
                 uint64_t *leaves)
{
    uint64_t last = ~address; // differs from the first address in every bit
    *tables = *leaves = 0;
    while (size && *leaves <= most) {
        int leaf = leaf_level(address, physical, size);
        uint64_t step = UINT64_C(1) << (12 + 9 * leaf);
        // A table that this address shares with the last one is counted already.
        int shared = LEVELS;
        while (shared > 0 && last >> (12 + 9 * shared) == address >> (12 + 9 * shared)) {
            shared--;
        }
        uint64_t missing = missing_tables(root, address, leaf);
        uint64_t own = (uint64_t)(shared > leaf ? shared - leaf : 0);
        *tables += missing < own ? missing : own;
        (*leaves)++;
        last = address;
        address += step;
        physical += step;
        size -= step;
    }
}

uint64_t paging_lookup(uint64_t root, uint64_t address, uint64_t *page_size)
{
    uint64_t table = root;
    for (int level = LEVELS - 1; level >= 0; level--) {
        uint64_t entry = *entry_of(table, address, level);
        *page_size = UINT64_C(1) << (12 + 9 * level);
        if (!(entry & ENTRY_PRESENT) || level == 0 || (entry & ENTRY_LARGE)) {
            return entry & ENTRY_PRESENT ? entry : 0;
        }
        table = entry & ENTRY_ADDRESS;
    }
    return 0;
}

bool paging_range_empty(uint64_t root, uint64_t address, uint64_t size)
{
    for (uint64_t at = address; at < address + size;) {
        uint64_t page_size;
        if (paging_lookup(root, at, &page_size)) {
            return false;
        }
        at = (at & ~(page_size - 1)) + page_size;
    }
    return true;
}

void paging_init_root(uint64_t root)
{
    uint64_t *table = phys_to_virt(root);
    const uint64_t *kernel = phys_to_virt(kernel_root);
    memset(table, 0, PAGE_SIZE / 2);
    memcpy(table + ENTRIES / 2, kernel + ENTRIES / 2, PAGE_SIZE / 2);
}

uint64_t paging_make_trampoline_root(uint64_t page)
{
    uint64_t root = alloc_boot(NULL);
    if (!root) {
        panic("no memory below 4 GiB for page tables");
    }
    paging_init_root(root);
    if (!paging_map(root, page, page, PAGE_SIZE, 0, alloc_boot, NULL)) {
        panic("cannot map the page 0x%lx that cores start in", page);
    }
    return root;
}

uint64_t paging_kernel_root(void)
{
    return kernel_root;
}

uint64_t image_to_phys(const void *address)
{
    return (uint64_t)address - (uint64_t)image_start + image_physical;
}

void paging_map_kernel(uint64_t address, uint64_t physical, uint64_t size, uint64_t flags)
{
    if (!paging_map(kernel_root, address, physical, size, flags | PAGE_GLOBAL, alloc_boot, NULL)) {
        panic("no memory for page tables, or 0x%lx is mapped twice", address);
    }
}

volatile void *paging_map_device(uint64_t physical, uint64_t size)
{
    uint64_t first = physical & ~(uint64_t)(PAGE_SIZE - 1);
    uint64_t bytes = (physical + size - first + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
    uint64_t address = next_device;
    next_device += bytes;
    paging_map_kernel(address, first, bytes, PAGE_WRITE | PAGE_NO_EXECUTE | PAGE_UNCACHED);
    return (volatile void *)(address + (physical - first));
}

const void *paging_map_firmware(uint64_t physical, uint64_t size)
{
    uint64_t end = physical + size;
    if (end < physical || end > PHYSMAP_SIZE) {
        return NULL;
    }
    for (uint64_t at = physical & ~(uint64_t)(PAGE_SIZE - 1); at < end;) {
        uint64_t page_size;
        if (!paging_lookup(kernel_root, PHYSMAP_BASE + at, &page_size)) {
            paging_map_kernel(PHYSMAP_BASE + at, at, PAGE_SIZE, PAGE_NO_EXECUTE);
            page_size = PAGE_SIZE;
        }
        at += PAGE_SIZE;
    }
    return phys_to_virt(physical);
}

/// The image: code read-only and executable, constants read-only, data read-write; nothing both writable and
/// executable.
static void map_image(void)
{
    const struct {
        const uint8_t *start, *end;
        uint64_t flags;
    } parts[] = {
        {image_start, text_end, 0},
        {text_end, rodata_end, PAGE_NO_EXECUTE},
        {rodata_end, image_end, PAGE_NO_EXECUTE | PAGE_WRITE},
    };
    for (int i = 0; i < 3; i++) {
        paging_map_kernel((uint64_t)parts[i].start, image_to_phys(parts[i].start),
                          (uint64_t)(parts[i].end - parts[i].start), parts[i].flags);
    }
}

/// What a physmap is for: memory, not device registers or firmware areas that may have side effects.
static bool in_physmap(const struct memmap_region *region)
{
    return region->kind != PV_MEMORY_MMIO && region->kind != PV_MEMORY_BAD && region->kind != PV_MEMORY_FIRMWARE &&
           region->base < PHYSMAP_SIZE;
}

/// RAM in the physmap, but for the image's code and constants: those only read-only, so that no alias breaks W^X.
static void map_physmap(const struct memmap *map)
{
    uint64_t protected_end = image_to_phys(rodata_end);
    for (uint32_t i = 0; i < map->count; i++) {
        const struct memmap_region *r = &map->regions[i];
        uint64_t at = r->base, end = r->base + r->size;
        if (!in_physmap(r)) {
            continue;
        }
        end = end < PHYSMAP_SIZE ? end : PHYSMAP_SIZE;
        while (at < end) {
            bool inside = at >= image_physical && at < protected_end;
            uint64_t stop = inside ? protected_end : at < image_physical ? image_physical : end;
            stop = stop < end ? stop : end;
            paging_map_kernel(PHYSMAP_BASE + at, at, stop - at, PAGE_NO_EXECUTE | (inside ? 0 : PAGE_WRITE));
            at = stop;
        }
    }
}

void paging_init(struct memmap *map, uint64_t image_base)
{
    boot_map = map;
    image_physical = image_base;
    have_1g_pages = cpu_cpuid(0x80000001, 0).edx & CPUID_80000001_EDX_1G;
    kernel_root = alloc_boot(NULL);
    if (!kernel_root) {
        panic("no memory below 4 GiB for page tables");
    }
    // All third-level tables of the upper half that boot needs are there before the first personality copies the root.
    static struct memmap snapshot; // the tables themselves come from the map that is walked
    memcpy(&snapshot, map, sizeof(snapshot));
    map_image();
    map_physmap(&snapshot);
    core_load_root(&cores[0], kernel_root);
    physmap_offset = PHYSMAP_BASE;
}
