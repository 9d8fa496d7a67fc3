// SPDX-License-Identifier: Apache-2.0
// Kernels of all protocols: whatever is taken lies in the file and, once it has its place, in the guest's memory, apart from the modules;
// and what the kernel is told is whole.
// links: vmm/personalities/lib/loaders/*.c vmm/lib/format.c vmm/lib/string.c
#include <stdlib.h>
#include <string.h>

#include "loaders/detect.h"
#include "loaders/multiboot1.h"
#include "loaders/multiboot2.h"
#include "loaders/pvh.h"

enum { SETTINGS = 8, MODULES = 2, AREA = 4096, AREA_GPA = 0x30000 };

static void require(bool condition)
{
    if (!condition)
        abort();
}

static bool apart(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
    return a + a_size <= b || b + b_size <= a;
}

static void check_image(const struct image *image, size_t size)
{
    bool entered = false;
    require(image->segment_count > 0 && image->segment_count <= IMAGE_SEGMENTS);
    for (uint32_t i = 0; i < image->segment_count; i++) {
        const struct image_segment *s = &image->segments[i];
        require(s->offset <= size && s->file_size <= size - s->offset);
        require(s->memory_size >= s->file_size && s->memory_size > 0);
        require(s->gpa <= UINT32_MAX && s->memory_size <= (UINT64_C(1) << 32) - s->gpa);
        for (uint32_t k = 0; k < i; k++)
            require(apart(s->gpa, s->memory_size, image->segments[k].gpa, image->segments[k].memory_size));
        entered = entered || (image->entry >= s->gpa && image->entry - s->gpa < s->file_size);
    }
    require(entered);
}

static void check_places(const struct image *image, uint64_t ram, const struct image_module *modules)
{
    require(image_start(image) >= IMAGE_LOWEST && image_end(image) <= ram);
    if (image->relocatable)
        require(image_start(image) >= image->lowest && image_end(image) - 1 <= image->highest &&
                image_start(image) % image->alignment == 0);
    for (uint32_t i = 0; i < MODULES; i++) {
        require(modules[i].gpa % IMAGE_PAGE == 0 && modules[i].gpa >= IMAGE_LOWEST && modules[i].gpa <= ram &&
                modules[i].size <= ram - modules[i].gpa);
        require(apart(modules[i].gpa, modules[i].size, image_start(image), image_end(image) - image_start(image)));
    }
    require(apart(modules[0].gpa, modules[0].size, modules[1].gpa, modules[1].size));
}

static void check_information(enum image_protocol protocol, const struct image *image, uint64_t ram,
                              const struct image_module *modules, size_t area_size)
{
    static const uint8_t rsdp[IMAGE_RSDP_SIZE];
    const struct image_region regions[] = {{0, 0xa0000, IMAGE_RAM}, {IMAGE_LOWEST, ram, IMAGE_RAM}};
    const struct image_machine machine = {.regions = regions,
                                          .region_count = 2,
                                          .modules = modules,
                                          .module_count = MODULES,
                                          .cmdline = "a b",
                                          .rsdp = 0xe0000,
                                          .rsdp_copy = rsdp};
    struct image_area area = {.bytes = malloc(area_size + 1), .gpa = AREA_GPA, .size = area_size};
    const uint64_t at = protocol == IMAGE_PVH          ? pvh_information(&machine, &area)
                        : protocol == IMAGE_MULTIBOOT2 ? multiboot2_information(&machine, image, &area)
                                                       : multiboot1_information(&machine, &area);
    require(area.used <= area_size && (at == 0) == area.full);
    require(at == 0 || (at >= AREA_GPA && at - AREA_GPA < area.used));
    require(at == 0 || protocol != IMAGE_MULTIBOOT2 || image_field(area.bytes, at - AREA_GPA, 4) == area.used);
    free(area.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/// The first bytes: the protocol, the guest's memory (MiB), the modules' sizes (units of 64 KiB), the area's size; then the file.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct image image;
    char why[IMAGE_WHY];
    if (size < SETTINGS)
        return 0;
    const enum image_protocol wanted = data[0] % IMAGE_PROTOCOLS;
    const uint64_t ram = ((uint64_t)data[1] * 16 + 4) << 20;
    struct image_module modules[MODULES] = {{.size = (uint64_t)(data[2] | data[3] << 8) << 16, .name = "one"},
                                            {.size = (uint64_t)data[4] << 16 | data[5], .name = "two"}};
    data += SETTINGS;
    size -= SETTINGS;
    memset(why, 0, sizeof(why));
    const enum image_protocol protocol = detect_and_parse(data, size, wanted, &image, why);
    if (protocol == IMAGE_UNKNOWN) {
        require(why[0] != '\0' && memchr(why, '\0', sizeof(why)) != NULL);
        return 0;
    }
    require(wanted == IMAGE_UNKNOWN || protocol == wanted);
    if (protocol == IMAGE_LINUX)
        return 0;
    check_image(&image, size);
    if (!image_place(&image, ram, why) || !image_place_modules(&image, ram, modules, MODULES, why)) {
        require(why[0] != '\0');
        return 0;
    }
    check_image(&image, size);
    check_places(&image, ram, modules);
    check_information(protocol, &image, ram, modules, data[-1] != 0 ? (size_t)data[-1] * 2 : AREA);
    return 0;
}
