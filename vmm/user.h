// SPDX-License-Identifier: Apache-2.0
/// Ring 3's memory, as ring 0 may touch it: copied once, under SMAP, every page's right checked by the processor.
#ifndef POLYVISOR_USER_H
#define POLYVISOR_USER_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/core.h"
#include "arch/x86/layout.h"
#include "vmm/personality.h"

/// Whether a range lies in the lower half.
static inline bool user_range(uint64_t address, uint64_t size)
{
    return address < USER_TOP && size <= USER_TOP - address;
}

/// From the loaded address space. False: not the caller's readable memory.
static inline bool user_read(void *to, uint64_t from, uint64_t size)
{
    return user_range(from, size) && user_copy_in(to, from, size);
}

/// To the loaded address space; a part may have been written when it fails.
static inline bool user_write(uint64_t to, const void *from, uint64_t size)
{
    return user_range(to, size) && user_copy_out(to, from, size);
}

/// Whether a personality may write to a whole range: for calls that must not change anything when their result cannot
/// be delivered.
bool user_writable(const struct personality *p, uint64_t address, uint64_t size);

#endif
