// SPDX-License-Identifier: Apache-2.0
/// Kernels as ELF files: segments at their physical addresses. Pure; host-tested. Source: System V ABI, gABI chapters 4 and 5.
#ifndef POLYVISOR_LOADERS_ELF_KERNEL_H
#define POLYVISOR_LOADERS_ELF_KERNEL_H

#include "loaders/image.h"

/// What is wanted of a file's notes; `found` and `value` are filled in.
struct elf_note {
    const char *name;
    uint32_t type;
    bool found;
    uint64_t value; ///< of a note of 4 or 8 bytes
};

bool elf_is(const void *file, size_t size);

/// Reads segments and entry point of an executable for x86, of 32 or 64 bits. note may be NULL. False: why[IMAGE_WHY] says what is
/// wrong with the file. The entry point is not checked (a protocol may have another one).
bool elf_kernel_parse(const void *file, size_t size, struct image *image, struct elf_note *note, char *why);

#endif
