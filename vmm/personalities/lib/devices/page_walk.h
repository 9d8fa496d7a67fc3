// SPDX-License-Identifier: Apache-2.0
/// The guest's own page tables: from linear to guest-physical addresses. Permissions are not looked at: the processor has done so
/// before it exited. Source: Intel SDM Vol. 3A chapter 4.
#ifndef POLYVISOR_DEVICES_PAGE_WALK_H
#define POLYVISOR_DEVICES_PAGE_WALK_H

#include "devices/device.h"

struct page_walk {
    uint64_t cr0, cr3, cr4, efer;
    /// Where `size` bytes of the guest's memory can be read; NULL where there is no memory.
    const void *(*memory)(void *context, uint64_t address, size_t size);
    void *context;
};

/// False: not mapped, or the tables lie where there is no memory.
bool page_walk(const struct page_walk *walk, uint64_t linear, uint64_t *physical);

/// Copies from linear addresses until something is not there; returns how many bytes could be had.
size_t page_walk_copy(const struct page_walk *walk, uint64_t linear, void *to, size_t size);

#endif
