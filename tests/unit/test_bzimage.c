// SPDX-License-Identifier: Apache-2.0
// The linux personality's reading of kernels, and its layout of the guest's memory.
// links: vmm/personalities/linux/bzimage.c vmm/personalities/linux/layout.c
// links: vmm/personalities/lib/loaders/image.c vmm/lib/format.c vmm/lib/string.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/personalities/linux/layout.h"

enum { SECTORS = 3, PAYLOAD = 1000, FILE_SIZE = (SECTORS + 1) * 512 + PAYLOAD };

static void put(uint8_t *at, unsigned bytes, uint64_t value)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

/// A kernel that is right, in memory that ends where the file does.
static uint8_t *good(size_t size)
{
    uint8_t *f = calloc(1, size);
    f[0x1f1] = SECTORS;
    put(f + 0x1f4, 4, (PAYLOAD + 15) / 16);
    put(f + 0x1fe, 2, 0xaa55);
    f[0x200] = 0xeb;
    f[0x201] = 0x6a; // the header ends at 0x26c
    memcpy(f + 0x202, "HdrS", 4);
    put(f + 0x206, 2, 0x20f);
    f[0x211] = 1;
    put(f + 0x22c, 4, 0x7fffffff);
    put(f + 0x230, 4, 0x200000);
    f[0x234] = 1;
    put(f + 0x236, 2, 0x3f);
    put(f + 0x238, 4, 2047);
    put(f + 0x258, 8, 0x1000000);
    put(f + 0x260, 4, 0x1800000);
    return f;
}

static void test_good(void **state)
{
    (void)state;
    uint8_t *f = good(FILE_SIZE);
    struct bzimage image;
    char why[IMAGE_WHY];
    assert_true(bzimage_parse(f, FILE_SIZE, &image, why));
    assert_int_equal(image.version, 0x20f);
    assert_int_equal(image.header_end, 0x26c);
    assert_int_equal(image.offset, 2048);
    assert_int_equal(image.size, PAYLOAD); // not the 1008 of whole paragraphs
    assert_int_equal(image.preferred, 0x1000000);
    assert_int_equal(image.needed, 0x1800000);
    assert_int_equal(image.initrd_last, 0x7fffffff);
    assert_int_equal(image.cmdline_max, 2047);
    assert_true(image.relocatable);
    free(f);
}

static void refused(size_t offset, unsigned bytes, uint64_t value, const char *message)
{
    uint8_t *f = good(FILE_SIZE);
    struct bzimage image;
    char why[IMAGE_WHY] = "";
    put(f + offset, bytes, value);
    assert_false(bzimage_parse(f, FILE_SIZE, &image, why));
    if (strstr(why, message) == NULL)
        fail_msg("'%s' lacks '%s'", why, message);
    free(f);
}

static void test_wrong_fields(void **state)
{
    (void)state;
    refused(0x1fe, 2, 0, "0xaa55");
    refused(0x202, 4, 0, "HdrS");
    refused(0x206, 2, 0x20b, "2.11");
    refused(0x211, 1, 0, "zImage");
    refused(0x236, 2, 0x3e, "32-bit kernel");
    refused(0x260, 4, 0, "init_size");
    refused(0x238, 4, 0, "cmdline_size");
    refused(0x230, 4, 0x300000, "0x300000");
    refused(0x201, 1, 0x10, "0x212");
    refused(0x201, 1, 0x80, "0x282");
}

/// Every length below the whole is refused, by name, without a read beyond the end (the address sanitizer watches).
static void test_truncated(void **state)
{
    (void)state;
    uint8_t *whole = good(FILE_SIZE);
    for (size_t size = 0; size < FILE_SIZE; size++) {
        uint8_t *f = malloc(size + 1); // malloc(0) may be NULL
        uint8_t *end = f + 1;
        struct bzimage image;
        char why[IMAGE_WHY] = "";
        memcpy(end, whole, size);
        // The last paragraph may be short: syssize says only how many were started.
        const bool fits = size > (SECTORS + 1) * 512 + (PAYLOAD + 15) / 16 * 16 - 16;
        assert_int_equal(bzimage_parse(end, size, &image, why), fits);
        assert_true(fits || strstr(why, "bytes") != NULL || strstr(why, "header") != NULL);
        free(f);
    }
    free(whole);
}

static void test_layout(void **state)
{
    (void)state;
    uint8_t *f = good(FILE_SIZE);
    struct bzimage image;
    struct layout l;
    char why[IMAGE_WHY] = "";
    assert_true(bzimage_parse(f, FILE_SIZE, &image, why));
    assert_true(layout_make(&image, 256 << 20, 5000, 100, &l, why));
    assert_int_equal(l.kernel, 0x1000000);
    assert_int_equal(l.initrd, (256 << 20) - 8192);
    assert_true(layout_make(&image, 2048ul << 20, 4096, 100, &l, why));
    assert_int_equal(l.initrd, 0x7ffff000);
    assert_true(layout_make(&image, 3072ul << 20, 4096, 100, &l, why)); // initrd_addr_max counts
    assert_int_equal(l.initrd, 0x7ffff000);
    assert_true(layout_make(&image, 256 << 20, 0, 0, &l, why));
    assert_int_equal(l.initrd, 0);
    // 32 MiB: not from 16 MiB on, but from 2 MiB
    assert_true(layout_make(&image, 32 << 20, 4 << 20, 0, &l, why));
    assert_int_equal(l.kernel, 0x200000);
    free(f);
}

static void test_layout_refuses(void **state)
{
    (void)state;
    uint8_t *f = good(FILE_SIZE);
    struct bzimage image;
    struct layout l;
    char why[IMAGE_WHY] = "";
    assert_true(bzimage_parse(f, FILE_SIZE, &image, why));
    assert_false(layout_make(&image, 16 << 20, 0, 0, &l, why));
    assert_non_null(strstr(why, "16M"));
    assert_false(layout_make(&image, 3073ul << 20, 0, 0, &l, why));
    assert_non_null(strstr(why, "3073M"));
    assert_false(layout_make(&image, 64 << 20, 0, 2048, &l, why));
    assert_non_null(strstr(why, "command line (args) has 2048 bytes, the kernel takes 2047"));
    assert_true(layout_make(&image, 64 << 20, 0, 2047, &l, why));
    assert_false(layout_make(&image, 48 << 20, 9 << 20, 0, &l, why));
    assert_non_null(strstr(why, "initrd"));
    assert_false(layout_make(&image, 64 << 20, UINT64_MAX - 100, 0, &l, why));
    image.needed = 40 << 20;
    assert_false(layout_make(&image, 32 << 20, 0, 0, &l, why));
    assert_non_null(strstr(why, "module 'kernel' needs 40M from 0x200000 on, the guest has 32M"));
    image.relocatable = false;
    image.needed = 20 << 20;
    assert_false(layout_make(&image, 32 << 20, 0, 0, &l, why));
    free(f);
}

static uint64_t get(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = bytes; i-- > 0;)
        value = value << 8 | at[i];
    return value;
}

static void test_params(void **state)
{
    (void)state;
    uint8_t *f = good(FILE_SIZE);
    struct bzimage image;
    struct layout l;
    char why[IMAGE_WHY] = "";
    uint8_t *p = malloc(LAYOUT_PARAMS_SIZE);
    memset(p, 0xcc, LAYOUT_PARAMS_SIZE);
    assert_true(bzimage_parse(f, FILE_SIZE, &image, why));
    assert_true(layout_make(&image, 256 << 20, 5000, 100, &l, why));
    layout_params(&l, &image, f, p);
    assert_memory_equal(p + 0x202, "HdrS", 4);
    assert_int_equal(get(p + 0x260, 4), 0x1800000);
    assert_int_equal(get(p + 0x26c, 4), 0); // behind the header
    assert_int_equal(p[0x210], 0xff);
    assert_int_equal(get(p + 0x218, 4), (256 << 20) - 8192);
    assert_int_equal(get(p + 0x21c, 4), 5000);
    assert_int_equal(get(p + 0x228, 4), LAYOUT_CMDLINE);
    assert_int_equal(get(p + 0x070, 8), LAYOUT_ACPI);
    // The map ascends without overlap; RAM is all but the hole from 640K to 1M.
    uint64_t end = 0, ram = 0;
    for (unsigned i = 0; i < p[0x1e8]; i++) {
        const uint8_t *e = p + 0x2d0 + 20 * i;
        assert_true(get(e, 8) >= end);
        end = get(e, 8) + get(e + 8, 8);
        ram += get(e + 16, 4) == 1 ? get(e + 8, 8) : 0;
    }
    assert_int_equal(end, 256 << 20);
    assert_int_equal(ram, (255 << 20) + LAYOUT_LOW_END);
    free(p);
    free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),   cmocka_unit_test(test_wrong_fields),   cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_layout), cmocka_unit_test(test_layout_refuses), cmocka_unit_test(test_params),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
