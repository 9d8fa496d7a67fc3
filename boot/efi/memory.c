// SPDX-License-Identifier: Apache-2.0
#include "loader.h"

#include <polyvisor/string.h>

enum {
    MEMORY_MAX = BOOT_MAX_MODULES + 16, ///< modules, configuration, image, boot_info, page tables, memory map
    MEMORY_KEEP = 8 << 20,              ///< bytes that the firmware itself may still need
};
#define MEMORY_LIMIT (UINT64_C(1) << 52) // no processor has more

static struct {
    uint64_t base;
    UINTN pages;
} allocations[MEMORY_MAX];
static size_t allocation_count;

static UINTN pages_of(uint64_t size)
{
    return size == 0 ? 1 : (UINTN)((size + EFI_PAGE_SIZE - 1) / EFI_PAGE_SIZE);
}

/// Bytes that the firmware has not given to anybody; UINT64_MAX when its memory map cannot be had.
static uint64_t free_memory(void)
{
    uint64_t total = 0;
    const EFI_MEMORY_DESCRIPTOR *entry;
    if (EFI_ERROR(memory_map_read()))
        return UINT64_MAX;
    for (size_t i = 0; (entry = memory_map_entry(i)); i++) {
        if (entry->Type == EfiConventionalMemory)
            total += entry->NumberOfPages * EFI_PAGE_SIZE;
    }
    return total;
}

static EFI_STATUS allocate(EFI_ALLOCATE_TYPE type, uint64_t size, uint64_t limit, uint64_t *base)
{
    EFI_PHYSICAL_ADDRESS address = limit;
    if (size >= MEMORY_LIMIT || allocation_count == MEMORY_MAX)
        return EFI_OUT_OF_RESOURCES;
    EFI_STATUS status = loader_boot->AllocatePages(type, EfiLoaderData, pages_of(size), &address);
    if (EFI_ERROR(status))
        return status;
    allocations[allocation_count].base = address;
    allocations[allocation_count].pages = pages_of(size);
    allocation_count++;
    *base = address;
    return EFI_SUCCESS;
}

EFI_STATUS memory_allocate(uint64_t size, uint64_t *base)
{
    // Small amounts need no look at the map, and the map's own buffer comes from here.
    if (size > MEMORY_KEEP && (size >= MEMORY_LIMIT || size + MEMORY_KEEP > free_memory()))
        return EFI_OUT_OF_RESOURCES;
    return allocate(AllocateAnyPages, size, 0, base);
}

EFI_STATUS memory_zeroed(uint64_t size, uint64_t *base)
{
    EFI_STATUS status = memory_allocate(size, base);
    if (!EFI_ERROR(status))
        memset((void *)(uintptr_t)*base, 0, pages_of(size) * EFI_PAGE_SIZE);
    return status;
}

/// EFI aligns to 4 KiB only: allocate more, then give back what lies before and behind the aligned part.
EFI_STATUS memory_allocate_low(uint64_t size, uint64_t alignment, uint64_t *base)
{
    uint64_t start;
    EFI_STATUS status = allocate(AllocateMaxAddress, size + alignment, UINT32_MAX, &start);
    if (EFI_ERROR(status))
        return status;
    uint64_t aligned = (start + alignment - 1) & ~(alignment - 1);
    UINTN before = (UINTN)(aligned - start) / EFI_PAGE_SIZE;
    UINTN behind = pages_of(size + alignment) - before - pages_of(size);
    if (before > 0)
        loader_boot->FreePages(start, before);
    if (behind > 0)
        loader_boot->FreePages(aligned + pages_of(size) * EFI_PAGE_SIZE, behind);
    allocations[allocation_count - 1].base = aligned;
    allocations[allocation_count - 1].pages = pages_of(size);
    *base = aligned;
    return EFI_SUCCESS;
}

void memory_release(uint64_t base)
{
    for (size_t i = 0; i < allocation_count; i++) {
        if (allocations[i].base == base) {
            loader_boot->FreePages(base, allocations[i].pages);
            allocations[i] = allocations[--allocation_count];
            return;
        }
    }
}

void memory_release_all(void)
{
    while (allocation_count > 0)
        memory_release(allocations[allocation_count - 1].base);
}
