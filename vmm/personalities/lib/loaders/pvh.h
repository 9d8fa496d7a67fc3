// SPDX-License-Identifier: Apache-2.0
/// Kernels with a PVH entry: an ELF file whose note says where it is entered in 32-bit protected mode. Pure; host-tested.
/// Source: Xen, docs/misc/pvh.pandoc and xen/include/public/arch-x86/hvm/start_info.h.
#ifndef POLYVISOR_LOADERS_PVH_H
#define POLYVISOR_LOADERS_PVH_H

#include "loaders/image.h"

/// False: why[IMAGE_WHY] says what is wrong; *found whether there was a note at all.
bool pvh_parse(const void *file, size_t size, struct image *image, bool *found, char *why);

/// Writes hvm_start_info (version 1) and what it points to. The address for EBX, or 0 when the area is too small.
uint64_t pvh_information(const struct image_machine *machine, struct image_area *area);

#endif
