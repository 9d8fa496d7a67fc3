// SPDX-License-Identifier: Apache-2.0
// Source: The Multiboot Specification 0.6.96, 3.1.3 and 3.3; Multiboot2 Specification 2.0, 3.1.5 and 3.6.4.
#include "loaders/multiboot.h"

#include <polyvisor/string.h>

struct multiboot_addresses multiboot_read_addresses(const void *file, size_t header, size_t fields)
{
    return (struct multiboot_addresses){
        .offset = header,
        .header = image_field(file, fields, 4),
        .load = image_field(file, fields + 4, 4),
        .load_end = image_field(file, fields + 8, 4),
        .bss_end = image_field(file, fields + 12, 4),
    };
}

bool multiboot_add_addresses(struct image *image, const struct multiboot_addresses *addresses, size_t size, char *why)
{
    const struct multiboot_addresses *a = addresses;
    if (a->load > a->header || a->header - a->load > a->offset)
        return image_refuse(why,
                            "its load_addr, %#lx, does not fit header_addr, %#lx, with the header at %#lx in the file",
                            (unsigned long)a->load, (unsigned long)a->header, (unsigned long)a->offset);
    const uint64_t offset = a->offset - (a->header - a->load);
    if (a->load_end != 0 && a->load_end < a->load)
        return image_refuse(why, "its load_end_addr, %#lx, is below load_addr, %#lx", (unsigned long)a->load_end,
                            (unsigned long)a->load);
    const uint64_t bytes = a->load_end != 0 ? a->load_end - a->load : size - offset;
    if (a->bss_end != 0 && a->bss_end < a->load + bytes)
        return image_refuse(why, "its bss_end_addr, %#lx, is below the end of what is loaded, %#lx",
                            (unsigned long)a->bss_end, (unsigned long)(a->load + bytes));
    const struct image_segment segment = {
        .gpa = a->load,
        .offset = offset,
        .file_size = bytes,
        .memory_size = a->bss_end != 0 ? a->bss_end - a->load : bytes,
    };
    return image_add_segment(image, &segment, size, why);
}

struct multiboot_memory multiboot_memory(const struct image_machine *machine)
{
    struct multiboot_memory memory = {0};
    for (uint32_t i = 0; i < machine->region_count; i++) {
        const struct image_region *region = &machine->regions[i];
        if (region->type == IMAGE_RAM && region->start == 0)
            memory.lower = (uint32_t)(region->end >> 10);
        if (region->type == IMAGE_RAM && region->start == IMAGE_LOWEST)
            memory.upper = (uint32_t)((region->end - region->start) >> 10);
    }
    return memory;
}

size_t multiboot_append_cmdline(const struct image_machine *machine, struct image_area *area)
{
    const size_t at = image_append(area, MULTIBOOT_FILE, sizeof(MULTIBOOT_FILE) - 1);
    image_append(area, machine->cmdline, strlen(machine->cmdline) + 1);
    return at;
}
