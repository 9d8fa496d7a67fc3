// SPDX-License-Identifier: Apache-2.0
// Multiboot 1 kernels.
// links: vmm/personalities/lib/loaders/*.c vmm/lib/format.c vmm/lib/string.c
#include "loader_images.h"

#include "loaders/multiboot1.h"

enum { MAGIC = 0x1badb002, FLAT_SIZE = 0x800, HEADER = 0x104 };

static void put_header(uint8_t *f, size_t at, uint32_t flags)
{
    put(f, at, 4, MAGIC);
    put(f, at + 4, 4, flags);
    put(f, at + 8, 4, -(MAGIC + flags));
}

/// Not ELF; loaded from 4 bytes into the file on.
static uint8_t *good_flat(void)
{
    uint8_t *f = calloc(1, FLAT_SIZE);
    put(f, 0x80, 4, MAGIC); // a magic number alone is no header
    put_header(f, HEADER, 0x10003);
    put(f, HEADER + 12, 4, 0x100100); // header_addr
    put(f, HEADER + 16, 4, 0x100000);
    put(f, HEADER + 20, 4, 0x100700);
    put(f, HEADER + 24, 4, 0x102000);
    put(f, HEADER + 28, 4, 0x100180);
    return f;
}

static void reads_addresses(void **state)
{
    (void)state;
    uint8_t *f = good_flat();
    struct image image;
    char why[IMAGE_WHY] = "";
    bool found = false;
    assert_true(multiboot1_parse(f, FLAT_SIZE, &image, &found, why) && found);
    assert_int_equal(image.entry, 0x100180);
    assert_int_equal(image.segment_count, 1);
    assert_int_equal(image.segments[0].gpa, 0x100000);
    assert_int_equal(image.segments[0].offset, 4);
    assert_int_equal(image.segments[0].file_size, 0x700);
    assert_int_equal(image.segments[0].memory_size, 0x2000);
    // load_end_addr 0: the whole file; bss_end_addr 0: no bss
    put(f, HEADER + 20, 4, 0);
    put(f, HEADER + 24, 4, 0);
    assert_true(multiboot1_parse(f, FLAT_SIZE, &image, &found, why));
    assert_int_equal(image.segments[0].file_size, FLAT_SIZE - 4);
    assert_int_equal(image.segments[0].memory_size, FLAT_SIZE - 4);
    free(f);
}

static void reads_elf(void **state)
{
    (void)state;
    for (unsigned wide = 0; wide < 2; wide++) {
        uint8_t *f = make_elf(wide != 0);
        put_header(f, 8192 - 12, 0xfffe0003); // at the last place, with flags that may be ignored
        struct image image;
        char why[IMAGE_WHY] = "";
        bool found = false;
        if (!multiboot1_parse(f, ELF_SIZE, &image, &found, why))
            fail_msg("%s", why);
        assert_int_equal(image.segment_count, 2);
        assert_int_equal(image.entry, 0x200010); // physical, also where the entry point is not
        put(f, 24, 4, 0x900000);
        expect_refusal(multiboot1_parse, f, ELF_SIZE, true, "is not in what is loaded");
        free(f);
    }
}

static void finds_the_header(void **state)
{
    (void)state;
    uint8_t *f = make_elf(false);
    expect_refusal(multiboot1_parse, f, ELF_SIZE, false, "no Multiboot 1 header");
    put_header(f, 8192 - 8, 3); // does not lie in the first 8 KiB
    expect_refusal(multiboot1_parse, f, ELF_SIZE, false, "no Multiboot 1 header");
    memset(f + 8192 - 8, 0, 12);
    put_header(f, 0x202, 3); // not at a multiple of 4
    expect_refusal(multiboot1_parse, f, ELF_SIZE, false, "no Multiboot 1 header");
    free(f);
}

static void set_flags(uint8_t *f, uint32_t flags)
{
    put_header(f, HEADER, flags);
}

static void refuses(void **state)
{
    (void)state;
    uint8_t *f = good_flat();
    set_flags(f, 0x10007);
    expect_refusal(multiboot1_parse, f, FLAT_SIZE, true, "video mode");
    set_flags(f, 0x18003);
    expect_refusal(multiboot1_parse, f, FLAT_SIZE, true, "what is not known (flags 0x18003)");
    set_flags(f, 3);
    expect_refusal(multiboot1_parse, f, FLAT_SIZE, true, "not an ELF file");
    set_flags(f, 0x10003);
    refused(multiboot1_parse, f, FLAT_SIZE, HEADER + 8, 4, 1, "no Multiboot 1 header");
    refused(multiboot1_parse, f, FLAT_SIZE, HEADER + 16, 4, 0x100101, "load_addr, 0x100101");
    refused(multiboot1_parse, f, FLAT_SIZE, HEADER + 12, 4, 0x100105, "load_addr, 0x100000"); // before the file
    refused(multiboot1_parse, f, FLAT_SIZE, HEADER + 20, 4, 0xfffff, "load_end_addr, 0xfffff");
    refused(multiboot1_parse, f, FLAT_SIZE, HEADER + 20, 4, 0x1007fd, "truncated");
    refused(multiboot1_parse, f, FLAT_SIZE, HEADER + 24, 4, 0x1006ff, "bss_end_addr, 0x1006ff");
    refused(multiboot1_parse, f, FLAT_SIZE, HEADER + 28, 4, 0x100700, "entry point, 0x100700");
    refused(multiboot1_parse, f, FLAT_SIZE, HEADER + 28, 4, 0xfffff, "entry point, 0xfffff");
    memset(f + HEADER, 0, 32);
    put_header(f, FLAT_SIZE - 12, 0x10003);
    expect_refusal(multiboot1_parse, f, FLAT_SIZE, true, "no room for addresses");
    free(f);
}

static void refuses_truncated(void **state)
{
    (void)state;
    uint8_t *f = good_flat();
    refuses_every_length(multiboot1_parse, f, 0x704); // to load_end_addr
    free(f);
    f = make_elf(false);
    put_header(f, 0x800, 3);
    refuses_every_length(multiboot1_parse, f, 0x2100); // to the end of the second segment
    free(f);
}

static void informs(void **state)
{
    (void)state;
    struct image_area area = make_area(4096);
    const uint64_t info = multiboot1_information(&loader_machine, &area);
    assert_int_equal(get(&area, info, 4), 0x24d); // memory, command line, modules, map, loader
    assert_int_equal(get(&area, info + 4, 4), 639);
    assert_int_equal(get(&area, info + 8, 4), 63 * 1024);
    assert_string_equal(text_at(&area, get(&area, info + 16, 4)), "kernel console=com1 quiet");
    assert_int_equal(get(&area, info + 20, 4), 2);
    const uint64_t modules = get(&area, info + 24, 4);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(get(&area, modules + i * 16, 4), loader_modules[i].gpa);
        assert_int_equal(get(&area, modules + i * 16 + 4, 4), loader_modules[i].gpa + loader_modules[i].size);
        assert_string_equal(text_at(&area, get(&area, modules + i * 16 + 8, 4)), loader_modules[i].name);
        assert_int_equal(get(&area, modules + i * 16 + 12, 4), 0);
    }
    uint64_t at = get(&area, info + 48, 4);
    const uint64_t end = at + get(&area, info + 44, 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(get(&area, at, 4), 20);
        assert_int_equal(get(&area, at + 4, 8), loader_regions[i].start);
        assert_int_equal(get(&area, at + 12, 8), loader_regions[i].end - loader_regions[i].start);
        assert_int_equal(get(&area, at + 20, 4), loader_regions[i].type);
        at += 4 + get(&area, at, 4);
    }
    assert_int_equal(at, end);
    assert_string_equal(text_at(&area, get(&area, info + 64, 4)), "Polyvisor");
    const size_t needed = area.used;
    free(area.bytes);
    for (size_t size = 0; size < needed; size++) {
        area = make_area(size);
        assert_int_equal(multiboot1_information(&loader_machine, &area), 0);
        free(area.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_addresses), cmocka_unit_test(reads_elf),         cmocka_unit_test(finds_the_header),
        cmocka_unit_test(refuses),         cmocka_unit_test(refuses_truncated), cmocka_unit_test(informs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
