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
    uint64_t reserved;  ///< bytes set aside, of those that are not in use
    bool told;          ///< the log has a line about its end; the owner's business
    uint8_t *window;    ///< where the range is mapped: window[i] is physical base + i
};

void quota_init(struct quota *quota, uint64_t base, uint64_t size, void *window);
/// A zeroed page's physical address, or 0 when the quota is used up.
uint64_t quota_alloc(struct quota *quota);
/// How many pages can still be had, without those that are set aside.
uint64_t quota_left(const struct quota *quota);
/// Sets pages aside, which only quota_take gives out. False (and nothing done) when fewer are left.
bool quota_reserve(struct quota *quota, uint64_t pages);
/// One of the pages that were set aside; there must be one. Not zeroed: anything may stand in it.
uint64_t quota_take(struct quota *quota, bool zeroed);
/// Pages that were set aside can be had by everybody again.
void quota_unreserve(struct quota *quota, uint64_t pages);
/// Gives a page back. False (and nothing done) when it is not a page of this range that was handed out.
bool quota_free(struct quota *quota, uint64_t page);
/// Takes everything back at once.
void quota_reset(struct quota *quota);

#endif
