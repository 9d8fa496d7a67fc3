// SPDX-License-Identifier: Apache-2.0
/// The EFI loader's parts. main.c tells their order; each part is one file.
#ifndef POLYVISOR_BOOT_EFI_LOADER_H
#define POLYVISOR_BOOT_EFI_LOADER_H

#include "command_line.h"
#include "image_check.h"

#include <boot/boot_info.h>
#include <efi.h>
#include <stdbool.h>
#include <stddef.h>

extern EFI_HANDLE loader_handle;        ///< this program
extern EFI_SYSTEM_TABLE *loader_system; ///< the firmware
extern EFI_BOOT_SERVICES *loader_boot;  ///< its boot services

/* ---- report.c: messages on the firmware's console and on COM1 ---- */

/// Prints a message, as one line that begins with the loader's name.
__attribute__((format(printf, 1, 2))) void report(const char *format, ...);
/// The same, on the firmware's console alone: for what is no error, since the console mostly goes to COM1 too.
__attribute__((format(printf, 1, 2))) void report_console(const char *format, ...);
/// The firmware's console may not be used any more (ExitBootServices was called).
void report_without_console(void);
bool report_has_console(void);
/// "EFI_NOT_FOUND" and so on.
const char *report_status(EFI_STATUS status);

/* ---- memory.c: page-wise memory, kept in a list so that all of it can be given back ---- */

/// Allocates whole pages of type EfiLoaderData, zeroed only by memory_zeroed. Fails with EFI_OUT_OF_RESOURCES also when
/// too little would be left for the firmware.
EFI_STATUS memory_allocate(uint64_t size, uint64_t *base);
EFI_STATUS memory_zeroed(uint64_t size, uint64_t *base);
/// The same, aligned (a power of two above 4 KiB) and wholly below 4 GiB.
EFI_STATUS memory_allocate_low(uint64_t size, uint64_t alignment, uint64_t *base);
/// Gives back one allocation, or all of them.
void memory_release(uint64_t base);
void memory_release_all(void);

/* ---- files.c: files of the volume that the loader was started from ---- */

struct file {
    uint64_t base; ///< page-aligned; the rest of the last page is zero
    uint64_t size; ///< bytes
    enum boot_module_status status;
    EFI_STATUS firmware_status;
};

/// Finds the loader's volume and its own folder there. Fails with a report.
EFI_STATUS files_open(void);
/// Reads a file, at most limit bytes of it, from the loader's own folder or else from the volume's root. True: it is in
/// memory. Otherwise file->status and file->firmware_status tell why not, and base and size are 0.
bool files_read(const char *name, uint64_t limit, struct file *file);
/// "no such file" and so on, for messages.
const char *files_problem(enum boot_module_status status);
void files_close(void);
/// The options that the loader was started with (UEFI 2.10 section 9.1).
const void *files_options(size_t *size);

/* ---- image.c: polyvisor.elf ---- */

/// Checks the file and puts its segments in place. Fails with a report.
EFI_STATUS image_load(const char *name, const struct file *file, struct image *image);

/* ---- memory_map.c: the firmware's memory map ---- */

/// Reads the map anew. The buffer is replaced by a larger one where needed.
EFI_STATUS memory_map_read(void);
/// One of its descriptors, or NULL behind the last.
const EFI_MEMORY_DESCRIPTOR *memory_map_entry(size_t index);
/// Leaves boot services: on success nothing of the firmware but its memory map may be used any more. Fails with a
/// report.
EFI_STATUS memory_map_exit(void);
/// Fills in the regions.
void memory_map_fill(struct boot_info *info);

/* ---- paging.c ---- */

/// Makes the page tables that boot_info.h promises. Fails with a report.
EFI_STATUS paging_build(const struct image *image, const struct boot_info *info);
/// Turns regions into reserved ones that could not be mapped, with a complaint.
void paging_check(struct boot_info *info);
/// Switches to the page tables and jumps to the entry point.
_Noreturn void paging_enter(uint64_t entry, uint64_t info);

/* ---- machine.c: what the firmware knows about the machine ---- */

void machine_fill(struct boot_info *info);

#endif
