// SPDX-License-Identifier: Apache-2.0
#include "bzimage.h"

#include "loaders/image.h"

#include <polyvisor/string.h>

/// Offsets of the header's fields in the file.
enum {
    SETUP_SECTS = 0x1f1,
    SYSSIZE = 0x1f4,
    BOOT_FLAG = 0x1fe,
    JUMP_LENGTH = 0x201,
    MAGIC = 0x202,
    VERSION = 0x206,
    LOADFLAGS = 0x211,
    INITRD_ADDR_MAX = 0x22c,
    KERNEL_ALIGNMENT = 0x230,
    RELOCATABLE_KERNEL = 0x234,
    XLOADFLAGS = 0x236,
    CMDLINE_SIZE = 0x238,
    PREF_ADDRESS = 0x258,
    INIT_SIZE = 0x260,
    NEEDED_END = 0x264, ///< behind the last field that is read here
};

enum {
    BOOT_SIGNATURE = 0xaa55,
    LOADED_HIGH = 1,
    XLF_KERNEL_64 = 1,
    SECTOR = 512,
    PARAGRAPH = 16,
    DEFAULT_SETUP_SECTS = 4,
    OLDEST = 0x20c, ///< the first with xloadflags, since Linux 3.8
};

/// Whether the file is a Linux kernel of a protocol that is recent enough.
static bool check_kind(const uint8_t *file, size_t size, char *why)
{
    if (size < NEEDED_END)
        return image_refuse(why, "truncated: %zu bytes, less than the header of a Linux kernel", size);
    if (image_field(file, BOOT_FLAG, 2) != BOOT_SIGNATURE)
        return image_refuse(why, "no boot sector signature (0xaa55) at 0x1fe: not a Linux bzImage");
    if (memcmp(file + MAGIC, "HdrS", 4) != 0)
        return image_refuse(why, "no 'HdrS' at 0x202: not a Linux bzImage");
    const uint32_t version = (uint32_t)image_field(file, VERSION, 2);
    if (version < OLDEST)
        return image_refuse(why, "boot protocol %u.%02u, at least 2.12 (Linux 3.8) is needed", version >> 8,
                            version & 0xff);
    return true;
}

/// Whether the kernel can be entered as it is going to be.
static bool check_entry(const uint8_t *file, const struct bzimage *image, char *why)
{
    if ((image_field(file, LOADFLAGS, 1) & LOADED_HIGH) == 0)
        return image_refuse(why, "a zImage, which is loaded below 1M (loadflags has LOADED_HIGH clear)");
    if ((image_field(file, XLOADFLAGS, 2) & XLF_KERNEL_64) == 0)
        return image_refuse(why, "a 32-bit kernel: no 64-bit entry point (xloadflags has XLF_KERNEL_64 clear)");
    if (image->needed == 0 || image->cmdline_max == 0)
        return image_refuse(why, "its init_size or cmdline_size is 0");
    if (image->relocatable && (image->alignment == 0 || (image->alignment & (image->alignment - 1)) != 0))
        return image_refuse(why, "its kernel_alignment, %#lx, is not a power of two", (unsigned long)image->alignment);
    return true;
}

bool bzimage_parse(const void *start, size_t size, struct bzimage *image, char *why)
{
    const uint8_t *file = start;
    if (!check_kind(file, size, why))
        return false;
    const uint64_t sectors = image_field(file, SETUP_SECTS, 1);
    *image = (struct bzimage){
        .version = (uint32_t)image_field(file, VERSION, 2),
        .header_end = (uint32_t)(MAGIC + image_field(file, JUMP_LENGTH, 1)),
        .offset = ((sectors != 0 ? sectors : DEFAULT_SETUP_SECTS) + 1) * SECTOR,
        .size = image_field(file, SYSSIZE, 4) * PARAGRAPH,
        .preferred = image_field(file, PREF_ADDRESS, 8),
        .alignment = image_field(file, KERNEL_ALIGNMENT, 4),
        .needed = image_field(file, INIT_SIZE, 4),
        .initrd_last = image_field(file, INITRD_ADDR_MAX, 4),
        .cmdline_max = (uint32_t)image_field(file, CMDLINE_SIZE, 4),
        .relocatable = image_field(file, RELOCATABLE_KERNEL, 1) != 0,
    };
    if (image->header_end < NEEDED_END || image->header_end > BZIMAGE_HEADER_MAX)
        return image_refuse(why, "its header ends at %#x, expected %#x to %#x", image->header_end, NEEDED_END,
                            BZIMAGE_HEADER_MAX);
    if (image->header_end > size)
        return image_refuse(why, "truncated: %zu bytes, its header ends at %#x", size, image->header_end);
    if (!check_entry(file, image, why))
        return false;
    // syssize counts started paragraphs, so up to 15 bytes fewer are whole, too.
    if (size < image->offset || size - image->offset + PARAGRAPH <= image->size)
        return image_refuse(why, "truncated: %zu bytes, the header promises %lu", size,
                            (unsigned long)(image->offset + image->size));
    if (image->size > size - image->offset)
        image->size = size - image->offset;
    return true;
}
