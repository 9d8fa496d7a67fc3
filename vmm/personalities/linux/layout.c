// SPDX-License-Identifier: Apache-2.0
// Source: Linux, Documentation/x86/boot.rst and zero-page.rst; arch/x86/include/uapi/asm/bootparam.h for offsets.
#include "layout.h"

#include <polyvisor/string.h>

enum { PAGE = 4096, MEGABYTE = 1 << 20 };

/// Offsets in struct boot_params.
enum {
    ACPI_RSDP_ADDR = 0x070,
    E820_ENTRIES = 0x1e8,
    TYPE_OF_LOADER = 0x210,
    RAMDISK_IMAGE = 0x218,
    RAMDISK_SIZE = 0x21c,
    CMD_LINE_PTR = 0x228,
    E820_TABLE = 0x2d0,
};

enum { LOADER_UNDEFINED = 0xff, E820_ENTRY = 20, VIDEO_MEMORY = 0xa0000 };

static uint64_t round_up(uint64_t value, uint64_t alignment)
{
    return (value + alignment - 1) / alignment * alignment;
}

/// Bytes from where it stands on that nothing else may be in.
static uint64_t needed(const struct bzimage *image)
{
    return image->needed > image->size ? image->needed : image->size;
}

/// Where it prefers to be, or at the lowest place where it fits.
static bool place_kernel(const struct bzimage *image, struct layout *layout)
{
    const uint64_t need = needed(image);
    layout->kernel = image->preferred;
    if (layout->kernel >= LAYOUT_HIGH && layout->kernel <= layout->ram && need <= layout->ram - layout->kernel)
        return true;
    if (!image->relocatable)
        return false;
    layout->kernel = round_up(LAYOUT_HIGH, image->alignment);
    return layout->kernel <= layout->ram && need <= layout->ram - layout->kernel;
}

static uint64_t initrd_end(const struct bzimage *image, const struct layout *layout)
{
    const bool limited = image->initrd_last != 0 && layout->ram > image->initrd_last + 1;
    return limited ? image->initrd_last + 1 : layout->ram;
}

/// As high as possible, so that it is out of the way of the kernel's early allocations.
static bool place_initrd(const struct bzimage *image, struct layout *layout)
{
    const uint64_t end = initrd_end(image, layout);
    layout->initrd = 0;
    if (layout->initrd_size == 0)
        return true;
    if (layout->initrd_size > end)
        return false;
    layout->initrd = (end - layout->initrd_size) / PAGE * PAGE;
    return layout->initrd >= layout->kernel + needed(image);
}

bool layout_make(const struct bzimage *image, uint64_t ram, uint64_t initrd_size, size_t cmdline_size,
                 struct layout *layout, char *why)
{
    *layout = (struct layout){.ram = ram, .initrd_size = initrd_size, .cmdline_size = (uint32_t)cmdline_size};
    if (ram < LAYOUT_RAM_MIN || ram > LAYOUT_RAM_MAX)
        return image_refuse(why, "the guest would have %luM of memory, expected 32M to 3072M",
                            (unsigned long)(ram / MEGABYTE));
    const uint32_t cmdline_max = image->cmdline_max < LAYOUT_CMDLINE_MAX ? image->cmdline_max : LAYOUT_CMDLINE_MAX - 1;
    if (cmdline_size > cmdline_max)
        return image_refuse(why, "the command line (args) has %zu bytes, the kernel takes %u", cmdline_size,
                            cmdline_max);
    if (!place_kernel(image, layout))
        return image_refuse(why, "module 'kernel' needs %luM from %#lx on%s, the guest has %luM",
                            (unsigned long)(round_up(needed(image), MEGABYTE) / MEGABYTE),
                            (unsigned long)layout->kernel,
                            image->relocatable ? "" : " and cannot be moved (relocatable_kernel is 0)",
                            (unsigned long)(ram / MEGABYTE));
    if (!place_initrd(image, layout))
        return image_refuse(why, "no room for module 'initrd', %luK, between the kernel's end, %#lx, and %#lx",
                            (unsigned long)(round_up(initrd_size, 1024) / 1024),
                            (unsigned long)(layout->kernel + needed(image)), (unsigned long)initrd_end(image, layout));
    return true;
}

static void put(uint8_t *params, size_t offset, size_t bytes, uint64_t value)
{
    for (size_t i = 0; i < bytes; i++)
        params[offset + i] = (uint8_t)(value >> (8 * i));
}

void layout_regions(uint64_t ram, struct image_region regions[LAYOUT_REGIONS])
{
    regions[0] = (struct image_region){0, LAYOUT_LOW_END, IMAGE_RAM};
    regions[1] = (struct image_region){LAYOUT_LOW_END, VIDEO_MEMORY, IMAGE_RESERVED};
    regions[2] = (struct image_region){LAYOUT_ACPI, LAYOUT_ACPI + LAYOUT_ACPI_SIZE, IMAGE_RESERVED};
    regions[3] = (struct image_region){LAYOUT_HIGH, ram, IMAGE_RAM};
}

static void add_memory(uint8_t *params, const struct image_region *region)
{
    const size_t at = E820_TABLE + (size_t)params[E820_ENTRIES]++ * E820_ENTRY;
    put(params, at, 8, region->start);
    put(params, at + 8, 8, region->end - region->start);
    put(params, at + 16, 4, region->type);
}

void layout_params(const struct layout *layout, const struct bzimage *image, const void *file, void *page)
{
    uint8_t *params = page;
    memset(params, 0, LAYOUT_PARAMS_SIZE);
    memcpy(params + BZIMAGE_HEADER, (const uint8_t *)file + BZIMAGE_HEADER, image->header_end - BZIMAGE_HEADER);
    put(params, TYPE_OF_LOADER, 1, LOADER_UNDEFINED);
    put(params, RAMDISK_IMAGE, 4, layout->initrd);
    put(params, RAMDISK_SIZE, 4, layout->initrd_size);
    put(params, CMD_LINE_PTR, 4, LAYOUT_CMDLINE);
    put(params, ACPI_RSDP_ADDR, 8, LAYOUT_ACPI);
    struct image_region regions[LAYOUT_REGIONS];
    layout_regions(layout->ram, regions);
    for (size_t i = 0; i < LAYOUT_REGIONS; i++)
        add_memory(params, &regions[i]);
}
