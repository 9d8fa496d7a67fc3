// SPDX-License-Identifier: Apache-2.0
#include "loader.h"

#include <boot/page_map.h>
#include <boot/regions.h>
#include <cpuid.h>

/// SDM Vol. 3A 2.5 (CR4); Vol. 2A, CPUID leaf 80000001H EDX.
#define CR4_PGE (UINT64_C(1) << 7)
#define CR4_LA57 (UINT64_C(1) << 12)
#define CR4_PCIDE (UINT64_C(1) << 17)
#define CR4_CET (UINT64_C(1) << 23)
#define CPUID_EXTENDED 0x80000001u
#define CPUID_PAGES_1G (1u << 26)
#define CPUID_NX (1u << 20)

enum { RSDP_SIZE = 36 }; // bytes, ACPI 6.5, 5.2.5.3

static struct page_map map;

static uint64_t read_cr4(void)
{
    uint64_t value;
    __asm__ volatile("mov %%cr4, %0" : "=r"(value));
    return value;
}

static bool has_no_execute(void)
{
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid(CPUID_EXTENDED, &eax, &ebx, &ecx, &edx) && edx & CPUID_NX;
}

static bool has_giant_pages(void)
{
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid(CPUID_EXTENDED, &eax, &ebx, &ecx, &edx) && edx & CPUID_PAGES_1G;
}

/// Memory that is mapped: all but device registers, since the multiplexer reads ACPI tables too, wherever they are.
static bool is_memory(const EFI_MEMORY_DESCRIPTOR *entry)
{
    uint32_t type = boot_region_type_of_efi(entry->Type, entry->Attribute, BOOT_REGION_LOADER);
    return type == BOOT_REGION_RAM || type == BOOT_REGION_LOADER || type == BOOT_REGION_ACPI || type == BOOT_REGION_NVS;
}

/// Upper bound of the tables for a range: one page directory a GiB, or with 1 GiB pages those at the two ends; one
/// directory-pointer table every 512 GiB.
static uint64_t tables_for(uint64_t base, uint64_t size)
{
    if (base >= PAGE_MAP_IDENTITY_MAX || size > PAGE_MAP_IDENTITY_MAX - base || size == 0)
        return 0;
    uint64_t last = base + size - 1;
    uint64_t directories = last / PAGE_MAP_1G - base / PAGE_MAP_1G + 1;
    uint64_t pointers = last / (PAGE_MAP_1G * PAGE_MAP_ENTRIES) - base / (PAGE_MAP_1G * PAGE_MAP_ENTRIES) + 1;
    return pointers + (map.giant && base >= PAGE_MAP_4G && directories > 2 ? 2 : directories);
}

static EFI_STATUS allocate_tables(const struct boot_info *info, uint64_t framebuffer_size)
{
    enum { ROOT = 1, IMAGE = 1 + 2 }; // an image of up to 64 MiB crosses at most one GiB boundary
    uint64_t pages = ROOT + IMAGE + tables_for(0, PAGE_MAP_4G) + tables_for(info->framebuffer.base, framebuffer_size) +
                     tables_for(info->rsdp, RSDP_SIZE);
    const EFI_MEMORY_DESCRIPTOR *entry;
    for (size_t i = 0; (entry = memory_map_entry(i)); i++) {
        uint64_t end = entry->PhysicalStart + entry->NumberOfPages * EFI_PAGE_SIZE;
        uint64_t base = entry->PhysicalStart < PAGE_MAP_4G ? PAGE_MAP_4G : entry->PhysicalStart;
        if (is_memory(entry) && end > base)
            pages += tables_for(base, end - base);
    }
    uint64_t memory;
    EFI_STATUS status = memory_zeroed(pages * EFI_PAGE_SIZE, &memory);
    if (EFI_ERROR(status)) {
        report("no memory for %llu page tables: %s", (unsigned long long)pages, report_status(status));
        return status;
    }
    map.root = (uint64_t *)(uintptr_t)memory;
    map.spare = (uint8_t *)(uintptr_t)memory + EFI_PAGE_SIZE;
    map.spare_pages = (size_t)pages - 1;
    return EFI_SUCCESS;
}

/// What cannot be mapped at its own address (beyond 128 TiB) is found by paging_check later.
static void map_memory(void)
{
    const EFI_MEMORY_DESCRIPTOR *entry;
    for (size_t i = 0; (entry = memory_map_entry(i)); i++) {
        if (is_memory(entry))
            page_map_identity(&map, entry->PhysicalStart, entry->NumberOfPages * EFI_PAGE_SIZE);
    }
}

EFI_STATUS paging_build(const struct image *image, const struct boot_info *info)
{
    uint64_t framebuffer_size = (uint64_t)info->framebuffer.pitch * info->framebuffer.height;
    if (read_cr4() & CR4_LA57) {
        report("the firmware uses 5-level paging: switch it off in the firmware's set-up (%s)",
               report_status(EFI_UNSUPPORTED));
        return EFI_UNSUPPORTED;
    }
    if (!has_no_execute()) {
        report("the processor's execute-disable bit is missing or switched off: switch it on in the firmware's set-up "
               "(%s)",
               report_status(EFI_UNSUPPORTED));
        return EFI_UNSUPPORTED;
    }
    map.giant = has_giant_pages();
    // The tables' own pages are free memory in this map: they are mapped with the rest.
    EFI_STATUS status = memory_map_read();
    if (EFI_ERROR(status)) {
        report("cannot read the memory map: %s", report_status(status));
        return status;
    }
    status = allocate_tables(info, framebuffer_size);
    if (EFI_ERROR(status))
        return status;
    page_map_identity(&map, 0, PAGE_MAP_4G);
    map_memory();
    if (framebuffer_size > 0)
        page_map_identity(&map, info->framebuffer.base, framebuffer_size);
    if (info->rsdp) // mostly in ACPI memory, but not every firmware keeps to that
        page_map_identity(&map, info->rsdp, RSDP_SIZE);
    if (!page_map_add(&map, image->address, image->base, image->size, false)) {
        report("the page tables of the image do not fit (%s)", report_status(EFI_OUT_OF_RESOURCES));
        return EFI_OUT_OF_RESOURCES;
    }
    return EFI_SUCCESS;
}

void paging_check(struct boot_info *info)
{
    for (uint32_t i = 0; i < info->region_count; i++) {
        struct boot_region *region = &info->regions[i];
        bool used = region->type == BOOT_REGION_RAM || region->type == BOOT_REGION_LOADER;
        if (used && !page_map_holds_identity(&map, region->base, region->size)) {
            boot_complain(info, "memory at %#llx cannot be mapped and is not used", (unsigned long long)region->base);
            region->type = BOOT_REGION_RESERVED;
        }
    }
}

/// Clears the CR4 features whose state the multiplexer does not expect: global pages would survive the change of CR3,
/// and a shadow stack or process-context identifiers are the firmware's.
_Noreturn void paging_enter(uint64_t entry, uint64_t info)
{
    uint64_t cr4 = read_cr4() & ~(CR4_PGE | CR4_PCIDE | CR4_CET);
    __asm__ volatile("cli\n\t"
                     "cld\n\t"
                     "mov %[cr4], %%cr4\n\t"
                     "mov %[cr3], %%cr3\n\t"
                     "jmp *%[entry]"
                     :
                     : [cr4] "r"(cr4), [cr3] "r"(map.root), [entry] "r"(entry), "D"(info)
                     : "memory");
    __builtin_unreachable();
}
