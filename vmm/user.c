// SPDX-License-Identifier: Apache-2.0
#include "vmm/user.h"

#include "arch/x86/paging.h"

bool user_writable(const struct personality *p, uint64_t address, uint64_t size)
{
    if (!user_range(address, size)) {
        return false;
    }
    for (uint64_t at = address; at < address + size;) {
        uint64_t page_size;
        uint64_t entry = paging_lookup(p->root, at, &page_size);
        if (!(entry & PAGE_USER) || !(entry & PAGE_WRITE)) {
            return false;
        }
        at = (at & ~(page_size - 1)) + page_size;
    }
    return true;
}
