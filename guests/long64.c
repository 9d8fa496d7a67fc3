// SPDX-License-Identifier: Apache-2.0
// What a 64-bit guest has of its own: segment bases in MSRs, and those of SYSCALL. Its context is at the base of GS.
#include "guest.h"

#include "processor.h"
#include "smp64.h"

enum {
    STUB_SIZE = 16,
    GATES = 256,
    GATE_INTERRUPT = 0x8e,
    CODE = 0x18,
    FS_INDEX = 4,
    KERNEL_GS_INDEX = 5,
    ROUNDS_PER_MSR = 4,
};

/// SDM Vol. 4 table 2-2.
static const uint32_t msr_star = 0xc0000081, msr_lstar = 0xc0000082, msr_sfmask = 0xc0000084, msr_fs_base = 0xc0000100,
                      msr_gs_base = 0xc0000101, msr_kernel_gs_base = 0xc0000102;

struct gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
};

struct context contexts[SMP64_CPUS];
static struct gate idt[GATES];

struct context *mode_context(void)
{
    uint64_t self;
    __asm__ volatile("mov %%gs:0x1c0, %0" : "=r"(self)); // struct context's self
    return (struct context *)self;
}

static void init_idt(void)
{
    for (uint32_t i = 0; i < GATES; i++) {
        const uintptr_t stub = (uintptr_t)interrupt_stubs + i * STUB_SIZE;
        idt[i] = (struct gate){.offset_low = (uint16_t)stub,
                               .selector = CODE,
                               .type = GATE_INTERRUPT,
                               .offset_middle = (uint16_t)(stub >> 16),
                               .offset_high = (uint32_t)(stub >> 32)};
    }
    const struct table_register table = {.limit = sizeof(idt) - 1, .base = (uintptr_t)idt};
    load_idtr(&table);
}

struct context *mode_init(uint32_t cpu)
{
    struct context *context = &contexts[cpu % SMP64_CPUS];
    init_idt(); // every vcpu writes the same
    context->self = (uintptr_t)context;
    wrmsr(msr_gs_base, (uintptr_t)context);
    return context;
}

/// A number for several rounds, since most accesses to MSRs exit.
static uint64_t lasting_value(const struct context *context, uint32_t msr)
{
    return guest_mix(context->seed, ~((uint64_t)msr << 32 | context->round / ROUNDS_PER_MSR));
}

/// What an MSR can hold of a number.
static uint64_t msr_value(const struct context *context, uint32_t msr)
{
    const uint64_t value = lasting_value(context, msr);
    if (msr == msr_lstar)
        return value >> 17; // canonical
    return msr == msr_sfmask ? (uint32_t)value : value;
}

static uint32_t slot_of(const struct context *context, uint32_t index)
{
    return lasting_value(context, index) % SLOTS;
}

/// The number at KERNEL_GS_BASE, which is GS's only between the two SWAPGS: no interrupt must come.
static uint32_t read_at_kernel_gs(void)
{
    uint32_t value;
    interrupts_off();
    __asm__ volatile("swapgs; movl %%gs:0, %0; swapgs" : "=r"(value));
    interrupts_on();
    return value;
}

void mode_prepare(struct context *context)
{
    if (context->round % ROUNDS_PER_MSR != 0)
        return;
    wrmsr(msr_fs_base, (uintptr_t)&slots[slot_of(context, FS_INDEX)]);
    wrmsr(msr_kernel_gs_base, (uintptr_t)&slots[slot_of(context, KERNEL_GS_INDEX)]);
    wrmsr(msr_star, msr_value(context, msr_star));
    wrmsr(msr_lstar, msr_value(context, msr_lstar));
    wrmsr(msr_sfmask, msr_value(context, msr_sfmask));
}

static void check_msr(const struct context *context, uint32_t msr)
{
    expect(GUEST_ERROR_MSR, (uint16_t)msr, rdmsr(msr), msr_value(context, msr));
}

void mode_check(const struct context *context)
{
    if (context->round < ROUNDS_PER_MSR)
        return;
    expect(GUEST_ERROR_SEGMENT, FS_INDEX, read_at_fs(), slot_of(context, FS_INDEX));
    expect(GUEST_ERROR_SEGMENT, KERNEL_GS_INDEX, read_at_kernel_gs(), slot_of(context, KERNEL_GS_INDEX));
    if (context->round % ROUNDS_PER_MSR != ROUNDS_PER_MSR - 1)
        return;
    check_msr(context, msr_star);
    check_msr(context, msr_lstar);
    check_msr(context, msr_sfmask);
    expect(GUEST_ERROR_MSR, (uint16_t)msr_gs_base, rdmsr(msr_gs_base), (uintptr_t)context);
}

__attribute__((weak)) void mode_meet(struct context *context)
{
    (void)context; // alone; smp64.c has another
}
