// SPDX-License-Identifier: Apache-2.0
#include "bzimage.h"

#include <polyvisor/format.h>
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

static uint64_t field(const uint8_t *file, size_t offset, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = bytes; i-- > 0;)
        value = value << 8 | file[offset + i];
    return value;
}

static bool refuse(char *why, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool refuse(char *why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pv_vsnprintf(why, BZIMAGE_WHY, format, args);
    va_end(args);
    return false;
}

/// Whether the file is a Linux kernel of a protocol that is recent enough.
static bool check_kind(const uint8_t *file, size_t size, char *why)
{
    if (size < NEEDED_END)
        return refuse(why, "truncated: %zu bytes, less than the header of a Linux kernel", size);
    if (field(file, BOOT_FLAG, 2) != BOOT_SIGNATURE)
        return refuse(why, "no boot sector signature (0xaa55) at 0x1fe: not a Linux bzImage");
    if (memcmp(file + MAGIC, "HdrS", 4) != 0)
        return refuse(why, "no 'HdrS' at 0x202: not a Linux bzImage");
    const uint32_t version = (uint32_t)field(file, VERSION, 2);
    if (version < OLDEST)
        return refuse(why, "boot protocol %u.%02u, at least 2.12 (Linux 3.8) is needed", version >> 8, version & 0xff);
    return true;
}

/// Whether the kernel can be entered as it is going to be.
static bool check_entry(const uint8_t *file, const struct bzimage *image, char *why)
{
    if ((field(file, LOADFLAGS, 1) & LOADED_HIGH) == 0)
        return refuse(why, "a zImage, which is loaded below 1M (loadflags has LOADED_HIGH clear)");
    if ((field(file, XLOADFLAGS, 2) & XLF_KERNEL_64) == 0)
        return refuse(why, "a 32-bit kernel: no 64-bit entry point (xloadflags has XLF_KERNEL_64 clear)");
    if (image->needed == 0 || image->cmdline_max == 0)
        return refuse(why, "its init_size or cmdline_size is 0");
    if (image->relocatable && (image->alignment == 0 || (image->alignment & (image->alignment - 1)) != 0))
        return refuse(why, "its kernel_alignment, %#lx, is not a power of two", (unsigned long)image->alignment);
    return true;
}

bool bzimage_parse(const void *start, size_t size, struct bzimage *image, char *why)
{
    const uint8_t *file = start;
    if (!check_kind(file, size, why))
        return false;
    const uint64_t sectors = field(file, SETUP_SECTS, 1);
    *image = (struct bzimage){
        .version = (uint32_t)field(file, VERSION, 2),
        .header_end = (uint32_t)(MAGIC + field(file, JUMP_LENGTH, 1)),
        .offset = ((sectors != 0 ? sectors : DEFAULT_SETUP_SECTS) + 1) * SECTOR,
        .size = field(file, SYSSIZE, 4) * PARAGRAPH,
        .preferred = field(file, PREF_ADDRESS, 8),
        .alignment = field(file, KERNEL_ALIGNMENT, 4),
        .needed = field(file, INIT_SIZE, 4),
        .initrd_last = field(file, INITRD_ADDR_MAX, 4),
        .cmdline_max = (uint32_t)field(file, CMDLINE_SIZE, 4),
        .relocatable = field(file, RELOCATABLE_KERNEL, 1) != 0,
    };
    if (image->header_end < NEEDED_END || image->header_end > BZIMAGE_HEADER_MAX)
        return refuse(why, "its header ends at %#x, expected %#x to %#x", image->header_end, NEEDED_END,
                      BZIMAGE_HEADER_MAX);
    if (image->header_end > size)
        return refuse(why, "truncated: %zu bytes, its header ends at %#x", size, image->header_end);
    if (!check_entry(file, image, why))
        return false;
    // syssize counts started paragraphs, so up to 15 bytes fewer are whole, too.
    if (size < image->offset || size - image->offset + PARAGRAPH <= image->size)
        return refuse(why, "truncated: %zu bytes, the header promises %lu", size,
                      (unsigned long)(image->offset + image->size));
    if (image->size > size - image->offset)
        image->size = size - image->offset;
    return true;
}
