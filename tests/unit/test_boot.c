// SPDX-License-Identifier: Apache-2.0
// The pure parts of the boot loaders: load options, checks of polyvisor.elf, page tables.
// links: boot/efi/command_line.c boot/efi/image_check.c vmm/lib/format.c vmm/lib/string.c
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <boot/efi/command_line.h>
#include <boot/efi/image_check.h>
#include <boot/page_map.h>

/* ---- load options ---- */

enum { LINE_SIZE = 32 };

static char line[LINE_SIZE];

static const char *from_bytes(const void *bytes, size_t size)
{
    memset(line, 'x', sizeof line);
    return command_line_from_options(bytes, size, line, sizeof line);
}

/// The text as UCS-2, with its NUL, at an odd address.
static const char *from_ucs2(const char *text)
{
    unsigned char bytes[256] = {0};
    size_t size = 1;
    do {
        bytes[size++] = (unsigned char)*text;
        bytes[size++] = 0;
    } while (*text++);
    return from_bytes(bytes + 1, size - 1);
}

static void expect_line(const char *complaint, const char *expected)
{
    if (complaint)
        fail_msg("complains: %s", complaint);
    assert_string_equal(line, expected);
}

static void takes_ucs2_and_ascii(void **state)
{
    (void)state;
    expect_line(from_bytes(NULL, 0), "");
    expect_line(from_bytes("", 0), "");
    expect_line(from_bytes("\0\0", 2), "");
    expect_line(from_bytes("a", 1), "");
    expect_line(from_ucs2("config=x slice=2ms"), "config=x slice=2ms");
    expect_line(from_bytes("c\0f\0", 4), "cf");
    expect_line(from_bytes("c\0f\0\0", 5), "cf");
    expect_line(from_bytes("config=x", 8), "config=x");
    expect_line(from_bytes("config=x\0\0\0", 11), "config=x");
    expect_line(from_bytes("a\0\0\0\xff\xff", 6), "a");
}

static void drops_its_own_name(void **state)
{
    (void)state;
    expect_line(from_ucs2("polyvisor.efi a=b"), "a=b");
    expect_line(from_ucs2("fs0:\\EFI\\BOOTX64.EFI  a"), "a");
    expect_line(from_ucs2("\"fs0:\\a b\\c.efi\" a"), "a");
    expect_line(from_ucs2("  polyvisor.efi"), "");
    expect_line(from_ucs2("\"polyvisor.efi"), "");
    expect_line(from_ucs2("  a=b c.efi"), "a=b c.efi");
    expect_line(from_ucs2("efi .efix"), "efi .efix");
    expect_line(from_ucs2(".efi"), "");
}

static void garbage_is_no_command_line(void **state)
{
    const char *garbage = "the load options are not text and were ignored";
    (void)state;
    assert_string_equal(from_bytes("\x01\x02\x03", 3), garbage);
    assert_string_equal(line, "");
    assert_string_equal(from_bytes("\xe9\0", 2), garbage);
    assert_string_equal(from_bytes("a\nb", 3), garbage);
    assert_string_equal(from_bytes("config=\0rest", 12), garbage);
    assert_string_equal(from_bytes("f\0s\0\x0c\x02o\0", 8), garbage);
    assert_string_equal(line, "");
}

static void long_lines_are_cut(void **state)
{
    char text[100];
    (void)state;
    memset(text, 'y', sizeof text);
    assert_string_equal(from_bytes(text, sizeof text), "the command line is too long and was cut");
    assert_int_equal(strlen(line), LINE_SIZE - 1);
    expect_line(from_bytes(text, LINE_SIZE - 1), line);
    assert_int_equal(strlen(line), LINE_SIZE - 1);
}

/* ---- polyvisor.elf ---- */

enum { TEXT, DATA, EMPTY, NOTE, HEADERS, ELF_SIZE = 0x3000, TEXT_SIZE = 0x1000, DATA_SIZE = 0x800, BSS_SIZE = 0x5000 };
#define VMA UINT64_C(0xffffffff80000000)
#define BASE UINT64_C(0x200000)

static struct {
    Elf64_Ehdr header;
    Elf64_Phdr segments[HEADERS];
    uint8_t rest[ELF_SIZE - sizeof(Elf64_Ehdr) - HEADERS * sizeof(Elf64_Phdr)];
} elf;
static struct image image;
static struct image_segments segments;

static int build_elf(void **state)
{
    (void)state;
    memset(&elf, 0, sizeof elf);
    elf.header = (Elf64_Ehdr){.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                              .e_type = ET_EXEC,
                              .e_machine = EM_X86_64,
                              .e_version = EV_CURRENT,
                              .e_entry = VMA + BASE + 0x10,
                              .e_phoff = sizeof elf.header,
                              .e_phentsize = sizeof(Elf64_Phdr),
                              .e_phnum = HEADERS};
    elf.segments[TEXT] = (Elf64_Phdr){.p_type = PT_LOAD,
                                      .p_flags = PF_R | PF_X,
                                      .p_offset = 0x1000,
                                      .p_vaddr = VMA + BASE,
                                      .p_paddr = BASE,
                                      .p_filesz = TEXT_SIZE,
                                      .p_memsz = TEXT_SIZE};
    elf.segments[DATA] = (Elf64_Phdr){.p_type = PT_LOAD,
                                      .p_flags = PF_R | PF_W,
                                      .p_offset = 0x2000,
                                      .p_vaddr = VMA + BASE + 0x1000,
                                      .p_paddr = BASE + 0x1000,
                                      .p_filesz = DATA_SIZE,
                                      .p_memsz = BSS_SIZE};
    elf.segments[EMPTY] = (Elf64_Phdr){.p_type = PT_LOAD, .p_offset = UINT64_MAX};
    elf.segments[NOTE] = (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = UINT64_MAX, .p_filesz = 1, .p_memsz = 1};
    return 0;
}

static const char *check(void)
{
    return image_check(&elf, ELF_SIZE, &image, &segments);
}

/// The complaint, after which everything is as it was.
static void expect_complaint(const char *expected)
{
    const char *wrong = check();
    if (!wrong)
        fail_msg("accepted, expected: %s", expected);
    assert_string_equal(wrong, expected);
    build_elf(NULL);
    assert_null(check());
}

static void accepts_a_multiplexer(void **state)
{
    (void)state;
    assert_null(check());
    assert_int_equal(image.address, VMA + BASE);
    assert_int_equal(image.entry, VMA + BASE + 0x10);
    assert_int_equal(image.size, 0x1000 + BSS_SIZE);
    assert_int_equal(segments.count, 2);
    assert_int_equal(segments.list[1].address, VMA + BASE + 0x1000);
    assert_int_equal(segments.list[1].file_offset, 0x2000);
    assert_int_equal(segments.list[1].file_size, DATA_SIZE);
    assert_int_equal(segments.list[1].memory_size, BSS_SIZE);
}

static void accepts_segments_in_any_order(void **state)
{
    Elf64_Phdr text;
    (void)state;
    text = elf.segments[TEXT];
    elf.segments[TEXT] = elf.segments[DATA];
    elf.segments[DATA] = text;
    assert_null(check());
    assert_int_equal(image.address, VMA + BASE);
    assert_int_equal(image.size, 0x1000 + BSS_SIZE);
}

static void refuses_other_files(void **state)
{
    (void)state;
    assert_string_equal(image_check(&elf, 0, &image, &segments), "shorter than an ELF header");
    assert_string_equal(image_check(&elf, 63, &image, &segments), "shorter than an ELF header");
    elf.header.e_ident[0] = 'M';
    expect_complaint("not an ELF file");
    elf.header.e_ident[EI_CLASS] = ELFCLASS32;
    expect_complaint("not a 64-bit little-endian ELF file");
    elf.header.e_ident[EI_DATA] = ELFDATA2MSB;
    expect_complaint("not a 64-bit little-endian ELF file");
    elf.header.e_machine = EM_AARCH64;
    expect_complaint("made for another processor than x86-64");
    elf.header.e_type = ET_DYN;
    expect_complaint("not a static executable");
}

static void refuses_headers_outside_the_file(void **state)
{
    (void)state;
    elf.header.e_phentsize = 32;
    expect_complaint("its program headers have an unknown size");
    elf.header.e_phoff = ELF_SIZE - 1;
    expect_complaint("its program headers lie outside the file");
    elf.header.e_phoff = UINT64_MAX - 8;
    expect_complaint("its program headers lie outside the file");
    elf.header.e_phnum = 0xffff;
    expect_complaint("its program headers lie outside the file");
    elf.header.e_phnum = 0;
    expect_complaint("it has no segment to load");
    assert_string_equal(image_check(&elf, 0x1800, &image, &segments),
                        "a segment lies outside the file (is it truncated?)");
}

static void refuses_segments_that_cannot_be(void **state)
{
    (void)state;
    elf.segments[DATA].p_filesz = BSS_SIZE + 1;
    expect_complaint("a segment has more bytes in the file than in memory");
    elf.segments[DATA].p_offset = ELF_SIZE - DATA_SIZE + 1;
    expect_complaint("a segment lies outside the file (is it truncated?)");
    elf.segments[DATA].p_offset = UINT64_MAX;
    expect_complaint("a segment lies outside the file (is it truncated?)");
    elf.segments[DATA].p_memsz = UINT64_C(1) << 40;
    expect_complaint("a segment is larger than 64 MiB");
    elf.segments[DATA].p_memsz = UINT64_MAX;
    expect_complaint("a segment is larger than 64 MiB");
    elf.segments[DATA].p_vaddr = BASE;
    expect_complaint("a segment's address is not in the upper half of the address space");
    elf.segments[DATA].p_vaddr = UINT64_MAX - BSS_SIZE + 1;
    expect_complaint("a segment's address is not in the upper half of the address space");
}

static void refuses_layouts_that_cannot_be_loaded(void **state)
{
    (void)state;
    elf.segments[DATA].p_paddr += 0x1000;
    expect_complaint("its segments have different distances between virtual and physical addresses");
    elf.segments[DATA].p_vaddr -= 1;
    elf.segments[DATA].p_paddr -= 1;
    expect_complaint("its segments overlap");
    elf.segments[DATA].p_vaddr += 64 << 20;
    elf.segments[DATA].p_paddr += 64 << 20;
    expect_complaint("it takes more than 64 MiB of memory");
    for (int i = 0; i < 2; i++)
        elf.segments[i].p_paddr += 0x1000;
    expect_complaint("its first segment is not on a 2 MiB boundary");
    for (int i = 0; i < 2; i++) {
        elf.segments[i].p_paddr += 0x1000;
        elf.segments[i].p_vaddr += 0x1000;
    }
    expect_complaint("its first segment is not on a 2 MiB boundary");
}

static void refuses_entry_points_elsewhere(void **state)
{
    const char *outside = "its entry point is not in an executable segment";
    (void)state;
    elf.header.e_entry = 0;
    expect_complaint(outside);
    elf.header.e_entry = VMA + BASE + TEXT_SIZE; // in the data
    expect_complaint(outside);
    elf.header.e_entry = VMA + BASE - 1;
    expect_complaint(outside);
    elf.segments[TEXT].p_flags = PF_R;
    expect_complaint(outside);
}

/* ---- page tables ---- */

enum { TABLES = 16 };

static uint8_t *pages;
static struct page_map map;

static int begin_map(void **state)
{
    (void)state;
    pages = aligned_alloc(4096, TABLES * 4096);
    if (!pages)
        return 1;
    memset(pages, 0, TABLES * 4096);
    map = (struct page_map){
        .root = (uint64_t *)(void *)pages, .spare = pages + 4096, .spare_pages = TABLES - 1, .giant = true};
    return 0;
}

static int end_map(void **state)
{
    (void)state;
    free(pages);
    return 0;
}

/// Walks as the processor does; UINT64_MAX: not mapped.
static uint64_t translate(uint64_t address)
{
    uint64_t *table = map.root;
    for (unsigned shift = 39; shift >= 21; shift -= 9) {
        uint64_t entry = table[(address >> shift) % 512], mask = (UINT64_C(1) << shift) - 1;
        if (!(entry & 1))
            return UINT64_MAX;
        assert_true(entry & 2);
        if (entry & 0x80) {
            assert_int_equal(entry & PAGE_MAP_TABLE & mask, 0);
            return (entry & PAGE_MAP_TABLE) | (address & mask);
        }
        table = (uint64_t *)(uintptr_t)(entry & PAGE_MAP_TABLE);
    }
    fail();
    return 0;
}

static size_t tables_used(void)
{
    return TABLES - map.spare_pages;
}

static void maps_what_was_asked_for(void **state)
{
    (void)state;
    assert_true(page_map_add(&map, VMA + BASE, 0x5400000, 0x200001, false));
    assert_int_equal(translate(VMA + BASE - 1), UINT64_MAX);
    assert_int_equal(translate(VMA + BASE), 0x5400000);
    assert_int_equal(translate(VMA + BASE + 0x3fffff), 0x57fffff);
    assert_int_equal(translate(VMA + BASE + 0x400000), UINT64_MAX);
    assert_int_equal(tables_used(), 3);
}

static void maps_low_memory_with_small_pages(void **state)
{
    (void)state;
    assert_true(page_map_identity(&map, 0, PAGE_MAP_4G));
    assert_int_equal(tables_used(), 6);
    assert_int_equal(translate(0), 0);
    assert_int_equal(translate(PAGE_MAP_4G - 1), PAGE_MAP_4G - 1);
    assert_int_equal(translate(PAGE_MAP_4G), UINT64_MAX);
}

static void maps_high_memory_with_giant_pages(void **state)
{
    uint64_t base = PAGE_MAP_4G + 0x12345678, size = 5 * PAGE_MAP_1G;
    (void)state;
    assert_true(page_map_identity(&map, base, size));
    assert_int_equal(tables_used(), 1 + 1 + 2); // the two ends have 2 MiB pages
    assert_true(page_map_holds_identity(&map, base, size));
    assert_int_equal(translate(base), base);
    assert_int_equal(translate(base + size - 1), base + size - 1);
    assert_int_equal(translate(PAGE_MAP_4G), UINT64_MAX);
    assert_int_equal(translate(base + size + PAGE_MAP_2M), UINT64_MAX);
    assert_false(page_map_holds_identity(&map, base, size + PAGE_MAP_2M));
    assert_false(page_map_holds_identity(&map, base - PAGE_MAP_2M, size));
}

static void splits_at_4_gib(void **state)
{
    (void)state;
    assert_true(page_map_identity(&map, PAGE_MAP_4G - PAGE_MAP_1G, 3 * PAGE_MAP_1G));
    assert_int_equal(tables_used(), 3);
    assert_true(page_map_holds_identity(&map, PAGE_MAP_4G - PAGE_MAP_1G, 3 * PAGE_MAP_1G));
}

static void keeps_what_is_mapped(void **state)
{
    (void)state;
    assert_true(page_map_identity(&map, PAGE_MAP_4G, 2 * PAGE_MAP_1G));
    size_t used = tables_used();
    assert_true(page_map_identity(&map, PAGE_MAP_4G + 0x1000, PAGE_MAP_1G));
    assert_int_equal(tables_used(), used);
    assert_true(page_map_add(&map, PAGE_MAP_4G, 0, PAGE_MAP_2M, false));
    assert_int_equal(translate(PAGE_MAP_4G), PAGE_MAP_4G);
    // A page directory that is there is filled up, not replaced.
    assert_true(page_map_identity(&map, PAGE_MAP_4G + 4 * PAGE_MAP_1G, PAGE_MAP_2M));
    assert_true(page_map_identity(&map, PAGE_MAP_4G + 4 * PAGE_MAP_1G, PAGE_MAP_1G));
    assert_true(page_map_holds_identity(&map, PAGE_MAP_4G + 4 * PAGE_MAP_1G, PAGE_MAP_1G));
}

static void runs_out_of_tables(void **state)
{
    (void)state;
    map.giant = false;
    assert_true(page_map_identity(&map, 0, (TABLES - 2) * PAGE_MAP_1G));
    assert_int_equal(map.spare_pages, 0);
    assert_false(page_map_identity(&map, 0, (TABLES - 1) * PAGE_MAP_1G));
    assert_true(page_map_holds_identity(&map, 0, (TABLES - 2) * PAGE_MAP_1G));
    assert_false(page_map_holds_identity(&map, 0, (TABLES - 1) * PAGE_MAP_1G));
}

static void refuses_addresses_without_an_identity(void **state)
{
    (void)state;
    assert_false(page_map_identity(&map, PAGE_MAP_IDENTITY_MAX, 1));
    assert_false(page_map_identity(&map, PAGE_MAP_IDENTITY_MAX - 1, 2));
    assert_false(page_map_identity(&map, 1, UINT64_MAX));
    assert_false(page_map_holds_identity(&map, 1, UINT64_MAX));
    assert_int_equal(tables_used(), 1);
    assert_true(page_map_identity(&map, PAGE_MAP_IDENTITY_MAX - 1, 1));
    assert_true(page_map_identity(&map, 0x1000, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_ucs2_and_ascii),
        cmocka_unit_test(drops_its_own_name),
        cmocka_unit_test(garbage_is_no_command_line),
        cmocka_unit_test(long_lines_are_cut),
        cmocka_unit_test_setup(accepts_a_multiplexer, build_elf),
        cmocka_unit_test_setup(accepts_segments_in_any_order, build_elf),
        cmocka_unit_test_setup(refuses_other_files, build_elf),
        cmocka_unit_test_setup(refuses_headers_outside_the_file, build_elf),
        cmocka_unit_test_setup(refuses_segments_that_cannot_be, build_elf),
        cmocka_unit_test_setup(refuses_layouts_that_cannot_be_loaded, build_elf),
        cmocka_unit_test_setup(refuses_entry_points_elsewhere, build_elf),
        cmocka_unit_test_setup_teardown(maps_what_was_asked_for, begin_map, end_map),
        cmocka_unit_test_setup_teardown(maps_low_memory_with_small_pages, begin_map, end_map),
        cmocka_unit_test_setup_teardown(maps_high_memory_with_giant_pages, begin_map, end_map),
        cmocka_unit_test_setup_teardown(splits_at_4_gib, begin_map, end_map),
        cmocka_unit_test_setup_teardown(keeps_what_is_mapped, begin_map, end_map),
        cmocka_unit_test_setup_teardown(runs_out_of_tables, begin_map, end_map),
        cmocka_unit_test_setup_teardown(refuses_addresses_without_an_identity, begin_map, end_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
