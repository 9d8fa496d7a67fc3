// SPDX-License-Identifier: Apache-2.0
/// The MSR and I/O bitmaps (SDM Vol. 3C 25.6.4, 25.6.9), in which a 1 makes an access exit, and the MSRs that every guest has of
/// its own. Pure; host-tested.
#ifndef POLYVISOR_VMX_BITMAPS_H
#define POLYVISOR_VMX_BITMAPS_H

#include <stdbool.h>
#include <stdint.h>

enum { BITMAP_SIZE = 4096, IO_PORTS = 65536 };

/// What a guest may do without an exit: bits. As enum pv_grant.
enum bitmap_access { BITMAP_NONE = 0, BITMAP_READ = 1, BITMAP_WRITE = 2, BITMAP_BOTH = 3 };

/// Whether a range is not empty and lies in one of the two that the MSR bitmap covers; RDMSR and WRMSR of other MSRs always exit.
bool msr_bitmap_covers(uint64_t first, uint64_t count);
/// What guests may do with an MSR that is switched with them, by VM entry and exit or with the register file: nothing of it reaches
/// anybody else. enum bitmap_access bits.
uint32_t msr_own_access(uint32_t msr);
/// Only guests' own MSRs are open.
void msr_bitmap_init(uint8_t *bitmap);
/// Opens a range that the bitmap covers for what `access` says, and closes it for the rest.
void msr_bitmap_set(uint8_t *bitmap, uint64_t first, uint64_t count, uint32_t access);
/// Opens or closes ports [first, first + count); a is the bitmap of the lower half, b of the upper.
void io_bitmap_set(uint8_t *a, uint8_t *b, uint32_t first, uint32_t count, bool open);

#endif
