// SPDX-License-Identifier: Apache-2.0
#include "loaders/image.h"

#include <polyvisor/format.h>
#include <polyvisor/string.h>

#define ADDRESSES (UINT64_C(1) << 32) ///< that a 32-bit kernel has

const char *image_protocol_name(enum image_protocol protocol)
{
    static const char *const names[IMAGE_PROTOCOLS] = {"unknown", "Linux", "PVH", "Multiboot 2", "Multiboot 1"};
    return protocol < IMAGE_PROTOCOLS ? names[protocol] : "unknown";
}

const char *image_protocol_word(enum image_protocol protocol)
{
    static const char *const words[IMAGE_PROTOCOLS] = {"", "linux", "pvh", "multiboot2", "multiboot1"};
    return protocol < IMAGE_PROTOCOLS ? words[protocol] : "";
}

uint64_t image_field(const void *file, size_t offset, size_t bytes)
{
    const uint8_t *at = (const uint8_t *)file + offset;
    uint64_t value = 0;
    for (size_t i = bytes; i-- > 0;)
        value = value << 8 | at[i];
    return value;
}

bool image_refuse(char *why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pv_vsnprintf(why, IMAGE_WHY, format, args);
    va_end(args);
    return false;
}

/* ---- segments ---- */

bool image_add_segment(struct image *image, const struct image_segment *segment, size_t file_size, char *why)
{
    const struct image_segment *s = segment;
    const uint32_t number = image->segment_count;
    if (s->memory_size == 0 && s->file_size == 0)
        return true;
    if (s->offset > file_size || s->file_size > file_size - s->offset)
        return image_refuse(why, "truncated: %zu bytes, segment %u is %#lx bytes from %#lx on", file_size, number,
                            (unsigned long)s->file_size, (unsigned long)s->offset);
    if (s->file_size > s->memory_size)
        return image_refuse(why, "segment %u has %#lx bytes in the file, %#lx in memory", number,
                            (unsigned long)s->file_size, (unsigned long)s->memory_size);
    if (s->gpa >= ADDRESSES || s->memory_size > ADDRESSES - s->gpa)
        return image_refuse(why, "segment %u, %#lx bytes at %#lx, is not below 4G", number,
                            (unsigned long)s->memory_size, (unsigned long)s->gpa);
    if (number == IMAGE_SEGMENTS)
        return image_refuse(why, "it has more than %u segments", IMAGE_SEGMENTS);
    for (uint32_t i = 0; i < number; i++) {
        const struct image_segment *other = &image->segments[i];
        if (s->gpa < other->gpa + other->memory_size && other->gpa < s->gpa + s->memory_size)
            return image_refuse(why, "segments %u and %u overlap at %#lx", i, number,
                                (unsigned long)(s->gpa > other->gpa ? s->gpa : other->gpa));
    }
    image->segments[image->segment_count++] = *s;
    return true;
}

bool image_check_entry(const struct image *image, char *why)
{
    if (image->segment_count == 0)
        return image_refuse(why, "nothing in it is to be loaded");
    for (uint32_t i = 0; i < image->segment_count; i++)
        if (image->entry >= image->segments[i].gpa &&
            image->entry - image->segments[i].gpa < image->segments[i].file_size)
            return true;
    return image_refuse(why, "its entry point, %#lx, is not in what is loaded", (unsigned long)image->entry);
}

uint64_t image_start(const struct image *image)
{
    uint64_t start = ADDRESSES;
    for (uint32_t i = 0; i < image->segment_count; i++)
        if (image->segments[i].gpa < start)
            start = image->segments[i].gpa;
    return start;
}

uint64_t image_end(const struct image *image)
{
    uint64_t end = 0;
    for (uint32_t i = 0; i < image->segment_count; i++)
        if (image->segments[i].gpa + image->segments[i].memory_size > end)
            end = image->segments[i].gpa + image->segments[i].memory_size;
    return end;
}

/* ---- places ---- */

static uint64_t round_up(uint64_t value, uint64_t alignment)
{
    return (value + alignment - 1) / alignment * alignment;
}

static bool fits(uint64_t start, uint64_t size, uint64_t lowest, uint64_t end)
{
    return start >= lowest && start <= end && size <= end - start;
}

static void move(struct image *image, uint64_t to)
{
    const uint64_t from = image_start(image);
    for (uint32_t i = 0; i < image->segment_count; i++)
        image->segments[i].gpa = image->segments[i].gpa - from + to;
    image->entry = image->entry - from + to;
}

/// Where it was linked, or, if it lets itself be moved, at the end of the range that it prefers.
bool image_place(struct image *image, uint64_t ram, char *why)
{
    const uint64_t start = image_start(image), size = image_end(image) - start;
    const uint64_t lowest = image->relocatable && image->lowest > IMAGE_LOWEST ? image->lowest : IMAGE_LOWEST;
    const uint64_t end = image->relocatable && image->highest < ram ? image->highest + 1 : ram;
    const uint64_t alignment = image->relocatable ? image->alignment : 1;
    if (fits(start, size, lowest, end) && start % alignment == 0)
        return true;
    if (!image->relocatable && start < IMAGE_LOWEST)
        return image_refuse(why, "it wants to be loaded at %#lx, below 1M", (unsigned long)start);
    if (!image->relocatable || size > end)
        return image_refuse(why, "it needs memory from %#lx to %#lx, the guest has %luM", (unsigned long)start,
                            (unsigned long)(start + size), (unsigned long)(ram >> 20));
    const uint64_t to = image->prefers_high ? (end - size) / alignment * alignment : round_up(lowest, alignment);
    if (!fits(to, size, lowest, end))
        return image_refuse(why, "it needs %#lx bytes between %#lx and %#lx, the guest has %luM", (unsigned long)size,
                            (unsigned long)lowest, (unsigned long)end, (unsigned long)(ram >> 20));
    move(image, to);
    return true;
}

bool image_place_modules(const struct image *image, uint64_t ram, struct image_module *modules, uint32_t count,
                         char *why)
{
    // A kernel that stands at the end has its modules before it.
    uint64_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (modules[i].size > ADDRESSES)
            return image_refuse(why, "no room for module '%s'", modules[i].name);
        total += round_up(modules[i].size, IMAGE_PAGE);
    }
    uint64_t at = round_up(image_end(image), IMAGE_PAGE), end = ram;
    if (at > ram || total > ram - at) {
        at = IMAGE_LOWEST;
        end = image_start(image);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!fits(at, modules[i].size, IMAGE_LOWEST, end))
            return image_refuse(why, "no room for module '%s', %luK, beside the kernel in %luM", modules[i].name,
                                (unsigned long)(modules[i].size >> 10), (unsigned long)(ram >> 20));
        modules[i].gpa = at;
        at += round_up(modules[i].size, IMAGE_PAGE);
    }
    return true;
}

/* ---- areas ---- */

size_t image_reserve(struct image_area *area, size_t size, size_t alignment)
{
    const size_t at = (area->used + alignment - 1) & ~(alignment - 1);
    if (area->full || at > area->size || size > area->size - at) {
        area->full = true;
        return 0;
    }
    memset(area->bytes + area->used, 0, at + size - area->used);
    area->used = at + size;
    return at;
}

void image_put(struct image_area *area, size_t offset, size_t bytes, uint64_t value)
{
    if (area->full || offset > area->used || bytes > area->used - offset)
        return;
    for (size_t i = 0; i < bytes; i++)
        area->bytes[offset + i] = (uint8_t)(value >> (8 * i));
}

size_t image_append(struct image_area *area, const void *data, size_t size)
{
    const size_t at = image_reserve(area, size, 1);
    if (!area->full)
        memcpy(area->bytes + at, data, size);
    return at;
}
