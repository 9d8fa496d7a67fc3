// SPDX-License-Identifier: Apache-2.0
#include "devices/page_walk.h"

enum {
    PAGE = 4096,
    PRESENT = 1,
    LARGE = 1 << 7,
    CR4_PSE = 1 << 4,
    CR4_PAE = 1 << 5,
    CR4_LA57 = 1 << 12,
    EFER_LMA = 1 << 10
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

static bool read_entry(const struct page_walk *w, const struct shape *shape, uint64_t address, uint64_t *entry)
{
    *entry = 0;
    return w->read(w->context, address, entry, shape->entry) && (*entry & PRESENT) != 0;
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

bool page_walk(const struct page_walk *w, uint64_t linear, uint64_t *physical)
{
    const struct shape shape = shape_of(w);
    if (shape.levels < 4)
        linear &= UINT32_MAX;
    else if (!is_canonical(&shape, linear))
        return false;
    if ((w->cr0 & CR0_PG) == 0) {
        *physical = linear;
        return true;
    }
    uint64_t table = root_of(w, &shape);
    for (uint32_t level = shape.levels; level-- > 0;) {
        const uint32_t shift = 12 + level * shape.bits;
        const uint64_t index = linear >> shift & ((UINT64_C(1) << shape.bits) - 1);
        uint64_t entry;
        if (!read_entry(w, &shape, table + index * shape.entry, &entry))
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
