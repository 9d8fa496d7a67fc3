// SPDX-License-Identifier: Apache-2.0
#include "image_check.h"

#include <boot/page_map.h>
#include <polyvisor/string.h>

/// ELF-64 object file format, version 1.5; x86-64 psABI 1.0, 4.1.
enum {
    ELF_CLASS_64 = 2,
    ELF_DATA_LITTLE = 1,
    ELF_VERSION = 1,
    ELF_TYPE_EXEC = 2,
    ELF_MACHINE_X86_64 = 62,
    ELF_PT_LOAD = 1,
    ELF_PF_EXECUTE = 1,
};
#define IMAGE_SIZE_MAX (UINT64_C(64) << 20)
#define IMAGE_ADDRESS_MIN UINT64_C(0xffff800000000000) // the upper half, away from the identity mapping

struct elf_header {
    uint8_t magic[4], class, data, ident_version, padding[9];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, program_headers, section_headers;
    uint32_t flags;
    uint16_t header_size, program_header_size, program_header_count;
    uint16_t section_header_size, section_header_count, section_names;
};

struct elf_program_header {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

/// What a check found wrong, or NULL.
typedef const char *complaint;

/// What is known of the segments read so far.
struct layout {
    uint64_t distance;        ///< from physical to virtual addresses
    uint64_t lowest, highest; ///< virtual addresses
    bool entry_found;
};

static complaint check_header(const struct elf_header *header, size_t size)
{
    static const uint8_t magic[4] = {0x7f, 'E', 'L', 'F'};
    if (size < sizeof *header)
        return "shorter than an ELF header";
    if (memcmp(header->magic, magic, sizeof magic) != 0)
        return "not an ELF file";
    if (header->class != ELF_CLASS_64 || header->data != ELF_DATA_LITTLE || header->ident_version != ELF_VERSION)
        return "not a 64-bit little-endian ELF file";
    if (header->machine != ELF_MACHINE_X86_64)
        return "made for another processor than x86-64";
    if (header->type != ELF_TYPE_EXEC)
        return "not a static executable";
    if (header->program_header_size != sizeof(struct elf_program_header))
        return "its program headers have an unknown size";
    if (header->program_headers > size ||
        header->program_header_count > (size - header->program_headers) / sizeof(struct elf_program_header))
        return "its program headers lie outside the file";
    return NULL;
}

static complaint check_segment(const struct elf_program_header *segment, size_t size)
{
    if (segment->filesz > segment->memsz)
        return "a segment has more bytes in the file than in memory";
    if (segment->offset > size || segment->filesz > size - segment->offset)
        return "a segment lies outside the file (is it truncated?)";
    if (segment->memsz > IMAGE_SIZE_MAX)
        return "a segment is larger than 64 MiB";
    if (segment->vaddr < IMAGE_ADDRESS_MIN || segment->memsz > UINT64_MAX - segment->vaddr)
        return "a segment's address is not in the upper half of the address space";
    return NULL;
}

/// One distance between virtual and physical addresses makes the image contiguous in both.
static complaint check_place(const struct elf_program_header *segment, const struct image_segments *segments,
                             const struct layout *layout)
{
    if (segments->count > 0 && segment->vaddr - segment->paddr != layout->distance)
        return "its segments have different distances between virtual and physical addresses";
    for (uint32_t i = 0; i < segments->count; i++) {
        const struct image_segment *other = &segments->list[i];
        if (segment->vaddr < other->address + other->memory_size && other->address < segment->vaddr + segment->memsz)
            return "its segments overlap";
    }
    return segments->count == IMAGE_SEGMENTS_MAX ? "it has too many segments" : NULL;
}

static void add_segment(const struct elf_program_header *segment, uint64_t entry, struct image_segments *segments,
                        struct layout *layout)
{
    uint64_t end = segment->vaddr + segment->memsz;
    segments->list[segments->count++] = (struct image_segment){.address = segment->vaddr,
                                                               .file_offset = segment->offset,
                                                               .file_size = segment->filesz,
                                                               .memory_size = segment->memsz};
    layout->distance = segment->vaddr - segment->paddr;
    layout->lowest = segment->vaddr < layout->lowest ? segment->vaddr : layout->lowest;
    layout->highest = end > layout->highest ? end : layout->highest;
    if (segment->flags & ELF_PF_EXECUTE && entry >= segment->vaddr && entry - segment->vaddr < segment->filesz)
        layout->entry_found = true;
}

static complaint collect_segments(const struct elf_header *header, size_t size, struct image_segments *segments,
                                  struct layout *layout)
{
    for (uint32_t i = 0; i < header->program_header_count; i++) {
        struct elf_program_header segment;
        memcpy(&segment, (const uint8_t *)header + header->program_headers + i * sizeof segment, sizeof segment);
        if (segment.type != ELF_PT_LOAD || segment.memsz == 0)
            continue;
        complaint wrong = check_segment(&segment, size);
        if (!wrong)
            wrong = check_place(&segment, segments, layout);
        if (wrong)
            return wrong;
        add_segment(&segment, header->entry, segments, layout);
    }
    return segments->count > 0 ? NULL : "it has no segment to load";
}

const char *image_check(const void *file, size_t size, struct image *image, struct image_segments *segments)
{
    const struct elf_header *header = file;
    struct layout layout = {.lowest = UINT64_MAX};
    segments->count = 0;
    complaint wrong = check_header(header, size);
    if (!wrong)
        wrong = collect_segments(header, size, segments, &layout);
    if (wrong)
        return wrong;
    if (layout.highest - layout.lowest > IMAGE_SIZE_MAX)
        return "it takes more than 64 MiB of memory";
    if (layout.lowest % PAGE_MAP_2M || layout.distance % PAGE_MAP_2M)
        return "its first segment is not on a 2 MiB boundary";
    if (!layout.entry_found)
        return "its entry point is not in an executable segment";
    image->size = layout.highest - layout.lowest;
    image->address = layout.lowest;
    image->entry = header->entry;
    return NULL;
}
