// SPDX-License-Identifier: Apache-2.0
/// Putting the kernel into the guest's memory, by the protocol that it is booted by (docs/guest-boot.md).
#ifndef POLYVISOR_LINUX_LOAD_H
#define POLYVISOR_LINUX_LOAD_H

#include <polyvisor/abi.h>

#include "loaders/image.h"

struct load {
    enum image_protocol protocol;
    /// All protocols but Linux's own:
    struct image image;
    struct image_module modules[PV_MAX_MODULES];
    uint32_t module_count;
    uint64_t information; ///< its address, for the kernel
};

/// Makes the guest's memory, the first time, and loads kernel and modules. NULL, or what is wrong.
const char *load_kernel(void);

/// Tells a kernel that is no bzImage of its machine, when the ACPI tables are there. NULL, or what is wrong.
const char *load_information(void);

#endif
