// SPDX-License-Identifier: Apache-2.0
#include "devices/overlay.h"

/// What stands behind the end of an image that does not end with its last block.
static const uint8_t zeros[OVERLAY_BLOCK];

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t blocks(uint64_t size)
{
    return size / OVERLAY_BLOCK + (size % OVERLAY_BLOCK != 0);
}

uint64_t overlay_table_size(uint64_t image_size)
{
    return blocks(image_size) * sizeof(uint32_t);
}

void overlay_init(struct overlay *o, const void *image, uint64_t image_size, uint32_t *slots, void *copies,
                  uint32_t capacity)
{
    *o = (struct overlay){
        .image = image, .image_size = image_size, .slots = slots, .copies = copies, .capacity = capacity};
}

static uint8_t *copy_of(const struct overlay *o, uint64_t block)
{
    return o->slots[block] == 0 ? NULL : o->copies + (uint64_t)(o->slots[block] - 1) * OVERLAY_BLOCK;
}

uint64_t overlay_needs(const struct overlay *o, uint64_t offset, uint64_t size)
{
    uint64_t count = 0;
    if (size == 0)
        return 0;
    for (uint64_t block = offset / OVERLAY_BLOCK; block <= (offset + size - 1) / OVERLAY_BLOCK; block++)
        count += o->slots[block] == 0;
    return count;
}

const uint8_t *overlay_read(const struct overlay *o, uint64_t offset, uint64_t size, uint64_t *run)
{
    const uint64_t within = offset % OVERLAY_BLOCK;
    const uint8_t *copy = copy_of(o, offset / OVERLAY_BLOCK);
    *run = smaller(OVERLAY_BLOCK - within, size);
    if (copy != NULL)
        return copy + within;
    if (offset >= o->image_size)
        return zeros;
    // In the image block follows block.
    while (*run < size && o->slots[(offset + *run) / OVERLAY_BLOCK] == 0)
        *run = smaller(*run + OVERLAY_BLOCK, size);
    *run = smaller(*run, o->image_size - offset);
    return o->image + offset;
}

uint8_t *overlay_write(struct overlay *o, uint64_t offset, uint64_t size, uint64_t *run)
{
    const uint64_t block = offset / OVERLAY_BLOCK, within = offset % OVERLAY_BLOCK, start = offset - within;
    *run = smaller(OVERLAY_BLOCK - within, size);
    if (o->slots[block] == 0) {
        if (o->used == o->capacity)
            return NULL;
        o->slots[block] = ++o->used;
        const uint64_t there = smaller(OVERLAY_BLOCK, o->image_size - start);
        dev_copy(copy_of(o, block), o->image + start, there);
        dev_copy(copy_of(o, block) + there, zeros, OVERLAY_BLOCK - there);
    }
    return copy_of(o, block) + within;
}
