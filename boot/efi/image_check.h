// SPDX-License-Identifier: Apache-2.0
/// Checks of polyvisor.elf: everything is checked before a byte is used. Pure; host-tested.
#ifndef POLYVISOR_BOOT_EFI_IMAGE_CHECK_H
#define POLYVISOR_BOOT_EFI_IMAGE_CHECK_H

#include <stddef.h>
#include <stdint.h>

enum { IMAGE_SEGMENTS_MAX = 16 };

struct image {
    uint64_t base;    ///< where its first segment stands; not filled in by image_check
    uint64_t size;    ///< bytes up to the end of the last segment
    uint64_t address; ///< virtual address of the first segment, a multiple of 2 MiB
    uint64_t entry;   ///< virtual
};

struct image_segment {
    uint64_t address;     ///< virtual
    uint64_t file_offset; ///< file_offset + file_size lies inside the file
    uint64_t file_size;   ///< bytes, at most memory_size
    uint64_t memory_size; ///< bytes; what is beyond file_size is zero
};

struct image_segments {
    uint32_t count;
    struct image_segment list[IMAGE_SEGMENTS_MAX];
};

/// Checks that a file, which is aligned to 8 bytes, is a multiplexer image as boot_info.h describes it, and lists its
/// segments. Returns NULL, or what is wrong.
const char *image_check(const void *file, size_t size, struct image *image, struct image_segments *segments);

#endif
