// SPDX-License-Identifier: Apache-2.0
#include "loaders/multiboot1.h"

#include "loaders/elf_kernel.h"
#include "loaders/multiboot.h"

#include <polyvisor/string.h>

#define MAGIC 0x1badb002u

enum {
    SEARCHED = 8192, ///< the whole header lies in so many bytes
    SHORT_HEADER = 12,
    LONG_HEADER = 32, ///< with the addresses

    HEADER_FLAGS = 4,
    HEADER_ADDRESSES = 12,

    FLAG_PAGE_ALIGN = 1 << 0,
    FLAG_MEMORY_INFO = 1 << 1,
    FLAG_VIDEO_MODE = 1 << 2,
    FLAG_ADDRESSES = 1 << 16,
    FLAGS_DEMANDS = 0xffff,
    FLAGS_MET = FLAG_PAGE_ALIGN | FLAG_MEMORY_INFO,
};

/// The boot information.
enum {
    INFO_FLAGS = 0,
    INFO_MEM_LOWER = 4,
    INFO_MEM_UPPER = 8,
    INFO_CMDLINE = 16,
    INFO_MODS_COUNT = 20,
    INFO_MODS_ADDR = 24,
    INFO_MMAP_LENGTH = 44,
    INFO_MMAP_ADDR = 48,
    INFO_LOADER_NAME = 64,
    INFO_SIZE = 116,

    HAS_MEMORY = 1 << 0,
    HAS_CMDLINE = 1 << 2,
    HAS_MODS = 1 << 3,
    HAS_MMAP = 1 << 6,
    HAS_LOADER_NAME = 1 << 9,

    MODULE_SIZE = 16,
    REGION_SIZE = 24, ///< the first field says how many follow: 20
};

static bool find_header(const uint8_t *file, size_t size, size_t *at)
{
    const size_t end = size < SEARCHED ? size : SEARCHED;
    for (*at = 0; *at + SHORT_HEADER <= end; *at += 4) {
        const uint64_t sum = image_field(file, *at, 4) + image_field(file, *at + 4, 4) + image_field(file, *at + 8, 4);
        if (image_field(file, *at, 4) == MAGIC && (uint32_t)sum == 0)
            return true;
    }
    return false;
}

bool multiboot1_parse(const void *start, size_t size, struct image *image, bool *found, char *why)
{
    const uint8_t *file = start;
    size_t at;
    *image = (struct image){.alignment = 1};
    *found = find_header(file, size, &at);
    if (!*found)
        return image_refuse(why, "no Multiboot 1 header (0x1badb002 and its checksum) in the first 8 KiB");
    const uint32_t flags = (uint32_t)image_field(file, at + HEADER_FLAGS, 4);
    if ((flags & FLAG_VIDEO_MODE) != 0)
        return image_refuse(why, "its Multiboot 1 header demands a video mode (flags bit 2): there is no screen");
    if ((flags & FLAGS_DEMANDS & ~(uint32_t)FLAGS_MET) != 0)
        return image_refuse(why, "its Multiboot 1 header demands what is not known (flags %#x)", flags);
    if ((flags & FLAG_ADDRESSES) == 0) {
        if (!elf_is(file, size))
            return image_refuse(why,
                                "its Multiboot 1 header has no addresses (flags bit 16), and it is not an ELF file");
        return elf_kernel_parse(file, size, image, NULL, why) && image_check_entry(image, why);
    }
    if (at + LONG_HEADER > size || at + LONG_HEADER > SEARCHED)
        return image_refuse(why, "truncated: its Multiboot 1 header at %#lx has no room for addresses",
                            (unsigned long)at);
    const struct multiboot_addresses addresses = multiboot_read_addresses(file, at, at + HEADER_ADDRESSES);
    image->entry = image_field(file, at + HEADER_ADDRESSES + 16, 4);
    return multiboot_add_addresses(image, &addresses, size, why) && image_check_entry(image, why);
}

static uint32_t put_modules(const struct image_machine *machine, struct image_area *area)
{
    const size_t modules = image_reserve(area, (size_t)machine->module_count * MODULE_SIZE, 4);
    for (uint32_t i = 0; i < machine->module_count; i++) {
        const struct image_module *module = &machine->modules[i];
        const size_t at = modules + i * MODULE_SIZE;
        image_put(area, at, 4, module->gpa);
        image_put(area, at + 4, 4, module->gpa + module->size);
        image_put(area, at + 8, 4, area->gpa + image_append(area, module->name, strlen(module->name) + 1));
    }
    return (uint32_t)(area->gpa + modules);
}

static uint32_t put_map(const struct image_machine *machine, struct image_area *area)
{
    const size_t map = image_reserve(area, (size_t)machine->region_count * REGION_SIZE, 4);
    for (uint32_t i = 0; i < machine->region_count; i++) {
        const struct image_region *region = &machine->regions[i];
        const size_t at = map + i * REGION_SIZE;
        image_put(area, at, 4, REGION_SIZE - 4);
        image_put(area, at + 4, 8, region->start);
        image_put(area, at + 12, 8, region->end - region->start);
        image_put(area, at + 20, 4, region->type);
    }
    return (uint32_t)(area->gpa + map);
}

uint64_t multiboot1_information(const struct image_machine *machine, struct image_area *area)
{
    const size_t info = image_reserve(area, INFO_SIZE, 8);
    const struct multiboot_memory memory = multiboot_memory(machine);
    image_put(area, info + INFO_FLAGS, 4, HAS_MEMORY | HAS_CMDLINE | HAS_MODS | HAS_MMAP | HAS_LOADER_NAME);
    image_put(area, info + INFO_MEM_LOWER, 4, memory.lower);
    image_put(area, info + INFO_MEM_UPPER, 4, memory.upper);
    image_put(area, info + INFO_CMDLINE, 4, area->gpa + multiboot_append_cmdline(machine, area));
    image_put(area, info + INFO_MODS_COUNT, 4, machine->module_count);
    image_put(area, info + INFO_MODS_ADDR, 4, put_modules(machine, area));
    image_put(area, info + INFO_MMAP_LENGTH, 4, machine->region_count * REGION_SIZE);
    image_put(area, info + INFO_MMAP_ADDR, 4, put_map(machine, area));
    image_put(area, info + INFO_LOADER_NAME, 4,
              area->gpa + image_append(area, MULTIBOOT_LOADER, sizeof(MULTIBOOT_LOADER)));
    return area->full ? 0 : area->gpa + info;
}
