// SPDX-License-Identifier: Apache-2.0
#include "loaders/multiboot2.h"

#include "loaders/elf_kernel.h"
#include "loaders/multiboot.h"

#include <polyvisor/string.h>

#define MAGIC 0xe85250d6u
#define WHOLE_FILE UINT32_MAX ///< load_addr -1: the file from its beginning on

enum {
    SEARCHED = 32768, ///< the whole header lies in so many bytes
    HEADER = 16,
    ARCHITECTURE_I386 = 0,
    TAG_OPTIONAL = 1,
    TAG_HEADER = 8,
};

/// Tags of the header.
enum {
    TAG_END = 0,
    TAG_INFORMATION_REQUEST = 1,
    TAG_ADDRESS = 2,
    TAG_ENTRY = 3,
    TAG_CONSOLE = 4,
    TAG_FRAMEBUFFER = 5,
    TAG_MODULE_ALIGN = 6,
    TAG_EFI_SERVICES = 7,
    TAG_EFI_ENTRY_32 = 8,
    TAG_EFI_ENTRY_64 = 9,
    TAG_RELOCATABLE = 10,

    CONSOLE_REQUIRED = 1,
    PREFERS_HIGH = 2,
};

/// Tags of the boot information.
enum {
    INFO_END = 0,
    INFO_CMDLINE = 1,
    INFO_LOADER_NAME = 2,
    INFO_MODULE = 3,
    INFO_MEMORY = 4,
    INFO_MMAP = 6,
    INFO_ELF_SECTIONS = 9,
    INFO_RSDP = 15,
    INFO_BASE = 21,
    INFO_KNOWN = 21, ///< the last that the specification has

    MMAP_ENTRY = 24,
};

struct header {
    const uint8_t *file;
    size_t size; ///< of the file
    size_t at, length;
    struct multiboot_addresses addresses;
    bool has_addresses, has_entry;
    uint64_t entry;
};

static bool find_header(struct header *h)
{
    const size_t end = h->size < SEARCHED ? h->size : SEARCHED;
    for (h->at = 0; h->at + HEADER <= end; h->at += 8) {
        if (image_field(h->file, h->at, 4) != MAGIC)
            continue;
        uint64_t sum = 0;
        for (size_t i = 0; i < HEADER; i += 4)
            sum += image_field(h->file, h->at + i, 4);
        if ((uint32_t)sum == 0)
            return true;
    }
    return false;
}

/* ---- tags of the header; fields begin behind type, flags and size ---- */

/// Information that the machine does not have may be asked for; what is not known, or not made, may not.
static bool check_request(const struct header *h, size_t tag, size_t size, char *why)
{
    for (size_t at = tag + TAG_HEADER; at + 4 <= tag + size; at += 4) {
        const uint32_t type = (uint32_t)image_field(h->file, at, 4);
        if (type > INFO_KNOWN)
            return image_refuse(why, "its Multiboot 2 header demands information of type %u, which is not known", type);
        if (type == INFO_ELF_SECTIONS)
            return image_refuse(why,
                                "its Multiboot 2 header demands the ELF file's sections (9), which are not loaded");
    }
    return true;
}

static bool read_relocatable(const struct header *h, size_t tag, struct image *image, char *why)
{
    image->relocatable = image->wants_base = true;
    image->lowest = image_field(h->file, tag + 8, 4);
    image->highest = image_field(h->file, tag + 12, 4);
    image->alignment = image_field(h->file, tag + 16, 4);
    image->prefers_high = image_field(h->file, tag + 20, 4) == PREFERS_HIGH;
    if (image->alignment == 0 || (image->alignment & (image->alignment - 1)) != 0)
        return image_refuse(why, "its Multiboot 2 relocatable tag has an alignment, %#lx, that is no power of two",
                            (unsigned long)image->alignment);
    return true;
}

static size_t least_size(uint32_t type)
{
    static const uint8_t sizes[] = {
        [TAG_END] = TAG_HEADER, [TAG_INFORMATION_REQUEST] = TAG_HEADER,
        [TAG_ADDRESS] = 24,     [TAG_ENTRY] = 12,
        [TAG_CONSOLE] = 12,     [TAG_RELOCATABLE] = 24,
    };
    return type < sizeof(sizes) && sizes[type] != 0 ? sizes[type] : TAG_HEADER;
}

static bool take_tag(struct header *h, size_t tag, size_t size, struct image *image, char *why)
{
    const uint32_t type = (uint32_t)image_field(h->file, tag, 2);
    const bool optional = (image_field(h->file, tag + 2, 2) & TAG_OPTIONAL) != 0;
    if (size < least_size(type))
        return image_refuse(why, "its Multiboot 2 tag of type %u has %zu bytes, expected %zu", type, size,
                            least_size(type));
    switch (type) {
    case TAG_INFORMATION_REQUEST:
        return optional || check_request(h, tag, size, why);
    case TAG_ADDRESS:
        h->has_addresses = true;
        h->addresses = multiboot_read_addresses(h->file, h->at, tag + TAG_HEADER);
        if (h->addresses.load == WHOLE_FILE)
            h->addresses.load = h->addresses.header - h->at;
        return true;
    case TAG_ENTRY:
        h->has_entry = true;
        h->entry = image_field(h->file, tag + TAG_HEADER, 4);
        return true;
    case TAG_CONSOLE:
        if (!optional && (image_field(h->file, tag + TAG_HEADER, 4) & CONSOLE_REQUIRED) != 0)
            return image_refuse(why, "its Multiboot 2 header demands a console on a screen (tag 4): there is none");
        return true;
    case TAG_RELOCATABLE:
        return read_relocatable(h, tag, image, why);
    case TAG_END:          // another one than the last: of a size of its own
    case TAG_FRAMEBUFFER:  // a preference
    case TAG_MODULE_ALIGN: // always
    case TAG_EFI_SERVICES: // what could be done on EFI
    case TAG_EFI_ENTRY_32:
    case TAG_EFI_ENTRY_64:
        return true;
    default:
        return optional ||
               image_refuse(why, "its Multiboot 2 header has a required tag of type %u, which is not known", type);
    }
}

static bool read_tags(struct header *h, struct image *image, char *why)
{
    const size_t end = h->at + h->length;
    for (size_t tag = h->at + HEADER; tag + TAG_HEADER <= end;) {
        const size_t size = image_field(h->file, tag + 4, 4);
        if (size < TAG_HEADER || size > end - tag)
            return image_refuse(why, "its Multiboot 2 tag at %#lx has %zu bytes, the header ends at %#lx",
                                (unsigned long)tag, size, (unsigned long)end);
        if (image_field(h->file, tag, 2) == TAG_END && size == TAG_HEADER)
            return true;
        if (!take_tag(h, tag, size, image, why))
            return false;
        tag += (size + 7) & ~(size_t)7;
    }
    return image_refuse(why, "its Multiboot 2 header has no end tag");
}

bool multiboot2_parse(const void *file, size_t size, struct image *image, bool *found, char *why)
{
    struct header h = {.file = file, .size = size};
    struct image tags = {.alignment = 1};
    *image = tags;
    *found = find_header(&h);
    if (!*found)
        return image_refuse(why, "no Multiboot 2 header (0xe85250d6 and its checksum) in the first 32 KiB");
    const uint32_t architecture = (uint32_t)image_field(file, h.at + 4, 4);
    h.length = image_field(file, h.at + 8, 4);
    if (architecture != ARCHITECTURE_I386)
        return image_refuse(why, "its Multiboot 2 header is for architecture %u, expected 0 (i386)", architecture);
    const size_t end = size < SEARCHED ? size : SEARCHED;
    if (h.length < HEADER || h.length > end - h.at)
        return image_refuse(
            why, "truncated: its Multiboot 2 header is %zu bytes from %#lx on, the file or 32 KiB end at %#lx",
            h.length, (unsigned long)h.at, (unsigned long)end);
    if (!read_tags(&h, &tags, why))
        return false;
    if (h.has_addresses) {
        if (!h.has_entry)
            return image_refuse(why, "its Multiboot 2 header has an address tag (2) without an entry tag (3)");
        *image = tags;
        if (!multiboot_add_addresses(image, &h.addresses, size, why))
            return false;
    } else {
        if (!elf_is(file, size))
            return image_refuse(why, "its Multiboot 2 header has no address tag (2), and it is not an ELF file");
        if (!elf_kernel_parse(file, size, image, NULL, why))
            return false;
        tags.segment_count = image->segment_count;
        memcpy(tags.segments, image->segments, sizeof(tags.segments));
        tags.entry = image->entry;
        *image = tags;
    }
    if (h.has_entry)
        image->entry = h.entry;
    return image_check_entry(image, why);
}

/* ---- the boot information: the total, a reserved word, and tags at multiples of 8 ---- */

static size_t begin_tag(struct image_area *area, uint32_t type, size_t fields)
{
    const size_t at = image_reserve(area, TAG_HEADER + fields, 8);
    image_put(area, at, 4, type);
    return at;
}

/// Its size is known when all has been appended.
static void end_tag(struct image_area *area, size_t at)
{
    image_put(area, at + 4, 4, area->used - at);
}

static void put_modules(const struct image_machine *machine, struct image_area *area)
{
    for (uint32_t i = 0; i < machine->module_count; i++) {
        const struct image_module *module = &machine->modules[i];
        const size_t at = begin_tag(area, INFO_MODULE, 8);
        image_put(area, at + 8, 4, module->gpa);
        image_put(area, at + 12, 4, module->gpa + module->size);
        image_append(area, module->name, strlen(module->name) + 1);
        end_tag(area, at);
    }
}

static void put_memory(const struct image_machine *machine, struct image_area *area)
{
    const struct multiboot_memory memory = multiboot_memory(machine);
    size_t at = begin_tag(area, INFO_MEMORY, 8);
    image_put(area, at + 8, 4, memory.lower);
    image_put(area, at + 12, 4, memory.upper);
    end_tag(area, at);
    at = begin_tag(area, INFO_MMAP, 8 + (size_t)machine->region_count * MMAP_ENTRY);
    image_put(area, at + 8, 4, MMAP_ENTRY);
    for (uint32_t i = 0; i < machine->region_count; i++) {
        const struct image_region *region = &machine->regions[i];
        const size_t entry = at + 16 + i * MMAP_ENTRY;
        image_put(area, entry, 8, region->start);
        image_put(area, entry + 8, 8, region->end - region->start);
        image_put(area, entry + 16, 4, region->type);
    }
    end_tag(area, at);
}

uint64_t multiboot2_information(const struct image_machine *machine, const struct image *image, struct image_area *area)
{
    const size_t info = image_reserve(area, TAG_HEADER, 8);
    size_t at = begin_tag(area, INFO_CMDLINE, 0);
    multiboot_append_cmdline(machine, area);
    end_tag(area, at);
    at = begin_tag(area, INFO_LOADER_NAME, 0);
    image_append(area, MULTIBOOT_LOADER, sizeof(MULTIBOOT_LOADER));
    end_tag(area, at);
    put_modules(machine, area);
    put_memory(machine, area);
    at = begin_tag(area, INFO_RSDP, 0);
    image_append(area, machine->rsdp_copy, IMAGE_RSDP_SIZE);
    end_tag(area, at);
    if (image->wants_base) {
        at = begin_tag(area, INFO_BASE, 4);
        image_put(area, at + 8, 4, image_start(image));
        end_tag(area, at);
    }
    end_tag(area, begin_tag(area, INFO_END, 0));
    image_put(area, info, 4, area->used - info);
    return area->full ? 0 : area->gpa + info;
}
