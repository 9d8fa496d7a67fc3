// SPDX-License-Identifier: Apache-2.0
#include "loader.h"

#include <boot/regions.h>
#include <polyvisor/format.h>
#include <polyvisor/string.h>

/// UEFI 2.10 4.6.1: the ACPI table entries of the configuration table.
static const EFI_GUID acpi2_guid = {0x8868e871, 0xe4f1, 0x11d3, {0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81}};
static const EFI_GUID acpi1_guid = {0xeb9d2d30, 0x2d88, 0x11d3, {0x9a, 0x16, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d}};
static EFI_GUID gop_guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
static EFI_GUID mp_guid = {0x3fdda605, 0xa76e, 0x4f46, {0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08}};

/// EFI_MP_SERVICES_PROTOCOL, as far as it is needed (PI specification 1.8, volume 2, 13.3); gnu-efi 3.0 has no header
/// for it.
enum { MP_BSP = 1, MP_ENABLED = 2, MP_HEALTHY = 4 };

struct mp_processor {
    uint64_t id; ///< APIC id
    uint32_t flags;
    uint32_t location[3];
    uint32_t extended_location[6]; ///< written by firmware that knows more levels
};

struct mp_services {
    EFI_STATUS(EFIAPI *get_count)(struct mp_services *this, UINTN *all, UINTN *enabled);
    EFI_STATUS(EFIAPI *get_processor)(struct mp_services *this, UINTN number, struct mp_processor *processor);
};

static uint64_t find_table(const EFI_GUID *guid)
{
    for (UINTN i = 0; i < loader_system->NumberOfTableEntries; i++) {
        const EFI_CONFIGURATION_TABLE *table = &loader_system->ConfigurationTable[i];
        if (memcmp(&table->VendorGuid, guid, sizeof *guid) == 0)
            return (uintptr_t)table->VendorTable;
    }
    return 0;
}

static uint32_t bits_of(uint32_t masks)
{
    return masks == 0 ? 0 : 32 - (uint32_t)__builtin_clz(masks);
}

/// Only modes whose pixels stand in memory: EFI_GRAPHICS_PIXEL_FORMAT, UEFI 2.10 12.9.2.
static void fill_framebuffer(struct boot_framebuffer *framebuffer)
{
    EFI_GRAPHICS_OUTPUT_PROTOCOL *gop;
    if (EFI_ERROR(loader_boot->LocateProtocol(&gop_guid, NULL, (void **)&gop)) || !gop->Mode || !gop->Mode->Info)
        return;
    const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *mode = gop->Mode->Info;
    struct boot_framebuffer found = {.base = gop->Mode->FrameBufferBase,
                                     .width = mode->HorizontalResolution,
                                     .height = mode->VerticalResolution,
                                     .bits_per_pixel = 32,
                                     .red_mask = 0xff,
                                     .green_mask = 0xff00,
                                     .blue_mask = 0xff0000};
    if (mode->PixelFormat == PixelBlueGreenRedReserved8BitPerColor) {
        found.red_mask = 0xff0000;
        found.blue_mask = 0xff;
    } else if (mode->PixelFormat == PixelBitMask) {
        const EFI_PIXEL_BITMASK *masks = &mode->PixelInformation;
        found.red_mask = masks->RedMask;
        found.green_mask = masks->GreenMask;
        found.blue_mask = masks->BlueMask;
        found.bits_per_pixel = bits_of(masks->RedMask | masks->GreenMask | masks->BlueMask | masks->ReservedMask);
    } else if (mode->PixelFormat != PixelRedGreenBlueReserved8BitPerColor) {
        return;
    }
    found.bits_per_pixel = (found.bits_per_pixel + 7) & ~7u;
    found.pitch = mode->PixelsPerScanLine * (found.bits_per_pixel / 8);
    if (found.base && found.width && found.height && found.pitch)
        *framebuffer = found;
}

/// Lists the logical processors; without MP Services the list stays empty, and ACPI tells.
static void fill_cores(struct boot_info *info)
{
    struct mp_services *mp;
    UINTN count, enabled;
    if (EFI_ERROR(loader_boot->LocateProtocol(&mp_guid, NULL, (void **)&mp)) ||
        EFI_ERROR(mp->get_count(mp, &count, &enabled)))
        return;
    for (UINTN i = 0; i < count; i++) {
        struct mp_processor processor = {0};
        if (EFI_ERROR(mp->get_processor(mp, i, &processor)))
            continue;
        if (info->core_count == BOOT_MAX_CORES) {
            boot_complain(info, "the machine has %llu cores, %d can be used", (unsigned long long)count,
                          BOOT_MAX_CORES);
            break;
        }
        struct boot_core *core = &info->cores[info->core_count++];
        core->apic_id = (uint32_t)processor.id;
        core->usable = (processor.flags & (MP_ENABLED | MP_HEALTHY)) == (MP_ENABLED | MP_HEALTHY);
        if (processor.flags & MP_BSP)
            info->bsp_apic_id = core->apic_id;
    }
}

static void fill_loader_name(struct boot_info *info)
{
    char vendor[40] = "unknown firmware";
    const CHAR16 *text = loader_system->FirmwareVendor;
    for (size_t i = 0; text && i < sizeof vendor - 1; i++) {
        vendor[i] = text[i] < 0x80 ? (char)text[i] : '?';
        vendor[i + 1] = 0;
        if (text[i] == 0)
            break;
    }
    pv_snprintf(info->loader, sizeof info->loader, "EFI loader (%s)", vendor);
}

void machine_fill(struct boot_info *info)
{
    fill_loader_name(info);
    info->rsdp = find_table(&acpi2_guid);
    if (!info->rsdp)
        info->rsdp = find_table(&acpi1_guid);
    fill_framebuffer(&info->framebuffer);
    fill_cores(info);
}
