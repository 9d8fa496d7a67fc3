// SPDX-License-Identifier: Apache-2.0
// Kernels with a PVH entry, and ELF files.
// links: vmm/personalities/lib/loaders/*.c vmm/lib/format.c vmm/lib/string.c
#include "loader_images.h"

#include "loaders/pvh.h"

static uint8_t *good(bool wide)
{
    uint8_t *f = make_elf(wide);
    size_t at = put_note(f, ELF_NOTES, "GNU", 18, 4, 0x200020); // another owner's 18
    at = put_note(f, at, "Xen", 6, 3, 0);
    put_note(f, at, "Xen", 18, wide ? 8 : 4, 0x200100);
    return f;
}

static void reads(void **state)
{
    (void)state;
    for (unsigned wide = 0; wide < 2; wide++) {
        uint8_t *f = good(wide != 0);
        struct image image;
        char why[IMAGE_WHY] = "";
        bool found = false;
        if (!pvh_parse(f, ELF_SIZE, &image, &found, why))
            fail_msg("%s", why);
        assert_true(found);
        assert_int_equal(image.entry, 0x200100);
        assert_int_equal(image.segment_count, 2);
        assert_int_equal(image.segments[0].gpa, 0x200000);
        assert_int_equal(image.segments[0].offset, 0x1000);
        assert_int_equal(image.segments[1].gpa, 0x400000);
        assert_int_equal(image.segments[1].file_size, 0x100);
        assert_int_equal(image.segments[1].memory_size, 0x2000);
        assert_int_equal(image_start(&image), 0x200000);
        assert_int_equal(image_end(&image), 0x402000);
        assert_false(image.relocatable);
        free(f);
    }
}

static void refuses(void **state)
{
    (void)state;
    uint8_t *f = good(true);
    refused(pvh_parse, f, ELF_SIZE, 0, 1, 0, "not an ELF file");
    refused(pvh_parse, f, ELF_SIZE, 4, 1, 3, "class 3");
    refused(pvh_parse, f, ELF_SIZE, 5, 1, 2, "encoding 2");
    refused(pvh_parse, f, ELF_SIZE, 16, 2, 1, "type 1");
    refused(pvh_parse, f, ELF_SIZE, 18, 2, 183, "machine 183");
    refused(pvh_parse, f, ELF_SIZE, 54, 2, 55, "55 bytes each");
    refused(pvh_parse, f, ELF_SIZE, 56, 2, 0, "no program headers");
    refused(pvh_parse, f, ELF_SIZE, 56, 2, 0xffff, "65535 program headers");
    refused(pvh_parse, f, ELF_SIZE, 32, 8, UINT64_MAX, "program headers are at 0xffffffffffffffff");
    refused(pvh_parse, f, ELF_SIZE, 64 + 8, 8, ELF_SIZE - 0xfff, "truncated");
    refused(pvh_parse, f, ELF_SIZE, 64 + 8, 8, UINT64_MAX, "truncated");
    refused(pvh_parse, f, ELF_SIZE, 64 + 40, 8, 0xfff, "0x1000 bytes in the file, 0xfff in memory");
    refused(pvh_parse, f, ELF_SIZE, 64 + 40, 8, UINT64_MAX, "not below 4G");
    refused(pvh_parse, f, ELF_SIZE, 64 + 24, 8, 0xfffff001, "not below 4G");
    refused(pvh_parse, f, ELF_SIZE, 64 + 24, 8, 0x401fff, "segments 0 and 1 overlap at 0x401fff");
    refused(pvh_parse, f, ELF_SIZE, 64 + 24, 8, 0x300000, "entry point, 0x200100, is not in");
    refused(pvh_parse, f, ELF_SIZE, 64 + 112 + 8, 8, ELF_SIZE - ELF_NOTES_SIZE + 1, "notes");
    refused(pvh_parse, f, ELF_SIZE, ELF_NOTES, 4, UINT32_MAX, "longer than its segment");
    refused(pvh_parse, f, ELF_SIZE, ELF_NOTES + 4, 4, UINT32_MAX, "longer than its segment");
    memset(f + ELF_NOTES, 0, ELF_NOTES_SIZE);
    expect_refusal(pvh_parse, f, ELF_SIZE, false, "without a PVH entry");
    put_note(f, ELF_NOTES, "Xen", 18, 2, 0);
    expect_refusal(pvh_parse, f, ELF_SIZE, false, "note of type 18 has 2 bytes");
    // What is only in memory cannot be entered, nor can what is behind it.
    put_note(f, ELF_NOTES, "Xen", 18, 4, 0x400100);
    expect_refusal(pvh_parse, f, ELF_SIZE, true, "0x400100");
    put_program(f, 0, 1, 0, 0, 0, 0);
    put_program(f, 1, 1, 0, 0, 0, 0);
    expect_refusal(pvh_parse, f, ELF_SIZE, true, "nothing in it");
    free(f);
}

static void refuses_too_many_segments(void **state)
{
    (void)state;
    uint8_t *f = good(false);
    for (unsigned i = 0; i <= IMAGE_SEGMENTS; i++)
        put_program(f, i, 1, 0x1000, 0x200000 + i * 16, 16, 16);
    put(f, 44, 2, IMAGE_SEGMENTS + 1);
    expect_refusal(pvh_parse, f, ELF_SIZE, false, "more than 32 segments");
    free(f);
}

static void refuses_truncated(void **state)
{
    (void)state;
    for (unsigned wide = 0; wide < 2; wide++) {
        uint8_t *f = good(wide != 0);
        refuses_every_length(pvh_parse, f, ELF_NOTES + ELF_NOTES_SIZE);
        free(f);
    }
}

static void informs(void **state)
{
    (void)state;
    struct image_area area = make_area(4096);
    const uint64_t info = pvh_information(&loader_machine, &area);
    assert_int_equal(info % 8, 0);
    assert_int_equal(get(&area, info, 4), 0x336ec578);
    assert_int_equal(get(&area, info + 4, 4), 1);
    assert_int_equal(get(&area, info + 8, 4), 0);
    assert_int_equal(get(&area, info + 12, 4), 2);
    const uint64_t modules = get(&area, info + 16, 8);
    assert_string_equal(text_at(&area, get(&area, info + 24, 8)), "console=com1 quiet");
    assert_int_equal(get(&area, info + 32, 8), 0xe0000);
    const uint64_t map = get(&area, info + 40, 8);
    assert_int_equal(get(&area, info + 48, 4), 4);
    assert_int_equal(get(&area, info + 52, 4), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(get(&area, modules + i * 32, 8), loader_modules[i].gpa);
        assert_int_equal(get(&area, modules + i * 32 + 8, 8), loader_modules[i].size);
        assert_int_equal(get(&area, modules + i * 32 + 16, 8), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(get(&area, map + i * 24, 8), loader_regions[i].start);
        assert_int_equal(get(&area, map + i * 24 + 8, 8), loader_regions[i].end - loader_regions[i].start);
        assert_int_equal(get(&area, map + i * 24 + 16, 4), loader_regions[i].type);
        assert_int_equal(get(&area, map + i * 24 + 20, 4), 0);
    }
    const size_t needed = area.used;
    free(area.bytes);
    for (size_t size = 0; size < needed; size++) {
        area = make_area(size);
        assert_int_equal(pvh_information(&loader_machine, &area), 0);
        free(area.bytes);
    }
    area = make_area(needed);
    assert_int_not_equal(pvh_information(&loader_machine, &area), 0);
    free(area.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads),
        cmocka_unit_test(refuses),
        cmocka_unit_test(refuses_too_many_segments),
        cmocka_unit_test(refuses_truncated),
        cmocka_unit_test(informs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
