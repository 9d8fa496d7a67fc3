// SPDX-License-Identifier: Apache-2.0
/// Kernel memory of one personality. Pages that came back form a list through their own first bytes.
#include "quota.h"

#include <stddef.h>

#include <polyvisor/string.h>

#define PAGE_SIZE UINT64_C(4096)
/// Marks a page in the free list. It only makes the search for a double free rare: contents may look the same by
/// chance.
#define FREE_MARK UINT64_C(0x9d7f1c0ae3b25846)

/// What stands at the beginning of a page in the free list.
struct free_page {
    uint64_t next; ///< physical address, or 0
    uint64_t mark; ///< FREE_MARK ^ the page's own address
};

static struct free_page *page_pointer(const struct quota *quota, uint64_t page)
{
    return (struct free_page *)(void *)(quota->window + (page - quota->base));
}

void quota_init(struct quota *quota, uint64_t base, uint64_t size, void *window)
{
    quota->base = base;
    quota->size = size & ~(PAGE_SIZE - 1);
    quota->window = window;
    quota_reset(quota);
}

void quota_reset(struct quota *quota)
{
    quota->next = 0;
    quota->free_list = 0;
    quota->used = 0;
    quota->reserved = 0;
    quota->told = false;
}

/// Any page that is not in use, also one that was set aside.
static uint64_t take_any(struct quota *quota, bool zeroed)
{
    uint64_t page = quota->free_list;

    if (page != 0) {
        quota->free_list = page_pointer(quota, page)->next;
    } else if (quota->next < quota->size) {
        page = quota->base + quota->next;
        quota->next += PAGE_SIZE;
    } else {
        return 0;
    }
    quota->used += PAGE_SIZE;
    if (zeroed)
        memset(page_pointer(quota, page), 0, PAGE_SIZE);
    return page;
}

uint64_t quota_alloc(struct quota *quota)
{
    return quota_left(quota) > 0 ? take_any(quota, true) : 0;
}

bool quota_reserve(struct quota *quota, uint64_t pages)
{
    if (pages > quota_left(quota))
        return false;
    quota->reserved += pages * PAGE_SIZE;
    return true;
}

uint64_t quota_take(struct quota *quota, bool zeroed)
{
    quota->reserved -= PAGE_SIZE;
    return take_any(quota, zeroed);
}

void quota_unreserve(struct quota *quota, uint64_t pages)
{
    quota->reserved -= pages * PAGE_SIZE;
}

static bool is_free(const struct quota *quota, uint64_t page)
{
    uint64_t at = quota->free_list;

    if (page_pointer(quota, page)->mark != (FREE_MARK ^ page))
        return false;
    while (at != 0 && at != page)
        at = page_pointer(quota, at)->next;
    return at == page;
}

bool quota_free(struct quota *quota, uint64_t page)
{
    // Only what was handed out, which is below `next`; a page number that wraps around is far above it.
    if (page % PAGE_SIZE != 0 || page - quota->base >= quota->next || is_free(quota, page))
        return false;
    *page_pointer(quota, page) = (struct free_page){.next = quota->free_list, .mark = FREE_MARK ^ page};
    quota->free_list = page;
    quota->used -= PAGE_SIZE;
    return true;
}

uint64_t quota_left(const struct quota *quota)
{
    return (quota->size - quota->used - quota->reserved) / PAGE_SIZE;
}
