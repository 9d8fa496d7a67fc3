// SPDX-License-Identifier: Apache-2.0
/// A guest's own page tables: from linear to guest-physical addresses. Rights are not looked at: the processor has done so before
/// an access exited, and a debugger may read everything. Pure. Source: Intel SDM Vol. 3A chapter 4.
#ifndef POLYVISOR_DEVICES_PAGE_WALK_H
#define POLYVISOR_DEVICES_PAGE_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct page_walk {
    uint64_t cr0, cr3, cr4, efer;
    /// Reads the guest's memory at a guest-physical address, never beyond a page. False: there is none.
    bool (*read)(void *context, uint64_t address, void *bytes, size_t size);
    void *context;
};

/// False: not mapped, or the tables lie where there is no memory.
bool page_walk(const struct page_walk *walk, uint64_t linear, uint64_t *physical);

/// Copies from linear addresses until something is not there; returns how many bytes could be had.
size_t page_walk_copy(const struct page_walk *walk, uint64_t linear, void *to, size_t size);

#endif
