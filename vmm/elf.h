// SPDX-License-Identifier: Apache-2.0
/// ELF64 images of personalities: everything is checked before a byte is used. Pure; also used by host tests and a
/// fuzzer.
#ifndef POLYVISOR_ELF_H
#define POLYVISOR_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <polyvisor/abi.h>

enum { ELF_MAX_SEGMENTS = 16, ELF_ERROR_SIZE = PV_WHY_SIZE };

enum elf_access { ELF_READ = 4, ELF_WRITE = 2, ELF_EXECUTE = 1 }; // as PF_R, PF_W, PF_X

struct elf_segment {
    uint64_t address;     ///< virtual, any alignment; no two segments share a 4 KiB page
    uint64_t file_offset; ///< file_offset + file_size lies inside the file
    uint64_t file_size;   ///< bytes, at most memory_size
    uint64_t memory_size; ///< bytes; what is beyond file_size is zero
    uint32_t access;      ///< enum elf_access; never WRITE and EXECUTE together
};

struct elf_image {
    uint64_t entry;         ///< lies in an executable segment's file part
    uint32_t segment_count; ///< in order of address, empty ones left out
    struct elf_segment segments[ELF_MAX_SEGMENTS];
    uint64_t pages; ///< 4 KiB pages that all segments take together
    struct pv_note note;
};

/// Checks that a file is a static x86-64 personality image that fits [PV_IMAGE_MIN, PV_IMAGE_MAX) and lists its
/// segments. On false, error holds a sentence that names what is wrong ("segment 2 is writable and executable").
bool elf_parse(const void *file, size_t size, struct elf_image *image, char error[ELF_ERROR_SIZE]);

#endif
