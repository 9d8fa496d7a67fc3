// SPDX-License-Identifier: Apache-2.0
/// Kernels of guests, whatever protocol they are booted by: what to copy where, and what they are told of their machine. Pure;
/// host-tested. docs/guest-boot.md tells which protocols there are and how one is chosen.
#ifndef POLYVISOR_LOADERS_IMAGE_H
#define POLYVISOR_LOADERS_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { IMAGE_WHY = 160, IMAGE_SEGMENTS = 32, IMAGE_PAGE = 4096 };
#define IMAGE_LOWEST                                                                                                   \
    UINT64_C(0x100000) ///< below 1 MiB nothing is loaded: there are the BIOS's area and the boot information

enum image_protocol { IMAGE_UNKNOWN, IMAGE_LINUX, IMAGE_PVH, IMAGE_MULTIBOOT2, IMAGE_MULTIBOOT1, IMAGE_PROTOCOLS };

/// A piece of the file and where it goes; what is beyond file_size is zero.
struct image_segment {
    uint64_t gpa;
    uint64_t offset;    ///< offset + file_size lies inside the file
    uint64_t file_size; ///< at most memory_size
    uint64_t memory_size;
};

/// A kernel that is entered in 32-bit protected mode without paging.
struct image {
    struct image_segment segments[IMAGE_SEGMENTS]; ///< none is empty, no two overlap, all end below 4 GiB
    uint32_t segment_count;
    uint64_t entry; ///< physical, in a segment
    bool relocatable;
    uint64_t lowest, highest, alignment; ///< when relocatable: between which addresses it may stand
    bool prefers_high;                   ///< when relocatable
    bool wants_base;                     ///< is told where it stands
};

/// What a kernel learns of its machine.
struct image_region {
    uint64_t start, end;
    uint32_t type; ///< enum image_region_type
};
enum image_region_type { IMAGE_RAM = 1, IMAGE_RESERVED = 2, IMAGE_ACPI = 3 }; ///< as in ACPI's INT 15h, E820h

struct image_module {
    uint64_t gpa, size;
    const char *name;
};

struct image_machine {
    const struct image_region *regions; ///< in order of address
    uint32_t region_count;
    const struct image_module *modules;
    uint32_t module_count;
    const char *cmdline;
    uint64_t rsdp;         ///< guest-physical
    const void *rsdp_copy; ///< the same, IMAGE_RSDP_SIZE bytes
};
enum { IMAGE_RSDP_SIZE = 36 }; ///< of ACPI 2.0 and later (ACPI 6.4, 5.2.5.3)

/// Memory of the guest that is filled from its beginning on. `full` stays set once something did not fit.
struct image_area {
    uint8_t *bytes;
    uint64_t gpa; ///< a multiple of 8
    size_t size, used;
    bool full;
};

/// "PVH" and the like; the words of polyvisor.boot= are image_protocol_word's.
const char *image_protocol_name(enum image_protocol protocol);
const char *image_protocol_word(enum image_protocol protocol);

/// A little-endian number of the file; the caller has checked that it is inside.
uint64_t image_field(const void *file, size_t offset, size_t bytes);

/// Writes a sentence into why[IMAGE_WHY]; always false.
bool image_refuse(char *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

/// Adds a segment, unless it is empty. False: it is outside the file, its addresses, or one of the others.
bool image_add_segment(struct image *image, const struct image_segment *segment, size_t file_size, char *why);

/// Whether the entry point is in a segment and there is one.
bool image_check_entry(const struct image *image, char *why);

/// Finds a place in `ram` bytes from address 0 on: moves a relocatable image that does not fit where it was linked. False: why
/// says of the image what does not fit.
bool image_place(struct image *image, uint64_t ram, char *why);

/// Gives modules of these sizes places behind the image, or before it, each on a page of its own. False: why names the module.
bool image_place_modules(const struct image *image, uint64_t ram, struct image_module *modules, uint32_t count,
                         char *why);

/// The first address of the image, and the first one behind it.
uint64_t image_start(const struct image *image);
uint64_t image_end(const struct image *image);

/// Reserves `size` bytes, zeroed, at a multiple of `alignment` (a power of two up to 8): their offset, or 0 when they do not fit (and
/// then `full` is set, and writes to offset 0 do no harm).
size_t image_reserve(struct image_area *area, size_t size, size_t alignment);
/// Writes a number into what was reserved.
void image_put(struct image_area *area, size_t offset, size_t bytes, uint64_t value);
/// Appends bytes. Their offset.
size_t image_append(struct image_area *area, const void *data, size_t size);

#endif
