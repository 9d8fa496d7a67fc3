// SPDX-License-Identifier: Apache-2.0
// Words of the kernel's command line for the personality.
// links: vmm/personalities/linux/options.c vmm/personalities/lib/loaders/image.c vmm/lib/format.c vmm/lib/string.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/personalities/linux/options.h"

static void test_overlay(void **state)
{
    (void)state;
    static const struct {
        const char *args;
        uint64_t size;
    } good[] = {
        {"", OPTIONS_DEFAULT},
        {"console=ttyS0 quiet", OPTIONS_DEFAULT},
        {"notpolyvisor.overlay=1 polyvisorish=2", OPTIONS_DEFAULT},
        {"polyvisor.overlay=0", 0},
        {"polyvisor.overlay=4096", 4096},
        {"quiet  polyvisor.overlay=12K single ", 12288},
        {"polyvisor.overlay=3M polyvisor.overlay=2G", UINT64_C(2) << 30},
        {"polyvisor.overlay=4194304G", UINT64_C(1) << 52},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct options options;
        char why[OPTIONS_WHY];
        assert_true(options_parse(good[i].args, &options, why));
        assert_int_equal(options.overlay, good[i].size);
    }
}

static void test_devices(void **state)
{
    (void)state;
    struct options options;
    char why[OPTIONS_WHY];
    assert_true(options_parse("console=hvc0 entropy=timing", &options, why));
    assert_false(options.console || options.entropy);
    assert_true(options_parse("polyvisor.console=virtio", &options, why));
    assert_true(options.console && !options.entropy);
    assert_true(options_parse("x polyvisor.entropy=timing", &options, why));
    assert_true(!options.console && options.entropy && options.apic == OPTIONS_APIC_DELIVERY);
    assert_true(options_parse("polyvisor.apicv=delivery", &options, why));
    assert_int_equal(options.apic, OPTIONS_APIC_DELIVERY);
    assert_true(options_parse("polyvisor.apicv=registers", &options, why));
    assert_int_equal(options.apic, OPTIONS_APIC_REGISTERS);
    assert_true(options_parse("polyvisor.apicv=off", &options, why));
    assert_int_equal(options.apic, OPTIONS_APIC_SOFTWARE);
}

static void test_processors(void **state)
{
    (void)state;
    struct options options;
    char why[OPTIONS_WHY];
    assert_true(options_parse("x2apic=off cpus=3", &options, why));
    assert_true(options.cpus == 0 && !options.no_x2apic);
    assert_true(options_parse("polyvisor.cpus=16 polyvisor.x2apic=off", &options, why));
    assert_true(options.cpus == 16 && options.no_x2apic);
}

static void test_boot(void **state)
{
    (void)state;
    static const struct {
        const char *args;
        enum image_protocol boot;
    } good[] = {{"x", IMAGE_UNKNOWN},
                {"polyvisor.boot=linux", IMAGE_LINUX},
                {"a polyvisor.boot=pvh b", IMAGE_PVH},
                {"polyvisor.boot=multiboot2", IMAGE_MULTIBOOT2},
                {"polyvisor.boot=multiboot1", IMAGE_MULTIBOOT1}};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct options options;
        char why[OPTIONS_WHY];
        assert_true(options_parse(good[i].args, &options, why));
        assert_int_equal(options.boot, good[i].boot);
    }
}

static void test_wrong(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"polyvisor.overlay=", "args: found 'polyvisor.overlay=', expected a size such as 16M"},
        {"a polyvisor.overlay=4X b", "args: found 'polyvisor.overlay=4X', expected a size such as 16M"},
        {"polyvisor.overlay=4MB", "args: found 'polyvisor.overlay=4MB', expected a size such as 16M"},
        {"polyvisor.overlay=M", "args: found 'polyvisor.overlay=M', expected a size such as 16M"},
        {"polyvisor.overlay=4194305G", "args: found 'polyvisor.overlay=4194305G', expected a size such as 16M"},
        {"polyvisor.overlay=99999999999999999999", "a size"},
        {"polyvisor.", "args: found 'polyvisor.', expected polyvisor.overlay=SIZE, polyvisor.console=virtio, "},
        {"polyvisor.colour=red",
         "args: found 'polyvisor.colour=red', expected polyvisor.overlay=SIZE, polyvisor.console=virtio, "},
        {"polyvisor.console=", "args: found 'polyvisor.console=', expected virtio"},
        {"polyvisor.console=virtio2", "args: found 'polyvisor.console=virtio2', expected virtio"},
        {"polyvisor.cpus=0", "args: found 'polyvisor.cpus=0', expected a number from 1 to 16"},
        {"polyvisor.cpus=17", "expected a number from 1 to 16"},
        {"polyvisor.cpus=2K", "expected a number from 1 to 16"},
        {"polyvisor.cpus=", "expected a number from 1 to 16"},
        {"polyvisor.x2apic=on", "args: found 'polyvisor.x2apic=on', expected off"},
        {"polyvisor.boot=", "args: found 'polyvisor.boot=', expected linux, pvh, multiboot2 or multiboot1"},
        {"polyvisor.boot=multiboot", "args: found 'polyvisor.boot=multiboot', expected linux, pvh"},
        {"polyvisor.boot=unknown", "args: found 'polyvisor.boot=unknown', expected linux, pvh"},
        {"polyvisor.apicv=on", "args: found 'polyvisor.apicv=on', expected delivery, registers or off"},
        {"polyvisor.entropy=rdrand", "args: found 'polyvisor.entropy=rdrand', expected timing"},
        {"polyvisor.0123456789012345678901234567890123456789012345", "args: found 'polyvisor.01234567890123456789"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct options options;
        char why[OPTIONS_WHY];
        memset(why, 'x', sizeof(why));
        assert_false(options_parse(bad[i][0], &options, why));
        assert_non_null(memchr(why, '\0', sizeof(why)));
        if (strstr(why, bad[i][1]) == NULL)
            fail_msg("'%s' gives '%s'", bad[i][0], why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_overlay), cmocka_unit_test(test_devices),
                                       cmocka_unit_test(test_processors), cmocka_unit_test(test_boot),
                                       cmocka_unit_test(test_wrong)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
