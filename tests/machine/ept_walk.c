// SPDX-License-Identifier: Apache-2.0
/// The processor's side of EPT: walking tables, and remembering translations (SDM Vol. 3C 29.3, 29.4). Written from the
/// SDM, not from arch/x86/vmx/ept.c.
#include <stdlib.h>
#include <string.h>

#include "arch/x86/paging.h"
#include "arch/x86/vmx/vmcs.h"
#include "machine.h"

enum { ACCESS = 7, LARGE = 1 << 7, ENTRIES = 512, ACCESSED_DIRTY = 3 << 8, VPIDS = 512 };
#define ADDRESS UINT64_C(0x000ffffffffff000)

/// The translations that a hierarchy had when it was last looked at, in order of address, and the pages of its tables.
static struct leaves {
    struct machine_leaf *list;
    size_t count, room;
    struct pages {
        uint64_t *list;
        size_t count, room;
    } tables, before; ///< before: the version before had these
    uint64_t version; ///< grows when a translation has been withdrawn
} known[MACHINE_PAGES];

/// By core and root: translations of which version the core may have cached; 0: none.
static uint64_t cached[MACHINE_CORES][MACHINE_PAGES];
/// By core and VPID: in whose life the linear translations were cached that the core may have; 0: none.
static uint64_t tagged[MACHINE_CORES][VPIDS];

static uint64_t index_of(uint64_t root)
{
    root &= ADDRESS;
    MACHINE_CHECK(machine_is_ram(root, PAGE_SIZE), "an EPT table at 0x%lx", root);
    return (root - MACHINE_RAM_BASE) / PAGE_SIZE;
}

static void add(struct leaves *leaves, const struct machine_leaf *leaf)
{
    if (leaves->count == leaves->room) {
        leaves->room = leaves->room ? 2 * leaves->room : 64;
        leaves->list = realloc(leaves->list, leaves->room * sizeof(leaves->list[0]));
    }
    leaves->list[leaves->count++] = *leaf;
}

static void add_table(struct pages *pages, uint64_t page)
{
    if (pages->count == pages->room) {
        pages->room = pages->room ? 2 * pages->room : 16;
        pages->list = realloc(pages->list, pages->room * sizeof(pages->list[0]));
    }
    pages->list[pages->count++] = page;
}

static void walk(struct leaves *leaves, uint64_t table, uint64_t gpa, unsigned shift,
                 void (*on_table)(void *context, uint64_t page), void *context)
{
    index_of(table);
    add_table(&leaves->tables, table);
    if (on_table) {
        on_table(context, table);
    }
    const uint64_t *entries = phys_to_virt(table);
    for (uint64_t i = 0; i < ENTRIES; i++) {
        uint64_t entry = entries[i], at = gpa + (i << shift);
        if (!(entry & ACCESS)) {
            continue;
        }
        if (shift == 12 || (entry & LARGE)) {
            MACHINE_CHECK(shift < 39, "a leaf in the EPT's root");
            add(leaves, &(struct machine_leaf){at, UINT64_C(1) << shift, entry & ~(uint64_t)ACCESSED_DIRTY});
        } else {
            MACHINE_CHECK((entry & 0xf8) == 0, "EPT misconfiguration: entry 0x%lx", entry);
            walk(leaves, entry & ADDRESS, at, shift - 9, on_table, context);
        }
    }
}

/// What a leaf makes of an address inside it: the translation and its rights.
static uint64_t translate(const struct machine_leaf *leaf, uint64_t gpa)
{
    return (leaf->entry & ~(uint64_t)LARGE) + (gpa - leaf->gpa);
}

/// Whether every old translation is still there, if perhaps by other entries: large pages may have been split.
static bool kept(const struct leaves *old, const struct leaves *new)
{
    size_t j = 0;
    for (size_t i = 0; i < old->count; i++) {
        const struct machine_leaf *leaf = &old->list[i];
        for (uint64_t at = leaf->gpa; at < leaf->gpa + leaf->size; at = new->list[j].gpa + new->list[j].size) {
            while (j < new->count &&new->list[j].gpa + new->list[j].size <= at) {
                j++;
            }
            if (j == new->count || new->list[j].gpa > at || translate(&new->list[j], at) != translate(leaf, at)) {
                return false;
            }
        }
    }
    return true;
}

const struct machine_leaf *machine_ept(uint64_t root, size_t *count, void (*on_table)(void *, uint64_t), void *context)
{
    static struct leaves fresh;
    struct leaves *old = &known[index_of(root)];
    fresh.count = fresh.tables.count = 0;
    walk(&fresh, root & ADDRESS, 0, 39, on_table, context);
    uint64_t version = old->version + (old->version == 0 || !kept(old, &fresh));
    struct leaves swap = *old;
    *old = fresh;
    old->before = swap.before;
    if (version != swap.version) {
        old->before = swap.tables;
        swap.tables = swap.before;
    }
    old->version = version;
    swap.before = (struct pages){0};
    fresh = swap;
    *count = old->count;
    return old->list;
}

static bool contains(const struct pages *pages, uint64_t page)
{
    for (size_t i = 0; i < pages->count; i++) {
        if (pages->list[i] == page) {
            return true;
        }
    }
    return false;
}

uint64_t machine_ept_gone(uint64_t root, size_t *from)
{
    const struct leaves *leaves = &known[index_of(root)];
    while (*from < leaves->before.count) {
        uint64_t page = leaves->before.list[(*from)++];
        if (!contains(&leaves->tables, page)) {
            return page;
        }
    }
    return 0;
}

static uint64_t version_of(uint64_t root)
{
    size_t count;
    machine_ept(root, &count, NULL, NULL);
    return known[index_of(root)].version;
}

void vmx_invept(uint64_t eptp)
{
    version_of(eptp);
    cached[machine_self][index_of(eptp)] = 0;
}

void vmx_invvpid(uint16_t vpid)
{
    MACHINE_CHECK(vpid && vpid < VPIDS, "INVVPID of VPID %u", vpid);
    tagged[machine_self][vpid] = 0;
}

bool machine_tlb_stale(uint32_t core, uint64_t eptp)
{
    uint64_t version = version_of(eptp), has = cached[core][index_of(eptp)];
    return has && has != version;
}

void machine_tlb_enter(uint64_t eptp, uint16_t vpid, uint64_t life)
{
    MACHINE_CHECK(vpid && vpid < VPIDS, "entry with VPID %u", vpid);
    uint64_t *tag = &tagged[machine_self][vpid];
    MACHINE_CHECK(!*tag || *tag == life, "entry with translations that VPID %u had in another life", vpid);
    if (!machine_tlb_stale(machine_self, eptp)) { // otherwise the old ones may be used still
        cached[machine_self][index_of(eptp)] = known[index_of(eptp)].version;
    }
    *tag = life;
}

void machine_tlb_reset(void)
{
    memset(cached, 0, sizeof(cached));
    memset(tagged, 0, sizeof(tagged));
    for (size_t i = 0; i < MACHINE_PAGES; i++) {
        known[i].count = known[i].tables.count = known[i].before.count = 0;
        known[i].version = 0;
    }
}
