// SPDX-License-Identifier: Apache-2.0
// MSRs: those that a PC has, the x2APIC's, and others.
#include "scribble.h"

enum {
    BASE = 0x1b,
    ENABLE = 1 << 11,
    X2 = 1 << 10,
    X2_FIRST = 0x800,
    X2_COUNT = 64,
    ICR = 0x830,
    MODE_SHIFT = 8,
    INIT = 5,
    STARTUP = 6
};
enum { TSC = 0x10, OTHERS = 3 << 18, FIRST_AP_PAGE = 0x10, AP_PAGES = 0x50 };

static const uint32_t known[] = {
    0x17,  0x3a,  0x3b,  0x8b,       0xce,       0xfe,       0x140,      0x174,      0x175,      0x176,      0x179,
    0x17a, 0x1a0, 0x1d9, 0x200,      0x20f,      0x250,      0x258,      0x26f,      0x277,      0x2ff,      0x480,
    0x48d, 0x6e0, 0xda0, 0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102,
    0x48,  0x49,  0x10a, 0x122,      0xc0000103, 0xc0010015, 0xe7,       0xe8,       0x186,      0x38f,      0x400,
};

static uint32_t writes, reads, refused;

static uint32_t any_msr(void)
{
    switch (below(8)) {
    case 0:
    case 1:
        return known[below(sizeof(known) / sizeof(known[0]))];
    case 2:
    case 3:
        return X2_FIRST + below(X2_COUNT);
    case 4:
        return below(0x2000);
    case 5:
        return 0xc0000000 + below(0x2000);
    case 6:
        return 0x200 + below(0x100);
    default:
        return one_in(2) ? 0x40000000 + below(0x200) : (uint32_t)random64();
    }
}

/// What is not reserved in a register of the x2APIC: with another bit, a write is refused.
static uint64_t x2_bits(uint32_t msr)
{
    if (msr >= 0x832 && msr <= 0x837)
        return msr == 0x832 ? 0x700ff : msr == 0x837 ? 0x100ff : 0x107ff;
    switch (msr) {
    case 0x808:
    case 0x83f:
        return 0xff;
    case 0x80b:
    case 0x828:
        return 0;
    case 0x80f:
        return 0x3ff;
    case ICR:
        return UINT64_C(0xffffffff000cdfff);
    case 0x83e:
        return 0xb;
    default:
        return UINT32_MAX;
    }
}

static uint64_t harmless_value(uint32_t msr, uint64_t value)
{
    const uint32_t mode = value >> MODE_SHIFT & 7;
    if (msr == BASE)
        return (value & ~(uint64_t)ENABLE) | (one_in(4) ? 0 : ENABLE); // mostly on
    if (msr >= X2_FIRST && msr < X2_FIRST + X2_COUNT && !one_in(4))
        value &= x2_bits(msr);
    if (msr != ICR || (mode != INIT && mode != STARTUP))
        return value;
    value |= OTHERS;
    return mode == STARTUP ? (value & ~UINT64_C(0xff)) | (FIRST_AP_PAGE + below(AP_PAGES)) : value;
}

/// From one mode of the local APIC to another one, as the processor allows it or not.
static void change_mode(void)
{
    const uint64_t modes = ENABLE | X2;
    uint64_t base;
    if (!try_rdmsr(BASE, &base))
        give_up("IA32_APIC_BASE cannot be read");
    uint64_t mode = (base & modes) == 0 ? ENABLE : modes; // upwards, to stay there mostly
    if (one_in(4))
        mode = (uint64_t)below(4) << 10;
    if (!try_wrmsr(BASE, (base & ~modes) | mode))
        refused++;
    writes++;
}

void scribble_msrs(uint32_t rounds)
{
    writes = reads = refused = 0;
    for (uint32_t i = 0; i < rounds; i++) {
        const uint32_t msr = one_in(50) ? BASE : any_msr();
        uint64_t value;
        if (one_in(40)) {
            change_mode();
        } else if (one_in(3) || msr == TSC) {
            refused += !try_rdmsr(msr, &value);
            reads++;
        } else {
            refused += !try_wrmsr(msr, harmless_value(msr, any_value()));
            writes++;
        }
        if (one_in(32))
            let_interrupts_in();
    }
    sleep_shortly();
    say("msrs: %u writes, %u reads, %u refused", writes, reads, refused);
}
