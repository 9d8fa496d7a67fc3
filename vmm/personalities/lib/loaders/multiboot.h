// SPDX-License-Identifier: Apache-2.0
/// What both versions of Multiboot have in common. Pure; host-tested with them.
#ifndef POLYVISOR_LOADERS_MULTIBOOT_H
#define POLYVISOR_LOADERS_MULTIBOOT_H

#include "loaders/image.h"

#define MULTIBOOT_LOADER "Polyvisor" ///< the boot loader's name
#define MULTIBOOT_FILE "kernel "     ///< the command line's first word stands for the file, as with the first GRUB

/// For files that are not ELF ("a.out kludge"): header_addr, load_addr, load_end_addr, bss_end_addr.
struct multiboot_addresses {
    uint64_t offset; ///< of the header in the file
    uint64_t header, load, load_end, bss_end;
};

struct multiboot_addresses multiboot_read_addresses(const void *file, size_t header, size_t fields);

/// The one segment that they describe. False: why says which field is wrong.
bool multiboot_add_addresses(struct image *image, const struct multiboot_addresses *addresses, size_t size, char *why);

/// KiB from 0 on, and from 1 MiB on to the first hole.
struct multiboot_memory {
    uint32_t lower, upper;
};
struct multiboot_memory multiboot_memory(const struct image_machine *machine);

/// The offset of the command line with its NUL.
size_t multiboot_append_cmdline(const struct image_machine *machine, struct image_area *area);

#endif
