// SPDX-License-Identifier: Apache-2.0
#include "guest.h"

#include "processor.h"

#include <stdbool.h>

enum {
    CR4_OSFXSR = 1 << 9,
    CR4_OSXSAVE = 1 << 18,
    CPUID1_ECX_XSAVE = 1 << 26,
    CPUID1_ECX_AVX = 1 << 28,
    XCR0_X87_SSE_AVX = 7,
    XCR0_INDEX = 10,

    FLAGS_CF = 1 << 0,
    FLAGS_ALWAYS = 1 << 1,
    FLAGS_IF = 1 << 9,
    FLAGS_ID = 1 << 21,
    FCW_ALL_MASKED = 0x37f,
    FCW_ROUNDING = 3 << 10,
    MXCSR_ALL_MASKED = 0x1f80,
    MXCSR_ROUNDING = 3 << 13,
    ST_BYTES = 10,

    TIMER_MICROSECONDS = 500,
    ROUNDS_PER_HALT = 2,
    SPINS_LEAST = 500,
    SPINS_MASK = 0x7ff, ///< on top of that
    PATTERN_WORDS = 2048,
    PATTERN_PAGE_WORDS = 1024,
    MAX_CPUS = 2,
    /// How many general and vector registers this mode has.
    MODE_GPRS = sizeof(void *) == 8 ? 16 : 8,
};

struct slot slots[SLOTS];
static uint32_t pattern[MAX_CPUS][PATTERN_WORDS];

/// Registers that never change after the start.
static struct fixed {
    struct table_register gdtr, idtr;
    uintptr_t cr0, cr3, cr4;
} fixed[MAX_CPUS];

uint64_t guest_value(const struct context *context, enum guest_error kind, uint32_t index)
{
    return guest_mix(context->seed, context->round << 16 | (uint64_t)kind << 8 | index);
}

static void out_halves(uint16_t port, uint64_t value)
{
    out32(port, (uint32_t)(value >> 32));
    out32(port, (uint32_t)value);
}

void expect(enum guest_error kind, uint32_t index, uint64_t found, uint64_t expected)
{
    if (found == expected)
        return;
    out_halves(GUEST_PORT_FOUND, found);
    out_halves(GUEST_PORT_EXPECTED, expected);
    out32(GUEST_PORT_ERROR, (uint32_t)kind << 16 | index);
}

/// Nothing sensible can follow: halts with interrupts off, which the personality understands.
static _Noreturn void stop(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}

void on_interrupt(uint32_t vector, uintptr_t address)
{
    struct context *context = mode_context();
    if (vector == GUEST_VECTOR_TIMER) {
        context->ticks++;
    } else if (vector == GUEST_VECTOR_IPI && context->cpus > 1) {
        context->ipis++;
    } else {
        expect(GUEST_ERROR_VECTOR, vector, address, 0);
        stop();
    }
}

/* ---- before a round ---- */

static void fill_fx(const struct context *context, struct fx *fx)
{
    const uint64_t control = guest_value(context, GUEST_ERROR_FPU, 8);
    fx->fcw = (uint16_t)(FCW_ALL_MASKED | (control & FCW_ROUNDING));
    fx->mxcsr = (uint32_t)(MXCSR_ALL_MASKED | (control & MXCSR_ROUNDING));
    fx->ftw = UINT8_MAX; // no register is empty
    for (uint32_t i = 0; i < 8; i++) {
        const uint64_t value = guest_value(context, GUEST_ERROR_FPU, i);
        for (uint32_t byte = 0; byte < ST_BYTES; byte++)
            fx->st[i][byte] = (uint8_t)(value >> (byte % 8 * 8));
    }
    for (uint32_t i = 0; i < VECTORS; i++) {
        fx->xmm[i][0] = guest_value(context, GUEST_ERROR_XMM, i);
        fx->xmm[i][1] = ~fx->xmm[i][0];
    }
}

/// Numbers for everything that the assembly loads.
static void fill_context(struct context *context)
{
    for (uint32_t i = 0; i < GPRS; i++)
        context->gpr[i] = guest_value(context, GUEST_ERROR_GPR, i);
    for (uint32_t i = 0; i < DRS; i++)
        context->dr[i] = guest_value(context, GUEST_ERROR_DR, i);
    for (uint32_t i = 0; i < VECTORS; i++) {
        context->ymm[i][0] = guest_value(context, GUEST_ERROR_YMM, i);
        context->ymm[i][1] = ~context->ymm[i][0];
    }
    context->cr2 = guest_value(context, GUEST_ERROR_CR, 2);
    const uint64_t choice = guest_value(context, GUEST_ERROR_FLAGS, 0);
    context->flags = FLAGS_ALWAYS | FLAGS_IF | (choice & (FLAGS_CF | FLAGS_ID));
    context->spins = SPINS_LEAST + (choice >> 32 & SPINS_MASK);
    context->halt = context->round % ROUNDS_PER_HALT == 0;
    context->leaf = context->round % 2 == 0 ? GUEST_LEAF_ABSORBED : GUEST_LEAF_DELIVERED;
    context->msr = context->round % 4 < 2 ? GUEST_MSR_ABSORBED : GUEST_MSR_DELIVERED;
    context->port_value = (uint32_t)context->round;
    fill_fx(context, &context->fx);
}

/// A cheap sequence, since it is computed twice a round for much memory (Numerical Recipes' generator).
static uint32_t next_word(uint32_t word)
{
    return word * 1664525 + 1013904223;
}

static void fill_pattern(const struct context *context)
{
    volatile uint32_t *words = pattern[context->cpu];
    uint32_t word = (uint32_t)guest_value(context, GUEST_ERROR_MEMORY, 0);
    for (uint32_t i = 0; i < PATTERN_WORDS; i++, word = next_word(word))
        words[i] = word;
}

/* ---- after it ---- */

static void check_pattern(const struct context *context)
{
    const volatile uint32_t *words = pattern[context->cpu];
    uint32_t word = (uint32_t)guest_value(context, GUEST_ERROR_MEMORY, 0);
    for (uint32_t i = 0; i < PATTERN_WORDS; i++, word = next_word(word)) {
        const uint32_t found = words[i];
        if (found == word)
            continue;
        expect(GUEST_ERROR_MEMORY, i / PATTERN_PAGE_WORDS, found, word);
        return;
    }
}

static void check_fpu(const struct context *context)
{
    const struct fx *found = &context->fx_found, *wanted = &context->fx;
    expect(GUEST_ERROR_FPU, 8, found->fcw, wanted->fcw);
    expect(GUEST_ERROR_FPU, 9, found->mxcsr, wanted->mxcsr);
    expect(GUEST_ERROR_FPU, 10, found->ftw, wanted->ftw);
    for (uint32_t i = 0; i < 8; i++)
        for (uint32_t byte = 0; byte < ST_BYTES; byte++)
            expect(GUEST_ERROR_FPU, i, found->st[i][byte], wanted->st[i][byte]);
    for (uint32_t i = 0; i < MODE_GPRS; i++) {
        expect(GUEST_ERROR_XMM, i, found->xmm[i][0], wanted->xmm[i][0]);
        expect(GUEST_ERROR_XMM, i, found->xmm[i][1], wanted->xmm[i][1]);
        if (!context->avx)
            continue;
        expect(GUEST_ERROR_YMM, i, context->ymm_found[i][0], context->ymm[i][0]);
        expect(GUEST_ERROR_YMM, i, context->ymm_found[i][1], context->ymm[i][1]);
    }
}

static void check_registers(const struct context *context)
{
    for (uint32_t i = 0; i < MODE_GPRS; i++)
        expect(GUEST_ERROR_GPR, i, (uintptr_t)context->gpr_found[i], (uintptr_t)context->gpr[i]);
    for (uint32_t i = 0; i < DRS; i++)
        expect(GUEST_ERROR_DR, i, (uintptr_t)context->dr_found[i], (uintptr_t)context->dr[i]);
    const uint64_t mask = FLAGS_CF | FLAGS_IF | FLAGS_ID;
    expect(GUEST_ERROR_FLAGS, 0, context->flags_found & mask, context->flags & mask);
    expect(GUEST_ERROR_CR, 2, (uintptr_t)context->cr2_found, (uintptr_t)context->cr2);
    check_fpu(context);
}

static void check_fixed(const struct context *context)
{
    const struct fixed *wanted = &fixed[context->cpu];
    const struct table_register gdtr = read_gdtr(), idtr = read_idtr();
    expect(GUEST_ERROR_TABLE, 0, gdtr.base, wanted->gdtr.base);
    expect(GUEST_ERROR_TABLE, 1, idtr.base, wanted->idtr.base);
    expect(GUEST_ERROR_TABLE, 2, gdtr.limit, wanted->gdtr.limit);
    expect(GUEST_ERROR_TABLE, 3, idtr.limit, wanted->idtr.limit);
    expect(GUEST_ERROR_CR, 0, read_cr0(), wanted->cr0);
    expect(GUEST_ERROR_CR, 3, read_cr3(), wanted->cr3);
    expect(GUEST_ERROR_CR, 4, read_cr4(), wanted->cr4);
    if (context->avx)
        expect(GUEST_ERROR_CR, XCR0_INDEX, read_xcr0(), XCR0_X87_SSE_AVX);
}

static void check_answers(const struct context *context)
{
    for (uint32_t i = 0; i < 4; i++)
        expect(GUEST_ERROR_CPUID, i, context->cpuid_found[i],
               (uint32_t)guest_answer(context->seed, (uint32_t)context->leaf, i));
    expect(GUEST_ERROR_MSR, (uint16_t)context->msr, (uint64_t)context->msr_found[1] << 32 | context->msr_found[0],
           guest_answer(context->seed, (uint32_t)context->msr, 0));
}

static void check_tsc(struct context *context)
{
    const uint64_t now = rdtsc();
    if (now <= context->tsc)
        expect(GUEST_ERROR_TSC, 0, now, context->tsc);
    context->tsc = now;
}

/* ---- rounds ---- */

static void play_round(struct context *context)
{
    fill_context(context);
    mode_prepare(context);
    load_state();
    fill_pattern(context);
    const uint32_t interrupts = context->ticks + context->ipis;
    exercise();
    if (context->halt && context->ticks + context->ipis == interrupts)
        expect(GUEST_ERROR_TIMER, 0, interrupts, interrupts + 1);
    check_pattern(context);
    store_state();
    check_registers(context);
    mode_check(context);
    check_answers(context);
    check_fixed(context);
    check_tsc(context);
}

/// AVX where CPUID shows it; real mode has none.
static bool enable_vectors(void)
{
    const uint32_t features = cpuid_ecx(1);
    const uint32_t needed = CPUID1_ECX_XSAVE | CPUID1_ECX_AVX;
    write_cr4(read_cr4() | CR4_OSFXSR);
    if ((read_cr0() & 1) == 0 || (features & needed) != needed)
        return false;
    write_cr4(read_cr4() | CR4_OSXSAVE);
    write_xcr0(XCR0_X87_SSE_AVX);
    return true;
}

static void init_context(struct context *context, uint32_t cpus)
{
    context->cpus = cpus;
    context->self = (uintptr_t)context;
    context->seed = in32(GUEST_PORT_SEED);
    context->port = GUEST_PORT_ECHO;
    context->avx = enable_vectors();
    fixed[context->cpu] = (struct fixed){
        .gdtr = read_gdtr(), .idtr = read_idtr(), .cr0 = read_cr0(), .cr3 = read_cr3(), .cr4 = read_cr4()};
    for (uint32_t i = 0; i < SLOTS; i++)
        slots[i].value = i; // vcpus of one guest share them: no seed
}

_Noreturn void guest_main(void)
{
    const uint32_t place = in32(GUEST_PORT_CPU);
    struct context *context = mode_init(place & 0xffff);
    context->cpu = place & 0xffff;
    init_context(context, place >> 16);
    out32(GUEST_PORT_TIMER, TIMER_MICROSECONDS);
    interrupts_on();
    for (;;) {
        context->round++;
        play_round(context);
        mode_meet(context);
        out32(GUEST_PORT_HEARTBEAT, (uint32_t)context->round);
    }
}
