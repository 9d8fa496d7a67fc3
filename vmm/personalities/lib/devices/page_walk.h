// SPDX-License-Identifier: Apache-2.0
/// A guest's own page tables: from linear to guest-physical addresses. Pure. Source: Intel SDM Vol. 3A chapter 4.
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
    // For page_access only.
    /// Replaces an entry of 4 or 8 bytes that is still `before`, at once. False: it is not.
    bool (*replace)(void *context, uint64_t address, uint64_t before, uint64_t after, size_t size);
    uint8_t physical_bits; ///< of the guest's physical addresses
};

/// False: not mapped, or the tables lie where there is no memory. Rights are not looked at: the processor has done so before an
/// access exited, and a debugger may read everything.
bool page_walk(const struct page_walk *walk, uint64_t linear, uint64_t *physical);

/// Copies from linear addresses until something is not there; returns how many bytes could be had.
size_t page_walk_copy(const struct page_walk *walk, uint64_t linear, void *to, size_t size);

/// Whether an address is one at all: the bits that are not translated are like the highest that is. In IA-32e mode.
bool page_canonical(const struct page_walk *walk, uint64_t linear);

/// What an access is like; the first three as in the error code of #PF.
enum page_access { PAGE_WRITE = 1 << 1, PAGE_USER = 1 << 2, PAGE_FETCH = 1 << 4, PAGE_AC = 1 << 8 /**< RFLAGS.AC */ };

/// For an access that the processor has not made: with the rights that it needs, and accessed and dirty flags. False: #PF with
/// *error.
bool page_access(const struct page_walk *walk, uint64_t linear, uint32_t access, uint64_t *physical, uint32_t *error);

#endif
