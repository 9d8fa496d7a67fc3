// SPDX-License-Identifier: Apache-2.0
// The multiboot2 information as no loader should pass it: read as far as it makes sense, or refused with a reason.
// links: boot/multiboot2/parse.c boot/multiboot2/unquote.c vmm/lib/format.c vmm/lib/string.c
// links: vmm/config*.c
#include "multiboot2_builder.h"

/* ---- damaged as a whole ---- */

static void refuses_an_odd_address(void **state)
{
    (void)state;
    begin();
    add_mmap();
    finish();
    assert_false(multiboot2_parse(information + 4, INFORMATION_MAX, &boot, error, sizeof error));
    assert_non_null(strstr(error, "at an odd address"));
}

static void refuses_a_total_size_that_cannot_be(void **state)
{
    (void)state;
    begin();
    add_mmap();
    finish();
    set_total(0);
    expect_refused("the boot loader's information has 0 bytes, expected 8 to 65536");
    set_total(7);
    expect_refused("the boot loader's information has 7 bytes, expected 8 to 65536");
    set_total(INFORMATION_MAX + 1);
    expect_refused("the boot loader's information has 65537 bytes, expected 8 to 65536");
    set_total(UINT32_MAX);
    expect_refused("the boot loader's information has 4294967295 bytes, expected 8 to 65536");
    assert_false(multiboot2_parse(information, 4, &boot, error, sizeof error));
}

static const char no_ram[] = "the boot loader's information has no memory map that shows RAM";

static void refuses_to_start_without_ram(void **state)
{
    size_t at;
    (void)state;
    begin();
    finish();
    expect_refused(no_ram);
    begin();
    at = begin_mmap(24);
    put_mmap_entry(0x100000, 0x1000, 2);
    put_mmap_entry(0x200000, 0, RAM);
    end_tag(at);
    finish();
    expect_refused(no_ram);
    begin();
    set_total(8);
    expect_refused(no_ram);
    assert_string_equal(boot.message, "the boot loader's information has no end tag");
}

static void misses_the_end_tag(void **state)
{
    (void)state;
    begin();
    add_mmap();
    set_total((uint32_t)used);
    expect_parsed("the boot loader's information has no end tag");
    set_total((uint32_t)used + 7); // not even room for one
    expect_parsed("the boot loader's information has no end tag");
    expect_region(0x100000, 0xff00000, BOOT_REGION_RAM);
}

static void stops_at_a_tag_that_is_too_small(void **state)
{
    (void)state;
    begin();
    add_mmap();
    set_tag_size(begin_tag(4711), 7);
    add_module(0x1000, 0x2000, "lost.elf");
    finish();
    expect_parsed("the boot loader's information is damaged at byte 96: tag 4711 of 7 bytes, 48 are left");
    assert_int_equal(boot.module_count, 0);
    begin();
    add_mmap();
    set_tag_size(begin_tag(4711), 0);
    finish();
    expect_parsed("the boot loader's information is damaged at byte 96: tag 4711 of 0 bytes, 16 are left");
}

static void stops_at_a_tag_that_is_too_large(void **state)
{
    const uint32_t sizes[] = {17, 4096, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char message[BOOT_MESSAGE_SIZE];
        begin();
        add_mmap();
        set_tag_size(begin_tag(4711), sizes[i]);
        finish();
        snprintf(message, sizeof message,
                 "the boot loader's information is damaged at byte 96: tag 4711 of %u bytes, 16 are left", sizes[i]);
        expect_parsed(message);
    }
}

static void a_last_tag_without_its_padding_is_whole(void **state)
{
    (void)state;
    begin();
    add_mmap();
    add_module(0x1000, 0x2000, "ab");
    assert_int_not_equal(used % 8, 0);
    set_total((uint32_t)used);
    expect_parsed("the boot loader's information has no end tag");
    assert_int_equal(boot.module_count, 1);
}

/* ---- damaged tags ---- */

static void leaves_out_short_tags(void **state)
{
    (void)state;
    const uint32_t types[] = {MULTIBOOT2_MMAP, MULTIBOOT2_EFI_MMAP, MULTIBOOT2_FRAMEBUFFER, MULTIBOOT2_RSDP_1,
                              MULTIBOOT2_RSDP_2};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        char message[BOOT_MESSAGE_SIZE];
        begin();
        set_tag_size(begin_tag(types[i]), 12);
        put64(0);
        add_mmap();
        finish();
        snprintf(message, sizeof message, "the boot loader's tag %u is too short: 12 bytes", types[i]);
        expect_parsed(message);
    }
    begin();
    add_mmap();
    set_tag_size(begin_tag(MULTIBOOT2_MODULE), 12);
    put64(0);
    finish();
    expect_parsed("the boot loader's tag of a module is too short: 12 bytes");
}

static void refuses_memory_maps_with_small_entries(void **state)
{
    (void)state;
    for (uint32_t size = 0; size < 24; size += 4) {
        size_t at;
        begin();
        at = begin_mmap(size);
        put_mmap_entry(0x100000, 0x1000, RAM);
        end_tag(at);
        finish();
        assert_false(parse());
    }
    begin();
    end_tag(begin_mmap(0xfffffff8));
    finish();
    expect_refused(no_ram);
    begin();
    size_t at = begin_tag(MULTIBOOT2_EFI_MMAP);
    put32(39);
    put32(1);
    put_efi_entry(7, 0x100000, 0x100, 0xf);
    end_tag(at);
    add_mmap();
    finish();
    expect_parsed("the boot loader's EFI memory map has entries of 39 bytes");
}

static void reads_whole_entries_only(void **state)
{
    size_t at;
    (void)state;
    begin();
    at = begin_mmap(32); // a later version of the entry
    put_mmap_entry(0x100000, 0x1000, RAM);
    put64(0);
    put_mmap_entry(0x200000, 0x1000, RAM);
    end_tag(at);
    finish();
    expect_parsed("");
    assert_int_equal(boot.region_count, 2);
}

static void cuts_regions_that_wrap_round(void **state)
{
    size_t at;
    (void)state;
    begin();
    at = begin_mmap(24);
    put_mmap_entry(0x100000, 0x1000, RAM);
    put_mmap_entry(0xfffffffffffff000, 0x2000, 2);
    put_mmap_entry(0x300000, UINT64_MAX, RAM);
    end_tag(at);
    finish();
    expect_parsed("");
    expect_region(0xfffffffffffff000, 0xfff, BOOT_REGION_RESERVED);
    expect_region(0x300000, UINT64_MAX - 0x300000, BOOT_REGION_RAM);
    begin();
    add_mmap();
    at = begin_tag(MULTIBOOT2_EFI_MMAP);
    put32(EFI_ENTRY);
    put32(1);
    put_efi_entry(7, 0x100000, UINT64_MAX, 0xf);
    end_tag(at);
    finish();
    expect_parsed("");
    expect_region(0x100000, UINT64_MAX - 0x100000, BOOT_REGION_RAM);
}

static void gives_up_ram_rather_than_a_reservation(void **state)
{
    size_t at;
    uint32_t ram = 0, reserved = 0;
    (void)state;
    begin();
    at = begin_mmap(24);
    for (uint64_t i = 0; i < BOOT_MAX_REGIONS; i++)
        put_mmap_entry(0x100000 + i * 0x2000, 0x1000, RAM);
    for (uint64_t i = 0; i < 3; i++)
        put_mmap_entry(0x100000 + i * 0x2000, 0x800, 2);
    end_tag(at);
    finish();
    expect_parsed("the memory map has more than 512 regions: some memory is not used");
    assert_int_equal(boot.region_count, BOOT_MAX_REGIONS);
    for (uint32_t i = 0; i < boot.region_count; i++) {
        ram += boot.regions[i].type == BOOT_REGION_RAM;
        reserved += boot.regions[i].type == BOOT_REGION_RESERVED;
    }
    assert_int_equal(ram, BOOT_MAX_REGIONS - 4); // the information itself took a place too
    assert_int_equal(reserved, 3);
}

static void a_module_that_ends_before_it_begins(void **state)
{
    (void)state;
    begin();
    add_mmap();
    add_module(0x2000, 0x1000, "backwards.elf");
    add_module(0xfffff000, 0, "polyvisor.cfg");
    finish();
    expect_parsed("the module 'backwards.elf' ends before it begins");
    assert_int_equal(boot.modules[0].status, BOOT_MODULE_READ_ERROR);
    assert_int_equal(boot.modules[0].base, 0);
    assert_int_equal(boot.modules[0].size, 0);
    assert_int_equal(boot.config_status, BOOT_MODULE_READ_ERROR);
    assert_int_equal(boot.config, 0);
}

static void ignores_modules_without_a_usable_name(void **state)
{
    char name[BOOT_NAME_SIZE + 1];
    (void)state;
    begin();
    add_mmap();
    add_module(0x1000, 0x2000, "");
    add_module(0x1000, 0x2000, "   ");
    finish();
    expect_parsed("a module without a name is ignored: say 'module2 FILE NAME'");
    assert_int_equal(boot.module_count, 0);
    memset(name, 'x', sizeof name);
    name[BOOT_NAME_SIZE] = 0;
    begin();
    add_mmap();
    add_module(0x1000, 0x2000, name);
    add_module(0x1000, 0x2000, name + 1);
    finish();
    expect_parsed("the module 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...' is ignored: its name has 128 characters");
    assert_int_equal(boot.module_count, 1);
    assert_string_equal(boot.modules[0].name, name + 1);
}

static void a_module_string_may_lack_its_nul(void **state)
{
    size_t at;
    (void)state;
    begin();
    add_mmap();
    at = begin_tag(MULTIBOOT2_MODULE);
    put32(0x1000);
    put32(0x2000);
    put_bytes("bare.elf", 8);
    end_tag(at);
    finish();
    expect_parsed("");
    assert_string_equal(boot.modules[0].name, "bare.elf");
}

static void the_first_of_two_modules_of_one_name_counts(void **state)
{
    (void)state;
    begin();
    add_mmap();
    add_module(0x1000, 0x1001, "a");
    add_module(0x2000, 0x2002, "a");
    finish();
    expect_parsed("the module 'a' is there more than once: the first one counts");
    assert_int_equal(boot.module_count, 1);
    assert_int_equal(boot.modules[0].size, 1);
    begin();
    add_mmap();
    add_module(0x1000, 0x1001, "polyvisor.cfg");
    add_module(0x2000, 0x2002, "polyvisor.cfg");
    finish();
    expect_parsed("the module 'polyvisor.cfg' is there more than once: the first one counts");
    assert_int_equal(boot.config_size, 1);
}

static void counts_its_modules(void **state)
{
    char name[16];
    (void)state;
    begin();
    add_mmap();
    for (unsigned i = 0; i <= BOOT_MAX_MODULES; i++) {
        snprintf(name, sizeof name, "m%u", i);
        add_module(0x1000, 0x2000, name);
    }
    finish();
    expect_parsed("the module 'm128' is ignored: there are more than 128");
    assert_int_equal(boot.module_count, BOOT_MAX_MODULES);
}

static void cuts_long_texts(void **state)
{
    char text[BOOT_CMDLINE_SIZE + 1];
    (void)state;
    memset(text, 'y', sizeof text);
    text[BOOT_CMDLINE_SIZE] = 0;
    begin();
    add_mmap();
    add_text(MULTIBOOT2_CMDLINE, text);
    add_text(MULTIBOOT2_LOADER, text);
    finish();
    expect_parsed("the command line is too long and was cut");
    assert_int_equal(strlen(boot.cmdline), BOOT_CMDLINE_SIZE - 1);
    assert_int_equal(strlen(boot.loader), sizeof boot.loader - 1);
    begin();
    add_mmap();
    add_text(MULTIBOOT2_CMDLINE, "a\x01\xff\x7f b");
    finish();
    expect_parsed("");
    assert_string_equal(boot.cmdline, "a??? b");
}

static void ignores_damaged_rsdps(void **state)
{
    (void)state;
    begin();
    add_mmap();
    add_rsdp(MULTIBOOT2_RSDP_2, 36, 37); // would be read beyond its copy
    uint64_t older = add_rsdp(MULTIBOOT2_RSDP_1, 20, 0);
    finish();
    expect_parsed("");
    assert_int_equal(boot.rsdp, older);
    begin();
    add_mmap();
    size_t at = begin_tag(MULTIBOOT2_RSDP_1);
    put_bytes("rsd ptr and so on...", 20);
    end_tag(at);
    finish();
    expect_parsed("the boot loader's copy of the ACPI root pointer is damaged");
    assert_int_equal(boot.rsdp, 0);
}

static void ignores_impossible_framebuffers(void **state)
{
    static const uint8_t no_green[6] = {16, 8, 8, 0, 0, 8}, too_wide[6] = {28, 8, 8, 8, 0, 8};
    const struct {
        uint64_t base;
        uint32_t pitch, width, height;
        uint8_t bits;
        const uint8_t *colours;
    } screens[] = {
        {0, 5120, 1280, 800, 32, bgr},
        {0xc0000000, 5119, 1280, 800, 32, bgr},
        {0xc0000000, 5120, 0, 800, 32, bgr},
        {0xc0000000, 5120, 1280, 0, 32, bgr},
        {0xc0000000, 5120, 1280, 800, 8, bgr},
        {0xc0000000, 5120, 1280, 800, 33, bgr},
        {0xc0000000, 0xffffffff, 0xffffffff, 800, 32, bgr},
        {0xfffffffffffff000, 5120, 1280, 800, 32, bgr},
        {0xc0000000, 5120, 1280, 800, 32, no_green},
        {0xc0000000, 5120, 1280, 800, 32, too_wide},
    };
    (void)state;
    for (size_t i = 0; i < sizeof screens / sizeof screens[0]; i++) {
        begin();
        add_mmap();
        add_framebuffer(screens[i].base, screens[i].pitch, screens[i].width, screens[i].height, screens[i].bits,
                        screens[i].colours);
        finish();
        expect_parsed("the boot loader's framebuffer tag makes no sense and is ignored");
        assert_int_equal(boot.framebuffer.base, 0);
    }
}

/// Never reads beyond the end: the information is cut at every byte, with nothing readable behind it.
static void survives_being_cut_anywhere(void **state)
{
    (void)state;
    begin();
    add_text(MULTIBOOT2_CMDLINE, "config=x");
    add_mmap();
    add_module(0x1000, 0x2000, "tiny.elf");
    add_rsdp(MULTIBOOT2_RSDP_2, 36, 36);
    add_framebuffer(0xc0000000, 5120, 1280, 800, 32, bgr);
    finish();
    for (uint32_t size = 8; size <= used; size++) {
        uint8_t *copy = malloc(size);
        assert_non_null(copy);
        memcpy(copy, information, size);
        memcpy(copy, &size, sizeof size);
        bool parsed = multiboot2_parse(copy, size, &boot, error, sizeof error);
        assert_true(parsed || error[0]);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_an_odd_address),
        cmocka_unit_test(refuses_a_total_size_that_cannot_be),
        cmocka_unit_test(refuses_to_start_without_ram),
        cmocka_unit_test(misses_the_end_tag),
        cmocka_unit_test(stops_at_a_tag_that_is_too_small),
        cmocka_unit_test(stops_at_a_tag_that_is_too_large),
        cmocka_unit_test(a_last_tag_without_its_padding_is_whole),
        cmocka_unit_test(leaves_out_short_tags),
        cmocka_unit_test(refuses_memory_maps_with_small_entries),
        cmocka_unit_test(reads_whole_entries_only),
        cmocka_unit_test(cuts_regions_that_wrap_round),
        cmocka_unit_test(gives_up_ram_rather_than_a_reservation),
        cmocka_unit_test(a_module_that_ends_before_it_begins),
        cmocka_unit_test(ignores_modules_without_a_usable_name),
        cmocka_unit_test(a_module_string_may_lack_its_nul),
        cmocka_unit_test(the_first_of_two_modules_of_one_name_counts),
        cmocka_unit_test(counts_its_modules),
        cmocka_unit_test(cuts_long_texts),
        cmocka_unit_test(ignores_damaged_rsdps),
        cmocka_unit_test(ignores_impossible_framebuffers),
        cmocka_unit_test(survives_being_cut_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
