// SPDX-License-Identifier: Apache-2.0
// Multiboot2 information of any content: nothing is read beyond its end, and what comes out is as boot_info.h promises.
// links: boot/multiboot2/parse.c boot/multiboot2/unquote.c vmm/lib/format.c vmm/lib/string.c
// links: vmm/config*.c
#include <boot/multiboot2/multiboot2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static void check_text(const char *text, size_t size)
{
    check(memchr(text, 0, size) != NULL);
}

static void check_boot(const struct boot_info *boot, const uint8_t *information, size_t size)
{
    uint64_t start = (uintptr_t)information;
    check(boot->region_count > 0 && boot->region_count <= BOOT_MAX_REGIONS);
    check(boot->module_count <= BOOT_MAX_MODULES);
    check_text(boot->loader, sizeof boot->loader);
    check_text(boot->cmdline, sizeof boot->cmdline);
    check_text(boot->message, sizeof boot->message);
    check(boot->rsdp == 0 || (boot->rsdp > start && boot->rsdp + 20 <= start + size));
    for (uint32_t i = 0; i < boot->region_count; i++) {
        check(boot->regions[i].size > 0 && boot->regions[i].size <= UINT64_MAX - boot->regions[i].base);
        check(boot->regions[i].type >= BOOT_REGION_RAM && boot->regions[i].type <= BOOT_REGION_BAD);
    }
    for (uint32_t i = 0; i < boot->module_count; i++) {
        const struct boot_module *module = &boot->modules[i];
        check_text(module->name, sizeof module->name);
        check(module->name[0] != 0 && module->base + module->size <= UINT32_MAX);
        check(module->status == BOOT_MODULE_OK || (module->base == 0 && module->size == 0));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct boot_info boot;
    char error[MULTIBOOT2_ERROR_SIZE] = "";
    size_t usable = size & ~(size_t)(MULTIBOOT2_ALIGN - 1);
    uint8_t *information =
        malloc(usable > 0 ? usable : 1); // of this very size: the sanitizer sees every byte read too many
    check(information != NULL);
    memcpy(information, data, usable);
    // Half of the inputs get a total size that is right: otherwise few would come further.
    if (usable >= 8 && data[4] & 1) {
        uint32_t total = (uint32_t)usable;
        memcpy(information, &total, sizeof total);
    }
    if (multiboot2_parse(information, usable, &boot, error, sizeof error))
        check_boot(&boot, information, usable);
    else
        check(error[0] != 0);
    free(information);
    return 0;
}
