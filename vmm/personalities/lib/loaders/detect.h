// SPDX-License-Identifier: Apache-2.0
/// Which protocol a kernel is booted by. Pure; host-tested.
#ifndef POLYVISOR_LOADERS_DETECT_H
#define POLYVISOR_LOADERS_DETECT_H

#include "loaders/image.h"

/// Finds out what the file is, or, when `wanted` is not IMAGE_UNKNOWN, takes it for that; and reads it, unless it is
/// IMAGE_LINUX, which is the caller's. IMAGE_UNKNOWN: why[IMAGE_WHY] says what is wrong with it.
enum image_protocol detect_and_parse(const void *file, size_t size, enum image_protocol wanted, struct image *image,
                                     char *why);

#endif
