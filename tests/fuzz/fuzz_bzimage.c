// SPDX-License-Identifier: Apache-2.0
// Linux kernels: whatever the header says, the kernel and the initrd lie in the guest's memory, apart from each other.
// links: vmm/personalities/linux/bzimage.c vmm/personalities/linux/layout.c
// links: vmm/personalities/lib/loaders/image.c vmm/lib/format.c vmm/lib/string.c
#include <stdlib.h>
#include <string.h>

#include "vmm/personalities/linux/layout.h"

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_places(const struct bzimage *image, const struct layout *l, const void *file)
{
    static uint8_t params[LAYOUT_PARAMS_SIZE];
    require(l->kernel >= LAYOUT_HIGH && l->kernel <= l->ram && image->size <= l->ram - l->kernel);
    require(image->needed <= l->ram - l->kernel);
    require(image->relocatable || l->kernel == image->preferred);
    require(l->initrd_size == 0 || (l->initrd >= l->kernel + image->size && l->initrd <= l->ram &&
                                    l->initrd_size <= l->ram - l->initrd && l->initrd % 4096 == 0));
    layout_params(l, image, file, params);
    require(memcmp(params + 0x202, "HdrS", 4) == 0 && params[0x1e8] == 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/// The first bytes are the guest's memory (MiB) and the initrd's size (units of 64 KiB), the others the file.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bzimage image;
    struct layout layout;
    char why[IMAGE_WHY];
    if (size < 4)
        return 0;
    const uint64_t ram = (uint64_t)(data[0] | data[1] << 8) << 20, initrd = (uint64_t)(data[2] | data[3] << 8) << 16;
    memset(why, 0, sizeof(why));
    if (!bzimage_parse(data + 4, size - 4, &image, why)) {
        require(why[0] != '\0' && memchr(why, '\0', sizeof(why)) != NULL);
        return 0;
    }
    require(image.offset <= size - 4 && image.size <= size - 4 - image.offset);
    if (layout_make(&image, ram, initrd, data[0], &layout, why))
        check_places(&image, &layout, data + 4);
    else
        require(why[0] != '\0');
    return 0;
}
