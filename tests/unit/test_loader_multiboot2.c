// SPDX-License-Identifier: Apache-2.0
// Multiboot 2 kernels.
// links: vmm/personalities/lib/loaders/*.c vmm/lib/format.c vmm/lib/string.c
#include "loader_images.h"

#include "loaders/multiboot2.h"

enum { FLAT_SIZE = 0x800, HEADER = 0x100, OPTIONAL = 1 };
#define MAGIC 0xe85250d6u

/// The header under construction.
static uint8_t *file;
static size_t header, next;

static void begin(uint8_t *f, size_t at)
{
    file = f;
    header = at;
    next = at + 16;
}

static size_t tag(uint32_t type, uint32_t flags, uint32_t size)
{
    const size_t at = next;
    put(file, at, 2, type);
    put(file, at + 2, 2, flags);
    put(file, at + 4, 4, size);
    next += (size + 7) & ~7u;
    return at;
}

static void finish_without_end(uint32_t architecture)
{
    const uint32_t length = (uint32_t)(next - header);
    put(file, header, 4, MAGIC);
    put(file, header + 4, 4, architecture);
    put(file, header + 8, 4, length);
    put(file, header + 12, 4, -(MAGIC + architecture + length));
}

static void finish(void)
{
    tag(0, 0, 8);
    finish_without_end(0);
}

static size_t addresses, entry;

static uint8_t *good_flat(void)
{
    uint8_t *f = calloc(1, FLAT_SIZE);
    begin(f, HEADER);
    const size_t request = tag(1, 0, 20);
    put(f, request + 8, 4, 3);
    put(f, request + 12, 4, 6);
    put(f, request + 16, 4, 21);
    addresses = tag(2, 0, 24);
    put(f, addresses + 8, 4, 0x100100);
    put(f, addresses + 12, 4, 0x100000);
    put(f, addresses + 16, 4, 0x100700);
    put(f, addresses + 20, 4, 0x102000);
    entry = tag(3, 0, 12);
    put(f, entry + 8, 4, 0x100180);
    finish();
    return f;
}

static struct image parsed(const uint8_t *f, size_t size)
{
    struct image image;
    char why[IMAGE_WHY] = "";
    bool found = false;
    if (!multiboot2_parse(f, size, &image, &found, why))
        fail_msg("%s", why);
    assert_true(found);
    return image;
}

static void reads_addresses(void **state)
{
    (void)state;
    uint8_t *f = good_flat();
    struct image image = parsed(f, FLAT_SIZE);
    assert_int_equal(image.entry, 0x100180);
    assert_int_equal(image.segment_count, 1);
    assert_int_equal(image.segments[0].gpa, 0x100000);
    assert_int_equal(image.segments[0].offset, 0);
    assert_int_equal(image.segments[0].file_size, 0x700);
    assert_int_equal(image.segments[0].memory_size, 0x2000);
    assert_false(image.relocatable || image.wants_base);
    put(f, addresses + 12, 4, UINT32_MAX); // load_addr -1: from the file's beginning on
    put(f, addresses + 16, 4, 0);
    image = parsed(f, FLAT_SIZE);
    assert_int_equal(image.segments[0].gpa, 0x100000);
    assert_int_equal(image.segments[0].file_size, FLAT_SIZE);
    free(f);
}

static void reads_elf(void **state)
{
    (void)state;
    for (unsigned wide = 0; wide < 2; wide++) {
        uint8_t *f = make_elf(wide != 0);
        begin(f, 0x2900);
        tag(4, 0, 12); // console flags: none required
        tag(5, 0, 20); // a framebuffer is preferred
        tag(6, 0, 8);  // modules on pages
        tag(7, 0, 8);  // what it could do on EFI
        tag(9, 0, 12);
        tag(1234, OPTIONAL, 9); // unknown
        tag(0x4321, OPTIONAL, 8);
        finish();
        struct image image = parsed(f, ELF_SIZE);
        assert_int_equal(image.entry, 0x200010);
        assert_int_equal(image.segment_count, 2);
        begin(f, 0x2900);
        put(f, tag(3, 0, 12) + 8, 4, 0x200fff); // overrides the file's
        const size_t r = tag(10, 0, 24);
        put(f, r + 8, 4, 0x800000);
        put(f, r + 12, 4, 0xffffff);
        put(f, r + 16, 4, 0x200000);
        put(f, r + 20, 4, 2);
        finish();
        image = parsed(f, ELF_SIZE);
        assert_int_equal(image.entry, 0x200fff);
        assert_int_equal(image.segment_count, 2);
        assert_true(image.relocatable && image.wants_base && image.prefers_high);
        assert_int_equal(image.lowest, 0x800000);
        assert_int_equal(image.highest, 0xffffff);
        assert_int_equal(image.alignment, 0x200000);
        put(f, r + 16, 4, 0);
        finish_without_end(0);
        expect_refusal(multiboot2_parse, f, ELF_SIZE, true, "no power of two");
        put(f, r + 16, 4, 0x3000);
        expect_refusal(multiboot2_parse, f, ELF_SIZE, true, "0x3000");
        free(f);
    }
}

/// A header with one tag more than needed.
static void with_tag(uint32_t type, uint32_t flags, uint32_t size, uint32_t field, const char *message)
{
    uint8_t *f = make_elf(false);
    begin(f, 0x800);
    const size_t at = tag(type, flags, size);
    if (size >= 12)
        put(f, at + 8, 4, field);
    finish();
    if (message != NULL)
        expect_refusal(multiboot2_parse, f, ELF_SIZE, true, message);
    else
        parsed(f, ELF_SIZE);
    free(f);
}

static void refuses_required_tags(void **state)
{
    (void)state;
    with_tag(11, 0, 8, 0, "required tag of type 11");
    with_tag(0xffff, 0, 8, 0, "required tag of type 65535");
    with_tag(0xffff, 2, 8, 0, "required tag of type 65535"); // other flags do not make it optional
    with_tag(0xffff, OPTIONAL, 8, 0, NULL);
    with_tag(4, 0, 12, 1, "console on a screen");
    with_tag(4, OPTIONAL, 12, 1, NULL);
    with_tag(4, 0, 12, 2, NULL);
    with_tag(1, 0, 12, 22, "information of type 22");
    with_tag(1, OPTIONAL, 12, 22, NULL);
    with_tag(1, 0, 12, 9, "sections (9)");
    with_tag(1, 0, 12, 8, NULL); // known, but there is no framebuffer
    with_tag(1, 0, 8, 0, NULL);
    with_tag(2, 0, 20, 0, "type 2 has 20 bytes, expected 24");
    with_tag(3, 0, 11, 0, "type 3 has 11 bytes, expected 12");
    with_tag(10, 0, 20, 0, "type 10 has 20 bytes, expected 24");
    with_tag(6, 0, 7, 0, "has 7 bytes");
    with_tag(6, 0, 1, 0, "has 1 bytes");
    with_tag(2, 0, 24, 0, "without an entry tag");
}

static void finds_the_header(void **state)
{
    (void)state;
    enum { LARGE = 40000, LAST = 32768 - 24 };
    uint8_t *small = make_elf(false), *f = realloc(small, LARGE);
    memset(f + ELF_SIZE, 0, LARGE - ELF_SIZE);
    expect_refusal(multiboot2_parse, f, LARGE, false, "no Multiboot 2 header");
    begin(f, LAST + 8);
    finish();
    expect_refusal(multiboot2_parse, f, LARGE, true, "32 KiB end at 0x8000"); // its tags are behind it
    memset(f + LAST, 0, 100);
    begin(f, LAST + 24);
    finish();
    expect_refusal(multiboot2_parse, f, LARGE, false, "no Multiboot 2 header");
    memset(f + LAST, 0, 100);
    begin(f, 0x804); // not at a multiple of 8
    finish();
    expect_refusal(multiboot2_parse, f, LARGE, false, "no Multiboot 2 header");
    begin(f, LAST);
    finish();
    parsed(f, LARGE);
    free(f);
}

static void refuses(void **state)
{
    (void)state;
    uint8_t *f = good_flat();
    refused(multiboot2_parse, f, FLAT_SIZE, HEADER + 12, 4, 0, "no Multiboot 2 header");
    refused(multiboot2_parse, f, FLAT_SIZE, addresses + 12, 4, 0x100101, "load_addr, 0x100101");
    refused(multiboot2_parse, f, FLAT_SIZE, addresses + 8, 4, 0x100101, "load_addr, 0x100000");
    refused(multiboot2_parse, f, FLAT_SIZE, addresses + 16, 4, 0x100801, "truncated");
    refused(multiboot2_parse, f, FLAT_SIZE, addresses + 20, 4, 0x1006ff, "bss_end_addr");
    refused(multiboot2_parse, f, FLAT_SIZE, entry + 8, 4, 0x100700, "entry point, 0x100700");
    refused(multiboot2_parse, f, FLAT_SIZE, addresses, 2, 6, "no address tag (2), and it is not an ELF file");
    refused(multiboot2_parse, f, FLAT_SIZE, addresses + 4, 4, UINT32_MAX, "the header ends at");
    next -= 8;
    finish_without_end(0);
    expect_refusal(multiboot2_parse, f, FLAT_SIZE, true, "no end tag");
    finish_without_end(4);
    expect_refusal(multiboot2_parse, f, FLAT_SIZE, true, "architecture 4");
    next = header + 8;
    finish_without_end(0);
    expect_refusal(multiboot2_parse, f, FLAT_SIZE, true, "is 8 bytes from");
    free(f);
}

static void refuses_truncated(void **state)
{
    (void)state;
    uint8_t *f = good_flat();
    refuses_every_length(multiboot2_parse, f, 0x700);
    free(f);
    f = make_elf(true);
    begin(f, 0x900);
    finish();
    refuses_every_length(multiboot2_parse, f, 0x2100);
    free(f);
}

/// The next tag, whose type it must be; its address.
static uint64_t take(const struct image_area *area, uint64_t *at, uint32_t type, uint32_t size)
{
    const uint64_t here = *at;
    assert_int_equal(here % 8, 0);
    assert_int_equal(get(area, here, 4), type);
    assert_int_equal(get(area, here + 4, 4), size);
    *at += (size + 7) & ~7u;
    return here;
}

static void informs(void **state)
{
    (void)state;
    struct image image = {.segments = {{0x800000, 0, 1, 1}}, .segment_count = 1, .wants_base = true};
    struct image_area area = make_area(4096);
    const uint64_t info = multiboot2_information(&loader_machine, &image, &area);
    uint64_t at = info + 8;
    assert_int_equal(info % 8, 0);
    assert_int_equal(get(&area, info, 4), area.used);
    assert_int_equal(get(&area, info + 4, 4), 0);
    assert_string_equal(text_at(&area, take(&area, &at, 1, 8 + 26) + 8), "kernel console=com1 quiet");
    assert_string_equal(text_at(&area, take(&area, &at, 2, 8 + 10) + 8), "Polyvisor");
    for (unsigned i = 0; i < 2; i++) {
        const uint64_t module = take(&area, &at, 3, 16 + (uint32_t)strlen(loader_modules[i].name) + 1);
        assert_int_equal(get(&area, module + 8, 4), loader_modules[i].gpa);
        assert_int_equal(get(&area, module + 12, 4), loader_modules[i].gpa + loader_modules[i].size);
        assert_string_equal(text_at(&area, module + 16), loader_modules[i].name);
    }
    const uint64_t memory = take(&area, &at, 4, 16);
    assert_int_equal(get(&area, memory + 8, 4), 639);
    assert_int_equal(get(&area, memory + 12, 4), 63 * 1024);
    const uint64_t map = take(&area, &at, 6, 16 + 4 * 24);
    assert_int_equal(get(&area, map + 8, 4), 24);
    assert_int_equal(get(&area, map + 12, 4), 0);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(get(&area, map + 16 + i * 24, 8), loader_regions[i].start);
        assert_int_equal(get(&area, map + 24 + i * 24, 8), loader_regions[i].end - loader_regions[i].start);
        assert_int_equal(get(&area, map + 32 + i * 24, 4), loader_regions[i].type);
        assert_int_equal(get(&area, map + 36 + i * 24, 4), 0);
    }
    const uint64_t rsdp = take(&area, &at, 15, 8 + IMAGE_RSDP_SIZE);
    assert_memory_equal(area.bytes + (rsdp + 8 - LOADER_AREA), loader_rsdp, IMAGE_RSDP_SIZE);
    assert_int_equal(get(&area, take(&area, &at, 21, 12) + 8, 4), 0x800000);
    take(&area, &at, 0, 8);
    assert_int_equal(at, LOADER_AREA + area.used);
    const size_t needed = area.used;
    free(area.bytes);
    for (size_t size = 0; size < needed; size++) {
        area = make_area(size);
        assert_int_equal(multiboot2_information(&loader_machine, &image, &area), 0);
        free(area.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_addresses),  cmocka_unit_test(reads_elf), cmocka_unit_test(refuses_required_tags),
        cmocka_unit_test(finds_the_header), cmocka_unit_test(refuses),   cmocka_unit_test(refuses_truncated),
        cmocka_unit_test(informs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
