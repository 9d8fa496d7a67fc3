// SPDX-License-Identifier: Apache-2.0
#include "loader.h"

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
    SEGMENTS_MAX = 16,
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

struct segments {
    uint32_t count;
    struct elf_program_header list[SEGMENTS_MAX];
};

static complaint check_header(const struct elf_header *header, const struct file *file)
{
    static const uint8_t magic[4] = {0x7f, 'E', 'L', 'F'};
    if (file->size < sizeof *header)
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
    if (header->program_headers > file->size ||
        header->program_header_count > (file->size - header->program_headers) / sizeof(struct elf_program_header))
        return "its program headers lie outside the file";
    return NULL;
}

static complaint check_segment(const struct elf_program_header *segment, const struct file *file)
{
    if (segment->filesz > segment->memsz)
        return "a segment has more bytes in the file than in memory";
    if (segment->offset > file->size || segment->filesz > file->size - segment->offset)
        return "a segment lies outside the file (is it truncated?)";
    if (segment->memsz > IMAGE_SIZE_MAX)
        return "a segment is larger than 64 MiB";
    if (segment->vaddr < IMAGE_ADDRESS_MIN || segment->memsz > UINT64_MAX - segment->vaddr ||
        segment->memsz > UINT64_MAX - segment->paddr)
        return "a segment's address is not in the upper half of the address space";
    return NULL;
}

static complaint collect_segments(const struct elf_header *header, const struct file *file, struct segments *segments)
{
    const uint8_t *bytes = (const uint8_t *)(uintptr_t)file->base;
    for (uint32_t i = 0; i < header->program_header_count; i++) {
        struct elf_program_header segment;
        memcpy(&segment, bytes + header->program_headers + i * sizeof segment, sizeof segment);
        if (segment.type != ELF_PT_LOAD || segment.memsz == 0)
            continue;
        complaint wrong = check_segment(&segment, file);
        if (wrong)
            return wrong;
        if (segments->count == SEGMENTS_MAX)
            return "it has too many segments";
        segments->list[segments->count++] = segment;
    }
    return segments->count > 0 ? NULL : "it has no segment to load";
}

static bool overlap(const struct elf_program_header *a, const struct elf_program_header *b)
{
    return a->paddr < b->paddr + b->memsz && b->paddr < a->paddr + a->memsz;
}

/// One distance between virtual and physical addresses makes the image contiguous in both.
static complaint check_layout(const struct segments *segments, uint64_t lowest, uint64_t highest)
{
    for (uint32_t i = 0; i < segments->count; i++) {
        const struct elf_program_header *segment = &segments->list[i];
        if (segment->vaddr - segment->paddr != segments->list[0].vaddr - segments->list[0].paddr)
            return "its segments have different distances between virtual and physical addresses";
        for (uint32_t j = 0; j < i; j++) {
            if (overlap(segment, &segments->list[j]))
                return "its segments overlap";
        }
    }
    if (highest - lowest > IMAGE_SIZE_MAX)
        return "it takes more than 64 MiB of memory";
    if (lowest % PAGE_MAP_2M || (segments->list[0].vaddr - segments->list[0].paddr) % PAGE_MAP_2M)
        return "its first segment is not on a 2 MiB boundary";
    return NULL;
}

static complaint check_entry(const struct segments *segments, uint64_t entry)
{
    for (uint32_t i = 0; i < segments->count; i++) {
        const struct elf_program_header *segment = &segments->list[i];
        if (segment->flags & ELF_PF_EXECUTE && entry >= segment->vaddr && entry - segment->vaddr < segment->filesz)
            return NULL;
    }
    return "its entry point is not in an executable segment";
}

/// Checks everything, and fills in the image but for its base.
static complaint check_image(const struct file *file, struct image *image, struct segments *segments)
{
    const struct elf_header *header = (const struct elf_header *)(uintptr_t)file->base;
    complaint wrong = check_header(header, file);
    if (!wrong)
        wrong = collect_segments(header, file, segments);
    if (wrong)
        return wrong;
    uint64_t lowest = UINT64_MAX, highest = 0;
    for (uint32_t i = 0; i < segments->count; i++) {
        const struct elf_program_header *segment = &segments->list[i];
        lowest = segment->paddr < lowest ? segment->paddr : lowest;
        highest = segment->paddr + segment->memsz > highest ? segment->paddr + segment->memsz : highest;
    }
    wrong = check_layout(segments, lowest, highest);
    if (wrong)
        return wrong;
    image->size = highest - lowest;
    image->address = segments->list[0].vaddr - segments->list[0].paddr + lowest;
    image->entry = header->entry;
    return check_entry(segments, header->entry);
}

static void place_segments(const struct file *file, const struct image *image, const struct segments *segments)
{
    for (uint32_t i = 0; i < segments->count; i++) {
        const struct elf_program_header *segment = &segments->list[i];
        uint8_t *to = (uint8_t *)(uintptr_t)(image->base + (segment->vaddr - image->address));
        memcpy(to, (const uint8_t *)(uintptr_t)file->base + segment->offset, (size_t)segment->filesz);
        memset(to + segment->filesz, 0, (size_t)(segment->memsz - segment->filesz));
    }
}

EFI_STATUS image_load(const char *name, const struct file *file, struct image *image)
{
    struct segments segments = {0};
    complaint wrong = check_image(file, image, &segments);
    if (wrong) {
        report("%s: %s (%s)", name, wrong, report_status(EFI_LOAD_ERROR));
        return EFI_LOAD_ERROR;
    }
    // Whole large pages, so that the mapping of the image covers nothing else.
    uint64_t size = (image->size + PAGE_MAP_2M - 1) & ~(PAGE_MAP_2M - 1);
    EFI_STATUS status = memory_allocate_low(size, PAGE_MAP_2M, &image->base);
    if (EFI_ERROR(status)) {
        report("%s: no %llu KiB of memory for it below 4 GiB: %s", name, (unsigned long long)size / 1024,
               report_status(status));
        return status;
    }
    place_segments(file, image, &segments);
    return EFI_SUCCESS;
}
