// SPDX-License-Identifier: Apache-2.0
// The multiboot2 information as GRUB passes it.
// links: boot/multiboot2/parse.c boot/multiboot2/unquote.c vmm/lib/format.c vmm/lib/string.c
// links: vmm/config*.c
#include "multiboot2_builder.h"

static void reads_what_grub_passes_on_a_bios(void **state)
{
    (void)state;
    begin();
    add_text(MULTIBOOT2_CMDLINE, "slice=2ms \"tiny.args=a b\"");
    add_text(MULTIBOOT2_LOADER, "GRUB 2.06");
    add_module(0x102000, 0x102089, "polyvisor.cfg");
    add_module(0x103000, 0x104388, "tiny.elf");
    add_module(0x105000, 0x105001, "  sub/file.bin and more words");
    add_mmap();
    finish();
    expect_parsed("");
    assert_int_equal(boot.magic, BOOT_INFO_MAGIC);
    assert_int_equal(boot.version, BOOT_INFO_VERSION);
    assert_int_equal(boot.size, sizeof boot);
    assert_string_equal(boot.loader, "GRUB 2.06");
    assert_string_equal(boot.cmdline, "slice=2ms tiny.args=\"a b\"");
    assert_int_equal(boot.config, 0x102000);
    assert_int_equal(boot.config_size, 0x89);
    assert_int_equal(boot.config_status, BOOT_MODULE_OK);
    assert_int_equal(boot.module_count, 2);
    assert_string_equal(boot.modules[0].name, "tiny.elf");
    assert_int_equal(boot.modules[0].base, 0x103000);
    assert_int_equal(boot.modules[0].size, 0x1388);
    assert_int_equal(boot.modules[0].status, BOOT_MODULE_OK);
    assert_string_equal(boot.modules[1].name, "sub/file.bin");
    assert_int_equal(boot.core_count, 0);
    assert_int_equal(boot.rsdp, 0);
    assert_int_equal(boot.framebuffer.base, 0);
    assert_int_equal(boot.region_count, 4);
    expect_region(0, 0x9f000, BOOT_REGION_RAM);
    expect_region(0x9f000, 0x1000, BOOT_REGION_RESERVED);
    expect_region(0x100000, 0xff00000, BOOT_REGION_RAM);
    expect_region((uintptr_t)information, used, BOOT_REGION_LOADER);
}

static void the_command_line_names_the_configuration(void **state)
{
    (void)state;
    begin();
    add_module(0x1000, 0x1010, "polyvisor.cfg"); // before the command line that makes it an ordinary module
    add_module(0x2000, 0x2020, "other.cfg");
    add_text(MULTIBOOT2_CMDLINE, "config=other.cfg");
    add_mmap();
    finish();
    expect_parsed("");
    assert_int_equal(boot.config, 0x2000);
    assert_int_equal(boot.module_count, 1);
    assert_string_equal(boot.modules[0].name, "polyvisor.cfg");
}

static void no_configuration_is_no_error_here(void **state)
{
    (void)state;
    begin();
    add_mmap();
    finish();
    expect_parsed("");
    assert_int_equal(boot.config, 0);
    assert_int_equal(boot.config_status, BOOT_MODULE_ABSENT);
    assert_string_equal(boot.loader, "");
    assert_string_equal(boot.cmdline, "");
}

static void other_loaders_quote_nothing(void **state)
{
    (void)state;
    begin();
    add_text(MULTIBOOT2_CMDLINE, "tiny.args=\"a \\\" b\"");
    add_text(MULTIBOOT2_LOADER, "Limine 7");
    add_mmap();
    finish();
    expect_parsed("");
    assert_string_equal(boot.cmdline, "tiny.args=\"a \\\" b\"");
}

static void prefers_the_efi_memory_map(void **state)
{
    size_t at;
    (void)state;
    begin();
    add_mmap();
    at = begin_tag(MULTIBOOT2_EFI_MMAP);
    put32(EFI_ENTRY);
    put32(1);
    put_efi_entry(7, 0x100000, 0x100, 0xf); // free
    put_efi_entry(2, 0x200000, 0x100, 0xf); // GRUB's own, free by now
    put_efi_entry(3, 0x300000, 0x100, 0xf); // boot services
    put_efi_entry(6, 0x400000, 0x10, 1ULL << 63 | 0xf);
    put_efi_entry(9, 0x410000, 0x10, 0xf);
    put_efi_entry(10, 0x420000, 0x10, 0xf);
    put_efi_entry(11, 0x430000, 0x10, 1);
    put_efi_entry(8, 0x440000, 0x10, 0xf);
    put_efi_entry(7, 0x500000, 0x100, 0x4000f); // for special purposes
    put_efi_entry(0x70000000, 0x700000, 0x10, 0xf);
    end_tag(at);
    finish();
    expect_parsed("");
    expect_region(0x100000, 0x300000, BOOT_REGION_RAM);
    expect_region(0x400000, 0x10000, BOOT_REGION_RUNTIME);
    expect_region(0x410000, 0x10000, BOOT_REGION_ACPI);
    expect_region(0x420000, 0x10000, BOOT_REGION_NVS);
    expect_region(0x430000, 0x10000, BOOT_REGION_MMIO);
    expect_region(0x440000, 0x10000, BOOT_REGION_BAD);
    expect_region(0x500000, 0x100000, BOOT_REGION_RESERVED);
    expect_region(0x700000, 0x10000, BOOT_REGION_RESERVED);
    assert_int_equal(boot.region_count, 9);
}

static void falls_back_from_an_efi_map_without_ram(void **state)
{
    size_t at;
    (void)state;
    begin();
    at = begin_tag(MULTIBOOT2_EFI_MMAP);
    put32(EFI_ENTRY);
    put32(1);
    put_efi_entry(6, 0x400000, 0x10, 0xf);
    end_tag(at);
    add_mmap();
    finish();
    expect_parsed("");
    assert_int_equal(boot.region_count, 4);
    expect_region(0x100000, 0xff00000, BOOT_REGION_RAM);
}

static void prefers_the_newer_rsdp(void **state)
{
    (void)state;
    begin();
    add_mmap();
    uint64_t older = add_rsdp(MULTIBOOT2_RSDP_1, 20, 0);
    finish();
    expect_parsed("");
    assert_int_equal(boot.rsdp, older);
    begin();
    add_mmap();
    add_rsdp(MULTIBOOT2_RSDP_1, 20, 0);
    uint64_t newer = add_rsdp(MULTIBOOT2_RSDP_2, 36, 36);
    finish();
    expect_parsed("");
    assert_int_equal(boot.rsdp, newer);
}

static void reads_a_framebuffer(void **state)
{
    (void)state;
    begin();
    add_mmap();
    add_framebuffer(0xc0000000, 5120, 1280, 800, 32, bgr);
    finish();
    expect_parsed("");
    assert_int_equal(boot.framebuffer.base, 0xc0000000);
    assert_int_equal(boot.framebuffer.pitch, 5120);
    assert_int_equal(boot.framebuffer.width, 1280);
    assert_int_equal(boot.framebuffer.height, 800);
    assert_int_equal(boot.framebuffer.bits_per_pixel, 32);
    assert_int_equal(boot.framebuffer.red_mask, 0xff0000);
    assert_int_equal(boot.framebuffer.green_mask, 0xff00);
    assert_int_equal(boot.framebuffer.blue_mask, 0xff);
}

static void skips_a_text_screen_and_unknown_tags(void **state)
{
    const uint8_t text[4] = {16, 2, 0, 0};
    size_t at;
    (void)state;
    begin();
    at = begin_tag(MULTIBOOT2_FRAMEBUFFER);
    put64(0xb8000);
    put32(160);
    put32(80);
    put32(25);
    put_bytes(text, sizeof text);
    end_tag(at);
    add_text(4711, "whatever");
    add_mmap();
    finish();
    expect_parsed("");
    assert_int_equal(boot.framebuffer.base, 0);
}

static void an_empty_configuration_is_there(void **state)
{
    (void)state;
    begin();
    add_mmap();
    add_module(0, 0, "polyvisor.cfg");
    add_module(0, 0, "empty.elf");
    finish();
    expect_parsed("");
    assert_int_equal(boot.config_status, BOOT_MODULE_OK);
    assert_int_not_equal(boot.config, 0);
    assert_int_equal(boot.config_size, 0);
    assert_int_equal(boot.module_count, 1);
    assert_int_equal(boot.modules[0].size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_grub_passes_on_a_bios),
        cmocka_unit_test(the_command_line_names_the_configuration),
        cmocka_unit_test(no_configuration_is_no_error_here),
        cmocka_unit_test(other_loaders_quote_nothing),
        cmocka_unit_test(prefers_the_efi_memory_map),
        cmocka_unit_test(falls_back_from_an_efi_map_without_ram),
        cmocka_unit_test(prefers_the_newer_rsdp),
        cmocka_unit_test(reads_a_framebuffer),
        cmocka_unit_test(skips_a_text_screen_and_unknown_tags),
        cmocka_unit_test(an_empty_configuration_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
