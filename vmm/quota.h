// SPDX-License-Identifier: Apache-2.0
/// Kernel memory of one personality: a fixed physical range given out page by page. Pure but for the page's own
/// memory, which holds the free list (through its window, so that host tests can put the range anywhere). No
/// locking: the caller holds the owner's lock.
#ifndef POLYVISOR_QUOTA_H
#define POLYVISOR_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

struct quota {
    uint64_t base;      ///< physical, page-aligned
    uint64_t size;      ///< bytes, a multiple of 4096
    uint64_t next;      ///< bytes handed out from the untouched rest
    uint64_t free_list; ///< physical address of the first returned page, or 0
    uint64_t used;      ///< bytes in use
    uint8_t *window;    ///< where the range is mapped: window[i] is physical base + i
};

void quota_init(struct quota *quota, uint64_t base, uint64_t size, void *window);
/// A zeroed page's physical address, or 0 when the quota is used up.
uint64_t quota_alloc(struct quota *quota);
/// How many pages can still be had.
uint64_t quota_left(const struct quota *quota);
/// Gives a page back. False (and nothing done) when it is not a page of this range that was handed out.
bool quota_free(struct quota *quota, uint64_t page);
/// Takes everything back at once.
void quota_reset(struct quota *quota);

#endif
