// SPDX-License-Identifier: Apache-2.0
#include "multiboot2.h"

#include <boot/page_map.h>
#include <boot/regions.h>
#include <boot/serial.h>
#include <cpuid.h>
#include <polyvisor/string.h>

enum {
    TABLE_PAGES = 64,             ///< for RAM above 4 GiB: with 2 MiB pages 1 GiB each, with 1 GiB pages 512 GiB each
    CPUID_EXTENDED = 0x80000001u, ///< SDM Vol. 2A, CPUID, EDX of this leaf
    CPUID_PAGES_1G = 1 << 26,
};

extern char image_start[], image_end[];
extern uint64_t multiboot2_pml4[PAGE_MAP_ENTRIES];

_Noreturn void mux_entry(uint64_t boot_info);
_Noreturn void multiboot2_start(uint32_t information, uint32_t image_base);

static struct boot_info boot;
static _Alignas(4096) uint8_t tables[TABLE_PAGES][4096];

/// Says why nothing can be started. There is no firmware to return to.
static _Noreturn void stop(const char *why)
{
    static const char prefix[] = "\nPolyvisor: cannot start: ";
    if (serial_init() && serial_write(prefix, sizeof prefix - 1) && serial_write(why, strlen(why)))
        serial_write("\n", 1);
    for (;;)
        __asm__ volatile("cli\n\thlt");
}

static bool has_giant_pages(void)
{
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid(CPUID_EXTENDED, &eax, &ebx, &ecx, &edx) && edx & CPUID_PAGES_1G;
}

/// Maps a region at its own address, a GiB at a time, and cuts it where that is no longer possible.
static void map_region(struct page_map *map, struct boot_region *region)
{
    uint64_t done = 0;
    while (done < region->size) {
        uint64_t at = region->base + done, part = PAGE_MAP_1G - at % PAGE_MAP_1G;
        if (part > region->size - done)
            part = region->size - done;
        if (!page_map_identity(map, at, part)) {
            boot_complain(&boot, "memory from %#llx on cannot be mapped and is not used", (unsigned long long)at);
            region->size = done;
        }
        done += part;
    }
}

/// Adds what entry.asm did not map: RAM above 4 GiB, and a framebuffer there.
static void map_high_memory(struct page_map *map)
{
    for (uint32_t i = 0; i < boot.region_count; i++) {
        if (boot.regions[i].type == BOOT_REGION_RAM || boot.regions[i].type == BOOT_REGION_LOADER)
            map_region(map, &boot.regions[i]);
    }
    uint64_t size = (uint64_t)boot.framebuffer.pitch * boot.framebuffer.height;
    if (size > 0 && !page_map_identity(map, boot.framebuffer.base, size))
        boot.framebuffer = (struct boot_framebuffer){0};
}

/// From entry.asm, in 64-bit mode on its stack: information = physical address of the multiboot information, image_base
/// = where the image stands.
_Noreturn void multiboot2_start(uint32_t information, uint32_t image_base)
{
    char error[MULTIBOOT2_ERROR_SIZE];
    uint64_t tsc_start = __builtin_ia32_rdtsc();
    uint64_t moved = (uintptr_t)image_start - image_base; // from physical to linked addresses
    if (!multiboot2_parse((const void *)(uintptr_t)information, MULTIBOOT2_MAX, &boot, error, sizeof error))
        stop(error);
    boot.tsc_start = tsc_start;
    boot.tsc_files = tsc_start;
    boot.image_base = image_base;
    boot.image_size = (uintptr_t)image_end - (uintptr_t)image_start;
    struct page_map map = {.root = (uint64_t *)((uintptr_t)multiboot2_pml4 - moved),
                           .spare = (uint8_t *)((uintptr_t)tables - moved),
                           .spare_pages = TABLE_PAGES,
                           .giant = has_giant_pages()};
    map_high_memory(&map);
    boot.tsc_enter = __builtin_ia32_rdtsc();
    mux_entry((uintptr_t)&boot - moved);
}
