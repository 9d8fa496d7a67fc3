// SPDX-License-Identifier: Apache-2.0
/// Where everything stands in the guest's memory at its start, and the page of boot parameters that tells the kernel.
/// Pure; host-tested.
#ifndef POLYVISOR_LINUX_LAYOUT_H
#define POLYVISOR_LINUX_LAYOUT_H

#include "bzimage.h"
#include "loaders/image.h"

/// Fixed places, all in the first 640 KiB and in the area of the BIOS.
enum {
    LAYOUT_PARAMS = 0x10000, ///< struct boot_params, one page
    LAYOUT_TABLES = 0x11000, ///< page tables and GDT of the entry (PV_TABLES64_SIZE)
    LAYOUT_CMDLINE = 0x20000,
    LAYOUT_CMDLINE_MAX = 0x10000,
    LAYOUT_INFO = 0x30000, ///< what kernels that are no bzImage are told; the command line is in it
    LAYOUT_INFO_SIZE = 0x20000,
    LAYOUT_LOW_END = 0x9fc00,
    LAYOUT_ACPI = 0xe0000, ///< ACPI tables, RSDP first
    LAYOUT_ACPI_SIZE = 0x20000,
    LAYOUT_HIGH = 0x100000,
    LAYOUT_PARAMS_SIZE = 4096,
    LAYOUT_REGIONS = 4,
};
#define LAYOUT_RAM_MIN UINT64_C(0x2000000)  ///< 32 MiB: no present kernel does with less
#define LAYOUT_SMALL_MIN UINT64_C(0x400000) ///< 4 MiB, of others than Linux
#define LAYOUT_RAM_MAX UINT64_C(0xc0000000) ///< 3 GiB: above it are devices

struct layout {
    uint64_t ram; ///< bytes, from address 0 on
    uint64_t kernel;
    uint64_t initrd, initrd_size;
    uint32_t cmdline_size; ///< without the NUL
};

/// Finds places for the kernel and the initrd (initrd_size may be 0). False: why[IMAGE_WHY] says what does not fit.
bool layout_make(const struct bzimage *image, uint64_t ram, uint64_t initrd_size, size_t cmdline_size,
                 struct layout *layout, char *why);

/// The memory map.
void layout_regions(uint64_t ram, struct image_region regions[LAYOUT_REGIONS]);

/// Fills the page of boot parameters from the file's header.
void layout_params(const struct layout *layout, const struct bzimage *image, const void *file, void *params);

#endif
