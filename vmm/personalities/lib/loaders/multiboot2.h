// SPDX-License-Identifier: Apache-2.0
/// Multiboot 2 kernels: the tags of their header, and the boot information. Pure; host-tested.
/// Source: Multiboot2 Specification version 2.0, chapters 3.1 and 3.6, whose names of tags are used here.
#ifndef POLYVISOR_LOADERS_MULTIBOOT2_H
#define POLYVISOR_LOADERS_MULTIBOOT2_H

#include "loaders/image.h"

#define MULTIBOOT2_EAX UINT32_C(0x36d76289) ///< in EAX at the entry

/// False: why[IMAGE_WHY] says what is wrong; *found whether there was a header at all.
bool multiboot2_parse(const void *file, size_t size, struct image *image, bool *found, char *why);

/// Writes the boot information. base: where the image stands, for one that is relocatable. The address for EBX, or 0 when the
/// area is too small.
uint64_t multiboot2_information(const struct image_machine *machine, const struct image *image,
                                struct image_area *area);

#endif
