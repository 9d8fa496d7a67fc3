// SPDX-License-Identifier: Apache-2.0
/// Builds multiboot2 information tag by tag, parses it, and looks at what came out.
#ifndef POLYVISOR_TESTS_MULTIBOOT2_BUILDER_H
#define POLYVISOR_TESTS_MULTIBOOT2_BUILDER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <boot/multiboot2/multiboot2.h>

enum { INFORMATION_MAX = 65536, RAM = 1, EFI_ENTRY = 48 };

/// The information under construction: total size, a reserved word, tags.
static _Alignas(8) uint8_t information[INFORMATION_MAX];
static size_t used;

static struct boot_info boot;
static char error[MULTIBOOT2_ERROR_SIZE];

static inline void put32(uint32_t value)
{
    memcpy(information + used, &value, sizeof value);
    used += sizeof value;
}

static inline void put64(uint64_t value)
{
    put32((uint32_t)value);
    put32((uint32_t)(value >> 32));
}

static inline void put_bytes(const void *bytes, size_t size)
{
    memcpy(information + used, bytes, size);
    used += size;
}

static inline void set_total(uint32_t total)
{
    memcpy(information, &total, sizeof total);
}

static inline void begin(void)
{
    memset(information, 0, sizeof information);
    used = 8;
}

/// Begins a tag; returns where, for end_tag.
static inline size_t begin_tag(uint32_t type)
{
    used = (used + 7) & ~(size_t)7;
    put32(type);
    put32(0);
    return used - 8;
}

static inline void set_tag_size(size_t at, uint32_t size)
{
    memcpy(information + at + 4, &size, sizeof size);
}

static inline void end_tag(size_t at)
{
    set_tag_size(at, (uint32_t)(used - at));
}

static inline void add_text(uint32_t type, const char *text)
{
    size_t at = begin_tag(type);
    put_bytes(text, strlen(text) + 1);
    end_tag(at);
}

static inline void add_module(uint32_t start, uint32_t end, const char *text)
{
    size_t at = begin_tag(MULTIBOOT2_MODULE);
    put32(start);
    put32(end);
    put_bytes(text, strlen(text) + 1);
    end_tag(at);
}

static inline size_t begin_mmap(uint32_t entry_size)
{
    size_t at = begin_tag(MULTIBOOT2_MMAP);
    put32(entry_size);
    put32(0);
    return at;
}

static inline void put_mmap_entry(uint64_t base, uint64_t size, uint32_t type)
{
    put64(base);
    put64(size);
    put32(type);
    put32(0);
}

static inline void add_mmap(void)
{
    size_t at = begin_mmap(24);
    put_mmap_entry(0, 0x9f000, RAM);
    put_mmap_entry(0x9f000, 0x1000, 2);
    put_mmap_entry(0x100000, 0xff00000, RAM);
    end_tag(at);
}

static inline void put_efi_entry(uint32_t type, uint64_t base, uint64_t pages, uint64_t attribute)
{
    put32(type);
    put32(0);
    put64(base);
    put64(0);
    put64(pages);
    put64(attribute);
    put64(0); // descriptors are larger than the structure that the specification shows
}

static inline void finish(void)
{
    end_tag(begin_tag(MULTIBOOT2_END));
    set_total((uint32_t)used);
}

static inline bool parse(void)
{
    memset(&boot, 0xa5, sizeof boot);
    memset(error, 0, sizeof error);
    return multiboot2_parse(information, INFORMATION_MAX, &boot, error, sizeof error);
}

static inline void expect_parsed(const char *message)
{
    if (!parse())
        fail_msg("refused: %s", error);
    assert_string_equal(boot.message, message);
}

static inline void expect_refused(const char *text)
{
    assert_false(parse());
    assert_string_equal(error, text);
}

static inline const struct boot_region *find_region(uint64_t base)
{
    for (uint32_t i = 0; i < boot.region_count; i++) {
        if (boot.regions[i].base == base)
            return &boot.regions[i];
    }
    fail_msg("no region at %#llx", (unsigned long long)base);
    return NULL;
}

static inline void expect_region(uint64_t base, uint64_t size, uint32_t type)
{
    const struct boot_region *region = find_region(base);
    assert_int_equal(region->size, size);
    assert_int_equal(region->type, type);
}

static inline size_t add_rsdp(uint32_t type, size_t size, uint32_t length)
{
    uint8_t rsdp[64] = "RSD PTR ";
    memcpy(rsdp + 20, &length, sizeof length);
    size_t at = begin_tag(type);
    put_bytes(rsdp, size);
    end_tag(at);
    return (uintptr_t)information + at + 8;
}

/// base, pitch, width, height, bits, then the three colours' positions and sizes.
static inline void add_framebuffer(uint64_t base, uint32_t pitch, uint32_t width, uint32_t height, uint8_t bits,
                                   const uint8_t colours[6])
{
    const uint8_t kind[4] = {bits, 1, 0, 0};
    size_t at = begin_tag(MULTIBOOT2_FRAMEBUFFER);
    put64(base);
    put32(pitch);
    put32(width);
    put32(height);
    put_bytes(kind, sizeof kind);
    put_bytes(colours, 6);
    end_tag(at);
}

static const uint8_t bgr[6] = {16, 8, 8, 8, 0, 8};

#endif
