// SPDX-License-Identifier: Apache-2.0
/// Linux kernel images: is this one, is it whole, and can it be entered in 64-bit mode? Pure; host-tested.
/// Source: Linux, Documentation/x86/boot.rst (the boot protocol), whose names of fields are used here.
#ifndef POLYVISOR_LINUX_BZIMAGE_H
#define POLYVISOR_LINUX_BZIMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BZIMAGE_HEADER = 0x1f1,     ///< where the set-up header begins, in the file and in struct boot_params
    BZIMAGE_HEADER_MAX = 0x281, ///< where it ends at the latest: the jump over it has 7 bits
    BZIMAGE_ENTRY_64 = 0x200,   ///< from the start of the loaded kernel
};

struct bzimage {
    uint32_t version;     ///< of the boot protocol: major << 8 | minor
    uint32_t header_end;  ///< in the file
    uint64_t offset;      ///< of the protected-mode kernel in the file
    uint64_t size;        ///< of it
    uint64_t preferred;   ///< pref_address: where it wants to be loaded
    uint64_t alignment;   ///< kernel_alignment
    uint64_t needed;      ///< init_size: memory that it uses from there on before it knows the memory map
    uint64_t initrd_last; ///< initrd_addr_max: the highest byte that an initrd may occupy
    uint32_t cmdline_max; ///< cmdline_size: bytes without the NUL
    bool relocatable;
};

/// Reads the header. False: why[IMAGE_WHY] says what is wrong with the file.
bool bzimage_parse(const void *file, size_t size, struct bzimage *image, char *why);

#endif
