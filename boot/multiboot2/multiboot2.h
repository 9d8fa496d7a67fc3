// SPDX-License-Identifier: Apache-2.0
/// The multiboot2 information that a boot loader passes (Multiboot2 specification 2.0, section 3.6), and its reader.
#ifndef POLYVISOR_BOOT_MULTIBOOT2_H
#define POLYVISOR_BOOT_MULTIBOOT2_H

#include <boot/boot_info.h>
#include <stdbool.h>
#include <stddef.h>

enum multiboot2_tag {
    MULTIBOOT2_END = 0,
    MULTIBOOT2_CMDLINE = 1,
    MULTIBOOT2_LOADER = 2,
    MULTIBOOT2_MODULE = 3,
    MULTIBOOT2_MMAP = 6,
    MULTIBOOT2_FRAMEBUFFER = 8,
    MULTIBOOT2_RSDP_1 = 14, ///< copy of an ACPI 1.0 RSDP
    MULTIBOOT2_RSDP_2 = 15, ///< copy of an ACPI 2.0 RSDP
    MULTIBOOT2_EFI_MMAP = 17,
};

enum multiboot2_memory { MULTIBOOT2_RAM = 1, MULTIBOOT2_ACPI = 3, MULTIBOOT2_NVS = 4, MULTIBOOT2_BAD = 5 };

enum {
    MULTIBOOT2_ALIGN = 8,     ///< of the information and of each tag in it
    MULTIBOOT2_MAX = 1 << 20, ///< bytes of information that are believed
    MULTIBOOT2_ERROR_SIZE = 160,
};

/// Fills *out from the information, whose address is taken for its physical one: names, memory map, modules,
/// configuration, framebuffer, RSDP. The module that the command line names by config=NAME (default polyvisor.cfg) is
/// the configuration. A damaged tag is left out, with a complaint in out->message. False, with a sentence in error:
/// nothing can be started with it. Pure.
bool multiboot2_parse(const void *information, size_t limit, struct boot_info *out, char *error, size_t error_size);

/// Undoes what GRUB does to the words of a command line: it puts a word with a space into double quotes and a backslash
/// before quotes and backslashes. KEY=VALUE with spaces in the value becomes KEY="VALUE" as in the configuration.
/// False: *to was too small and holds the whole words that fitted. Pure.
bool multiboot2_unquote(const char *from, char *to, size_t size);

#endif
