// SPDX-License-Identifier: Apache-2.0
#include "loaders/pvh.h"

#include "loaders/elf_kernel.h"

#include <polyvisor/string.h>

enum { NOTE_PHYS32_ENTRY = 18 };
#define MAGIC 0x336ec578u ///< "xEn3" with bit 7 of the E set

/// struct hvm_start_info, hvm_modlist_entry, hvm_memmap_table_entry.
enum {
    INFO_MAGIC = 0,
    INFO_VERSION = 4,
    INFO_MODULE_COUNT = 12,
    INFO_MODULES = 16,
    INFO_CMDLINE = 24,
    INFO_RSDP = 32,
    INFO_MEMMAP = 40,
    INFO_MEMMAP_COUNT = 48,
    INFO_SIZE = 56,
    MODULE_SIZE = 32,
    REGION_SIZE = 24,
    VERSION = 1, ///< the first with a memory map
};

bool pvh_parse(const void *file, size_t size, struct image *image, bool *found, char *why)
{
    struct elf_note note = {.name = "Xen", .type = NOTE_PHYS32_ENTRY};
    const bool parsed = elf_kernel_parse(file, size, image, &note, why);
    *found = note.found;
    if (!parsed)
        return false;
    if (!note.found)
        return image_refuse(why, "an ELF file without a PVH entry (no note 'Xen' of type 18)");
    image->entry = note.value;
    return image_check_entry(image, why);
}

uint64_t pvh_information(const struct image_machine *machine, struct image_area *area)
{
    const size_t info = image_reserve(area, INFO_SIZE, 8);
    const size_t modules = image_reserve(area, (size_t)machine->module_count * MODULE_SIZE, 8);
    const size_t regions = image_reserve(area, (size_t)machine->region_count * REGION_SIZE, 8);
    const size_t cmdline = image_append(area, machine->cmdline, strlen(machine->cmdline) + 1);
    image_put(area, info + INFO_MAGIC, 4, MAGIC);
    image_put(area, info + INFO_VERSION, 4, VERSION);
    image_put(area, info + INFO_MODULE_COUNT, 4, machine->module_count);
    image_put(area, info + INFO_MODULES, 8, machine->module_count != 0 ? area->gpa + modules : 0);
    image_put(area, info + INFO_CMDLINE, 8, area->gpa + cmdline);
    image_put(area, info + INFO_RSDP, 8, machine->rsdp);
    image_put(area, info + INFO_MEMMAP, 8, area->gpa + regions);
    image_put(area, info + INFO_MEMMAP_COUNT, 4, machine->region_count);
    // Modules have no command line (0): it would be their arguments, and a name is none.
    for (uint32_t i = 0; i < machine->module_count; i++) {
        image_put(area, modules + i * MODULE_SIZE, 8, machine->modules[i].gpa);
        image_put(area, modules + i * MODULE_SIZE + 8, 8, machine->modules[i].size);
    }
    for (uint32_t i = 0; i < machine->region_count; i++) {
        const struct image_region *region = &machine->regions[i];
        image_put(area, regions + i * REGION_SIZE, 8, region->start);
        image_put(area, regions + i * REGION_SIZE + 8, 8, region->end - region->start);
        image_put(area, regions + i * REGION_SIZE + 16, 4, region->type);
    }
    return area->full ? 0 : area->gpa + info;
}
