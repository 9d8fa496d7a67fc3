// SPDX-License-Identifier: Apache-2.0
// Uses its kernel-memory quota up: maps one page of its pool at addresses so far apart that each needs new page tables.
// Then tries a thousand times more, which must neither succeed nor disturb anybody, and exits with code 3.
#include "personality.h"

PV_PERSONALITY(0);

enum { PAGE = 4096, EXTRA = 1000 };
#define SPACING (UINT64_C(1) << 30)    // what one page directory spans
#define TABLE_SPAN (UINT64_C(1) << 21) // what one page table spans

/// Two pages, of which only the second would need another table: refused whole, so that the first can still be mapped.
static void check_half(const struct pv_info *info, uint64_t mapped)
{
    while (pv_memory_map(mapped + TABLE_SPAN, 0, PAGE, true) == 0) // what a table is left for
        mapped += TABLE_SPAN;
    const uint64_t edge = mapped + TABLE_SPAN - PAGE;
    const int64_t half = pv_memory_map(edge, 0, 2 * PAGE, true);
    const bool unchanged = pv_memory_map(edge, 0, PAGE, true) == 0;
    pv_printf("%s: half a mapping: %s, %s\n", info->name, pv_error_name(half),
              unchanged ? "nothing changed" : "changed");
}

int main(const struct pv_info *info, uint32_t agent)
{
    if (agent != 0)
        return 0;
    uint64_t address = PV_USER_MAP_MIN;
    uint64_t maps = 0;
    int64_t result = 0;
    for (; result == 0 && address < PV_USER_MAP_MAX; address += SPACING) {
        result = pv_memory_map(address, 0, PAGE, true);
        if (result == 0)
            maps++;
    }
    if (result != PV_ERR_QUOTA) {
        pv_printf("%s: stopped after %lu maps by %s, not by the quota\n", info->name, maps, pv_error_name(result));
        return 1;
    }
    pv_printf("%s: quota used up after %lu maps\n", info->name, maps);
    check_half(info, address - 2 * SPACING);
    for (int i = 0; i < EXTRA; i++, address += SPACING) {
        if (address >= PV_USER_MAP_MAX)
            address = PV_USER_MAP_MIN + SPACING / 2;
        if (pv_memory_map(address, 0, PAGE, true) == 0)
            pv_printf("%s: mapped %#lx beyond the quota\n", info->name, address);
    }
    return 3;
}
