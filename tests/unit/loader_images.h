// SPDX-License-Identifier: Apache-2.0
/// Kernels for the tests of the loaders, made field by field, in memory that ends where the file does.
#ifndef POLYVISOR_TESTS_LOADER_IMAGES_H
#define POLYVISOR_TESTS_LOADER_IMAGES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "loaders/image.h"

typedef bool loader_parser(const void *file, size_t size, struct image *image, bool *found, char *why);

static inline void put(void *file, size_t at, unsigned bytes, uint64_t value)
{
    for (unsigned i = 0; i < bytes; i++)
        ((uint8_t *)file)[at + i] = (uint8_t)(value >> (8 * i));
}

/// An ELF file of 32 or 64 bits with two segments: 0x1000 bytes at physical 0x200000 (virtual: the same in 32 bits, in the kernel's
/// half in 64), and 0x100 bytes at 0x400000 with 0x2000 in memory; and a segment of notes at ELF_NOTES.
enum { ELF_SIZE = 0x3000, ELF_NOTES = 0x2800, ELF_NOTES_SIZE = 0x40 };
#define ELF_VIRTUAL UINT64_C(0xffffffff80000000)

static inline void put_program(uint8_t *f, unsigned index, uint32_t type, uint64_t offset, uint64_t address,
                               uint64_t file_size, uint64_t size)
{
    const bool wide = f[4] == 2;
    const uint64_t virtual = wide ? ELF_VIRTUAL + address : address;
    const uint64_t fields[] = {offset, virtual, address, file_size, size};
    const size_t at = wide ? 64 + index * 56u : 52 + index * 32u;
    put(f, at, 4, type);
    for (unsigned i = 0; i < 5; i++)
        put(f, at + (wide ? 8 + i * 8 : 4 + i * 4), wide ? 8 : 4, fields[i]);
    put(f, at + (wide ? 48 : 28), wide ? 8 : 4, 4);
}

static inline uint8_t *make_elf(bool wide)
{
    uint8_t *f = calloc(1, ELF_SIZE);
    memcpy(f, "\177ELF", 4);
    f[4] = wide ? 2 : 1;
    f[5] = f[6] = 1;
    put(f, 16, 2, 2);
    put(f, 18, 2, wide ? 62 : 3);
    put(f, 20, 4, 1);
    put(f, 24, wide ? 8 : 4, (wide ? ELF_VIRTUAL : 0) + 0x200010);
    put(f, wide ? 32 : 28, wide ? 8 : 4, wide ? 64 : 52);
    put(f, wide ? 54 : 42, 2, wide ? 56 : 32);
    put(f, wide ? 56 : 44, 2, 3);
    put_program(f, 0, 1, 0x1000, 0x200000, 0x1000, 0x1000);
    put_program(f, 1, 1, 0x2000, 0x400000, 0x100, 0x2000);
    put_program(f, 2, 4, ELF_NOTES, 0x201800, ELF_NOTES_SIZE, ELF_NOTES_SIZE);
    return f;
}

/// Adds a note; returns where the next one goes.
static inline size_t put_note(uint8_t *f, size_t at, const char *name, uint32_t type, uint32_t size, uint64_t value)
{
    const uint32_t name_size = (uint32_t)strlen(name) + 1;
    put(f, at, 4, name_size);
    put(f, at + 4, 4, size);
    put(f, at + 8, 4, type);
    memcpy(f + at + 12, name, name_size);
    at += 12 + ((name_size + 3) & ~3u);
    put(f, at, size < 8 ? size : 8, value);
    return at + ((size + 3) & ~3u);
}

/// The message contains the text, whether or not a header was found.
static inline void expect_refusal(loader_parser *parse, const uint8_t *f, size_t size, bool expected, const char *text)
{
    struct image image;
    char why[IMAGE_WHY];
    bool found = !expected;
    memset(why, 'x', sizeof(why));
    assert_false(parse(f, size, &image, &found, why));
    assert_non_null(memchr(why, '\0', sizeof(why)));
    if (strstr(why, text) == NULL)
        fail_msg("'%s' lacks '%s'", why, text);
    assert_int_equal(found, expected);
}

/// One field of a good file changed.
static inline void refused(loader_parser *parse, uint8_t *f, size_t size, size_t at, unsigned bytes, uint64_t value,
                           const char *text)
{
    uint8_t before[8];
    memcpy(before, f + at, bytes);
    put(f, at, bytes, value);
    struct image image;
    char why[IMAGE_WHY] = "";
    bool found;
    if (parse(f, size, &image, &found, why))
        fail_msg("taken, expected '%s'", text);
    if (strstr(why, text) == NULL)
        fail_msg("'%s' lacks '%s'", why, text);
    memcpy(f + at, before, bytes);
}

/// Every length below the whole is refused, with a message, and nothing behind the end is read (the sanitizer watches).
static inline void refuses_every_length(loader_parser *parse, const uint8_t *whole, size_t size)
{
    for (size_t length = 0; length < size; length++) {
        uint8_t *f = malloc(length + 1);
        struct image image;
        char why[IMAGE_WHY] = "";
        bool found;
        memcpy(f + 1, whole, length);
        if (parse(f + 1, length, &image, &found, why))
            fail_msg("taken with %zu bytes of %zu", length, size);
        assert_true(why[0] != '\0');
        free(f);
    }
}

static const struct image_region loader_regions[] = {{0, 0x9fc00, IMAGE_RAM},
                                                     {0x9fc00, 0xa0000, IMAGE_RESERVED},
                                                     {0xe0000, 0x100000, IMAGE_RESERVED},
                                                     {0x100000, 0x4000000, IMAGE_RAM}};
static const struct image_module loader_modules[] = {{0x600000, 0x1234, "dom0"}, {0x602000, 0x10, "initrd"}};
static const char loader_rsdp[IMAGE_RSDP_SIZE] = "RSD PTR of the test";
static const struct image_machine loader_machine = {
    .regions = loader_regions,
    .region_count = 4,
    .modules = loader_modules,
    .module_count = 2,
    .cmdline = "console=com1 quiet",
    .rsdp = 0xe0000,
    .rsdp_copy = loader_rsdp,
};

enum { LOADER_AREA = 0x30000 };

/// An area of exactly so many bytes; all of its contents are wrong.
static inline struct image_area make_area(size_t size)
{
    struct image_area area = {.bytes = malloc(size + 1), .gpa = LOADER_AREA, .size = size};
    memset(area.bytes, 0xa5, size + 1);
    return area;
}

static inline uint64_t get(const struct image_area *area, uint64_t gpa, unsigned bytes)
{
    assert_true(gpa >= LOADER_AREA && gpa - LOADER_AREA + bytes <= area->used);
    return image_field(area->bytes, gpa - LOADER_AREA, bytes);
}

static inline const char *text_at(const struct image_area *area, uint64_t gpa)
{
    assert_true(gpa >= LOADER_AREA && gpa - LOADER_AREA < area->used);
    assert_non_null(memchr(area->bytes + (gpa - LOADER_AREA), '\0', area->used - (gpa - LOADER_AREA)));
    return (const char *)area->bytes + (gpa - LOADER_AREA);
}

#endif
