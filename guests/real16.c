// SPDX-License-Identifier: Apache-2.0
// What a guest in 16-bit real mode has of its own: segments without descriptors, and memory beyond 64 KiB.
#include "guest.h"

#include "processor.h"

enum {
    VECTORS_OF_INTERRUPTS = 256,
    STUB_SIZE = 8,
    FAR_SEGMENT = 0x2000, ///< linear 0x20000
    FAR_DWORDS = 2048,
    FS_INDEX = 4,
    GS_INDEX = 5,
};

/// real16.asm: memory at segment:0.
void far_fill(uint32_t segment, uint32_t value, uint32_t count);
uint32_t far_differs(uint32_t segment, uint32_t value, uint32_t count);

struct context context;

struct context *mode_context(void)
{
    return &context;
}

struct context *mode_init(uint32_t cpu)
{
    volatile uint32_t *table;
    // The interrupt vector table is at address 0, which the compiler takes for no address.
    __asm__("xor %0, %0" : "=r"(table));
    for (uint32_t i = 0; i < VECTORS_OF_INTERRUPTS; i++)
        table[i] = (uintptr_t)interrupt_stubs + i * STUB_SIZE;
    (void)cpu;
    return &context;
}

/// The slot that a segment register points to in this round.
static uint32_t slot_of(const struct context *ctx, uint32_t index)
{
    return guest_value(ctx, GUEST_ERROR_SEGMENT, index) % SLOTS;
}

static uint16_t selector_of(uint32_t slot)
{
    return (uint16_t)((uintptr_t)&slots[slot] >> 4);
}

static uint32_t far_value(const struct context *ctx)
{
    return (uint32_t)guest_value(ctx, GUEST_ERROR_MEMORY, 1);
}

void mode_prepare(struct context *ctx)
{
    load_fs(selector_of(slot_of(ctx, FS_INDEX)));
    load_gs(selector_of(slot_of(ctx, GS_INDEX)));
    far_fill(FAR_SEGMENT, far_value(ctx), FAR_DWORDS);
}

void mode_check(const struct context *ctx)
{
    const uint32_t fs = slot_of(ctx, FS_INDEX), gs = slot_of(ctx, GS_INDEX);
    expect(GUEST_ERROR_SEGMENT, FS_INDEX, read_fs(), selector_of(fs));
    expect(GUEST_ERROR_SEGMENT, GS_INDEX, read_gs(), selector_of(gs));
    expect(GUEST_ERROR_SEGMENT, FS_INDEX, read_at_fs(), fs);
    expect(GUEST_ERROR_SEGMENT, GS_INDEX, read_at_gs(), gs);
    expect(GUEST_ERROR_MEMORY, FAR_SEGMENT >> 8, far_differs(FAR_SEGMENT, far_value(ctx), FAR_DWORDS), 0);
}

void mode_meet(struct context *ctx)
{
    (void)ctx;
}
