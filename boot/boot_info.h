// SPDX-License-Identifier: Apache-2.0
/*
 * What a boot loader hands to the multiplexer: one structure, the same from every loader (boot/efi, boot/multiboot2).
 *
 * Contract at mux_entry, the ELF entry point of polyvisor.elf:
 *   - 64-bit mode, 4-level paging (CR4.LA57 = 0), CPL 0, interrupts off, direction flag clear;
 *   - rdi = physical address of a struct boot_info; the stack pointer is not used;
 *   - the segments of polyvisor.elf stand physically contiguous, from a 2 MiB boundary on, each at
 *     (p_paddr - lowest p_paddr) from its start, and are mapped at their p_vaddr, readable, writable and executable;
 *     bss is zero;
 *   - identity mapped: the first 4 GiB, all regions of type BOOT_REGION_RAM and BOOT_REGION_LOADER, and everything
 *     that this structure points to;
 *   - only the bootstrap processor runs; the others are as the firmware left them (waiting for SIPI).
 * All addresses in the structure are physical. Strings end with NUL.
 */
#ifndef POLYVISOR_BOOT_INFO_H
#define POLYVISOR_BOOT_INFO_H

#include <stdint.h>

enum {
    BOOT_INFO_VERSION = 1,
    BOOT_MAX_REGIONS = 512,
    BOOT_MAX_MODULES = 128,
    BOOT_MAX_CORES = 256,
    BOOT_NAME_SIZE = 128,     ///< a file's name, with its NUL
    BOOT_CMDLINE_SIZE = 1024, ///< the command line, with its NUL
    BOOT_MESSAGE_SIZE = 256,
};

#define BOOT_INFO_MAGIC UINT64_C(0x4f464e49544f4f42) // "BOOTINFO"

enum boot_region_type {
    BOOT_REGION_RAM = 1,      ///< free for the multiplexer, unless something that boot_info names lies there
    BOOT_REGION_LOADER = 2,   ///< holds the image, modules, boot_info, or the loader's page tables: never reused
    BOOT_REGION_ACPI = 3,     ///< ACPI tables (reclaimable); left alone
    BOOT_REGION_NVS = 4,      ///< ACPI non-volatile storage
    BOOT_REGION_RUNTIME = 5,  ///< UEFI runtime services code or data
    BOOT_REGION_RESERVED = 6, ///< the firmware's
    BOOT_REGION_MMIO = 7,     ///< device registers
    BOOT_REGION_BAD = 8,      ///< defective memory
};

struct boot_region {
    uint64_t base;          ///< any alignment
    uint64_t size;          ///< bytes
    uint32_t type;          ///< enum boot_region_type
    uint32_t firmware_type; ///< the loader's own number for it (EFI_MEMORY_TYPE, multiboot2 type), for display
};

enum boot_module_status {
    BOOT_MODULE_OK = 0,
    BOOT_MODULE_ABSENT = 1,     ///< no such file
    BOOT_MODULE_READ_ERROR = 2, ///< there, but reading it failed
    BOOT_MODULE_NO_MEMORY = 3,  ///< no memory could be had for it
};

/// A file that the configuration names. Loaded page-aligned, the rest of its last page zero where the loader can.
struct boot_module {
    uint64_t base;
    uint64_t size;   ///< bytes; may be 0
    uint32_t status; ///< enum boot_module_status; base and size are 0 unless BOOT_MODULE_OK
    uint32_t reserved;
    uint64_t firmware_status;  ///< EFI_STATUS of the failure, or 0
    char name[BOOT_NAME_SIZE]; ///< as the configuration spells it
};

struct boot_framebuffer {
    uint64_t base;          ///< 0: there is none
    uint32_t width, height; ///< pixels
    uint32_t pitch;         ///< bytes a line
    uint32_t bits_per_pixel;
    uint32_t red_mask, green_mask, blue_mask, reserved;
};

/// A logical processor as EFI MP Services list it.
struct boot_core {
    uint32_t apic_id;
    uint32_t usable; ///< 1: enabled and healthy
};

struct boot_info {
    uint64_t magic;   ///< BOOT_INFO_MAGIC
    uint32_t version; ///< BOOT_INFO_VERSION
    uint32_t size;    ///< sizeof(struct boot_info)

    char loader[64];                 ///< who loaded, for the log only: "EFI loader (EDK II)", "GRUB 2.06-13+deb12u1"
    char cmdline[BOOT_CMDLINE_SIZE]; ///< without the image's own name; cut (and a message left) when too long
    char message[BOOT_MESSAGE_SIZE]; ///< first complaint of the loader that did not stop it, or ""

    uint64_t image_base; ///< where the first segment of polyvisor.elf stands
    uint64_t image_size; ///< bytes up to the end of the last segment's memory
    uint64_t rsdp;       ///< ACPI root pointer, or 0
    uint64_t config;     ///< text of polyvisor.cfg (no NUL needed), or 0
    uint64_t config_size;
    uint32_t config_status; ///< enum boot_module_status
    uint32_t reserved;
    uint64_t config_firmware_status;

    struct boot_framebuffer framebuffer;

    uint64_t tsc_start; ///< TSC when the loader began
    uint64_t tsc_files; ///< TSC when all files were in memory
    uint64_t tsc_enter; ///< TSC just before the jump to mux_entry

    uint32_t region_count; ///< unsorted, may overlap; the more restrictive type wins
    uint32_t module_count;
    uint32_t core_count;  ///< 0: the loader does not know (the ACPI MADT tells then)
    uint32_t bsp_apic_id; ///< valid when core_count is not 0

    struct boot_region regions[BOOT_MAX_REGIONS];
    struct boot_module modules[BOOT_MAX_MODULES];
    struct boot_core cores[BOOT_MAX_CORES];
};

#endif
