// SPDX-License-Identifier: Apache-2.0
#include "load.h"

#include "loaders/detect.h"
#include "loaders/multiboot1.h"
#include "loaders/multiboot2.h"
#include "loaders/pvh.h"
#include "machine.h"

#include <polyvisor/string.h>

enum { OVERHEAD = 2 << 20 };

static char message[sizeof("the file of module 'kernel': ") + IMAGE_WHY];

static const char *blame_file(const char *why)
{
    pv_snprintf(message, sizeof(message), "the file of module 'kernel': %s", why);
    return message;
}

static const char *blame(const char *why)
{
    pv_strcopy(message, sizeof(message), why);
    return message;
}

/// Copies large files; memcpy goes byte by byte.
static void copy_in(uint64_t gpa, const void *data, uint64_t size)
{
    void *to = pv_guest_pointer(&machine.memory, gpa, size);
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(data), "+c"(size) : : "memory");
}

static void clear(uint64_t gpa, uint64_t size)
{
    void *to = pv_guest_pointer(&machine.memory, gpa, size);
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(0) : "memory");
}

static const void *contents(const struct pv_module *module)
{
    return (const void *)(uintptr_t)module->address;
}

static const char *make_memory(uint64_t ram)
{
    const int64_t result = machine.memory.size != 0 ? PV_OK : pv_guest_memory_create(&machine.memory, ram);
    if (result >= 0)
        return NULL;
    pv_snprintf(message, sizeof(message), "the guest's memory cannot be made: %s", pv_error_name(result));
    return message;
}

/* ---- Linux's own protocol ---- */

static const char *load_bzimage(const struct pv_module *kernel, uint64_t ram)
{
    char why[IMAGE_WHY];
    struct bzimage image;
    const struct pv_module *initrd = machine_module("initrd");
    if (!bzimage_parse(contents(kernel), kernel->size, &image, why))
        return blame_file(why);
    if (!layout_make(&image, ram, initrd != NULL ? initrd->size : 0, strlen(machine.info->args), &machine.layout, why))
        return blame(why);
    const char *wrong = make_memory(ram);
    if (wrong != NULL)
        return wrong;
    copy_in(machine.layout.kernel, (const uint8_t *)contents(kernel) + image.offset, image.size);
    if (initrd != NULL)
        copy_in(machine.layout.initrd, contents(initrd), initrd->size);
    copy_in(LAYOUT_CMDLINE, machine.info->args, machine.layout.cmdline_size + 1);
    layout_params(&machine.layout, &image, contents(kernel),
                  pv_guest_pointer(&machine.memory, LAYOUT_PARAMS, LAYOUT_PARAMS_SIZE));
    return NULL;
}

/* ---- all others ---- */

/// Every module but the kernel and the disk is one of the guest's, too, in the configuration's order.
static bool is_for_guest(const struct pv_module *module)
{
    return strcmp(module->name, "kernel") != 0 && strcmp(module->name, "disk") != 0;
}

static void list_modules(struct load *load)
{
    load->module_count = 0;
    for (uint32_t i = 0; i < machine.info->module_count; i++) {
        const struct pv_module *module = &machine.info->modules[i];
        if (is_for_guest(module))
            load->modules[load->module_count++] = (struct image_module){.size = module->size, .name = module->name};
    }
}

static void copy_modules(const struct load *load)
{
    for (uint32_t i = 0, next = 0; i < machine.info->module_count; i++)
        if (is_for_guest(&machine.info->modules[i])) {
            copy_in(load->modules[next].gpa, contents(&machine.info->modules[i]), load->modules[next].size);
            next++;
        }
}

static const char *load_image(const struct pv_module *kernel, uint64_t ram)
{
    char why[IMAGE_WHY];
    struct load *load = &machine.load;
    list_modules(load);
    if (ram < LAYOUT_SMALL_MIN || ram > LAYOUT_RAM_MAX) {
        image_refuse(why, "the guest would have %luM of memory, expected 4M to 3072M", (unsigned long)(ram >> 20));
        return blame(why);
    }
    if (!image_place(&load->image, ram, why))
        return blame_file(why);
    if (!image_place_modules(&load->image, ram, load->modules, load->module_count, why))
        return blame(why);
    const char *wrong = make_memory(ram);
    if (wrong != NULL)
        return wrong;
    for (uint32_t i = 0; i < load->image.segment_count; i++) {
        const struct image_segment *s = &load->image.segments[i];
        copy_in(s->gpa, (const uint8_t *)contents(kernel) + s->offset, s->file_size);
        clear(s->gpa + s->file_size, s->memory_size - s->file_size);
    }
    copy_modules(load);
    return NULL;
}

const char *load_information(void)
{
    struct load *load = &machine.load;
    struct image_region regions[LAYOUT_REGIONS];
    struct image_area area = {
        .bytes = pv_guest_pointer(&machine.memory, LAYOUT_INFO, LAYOUT_INFO_SIZE),
        .gpa = LAYOUT_INFO,
        .size = LAYOUT_INFO_SIZE,
    };
    const struct image_machine view = {
        .regions = regions,
        .region_count = LAYOUT_REGIONS,
        .modules = load->modules,
        .module_count = load->module_count,
        .cmdline = machine.info->args,
        .rsdp = LAYOUT_ACPI,
        .rsdp_copy = pv_guest_pointer(&machine.memory, LAYOUT_ACPI, IMAGE_RSDP_SIZE),
    };
    layout_regions(machine.memory.size, regions);
    if (load->protocol == IMAGE_LINUX)
        return NULL;
    if (load->protocol == IMAGE_PVH)
        load->information = pvh_information(&view, &area);
    else if (load->protocol == IMAGE_MULTIBOOT2)
        load->information = multiboot2_information(&view, &load->image, &area);
    else
        load->information = multiboot1_information(&view, &area);
    return load->information != 0 ? NULL : "the boot information does not fit";
}

const char *load_kernel(void)
{
    char why[IMAGE_WHY];
    const struct pv_module *kernel = machine_module("kernel");
    const uint64_t pool = machine.info->pool_size, overhead = OVERHEAD + virtio_devices_memory();
    const uint64_t ram = pool > overhead ? (pool - overhead) & ~(uint64_t)(PV_LARGE_PAGE_SIZE - 1) : 0;
    if (kernel == NULL)
        return "no kernel: the configuration lacks 'module kernel FILE'";
    const struct pv_module *initrd = machine_module("initrd");
    if (initrd != NULL && initrd->size == 0)
        return "the file of module 'initrd' is empty";
    machine.load.protocol =
        detect_and_parse(contents(kernel), kernel->size, machine.options.boot, &machine.load.image, why);
    if (machine.load.protocol == IMAGE_UNKNOWN)
        return blame_file(why);
    return machine.load.protocol == IMAGE_LINUX ? load_bzimage(kernel, ram) : load_image(kernel, ram);
}
