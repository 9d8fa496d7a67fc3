// SPDX-License-Identifier: Apache-2.0
#include "loader.h"

#include <boot/regions.h>

enum {
    EXIT_ATTEMPTS =
        16, ///< a map key goes stale when an event handler of the firmware allocates memory: seen once, rarely twice
};

static uint64_t buffer;
static UINTN buffer_size;
static UINTN map_size, map_key, descriptor_size;

static EFI_STATUS get_map(void)
{
    UINT32 version;
    map_size = buffer_size;
    return loader_boot->GetMemoryMap(&map_size, (EFI_MEMORY_DESCRIPTOR *)(uintptr_t)buffer, &map_key, &descriptor_size,
                                     &version);
}

/// Twice what is needed: the map grows by what happens between now and ExitBootServices.
static EFI_STATUS grow_buffer(UINTN needed)
{
    if (buffer)
        memory_release(buffer);
    buffer = 0;
    buffer_size = 0;
    UINTN size = (2 * needed + EFI_PAGE_SIZE) & ~(UINTN)(EFI_PAGE_SIZE - 1);
    EFI_STATUS status = memory_allocate(size, &buffer);
    if (!EFI_ERROR(status))
        buffer_size = size;
    return status;
}

EFI_STATUS memory_map_read(void)
{
    EFI_STATUS status = get_map();
    for (int attempt = 0; status == EFI_BUFFER_TOO_SMALL && attempt < EXIT_ATTEMPTS; attempt++) {
        EFI_STATUS grown = grow_buffer(map_size);
        status = EFI_ERROR(grown) ? grown : get_map();
    }
    if (EFI_ERROR(status))
        map_size = 0;
    return status;
}

const EFI_MEMORY_DESCRIPTOR *memory_map_entry(size_t index)
{
    // descriptor_size is the firmware's, and larger than the structure that was known when this was compiled.
    if (descriptor_size < sizeof(EFI_MEMORY_DESCRIPTOR) || index >= map_size / descriptor_size)
        return NULL;
    return (const EFI_MEMORY_DESCRIPTOR *)(uintptr_t)(buffer + index * descriptor_size);
}

/// After the first call of ExitBootServices only memory services are allowed, whether it succeeds or not (UEFI 2.10,
/// 7.4.6).
EFI_STATUS memory_map_exit(void)
{
    EFI_STATUS status = EFI_SUCCESS;
    for (int attempt = 0; attempt < EXIT_ATTEMPTS; attempt++) {
        status = memory_map_read();
        if (EFI_ERROR(status)) {
            report("cannot read the memory map: %s", report_status(status));
            return status;
        }
        status = loader_boot->ExitBootServices(loader_handle, map_key);
        report_without_console();
        if (status != EFI_INVALID_PARAMETER)
            break;
    }
    if (EFI_ERROR(status))
        report("the firmware does not let go (ExitBootServices): %s", report_status(status));
    return status;
}

void memory_map_fill(struct boot_info *info)
{
    const EFI_MEMORY_DESCRIPTOR *entry;
    for (size_t i = 0; (entry = memory_map_entry(i)); i++) {
        uint32_t type = boot_region_type_of_efi(entry->Type, entry->Attribute, BOOT_REGION_LOADER);
        uint64_t pages = entry->NumberOfPages;
        uint64_t size = pages > UINT64_MAX / EFI_PAGE_SIZE ? UINT64_MAX : pages * EFI_PAGE_SIZE;
        boot_region_add(info, entry->PhysicalStart, size, type, entry->Type);
    }
}
