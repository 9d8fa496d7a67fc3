// SPDX-License-Identifier: Apache-2.0
// What a 32-bit guest has of its own: descriptors, page tables that change, SYSENTER's MSRs.
#include "guest.h"

#include "processor.h"

enum {
    STUB_SIZE = 16,
    GATES = 256,
    GATE_INTERRUPT = 0x8e,
    CODE = 0x08, ///< as the personality's GDT has it: the cached descriptors stay right
    FIRST_SLOT = 8,
    DESCRIPTORS = FIRST_SLOT + SLOTS,
    FS_INDEX = 4,
    GS_INDEX = 5,
    ROUNDS_PER_MSR = 4,

    PAGE_WORDS = 1024,
    PAGE_PRESENT = 1,
    PAGE_WRITABLE = 2,
    WINDOW_ENTRY = 512, ///< of the page directory: address 0x80000000
};

static const uint32_t sysenter_msrs[] = {0x174, 0x175, 0x176}; // CS, ESP, EIP

struct context context;
static uint64_t gdt[DESCRIPTORS];
static uint64_t idt[GATES];

/// The page table behind the window, and the two pages that it shows in turn.
static uint32_t window_table[PAGE_WORDS] __attribute__((aligned(4096)));
static volatile uint32_t window_pages[2][PAGE_WORDS] __attribute__((aligned(4096)));

struct context *mode_context(void)
{
    return &context;
}

/// A data segment of 16 bytes (SDM Vol. 3A figure 3-8): present, writable, accessed, 32 bits, limit in bytes.
static uint64_t slot_descriptor(uint32_t base)
{
    const uint64_t address = base;
    return (address & 0xff000000) << 32 | UINT64_C(0x40) << 48 | UINT64_C(0x93) << 40 | (address & 0xffffff) << 16 |
           (sizeof(struct slot) - 1);
}

static void init_gdt(void)
{
    const struct table_register old = read_gdtr();
    const uint64_t *descriptors = (const uint64_t *)old.base;
    for (uint32_t i = 0; i < (old.limit + 1u) / sizeof(gdt[0]) && i < FIRST_SLOT; i++)
        gdt[i] = descriptors[i];
    for (uint32_t i = 0; i < SLOTS; i++)
        gdt[FIRST_SLOT + i] = slot_descriptor((uintptr_t)&slots[i]);
    const struct table_register new = {.limit = sizeof(gdt) - 1, .base = (uintptr_t)gdt};
    load_gdtr(&new);
}

static void init_idt(void)
{
    for (uint32_t i = 0; i < GATES; i++) {
        const uint64_t stub = (uintptr_t)interrupt_stubs + i * STUB_SIZE;
        idt[i] = (stub & 0xffff0000) << 32 | (uint64_t)GATE_INTERRUPT << 40 | (uint64_t)CODE << 16 | (stub & 0xffff);
    }
    const struct table_register table = {.limit = sizeof(idt) - 1, .base = (uintptr_t)idt};
    load_idtr(&table);
}

struct context *mode_init(uint32_t cpu)
{
    (void)cpu;
    init_gdt();
    init_idt();
    uint32_t *directory = (uint32_t *)read_cr3();
    directory[WINDOW_ENTRY] = (uintptr_t)window_table | PAGE_WRITABLE | PAGE_PRESENT;
    return &context;
}

static uint32_t slot_of(const struct context *ctx, uint32_t index)
{
    return guest_value(ctx, GUEST_ERROR_SEGMENT, index) % SLOTS;
}

static uint16_t selector_of(uint32_t slot)
{
    return (uint16_t)((FIRST_SLOT + slot) * sizeof(gdt[0]));
}

static volatile uint32_t *window(void)
{
    return (volatile uint32_t *)(WINDOW_ENTRY * UINT32_C(0x400000));
}

/// Shows the page whose turn it is, and leaves a number there through the window.
static void move_window(const struct context *ctx)
{
    window_table[0] = (uintptr_t)window_pages[ctx->round % 2] | PAGE_WRITABLE | PAGE_PRESENT;
    __asm__ volatile("invlpg %0" : : "m"(*window()) : "memory");
    window()[ctx->round % PAGE_WORDS] = (uint32_t)guest_value(ctx, GUEST_ERROR_MEMORY, 1);
}

static uint64_t msr_value(const struct context *ctx, uint32_t msr)
{
    const uint32_t value = (uint32_t)guest_mix(ctx->seed, ~((uint64_t)msr << 32 | ctx->round / ROUNDS_PER_MSR));
    return msr == sysenter_msrs[0] ? value & 0xfffc : value;
}

void mode_prepare(struct context *ctx)
{
    load_fs(selector_of(slot_of(ctx, FS_INDEX)));
    load_gs(selector_of(slot_of(ctx, GS_INDEX)));
    move_window(ctx);
    if (ctx->round % ROUNDS_PER_MSR != 0)
        return;
    for (uint32_t i = 0; i < sizeof(sysenter_msrs) / sizeof(sysenter_msrs[0]); i++)
        wrmsr(sysenter_msrs[i], msr_value(ctx, sysenter_msrs[i]));
}

static void check_segments(const struct context *ctx)
{
    const uint32_t fs = slot_of(ctx, FS_INDEX), gs = slot_of(ctx, GS_INDEX);
    expect(GUEST_ERROR_SEGMENT, FS_INDEX, read_fs(), selector_of(fs));
    expect(GUEST_ERROR_SEGMENT, GS_INDEX, read_gs(), selector_of(gs));
    expect(GUEST_ERROR_SEGMENT, FS_INDEX, read_at_fs(), fs);
    expect(GUEST_ERROR_SEGMENT, GS_INDEX, read_at_gs(), gs);
}

void mode_check(const struct context *ctx)
{
    const uint32_t place = ctx->round % PAGE_WORDS;
    check_segments(ctx);
    expect(GUEST_ERROR_MEMORY, WINDOW_ENTRY, window_pages[ctx->round % 2][place],
           (uint32_t)guest_value(ctx, GUEST_ERROR_MEMORY, 1));
    expect(GUEST_ERROR_MEMORY, WINDOW_ENTRY, window()[place], window_pages[ctx->round % 2][place]);
    if (ctx->round < ROUNDS_PER_MSR || ctx->round % ROUNDS_PER_MSR != ROUNDS_PER_MSR - 1)
        return;
    for (uint32_t i = 0; i < sizeof(sysenter_msrs) / sizeof(sysenter_msrs[0]); i++)
        expect(GUEST_ERROR_MSR, sysenter_msrs[i], rdmsr(sysenter_msrs[i]), msr_value(ctx, sysenter_msrs[i]));
}

void mode_meet(struct context *ctx)
{
    (void)ctx;
}
