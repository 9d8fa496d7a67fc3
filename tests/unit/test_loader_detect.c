// SPDX-License-Identifier: Apache-2.0
// Which protocol a kernel is booted by, and where it and its modules go.
// links: vmm/personalities/lib/loaders/*.c vmm/lib/format.c vmm/lib/string.c
#include "loader_images.h"

#include "loaders/detect.h"

static struct image image;
static char why[IMAGE_WHY];

static enum image_protocol detect(const void *file, size_t size, enum image_protocol wanted)
{
    memset(why, 0, sizeof(why));
    return detect_and_parse(file, size, wanted, &image, why);
}

static void put_multiboot1(uint8_t *f)
{
    put(f, 0x800, 4, 0x1badb002);
    put(f, 0x808, 4, (uint32_t)-0x1badb002);
}

static void put_multiboot2(uint8_t *f)
{
    put(f, 0x900, 4, 0xe85250d6);
    put(f, 0x908, 4, 24);
    put(f, 0x90c, 4, -(0xe85250d6u + 24));
    put(f, 0x914, 4, 8);
}

/// One file that is everything: what is found first is what it is, and each can be had by force.
static void chooses(void **state)
{
    (void)state;
    uint8_t *f = make_elf(false);
    assert_int_equal(detect(f, ELF_SIZE, IMAGE_UNKNOWN), IMAGE_UNKNOWN);
    assert_non_null(strstr(why, "no Multiboot header, and as PVH: an ELF file without a PVH entry"));
    put_multiboot1(f);
    assert_int_equal(detect(f, ELF_SIZE, IMAGE_UNKNOWN), IMAGE_MULTIBOOT1);
    put_multiboot2(f);
    assert_int_equal(detect(f, ELF_SIZE, IMAGE_UNKNOWN), IMAGE_MULTIBOOT2);
    put_note(f, ELF_NOTES, "Xen", 18, 4, 0x200020);
    assert_int_equal(detect(f, ELF_SIZE, IMAGE_UNKNOWN), IMAGE_PVH);
    assert_int_equal(image.entry, 0x200020);
    assert_int_equal(detect(f, ELF_SIZE, IMAGE_MULTIBOOT1), IMAGE_MULTIBOOT1);
    assert_int_equal(image.entry, 0x200010);
    assert_int_equal(detect(f, ELF_SIZE, IMAGE_MULTIBOOT2), IMAGE_MULTIBOOT2);
    assert_int_equal(detect(f, ELF_SIZE, IMAGE_LINUX), IMAGE_LINUX);
    memcpy(f + 0x202, "HdrS", 4);
    assert_int_equal(detect(f, ELF_SIZE, IMAGE_UNKNOWN), IMAGE_LINUX);
    assert_int_equal(detect(f, ELF_SIZE, IMAGE_PVH), IMAGE_PVH);
    free(f);
}

/// A header that is found and is wrong is not passed over for a lesser one.
static void does_not_fall_back(void **state)
{
    (void)state;
    uint8_t *f = make_elf(false);
    put_multiboot1(f);
    put_multiboot2(f);
    put(f, 0x910, 2, 99);
    assert_int_equal(detect(f, ELF_SIZE, IMAGE_UNKNOWN), IMAGE_UNKNOWN);
    assert_non_null(strstr(why, "required tag of type 99"));
    assert_int_equal(detect(f, ELF_SIZE, IMAGE_MULTIBOOT1), IMAGE_MULTIBOOT1);
    put_note(f, ELF_NOTES, "Xen", 18, 4, 0x900000);
    assert_int_equal(detect(f, ELF_SIZE, IMAGE_UNKNOWN), IMAGE_UNKNOWN);
    assert_non_null(strstr(why, "0x900000"));
    free(f);
}

static void expect_why(const char *data, size_t size, enum image_protocol wanted, const char *text)
{
    char *file = malloc(size + 1); // the sanitizer sees the end
    memcpy(file + 1, data, size);
    assert_int_equal(detect(file + 1, size, wanted), IMAGE_UNKNOWN);
    if (strstr(why, text) == NULL)
        fail_msg("'%s' lacks '%s'", why, text);
    free(file);
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    expect_why("", 0, IMAGE_UNKNOWN, "it is empty");
    expect_why("", 0, IMAGE_LINUX, "it is empty");
    expect_why("text", 4, IMAGE_UNKNOWN,
               "4 bytes without 'HdrS' at 0x202, a PVH note, or a Multiboot header: no kernel");
    expect_why("\x1f\x8b\x08", 3, IMAGE_UNKNOWN, "compressed with gzip: unpack it first");
    expect_why("\xfd\x37zXZ", 6, IMAGE_UNKNOWN, "xz");
    expect_why("\x28\xb5\x2f\xfd", 4, IMAGE_UNKNOWN, "zstd");
    expect_why("\177ELF", 4, IMAGE_UNKNOWN, "truncated: 4 bytes, less than an ELF header");
    expect_why("text", 4, IMAGE_PVH, "not an ELF file");
    expect_why("text", 4, IMAGE_MULTIBOOT1, "no Multiboot 1 header");
    expect_why("text", 4, IMAGE_MULTIBOOT2, "no Multiboot 2 header");
    assert_string_equal(image_protocol_name(IMAGE_MULTIBOOT2), "Multiboot 2");
    assert_string_equal(image_protocol_word(IMAGE_PVH), "pvh");
}

/* ---- places ---- */

enum { MIB = 1 << 20 };

static struct image at(uint64_t gpa, uint64_t size)
{
    return (struct image){
        .segments = {{gpa, 0, 1, size}}, .segment_count = 1, .entry = gpa, .alignment = 1, .highest = UINT32_MAX};
}

static bool place(struct image *kernel, uint64_t ram, struct image_module *modules, uint32_t count)
{
    memset(why, 0, sizeof(why));
    return image_place(kernel, ram, why) && image_place_modules(kernel, ram, modules, count, why);
}

static void places(void **state)
{
    (void)state;
    struct image_module modules[] = {{0, 5000, "a"}, {0, 0, "b"}, {0, 4096, "c"}};
    struct image kernel = at(2 * MIB, 12345);
    assert_true(place(&kernel, 16 * MIB, modules, 3));
    assert_int_equal(kernel.segments[0].gpa, 2 * MIB);
    assert_int_equal(modules[0].gpa, 2 * MIB + 0x4000);
    assert_int_equal(modules[1].gpa, 2 * MIB + 0x6000);
    assert_int_equal(modules[2].gpa, 2 * MIB + 0x6000);
    kernel = at(15 * MIB, MIB); // up to the end: the modules go before it
    assert_true(place(&kernel, 16 * MIB, modules, 3));
    assert_int_equal(modules[0].gpa, MIB);
    assert_int_equal(modules[2].gpa, MIB + 0x2000);
    modules[0].size = 14 * MIB;
    assert_false(place(&kernel, 16 * MIB, modules, 3));
    assert_non_null(strstr(why, "no room for module 'c'"));
    modules[0].size = UINT64_MAX;
    assert_false(place(&kernel, 16 * MIB, modules, 3));
    assert_non_null(strstr(why, "no room for module 'a'"));
    kernel = at(MIB - 1, 2);
    assert_false(place(&kernel, 16 * MIB, NULL, 0));
    assert_non_null(strstr(why, "at 0xfffff, below 1M"));
    kernel = at(15 * MIB, MIB + 1);
    assert_false(place(&kernel, 16 * MIB, NULL, 0));
    assert_non_null(strstr(why, "from 0xf00000 to 0x1000001, the guest has 16M"));
    kernel = at(0xc0000000, MIB);
    assert_false(place(&kernel, 16 * MIB, NULL, 0));
}

static void moves(void **state)
{
    (void)state;
    struct image kernel = at(64 * MIB, 0x1800);
    kernel.segments[1] = (struct image_segment){64 * MIB + 0x3000, 0, 1, 0x800};
    kernel.segment_count = 2;
    kernel.entry += 0x10;
    kernel.relocatable = true;
    kernel.alignment = 0x10000;
    struct image moved = kernel;
    assert_true(place(&moved, 16 * MIB, NULL, 0));
    assert_int_equal(moved.segments[0].gpa, MIB);
    assert_int_equal(moved.segments[1].gpa, MIB + 0x3000);
    assert_int_equal(moved.entry, MIB + 0x10);
    moved = kernel;
    moved.prefers_high = true;
    assert_true(place(&moved, 16 * MIB, NULL, 0));
    assert_int_equal(moved.segments[0].gpa, 16 * MIB - 0x10000);
    moved = kernel;
    moved.lowest = 5 * MIB + 1;
    assert_true(place(&moved, 16 * MIB, NULL, 0));
    assert_int_equal(moved.segments[0].gpa, 5 * MIB + 0x10000);
    moved.highest = 6 * MIB; // where it stands is in the range
    assert_true(place(&moved, 16 * MIB, NULL, 0));
    assert_int_equal(moved.segments[0].gpa, 5 * MIB + 0x10000);
    moved = kernel;
    moved.lowest = 17 * MIB;
    assert_false(place(&moved, 16 * MIB, NULL, 0));
    assert_non_null(strstr(why, "bytes between 0x1100000 and 0x1000000, the guest has 16M"));
    moved = kernel;
    moved.highest = MIB + 0x37fe; // one byte short
    assert_false(place(&moved, 16 * MIB, NULL, 0));
    moved.highest++;
    assert_true(place(&moved, 16 * MIB, NULL, 0));
    moved = kernel;
    moved.highest = 0;
    assert_false(place(&moved, 16 * MIB, NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chooses),
        cmocka_unit_test(does_not_fall_back),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(places),
        cmocka_unit_test(moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
