// SPDX-License-Identifier: Apache-2.0
#include "arch/x86/vmx/bitmaps.h"

#include <stddef.h>

#include <polyvisor/string.h>

#include "arch/x86/registers.h"

enum {
    QUARTER = 1024, // of the MSR bitmap: read low, read high, write low, write high
    WRITE_LOW = 2 * QUARTER,
    HIGH = 1 * QUARTER,
    QUARTER_MSRS = 0x2000,
    IO_HALF = IO_PORTS / 2,
};
#define MSR_HIGH_FIRST UINT64_C(0xc0000000)

static void put_bit(uint8_t *bitmap, uint32_t bit, bool set)
{
    uint8_t mask = (uint8_t)(1u << bit % 8);
    bitmap[bit / 8] = (uint8_t)(set ? bitmap[bit / 8] | mask : bitmap[bit / 8] & ~mask);
}

/// Bits [first, first + count), whole bytes at a time where that is possible.
static void fill(uint8_t *bitmap, uint32_t first, uint32_t count, bool set)
{
    uint32_t at = first, end = first + count;
    while (at < end && at % 8 != 0) {
        put_bit(bitmap, at++, set);
    }
    memset(bitmap + at / 8, set ? 0xff : 0, (end - at) / 8);
    at += (end - at) / 8 * 8;
    while (at < end) {
        put_bit(bitmap, at++, set);
    }
}

bool msr_bitmap_covers(uint64_t first, uint64_t count)
{
    uint64_t base = first >= MSR_HIGH_FIRST ? MSR_HIGH_FIRST : 0;
    return count > 0 && first - base < QUARTER_MSRS && count <= QUARTER_MSRS - (first - base);
}

/// VM entry and exit switch SYSENTER's MSRs, PAT, EFER and the FS and GS bases; KERNEL_GS_BASE and what follows is the register file's.
/// Of that, SWAPGS changes KERNEL_GS_BASE without a WRMSR, so that it has to be read back anyway; writes of the others exit, which
/// spares reading them back at every switch.
static const struct {
    uint32_t msr, access;
} own[] = {
    {MSR_SYSENTER_CS, BITMAP_BOTH}, {MSR_SYSENTER_ESP, BITMAP_BOTH},   {MSR_SYSENTER_EIP, BITMAP_BOTH},
    {MSR_PAT, BITMAP_BOTH},         {MSR_EFER, BITMAP_BOTH},           {MSR_FS_BASE, BITMAP_BOTH},
    {MSR_GS_BASE, BITMAP_BOTH},     {MSR_KERNEL_GS_BASE, BITMAP_BOTH}, {MSR_STAR, BITMAP_READ},
    {MSR_LSTAR, BITMAP_READ},       {MSR_SFMASK, BITMAP_READ},         {MSR_TSC_AUX, BITMAP_READ},
};

uint32_t msr_own_access(uint32_t msr)
{
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        if (own[i].msr == msr) {
            return own[i].access;
        }
    }
    return BITMAP_NONE;
}

void msr_bitmap_set(uint8_t *bitmap, uint64_t first, uint64_t count, uint32_t access)
{
    uint8_t *read = bitmap + (first >= MSR_HIGH_FIRST ? HIGH : 0);
    uint32_t at = (uint32_t)first % QUARTER_MSRS;
    fill(read, at, (uint32_t)count, !(access & BITMAP_READ));
    fill(read + WRITE_LOW, at, (uint32_t)count, !(access & BITMAP_WRITE));
}

void msr_bitmap_init(uint8_t *bitmap)
{
    memset(bitmap, 0xff, BITMAP_SIZE);
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        msr_bitmap_set(bitmap, own[i].msr, 1, own[i].access);
    }
}

void io_bitmap_set(uint8_t *a, uint8_t *b, uint32_t first, uint32_t count, bool open)
{
    uint32_t end = first + count, low_end = end < IO_HALF ? end : IO_HALF;
    if (first < low_end) {
        fill(a, first, low_end - first, !open);
    }
    if (end > IO_HALF) {
        uint32_t at = first > IO_HALF ? first - IO_HALF : 0;
        fill(b, at, end - IO_HALF - at, !open);
    }
}
