// SPDX-License-Identifier: Apache-2.0
/// A disk whose contents begin as a file that is never changed: blocks that are written become copies, as many as there is
/// memory for. Nothing of it outlives the personality.
#ifndef POLYVISOR_DEVICES_OVERLAY_H
#define POLYVISOR_DEVICES_OVERLAY_H

#include "devices/device.h"

enum { OVERLAY_BLOCK = 4096 };

struct overlay {
    const uint8_t *image;
    uint64_t image_size;
    uint32_t *slots; ///< by block: the number of its copy, counted from 1; 0: as in the image
    uint8_t *copies;
    uint32_t capacity, used; ///< copies
};

/// Bytes of memory, zeroed, that `slots` needs for an image.
uint64_t overlay_table_size(uint64_t image_size);

/// `copies` is memory for `capacity` blocks.
void overlay_init(struct overlay *o, const void *image, uint64_t image_size, uint32_t *slots, void *copies,
                  uint32_t capacity);

/// How many copies a write of `size` bytes at `offset` would take that are not there yet. Both lie in the table.
uint64_t overlay_needs(const struct overlay *o, uint64_t offset, uint64_t size);

/// Where `offset` can be read; *run is how many bytes follow each other there, at most `size`.
const uint8_t *overlay_read(const struct overlay *o, uint64_t offset, uint64_t size, uint64_t *run);

/// Where `offset` can be written, up to the end of its block (*run, at most `size`); NULL: there is no copy left.
uint8_t *overlay_write(struct overlay *o, uint64_t offset, uint64_t size, uint64_t *run);

#endif
