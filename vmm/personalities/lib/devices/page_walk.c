// SPDX-License-Identifier: Apache-2.0
#include "devices/page_walk.h"

enum {
    PAGE = 4096,
    PRESENT = 1,
    LARGE = 1 << 7,
    CR4_PSE = 1 << 4,
    CR4_PAE = 1 << 5,
    CR4_LA57 = 1 << 12,
    EFER_LMA = 1 << 10,
    MOST_LEVELS = 5
};
#define CR0_PG (UINT64_C(1) << 31)
#define FRAME UINT64_C(0x000ffffffffff000)

/// One kind of paging: levels, from the root's on.
struct shape {
    uint32_t levels, bits, entry; ///< bits of the address a level takes, bytes of an entry
};

static struct shape shape_of(const struct page_walk *w)
{
    if ((w->efer & EFER_LMA) != 0)
        return (struct shape){(w->cr4 & CR4_LA57) != 0 ? 5 : 4, 9, 8};
    return (w->cr4 & CR4_PAE) != 0 ? (struct shape){3, 9, 8} : (struct shape){2, 10, 4};
}

/// Whether an entry above the last level is a page: 4 MiB, 2 MiB, 1 GiB.
static bool is_large(const struct page_walk *w, const struct shape *shape, uint32_t level, uint64_t entry)
{
    if ((entry & LARGE) == 0 || level == 0)
        return false;
    if (shape->levels == 2)
        return (w->cr4 & CR4_PSE) != 0;
    return level == 1 || (level == 2 && shape->levels > 3);
}

/// The frame of a large page of 2^shift bytes. With 32-bit entries, bits 20:13 are bits 39:32 of it (PSE-36).
static uint64_t large_frame(const struct shape *shape, uint64_t entry, uint32_t shift)
{
    const uint64_t frame = entry & FRAME & ~((UINT64_C(1) << shift) - 1);
    return shape->levels == 2 ? (frame & UINT32_MAX) | (entry >> 13 & 0xff) << 32 : frame;
}

/// Below 64-bit mode, CR3 has 32 bits; the root of PAE paging is 32 bytes.
static uint64_t root_of(const struct page_walk *w, const struct shape *shape)
{
    if (shape->levels == 3)
        return w->cr3 & 0xffffffe0;
    return w->cr3 & FRAME & (shape->levels == 2 ? UINT32_MAX : UINT64_MAX);
}

/// Whether the bits above those that are translated are all like the highest of these (SDM Vol. 1 3.3.7.1).
static bool is_canonical(const struct shape *shape, uint64_t linear)
{
    const uint32_t spare = 64 - 12 - shape->levels * shape->bits;
    return (uint64_t)((int64_t)(linear << spare) >> spare) == linear;
}

bool page_canonical(const struct page_walk *w, uint64_t linear)
{
    const struct shape shape = shape_of(w);
    return shape.levels < 4 || is_canonical(&shape, linear);
}

/// The entries that lead to a page, the root's first.
struct trail {
    struct shape shape;
    uint32_t count;
    uint64_t address[MOST_LEVELS], entry[MOST_LEVELS];
    bool no_table; ///< the last entry lies where there is no memory
};

/// False: not canonical, or the last entry of the trail is none.
static bool follow(const struct page_walk *w, uint64_t linear, struct trail *trail, uint64_t *physical)
{
    const struct shape shape = shape_of(w);
    *trail = (struct trail){.shape = shape};
    if (shape.levels < 4)
        linear &= UINT32_MAX;
    else if (!is_canonical(&shape, linear))
        return false;
    *physical = linear;
    if ((w->cr0 & CR0_PG) == 0)
        return true;
    uint64_t table = root_of(w, &shape);
    for (uint32_t level = shape.levels; level-- > 0;) {
        const uint32_t shift = 12 + level * shape.bits;
        const uint64_t index = linear >> shift & ((UINT64_C(1) << shape.bits) - 1);
        const uint64_t address = table + index * shape.entry;
        uint64_t entry = 0;
        trail->no_table = !w->read(w->context, address, &entry, shape.entry);
        trail->address[trail->count] = address;
        trail->entry[trail->count++] = entry;
        if ((entry & PRESENT) == 0)
            return false;
        if (is_large(w, &shape, level, entry)) {
            *physical = large_frame(&shape, entry, shift) | (linear & ((UINT64_C(1) << shift) - 1));
            return true;
        }
        table = entry & FRAME;
    }
    *physical = table | (linear & (PAGE - 1));
    return true;
}

bool page_walk(const struct page_walk *w, uint64_t linear, uint64_t *physical)
{
    struct trail trail;
    return follow(w, linear, &trail, physical);
}

size_t page_walk_copy(const struct page_walk *w, uint64_t linear, void *to, size_t size)
{
    size_t done = 0;
    while (done < size) {
        const uint64_t at = linear + done;
        const size_t in_page = PAGE - at % PAGE;
        const size_t part = size - done < in_page ? size - done : in_page;
        uint64_t physical;
        if (!page_walk(w, at, &physical) || !w->read(w->context, physical, (uint8_t *)to + done, part))
            break;
        done += part;
    }
    return done;
}

/* ---- rights (4.6), accessed and dirty flags (4.8) ---- */

enum { WRITABLE = 1 << 1, USER = 1 << 2, ACCESSED = 1 << 5, DIRTY = 1 << 6, PDPTE_RESERVED = 0x1e6 };
enum { ERROR_PRESENT = 1, ERROR_RESERVED = 1 << 3 };
enum { CR0_WP = 1 << 16, CR4_SMEP = 1 << 20, CR4_SMAP = 1 << 21, EFER_NXE = 1 << 11 };
#define NO_EXECUTE (UINT64_C(1) << 63)

/// An entry of 8 bytes: bits that must be 0 (tables 4-8 to 4-19).
static uint64_t reserved_bits(const struct page_walk *w, const struct trail *trail, uint32_t at)
{
    const struct shape *shape = &trail->shape;
    const uint32_t level = shape->levels - 1 - at;
    const uint64_t beyond = FRAME & ~((UINT64_C(1) << w->physical_bits) - 1);
    if (shape->levels == 3 && at == 0)
        return beyond | PDPTE_RESERVED | UINT64_C(0xfff) << 52;
    uint64_t reserved = beyond | ((w->efer & EFER_NXE) != 0 ? 0 : NO_EXECUTE);
    reserved |= shape->levels == 3 ? UINT64_C(0x7ff) << 52 : 0;
    if (level > 0 && (trail->entry[at] & LARGE) != 0) // bit 12 is PAT
        reserved |=
            is_large(w, shape, level, trail->entry[at]) ? (UINT64_C(1) << (12 + 9 * level)) - (2 * PAGE) : LARGE;
    return reserved;
}

/// Of 4 bytes: those of a page of 4 MiB that PSE-36 does not use.
static uint64_t reserved_bits_short(const struct page_walk *w, const struct trail *trail, uint32_t at)
{
    enum { PSE_FIRST = 13, PSE_BITS = 8, PSE_BASE = 32 };
    const uint32_t bits = w->physical_bits < PSE_BASE + PSE_BITS ? w->physical_bits - PSE_BASE : PSE_BITS;
    if (!is_large(w, &trail->shape, 1 - at, trail->entry[at]))
        return 0;
    return (UINT64_C(1) << 22) - (UINT64_C(1) << (PSE_FIRST + bits));
}

static bool has_reserved(const struct page_walk *w, const struct trail *trail)
{
    uint64_t set = 0;
    for (uint32_t at = 0; at < trail->count; at++)
        if ((trail->entry[at] & PRESENT) != 0)
            set |= trail->entry[at] &
                   (trail->shape.entry == 8 ? reserved_bits(w, trail, at) : reserved_bits_short(w, trail, at));
    return set != 0;
}

/// The four roots of PAE paging have neither rights nor flags.
static uint32_t first_with_rights(const struct trail *trail)
{
    return trail->shape.levels == 3 ? 1 : 0;
}

static bool allowed(const struct page_walk *w, const struct trail *trail, uint32_t access)
{
    uint64_t all = UINT64_MAX, any = 0;
    for (uint32_t at = first_with_rights(trail); at < trail->count; at++) {
        all &= trail->entry[at];
        any |= trail->entry[at];
    }
    const bool user_page = (all & USER) != 0, user = (access & PAGE_USER) != 0;
    if (user && !user_page)
        return false;
    if ((access & PAGE_FETCH) != 0)
        return (any & NO_EXECUTE) == 0 && (user || !user_page || (w->cr4 & CR4_SMEP) == 0);
    if (!user && user_page && (w->cr4 & CR4_SMAP) != 0 && (access & PAGE_AC) == 0)
        return false;
    return (access & PAGE_WRITE) == 0 || (all & WRITABLE) != 0 || (!user && (w->cr0 & CR0_WP) == 0);
}

/// False: another processor has changed an entry meanwhile.
static bool mark(const struct page_walk *w, const struct trail *trail, uint32_t access)
{
    for (uint32_t at = first_with_rights(trail); at < trail->count; at++) {
        const uint64_t before = trail->entry[at];
        const bool dirty = at + 1 == trail->count && (access & PAGE_WRITE) != 0;
        const uint64_t after = before | ACCESSED | (dirty ? DIRTY : 0);
        if (after != before && !w->replace(w->context, trail->address[at], before, after, trail->shape.entry))
            return false;
    }
    return true;
}

/// Bits 4:1 of the error code, but for the reserved bits.
static uint32_t error_of(const struct page_walk *w, uint32_t access)
{
    const bool no_execute = (w->efer & EFER_NXE) != 0 && (w->cr4 & CR4_PAE) != 0;
    const bool fetches = no_execute || (w->cr4 & CR4_SMEP) != 0;
    return access & (PAGE_WRITE | PAGE_USER | (fetches ? PAGE_FETCH : 0));
}

bool page_access(const struct page_walk *w, uint64_t linear, uint32_t access, uint64_t *physical, uint32_t *error)
{
    enum { TRIES = 16 };
    struct trail trail;
    *error = error_of(w, access);
    for (uint32_t i = 0; i < TRIES; i++) {
        const bool found = follow(w, linear, &trail, physical);
        if (trail.no_table || has_reserved(w, &trail)) { // where there is no memory, all bits are 1
            *error |= ERROR_PRESENT | ERROR_RESERVED;
            return false;
        }
        if (!found)
            return false;
        if (trail.count != 0 && !allowed(w, &trail, access)) {
            *error |= ERROR_PRESENT;
            return false;
        }
        if (mark(w, &trail, access))
            return true;
    }
    return false; // somebody writes to the entry all the time: a fault that is over when the guest looks
}
