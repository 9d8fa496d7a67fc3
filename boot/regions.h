// SPDX-License-Identifier: Apache-2.0
/// Filling boot_info's region list and message. Inline, because two separate programs use it (the EFI loader and the
/// multiboot2 entry). Pure.
#ifndef POLYVISOR_BOOT_REGIONS_H
#define POLYVISOR_BOOT_REGIONS_H

#include <boot/boot_info.h>
#include <polyvisor/format.h>
#include <stdarg.h>
#include <stdbool.h>

/// Keeps the first complaint: later ones are mostly its consequences.
__attribute__((format(printf, 2, 3))) static inline void boot_complain(struct boot_info *info, const char *format, ...)
{
    va_list args;
    if (info->message[0])
        return;
    va_start(args, format);
    pv_vsnprintf(info->message, sizeof info->message, format, args);
    va_end(args);
}

/// Makes room by giving up some RAM, which is safe, while a forgotten reserved region is not.
static inline struct boot_region *boot_region_replace_ram(struct boot_info *info)
{
    for (uint32_t i = info->region_count; i-- > 0;) {
        if (info->regions[i].type == BOOT_REGION_RAM)
            return &info->regions[i];
    }
    return NULL;
}

/// Adds a region; one that continues the last one of the same type is merged with it (the last one's firmware_type
/// stays: firmware splits its own memory into hundreds of pieces). Empty ones are ignored, those that wrap round are
/// cut at the top of the address space. When the table is full, RAM is left out, with a complaint.
static inline void boot_region_add(struct boot_info *info, uint64_t base, uint64_t size, uint32_t type,
                                   uint32_t firmware_type)
{
    struct boot_region *last = info->region_count ? &info->regions[info->region_count - 1] : NULL;
    if (size > UINT64_MAX - base)
        size = UINT64_MAX - base;
    if (size == 0)
        return;
    if (last && last->type == type && last->base + last->size == base) {
        last->size += size;
        return;
    }
    struct boot_region region = {.base = base, .size = size, .type = type, .firmware_type = firmware_type};
    if (info->region_count < BOOT_MAX_REGIONS) {
        info->regions[info->region_count++] = region;
        return;
    }
    boot_complain(info, "the memory map has more than %d regions: some memory is not used", BOOT_MAX_REGIONS);
    struct boot_region *victim = type == BOOT_REGION_RAM ? NULL : boot_region_replace_ram(info);
    if (victim)
        *victim = region;
}

/// EFI_MEMORY_TYPE (UEFI 2.10, table 7.6) and the attribute that keeps memory for special purposes.
enum {
    BOOT_EFI_LOADER_CODE = 1,
    BOOT_EFI_LOADER_DATA = 2,
    BOOT_EFI_BOOT_CODE = 3,
    BOOT_EFI_BOOT_DATA = 4,
    BOOT_EFI_RUNTIME_CODE = 5,
    BOOT_EFI_RUNTIME_DATA = 6,
    BOOT_EFI_CONVENTIONAL = 7,
    BOOT_EFI_UNUSABLE = 8,
    BOOT_EFI_ACPI_RECLAIM = 9,
    BOOT_EFI_ACPI_NVS = 10,
    BOOT_EFI_MMIO = 11,
    BOOT_EFI_MMIO_PORTS = 12,
};
#define BOOT_EFI_MEMORY_SP UINT64_C(0x40000)

/// What a region of EFI's memory map is after ExitBootServices; loader: what memory of type EfiLoaderCode and
/// EfiLoaderData is.
static inline uint32_t boot_region_type_of_efi(uint32_t efi_type, uint64_t attribute, uint32_t loader)
{
    switch (efi_type) {
    case BOOT_EFI_LOADER_CODE:
    case BOOT_EFI_LOADER_DATA:
        return loader;
    case BOOT_EFI_BOOT_CODE:
    case BOOT_EFI_BOOT_DATA:
    case BOOT_EFI_CONVENTIONAL:
        return attribute & BOOT_EFI_MEMORY_SP ? BOOT_REGION_RESERVED : BOOT_REGION_RAM;
    case BOOT_EFI_RUNTIME_CODE:
    case BOOT_EFI_RUNTIME_DATA:
        return BOOT_REGION_RUNTIME;
    case BOOT_EFI_UNUSABLE:
        return BOOT_REGION_BAD;
    case BOOT_EFI_ACPI_RECLAIM:
        return BOOT_REGION_ACPI;
    case BOOT_EFI_ACPI_NVS:
        return BOOT_REGION_NVS;
    case BOOT_EFI_MMIO:
    case BOOT_EFI_MMIO_PORTS:
        return BOOT_REGION_MMIO;
    default:
        return BOOT_REGION_RESERVED;
    }
}

#endif
