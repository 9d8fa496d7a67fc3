// SPDX-License-Identifier: Apache-2.0
/// Multiboot 1 kernels: their header, and the boot information. Pure; host-tested.
/// Source: The Multiboot Specification version 0.6.96, chapters 3.1 and 3.3, whose names of fields are used here.
#ifndef POLYVISOR_LOADERS_MULTIBOOT1_H
#define POLYVISOR_LOADERS_MULTIBOOT1_H

#include "loaders/image.h"

#define MULTIBOOT1_EAX UINT32_C(0x2badb002) ///< in EAX at the entry

/// False: why[IMAGE_WHY] says what is wrong; *found whether there was a header at all.
bool multiboot1_parse(const void *file, size_t size, struct image *image, bool *found, char *why);

/// Writes the boot information and what it points to. The address for EBX, or 0 when the area is too small.
uint64_t multiboot1_information(const struct image_machine *machine, struct image_area *area);

#endif
