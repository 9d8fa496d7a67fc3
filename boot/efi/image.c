// SPDX-License-Identifier: Apache-2.0
#include "loader.h"

#include <boot/page_map.h>
#include <polyvisor/string.h>

static void place_segments(const struct file *file, const struct image *image, const struct image_segments *segments)
{
    for (uint32_t i = 0; i < segments->count; i++) {
        const struct image_segment *segment = &segments->list[i];
        uint8_t *to = (uint8_t *)(uintptr_t)(image->base + (segment->address - image->address));
        memcpy(to, (const uint8_t *)(uintptr_t)file->base + segment->file_offset, (size_t)segment->file_size);
        memset(to + segment->file_size, 0, (size_t)(segment->memory_size - segment->file_size));
    }
}

EFI_STATUS image_load(const char *name, const struct file *file, struct image *image)
{
    struct image_segments segments;
    const char *wrong = image_check((const void *)(uintptr_t)file->base, file->size, image, &segments);
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
