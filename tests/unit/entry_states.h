// SPDX-License-Identifier: Apache-2.0
/// States for the tests of the entry checker. Valid ones: a 64-bit, a real-mode, a virtual-8086 and a PAE guest. Values are
/// written as numbers, as they would stand in a dump. Broken ones: a valid one and changes to it.
#ifndef POLYVISOR_TESTS_ENTRY_STATES_H
#define POLYVISOR_TESTS_ENTRY_STATES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/vmx/caps.h"
#include "arch/x86/vmx/entry_check.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum base { LONG_MODE, REAL_MODE, VIRTUAL_8086, PAE, RESTRICTED };

struct setting {
    enum vmcs_field field;
    uint64_t value;
};

/// Every control may be 1, so that each rule can be reached; what must be 1 is as on real processors.
static const struct vmx_caps entry_caps = {
    .pin = UINT64_C(0x000000ff00000016),
    .primary = UINT64_C(0xfffffffe04006172),
    .secondary = UINT64_C(0x7fffffff00000000),
    .tertiary = 0x1f,
    .exit = UINT64_C(0xffffffff00036dfb),
    .entry = UINT64_C(0x007fffff000011fb),
    .misc = 0x200401e5,        // 4 CR3 targets; HLT, shutdown, wait-for-SIPI
    .ept_vpid = 0xf0106734141, // 4 levels, UC, WB, 2M, 1G, INVEPT, A/D, INVVPID
    .vmfunc = 1,
    .cr0_fixed0 = 0x80000021,
    .cr0_fixed1 = 0xffffffff,
    .cr4_fixed0 = 0x2000,
    .cr4_fixed1 = 0xf77fff,
};

static const struct vmx_processor entry_processor = {
    .physical_bits = 46,
    .linear_bits = 48,
    .efer = 0xd01,
    .debugctl = 0x1dc3,
    .perf_global_ctrl = 0x70000000f,
    .rtit_ctl = 0x3f8f,
    .lbr_ctl = 0x7f000f,
};

/// Controls as the multiplexer has them, and its host state.
static const struct setting common[] = {
    {VMCS_PIN_CONTROLS, 0x7f},
    {VMCS_PRIMARY_CONTROLS, 0xb6986dfa},
    {VMCS_SECONDARY_CONTROLS, 0x001010ea},
    {VMCS_EXIT_CONTROLS, 0x0073efff},
    {VMCS_VPID, 1},
    {VMCS_EPT_POINTER, 0x12305e},
    {VMCS_IO_BITMAP_A, 0x10000},
    {VMCS_IO_BITMAP_B, 0x11000},
    {VMCS_MSR_BITMAP, 0x12000},
    {VMCS_LINK_POINTER, UINT64_MAX},
    {VMCS_HOST_CR0, 0x8005003b},
    {VMCS_HOST_CR3, 0x100000},
    {VMCS_HOST_CR4, 0x3720a0},
    {VMCS_HOST_IA32_EFER, 0xd00},
    {VMCS_HOST_CS_SELECTOR, 0x08},
    {VMCS_HOST_SS_SELECTOR, 0x10},
    {VMCS_HOST_TR_SELECTOR, 0x38},
    {VMCS_HOST_TR_BASE, 0xffffffff80001000},
    {VMCS_HOST_GDTR_BASE, 0xffffffff80002000},
    {VMCS_HOST_IDTR_BASE, 0xffffffff80003000},
    {VMCS_HOST_RIP, 0xffffffff80004000},
    {VMCS_HOST_RSP, 0xffffffff80005000},
    {VMCS_GUEST_RFLAGS, 2},
    {VMCS_GUEST_DR7, 0x400},
};

static const struct setting long_mode[] = {
    {VMCS_ENTRY_CONTROLS, 0x93ff},
    {VMCS_GUEST_CR0, 0x80050033},
    {VMCS_GUEST_CR3, 0x200000},
    {VMCS_GUEST_CR4, 0x26f0},
    {VMCS_GUEST_IA32_EFER, 0xd01},
    {VMCS_GUEST_ES_ACCESS_RIGHTS, 0x10000},
    {VMCS_GUEST_CS_SELECTOR, 0x10},
    {VMCS_GUEST_CS_LIMIT, 0xffffffff},
    {VMCS_GUEST_CS_ACCESS_RIGHTS, 0xa09b},
    {VMCS_GUEST_SS_SELECTOR, 0x18},
    {VMCS_GUEST_SS_LIMIT, 0xffffffff},
    {VMCS_GUEST_SS_ACCESS_RIGHTS, 0xc093},
    {VMCS_GUEST_DS_SELECTOR, 0x2b},
    {VMCS_GUEST_DS_LIMIT, 0xffffffff},
    {VMCS_GUEST_DS_ACCESS_RIGHTS, 0xc0f3},
    {VMCS_GUEST_FS_ACCESS_RIGHTS, 0x10000},
    {VMCS_GUEST_FS_BASE, 0x7f0000001000},
    {VMCS_GUEST_GS_ACCESS_RIGHTS, 0x10000},
    {VMCS_GUEST_GS_BASE, 0xffff888000000000},
    {VMCS_GUEST_LDTR_ACCESS_RIGHTS, 0x10000},
    {VMCS_GUEST_TR_SELECTOR, 0x40},
    {VMCS_GUEST_TR_LIMIT, 0x67},
    {VMCS_GUEST_TR_ACCESS_RIGHTS, 0x8b},
    {VMCS_GUEST_TR_BASE, 0xfffffe0000003000},
    {VMCS_GUEST_GDTR_LIMIT, 0x7f},
    {VMCS_GUEST_GDTR_BASE, 0xfffffe0000001000},
    {VMCS_GUEST_IDTR_LIMIT, 0xfff},
    {VMCS_GUEST_IDTR_BASE, 0xfffffe0000000000},
    {VMCS_GUEST_RIP, 0xffffffff81000000},
    {VMCS_GUEST_RSP, 0xffffc90000004000},
    {VMCS_GUEST_SYSENTER_EIP, 0xffffffff81a00000},
};

/// After INIT (SDM Vol. 3A table 9-1), with the bits that VMX operation fixes.
static const struct setting real_mode[] = {
    {VMCS_ENTRY_CONTROLS, 0x91ff},         {VMCS_GUEST_CR0, 0x60000030},        {VMCS_GUEST_CR4, 0x2000},
    {VMCS_GUEST_ES_LIMIT, 0xffff},         {VMCS_GUEST_ES_ACCESS_RIGHTS, 0x93}, {VMCS_GUEST_CS_SELECTOR, 0xf000},
    {VMCS_GUEST_CS_BASE, 0xffff0000},      {VMCS_GUEST_CS_LIMIT, 0xffff},       {VMCS_GUEST_CS_ACCESS_RIGHTS, 0x9b},
    {VMCS_GUEST_SS_LIMIT, 0xffff},         {VMCS_GUEST_SS_ACCESS_RIGHTS, 0x93}, {VMCS_GUEST_DS_LIMIT, 0xffff},
    {VMCS_GUEST_DS_ACCESS_RIGHTS, 0x93},   {VMCS_GUEST_FS_LIMIT, 0xffff},       {VMCS_GUEST_FS_ACCESS_RIGHTS, 0x93},
    {VMCS_GUEST_GS_LIMIT, 0xffff},         {VMCS_GUEST_GS_ACCESS_RIGHTS, 0x93}, {VMCS_GUEST_LDTR_LIMIT, 0xffff},
    {VMCS_GUEST_LDTR_ACCESS_RIGHTS, 0x82}, {VMCS_GUEST_TR_LIMIT, 0xffff},       {VMCS_GUEST_TR_ACCESS_RIGHTS, 0x8b},
    {VMCS_GUEST_GDTR_LIMIT, 0xffff},       {VMCS_GUEST_IDTR_LIMIT, 0xffff},     {VMCS_GUEST_RIP, 0xfff0},
};

static const struct setting virtual_8086[] = {
    {VMCS_GUEST_CR0, 0x80000031},        {VMCS_GUEST_RFLAGS, 0x20202},        {VMCS_GUEST_CS_BASE, 0xf0000},
    {VMCS_GUEST_ES_ACCESS_RIGHTS, 0xf3}, {VMCS_GUEST_CS_ACCESS_RIGHTS, 0xf3}, {VMCS_GUEST_SS_ACCESS_RIGHTS, 0xf3},
    {VMCS_GUEST_DS_ACCESS_RIGHTS, 0xf3}, {VMCS_GUEST_FS_ACCESS_RIGHTS, 0xf3}, {VMCS_GUEST_GS_ACCESS_RIGHTS, 0xf3},
    {VMCS_GUEST_DS_SELECTOR, 0x1234},    {VMCS_GUEST_DS_BASE, 0x12340},
};

static const struct setting pae[] = {
    {VMCS_GUEST_CR0, 0x80000031},
    {VMCS_GUEST_CR4, 0x2020},
    {VMCS_GUEST_PDPTE0, 0x1001},
    {VMCS_GUEST_PDPTE1, 0x2e19},
    {VMCS_GUEST_PDPTE2, 0xffffffffffff0fe6}, // not present: nothing of it is checked
};

static const struct setting restricted[] = {
    {VMCS_SECONDARY_CONTROLS, 0x0010106a},
};

static inline void entry_apply(struct vmx_entry_state *state, const struct setting *settings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        vmx_entry_set(state, settings[i].field, settings[i].value);
    }
}
#define ENTRY_APPLY(state, settings) entry_apply(state, settings, sizeof(settings) / sizeof((settings)[0]))

static inline void entry_base(struct vmx_entry_state *state, enum base base)
{
    memset(state, 0, sizeof(*state));
    state->caps = &entry_caps;
    state->processor = entry_processor;
    ENTRY_APPLY(state, common);
    switch (base) {
    case RESTRICTED:
        ENTRY_APPLY(state, long_mode);
        ENTRY_APPLY(state, restricted);
        break;
    case LONG_MODE:
        ENTRY_APPLY(state, long_mode);
        break;
    case REAL_MODE:
        ENTRY_APPLY(state, real_mode);
        break;
    case VIRTUAL_8086:
        ENTRY_APPLY(state, real_mode);
        ENTRY_APPLY(state, virtual_8086);
        break;
    case PAE:
        ENTRY_APPLY(state, real_mode);
        ENTRY_APPLY(state, pae);
        break;
    }
}

/* ---- broken states ---- */

/* Controls as above with more bits. */
#define PIN_DEFAULT 0x7f
#define PRIMARY_DEFAULT 0xb6986dfau
#define SECONDARY_DEFAULT 0x001010eau
#define EXIT_DEFAULT 0x0073efff
#define LONG_ENTRY 0x93ff
#define PIN_WITH(bits) {VMCS_PIN_CONTROLS, PIN_DEFAULT | (bits)}
#define PRIMARY_WITH(bits) {VMCS_PRIMARY_CONTROLS, PRIMARY_DEFAULT | (bits)}
#define SECONDARY_WITH(bits) {VMCS_SECONDARY_CONTROLS, SECONDARY_DEFAULT | (bits)}
#define SECONDARY_WITHOUT(bits) {VMCS_SECONDARY_CONTROLS, SECONDARY_DEFAULT & ~(bits)}
#define EXIT_WITH(bits) {VMCS_EXIT_CONTROLS, EXIT_DEFAULT | (bits)}
#define ENTRY_WITH(bits) {VMCS_ENTRY_CONTROLS, LONG_ENTRY | (bits)}
#define WITH_TPR_SHADOW PRIMARY_WITH(PRIMARY_TPR_SHADOW), {VMCS_VIRTUAL_APIC_ADDRESS, 0x20000}

enum { CHANGES = 6 };

/// A base state, changes to it, and what the checker says. No more changes: value of a field 0, which is the VPID's.
struct broken {
    enum base base;
    struct setting changes[CHANGES];
    const char *section;
    enum vmcs_field field; ///< named as the culprit
    const char *words;     ///< that the rule's text has
};

static inline void apply_changes(struct vmx_entry_state *state, const struct setting *changes)
{
    for (size_t i = 0; i < CHANGES && (changes[i].field != 0 || changes[i].value != 0); i++) {
        // A VPID of 0 is written as 0x10000, of which the field keeps 0.
        vmx_entry_set(state, changes[i].field, changes[i].value);
    }
}

static inline void check_broken(const struct broken *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct broken *b = &cases[i];
        struct vmx_entry_state state;
        struct vmx_violation violation = {0};
        entry_base(&state, b->base);
        apply_changes(&state, b->changes);
        if (vmx_entry_check(&state, &violation)) {
            fail_msg("case %zu (%s: %s): accepted", i, b->section, b->words);
        }
        if (strstr(violation.rule, b->words) == NULL || violation.field != b->field ||
            strcmp(violation.section, b->section) != 0) {
            fail_msg("case %zu (%s: %s): %s, field %#x: %s", i, b->section, b->words, violation.section,
                     violation.field, violation.rule);
        }
        assert_int_equal(violation.value, vmx_entry_get(&state, b->field));
    }
}

static inline void check_accepted(enum base base, const struct setting *changes)
{
    struct vmx_entry_state state;
    struct vmx_violation violation = {0};
    entry_base(&state, base);
    apply_changes(&state, changes);
    if (!vmx_entry_check(&state, &violation)) {
        fail_msg("base %d: %s, field %#x: %s", base, violation.section, violation.field, violation.rule);
    }
}

#endif
