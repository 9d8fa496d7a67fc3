// SPDX-License-Identifier: Apache-2.0
// The entry checker on guest state: valid states pass, and each rule of SDM Vol. 3C 27.3 is broken once.
// links: arch/x86/vmx/entry_check.c arch/x86/vmx/entry_check_controls.c arch/x86/vmx/entry_check_host.c
// links: arch/x86/vmx/entry_check_guest.c arch/x86/vmx/entry_check_segments.c arch/x86/vmx/event.c
// links: arch/x86/vmx/controls.c arch/x86/vmx/vmcs_fields.c vmm/lib/format.c vmm/lib/string.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "entry_states.h"
#include "random.h"

static const uint64_t not_canonical = UINT64_C(0x0000800000000000);

static void valid_states_are_accepted(void **state)
{
    (void)state;
    static const struct {
        enum base base;
        struct setting changes[CHANGES];
    } cases[] = {
        {LONG_MODE, {{0}}},
        {REAL_MODE, {{0}}},
        {VIRTUAL_8086, {{0}}},
        {PAE, {{0}}},
        {RESTRICTED, {{0}}},
        // halted, waiting for an interrupt that is injected now
        {LONG_MODE, {{VMCS_GUEST_ACTIVITY, 1}, {VMCS_GUEST_RFLAGS, 0x202}, {VMCS_ENTRY_INTERRUPTION_INFO, 0x80000020}}},
        {LONG_MODE, {{VMCS_GUEST_ACTIVITY, 1}, {VMCS_ENTRY_INTERRUPTION_INFO, 0x80000202}}},
        {LONG_MODE, {{VMCS_GUEST_ACTIVITY, 2}, {VMCS_ENTRY_INTERRUPTION_INFO, 0x80000312}}},
        {LONG_MODE, {{VMCS_GUEST_ACTIVITY, 3}}},
        {LONG_MODE, {{VMCS_GUEST_RFLAGS, 0x202}, {VMCS_GUEST_INTERRUPTIBILITY, 1}}},
        {LONG_MODE, {{VMCS_GUEST_INTERRUPTIBILITY, 10}}},
        {LONG_MODE, {{VMCS_ENTRY_INTERRUPTION_INFO, 0x80000b0e}, {VMCS_ENTRY_EXCEPTION_ERROR_CODE, 0xffff}}},
        {REAL_MODE, {{VMCS_ENTRY_INTERRUPTION_INFO, 0x8000030d}}},
        // single-stepping
        {LONG_MODE,
         {{VMCS_GUEST_RFLAGS, 0x302}, {VMCS_GUEST_INTERRUPTIBILITY, 2}, {VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0x4000}}},
        {LONG_MODE, {{VMCS_GUEST_RFLAGS, 0x302}, {VMCS_GUEST_IA32_DEBUGCTL, 2}, {VMCS_GUEST_INTERRUPTIBILITY, 2}}},
        // 32-bit code in a 64-bit guest; user mode
        {LONG_MODE, {{VMCS_GUEST_CS_ACCESS_RIGHTS, 0xc09b}, {VMCS_GUEST_RIP, 0x1000}}},
        {LONG_MODE, {{VMCS_GUEST_CS_ACCESS_RIGHTS, 0xa0fb}, {VMCS_GUEST_SS_ACCESS_RIGHTS, 0xc0f3}}},
        {LONG_MODE, {{VMCS_GUEST_CS_ACCESS_RIGHTS, 0xa09f}, {VMCS_GUEST_SS_ACCESS_RIGHTS, 0xc0f3}}},
        {LONG_MODE, {{VMCS_GUEST_SS_ACCESS_RIGHTS, 0x10000}}},
        {LONG_MODE, {{VMCS_GUEST_RFLAGS, 0x3f7fd7 & ~0x20000 & ~0x100 & ~0x28}}},
        // unrestricted: CS as real-mode software leaves it when it switches to protected mode
        {REAL_MODE, {{VMCS_GUEST_CS_ACCESS_RIGHTS, 0x93}}},
        {REAL_MODE, {{VMCS_GUEST_CR0, 0x31}}},
        {REAL_MODE, {{VMCS_GUEST_CR0, 0x30}, {VMCS_GUEST_SS_SELECTOR, 0x1237}, {VMCS_GUEST_SS_BASE, 0x12370}}},
        // CD and NW are not looked at, NE is
        {RESTRICTED, {{VMCS_GUEST_CR0, 0xe0050033}}},
        {PAE, {{VMCS_GUEST_PDPTE3, 0x3ffffffff001}}},
        {LONG_MODE, {{VMCS_LINK_POINTER, 0x123000}}},
        {LONG_MODE, {{VMCS_EPT_POINTER, 0x123018}}}, // uncached
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check_accepted(cases[i].base, cases[i].changes);
}

/* ---- 27.3.1: guest state ---- */

static void guest_registers(void **state)
{
    (void)state;
    static const struct broken cases[] = {
        {LONG_MODE, {{VMCS_GUEST_CR0, 0x80050013}}, "27.3.1.1", VMCS_GUEST_CR0, "not supported"},
        {LONG_MODE, {{VMCS_GUEST_CR0, UINT64_C(0x180050033)}}, "27.3.1.1", VMCS_GUEST_CR0, "not supported"},
        {RESTRICTED, {{VMCS_GUEST_CR0, 0x50033}}, "27.3.1.1", VMCS_GUEST_CR0, "not supported"},
        {REAL_MODE, {{VMCS_GUEST_CR0, 0x80000030}}, "27.3.1.1", VMCS_GUEST_CR0, "bit 0 (PE) must also"},
        {LONG_MODE, {{VMCS_GUEST_CR4, 0x6f0}}, "27.3.1.1", VMCS_GUEST_CR4, "not supported"},
        {LONG_MODE, {{VMCS_GUEST_CR4, 0x10026f0}}, "27.3.1.1", VMCS_GUEST_CR4, "not supported"},
        {LONG_MODE, {{VMCS_GUEST_CR4, 0x8026f0}, {VMCS_GUEST_CR0, 0x80040033}}, "27.3.1.1", VMCS_GUEST_CR4, "CET"},
        {LONG_MODE, {{VMCS_GUEST_CR0, 0x50033}}, "27.3.1.1", VMCS_GUEST_CR0, "bit 31 (PG) must be 1"},
        {LONG_MODE, {{VMCS_GUEST_CR4, 0x26d0}}, "27.3.1.1", VMCS_GUEST_CR4, "PAE"},
        {REAL_MODE, {{VMCS_GUEST_CR4, 0x22000}}, "27.3.1.1", VMCS_GUEST_CR4, "PCIDE"},
        {LONG_MODE, {{VMCS_GUEST_CR3, UINT64_C(1) << 46}}, "27.3.1.1", VMCS_GUEST_CR3, "width"},
        {LONG_MODE, {{VMCS_GUEST_CR3, UINT64_C(1) << 62}}, "27.3.1.1", VMCS_GUEST_CR3, "width"},
        {LONG_MODE, {{VMCS_GUEST_IA32_DEBUGCTL, 4}}, "27.3.1.1", VMCS_GUEST_IA32_DEBUGCTL, "reserved"},
        {LONG_MODE, {{VMCS_GUEST_DR7, UINT64_C(0x100000400)}}, "27.3.1.1", VMCS_GUEST_DR7, "63:32"},
        {LONG_MODE, {{VMCS_GUEST_SYSENTER_ESP, 0x800000000000}}, "27.3.1.1", VMCS_GUEST_SYSENTER_ESP, "canonical"},
        {LONG_MODE, {{VMCS_GUEST_SYSENTER_EIP, 0x800000000000}}, "27.3.1.1", VMCS_GUEST_SYSENTER_EIP, "canonical"},
        {LONG_MODE,
         {ENTRY_WITH(ENTRY_LOAD_PERF_GLOBAL_CTRL), {VMCS_GUEST_IA32_PERF_GLOBAL_CTRL, 0x10}},
         "27.3.1.1",
         VMCS_GUEST_IA32_PERF_GLOBAL_CTRL,
         "reserved"},
        {LONG_MODE, {ENTRY_WITH(ENTRY_LOAD_PAT), {VMCS_GUEST_IA32_PAT, 3}}, "27.3.1.1", VMCS_GUEST_IA32_PAT, "8 bytes"},
        {LONG_MODE, {{VMCS_GUEST_IA32_EFER, 0xd03}}, "27.3.1.1", VMCS_GUEST_IA32_EFER, "reserved"},
        {LONG_MODE, {{VMCS_GUEST_IA32_EFER, 0x901}}, "27.3.1.1", VMCS_GUEST_IA32_EFER, "IA-32e mode guest"},
        {REAL_MODE, {{VMCS_GUEST_IA32_EFER, 0x500}}, "27.3.1.1", VMCS_GUEST_IA32_EFER, "IA-32e mode guest"},
        {LONG_MODE, {{VMCS_GUEST_IA32_EFER, 0xc01}}, "27.3.1.1", VMCS_GUEST_IA32_EFER, "identical to bit 8"},
        {LONG_MODE,
         {ENTRY_WITH(ENTRY_LOAD_BNDCFGS), {VMCS_GUEST_IA32_BNDCFGS, 4}},
         "27.3.1.1",
         VMCS_GUEST_IA32_BNDCFGS,
         "reserved"},
        {LONG_MODE,
         {ENTRY_WITH(ENTRY_LOAD_BNDCFGS), {VMCS_GUEST_IA32_BNDCFGS, 0x800000000001}},
         "27.3.1.1",
         VMCS_GUEST_IA32_BNDCFGS,
         "canonical"},
        {LONG_MODE,
         {ENTRY_WITH(ENTRY_LOAD_RTIT_CTL), {VMCS_GUEST_IA32_RTIT_CTL, 0x40}},
         "27.3.1.1",
         VMCS_GUEST_IA32_RTIT_CTL,
         "reserved"},
        {LONG_MODE, {ENTRY_WITH(ENTRY_LOAD_CET), {VMCS_GUEST_S_CET, 0x200}}, "27.3.1.1", VMCS_GUEST_S_CET, "reserved"},
        {LONG_MODE,
         {ENTRY_WITH(ENTRY_LOAD_CET), {VMCS_GUEST_INTERRUPT_SSP_TABLE, 0x800000000000}},
         "27.3.1.1",
         VMCS_GUEST_INTERRUPT_SSP_TABLE,
         "canonical"},
        {LONG_MODE,
         {ENTRY_WITH(ENTRY_LOAD_LBR_CTL), {VMCS_GUEST_IA32_LBR_CTL, 0x10}},
         "27.3.1.1",
         VMCS_GUEST_IA32_LBR_CTL,
         "reserved"},
        {LONG_MODE,
         {ENTRY_WITH(ENTRY_LOAD_PKRS), {VMCS_GUEST_IA32_PKRS, UINT64_C(1) << 40}},
         "27.3.1.1",
         VMCS_GUEST_IA32_PKRS,
         "63:32"},
        {LONG_MODE, {ENTRY_WITH(ENTRY_LOAD_UINV), {VMCS_GUEST_UINV, 256}}, "27.3.1.1", VMCS_GUEST_UINV, "15:8"},
    };
    check_broken(cases, COUNT(cases));
}

static void guest_segments(void **state)
{
    (void)state;
    static const struct broken cases[] = {
        /* selectors and bases */
        {LONG_MODE, {{VMCS_GUEST_TR_SELECTOR, 0x44}}, "27.3.1.2", VMCS_GUEST_TR_SELECTOR, "TI flag"},
        {REAL_MODE, {{VMCS_GUEST_LDTR_SELECTOR, 4}}, "27.3.1.2", VMCS_GUEST_LDTR_SELECTOR, "TI flag"},
        {RESTRICTED, {{VMCS_GUEST_SS_SELECTOR, 0x1b}}, "27.3.1.2", VMCS_GUEST_SS_SELECTOR, "RPL"},
        {VIRTUAL_8086, {{VMCS_GUEST_DS_BASE, 0x12341}}, "27.3.1.2", VMCS_GUEST_DS_BASE, "shifted left 4"},
        {LONG_MODE, {{VMCS_GUEST_TR_BASE, 0x800000000000}}, "27.3.1.2", VMCS_GUEST_TR_BASE, "canonical"},
        {LONG_MODE, {{VMCS_GUEST_FS_BASE, 0x800000000000}}, "27.3.1.2", VMCS_GUEST_FS_BASE, "canonical"},
        {LONG_MODE, {{VMCS_GUEST_GS_BASE, 0x800000000000}}, "27.3.1.2", VMCS_GUEST_GS_BASE, "canonical"},
        {REAL_MODE, {{VMCS_GUEST_LDTR_BASE, 0x800000000000}}, "27.3.1.2", VMCS_GUEST_LDTR_BASE, "canonical"},
        {LONG_MODE, {{VMCS_GUEST_CS_BASE, UINT64_C(1) << 32}}, "27.3.1.2", VMCS_GUEST_CS_BASE, "63:32"},
        {LONG_MODE, {{VMCS_GUEST_SS_BASE, UINT64_C(1) << 32}}, "27.3.1.2", VMCS_GUEST_SS_BASE, "63:32"},
        {LONG_MODE, {{VMCS_GUEST_DS_BASE, UINT64_C(1) << 63}}, "27.3.1.2", VMCS_GUEST_DS_BASE, "63:32"},
        {REAL_MODE, {{VMCS_GUEST_ES_BASE, UINT64_C(1) << 32}}, "27.3.1.2", VMCS_GUEST_ES_BASE, "63:32"},
        /* virtual-8086 */
        {VIRTUAL_8086, {{VMCS_GUEST_SS_LIMIT, 0xfffff}}, "27.3.1.2", VMCS_GUEST_SS_LIMIT, "0000FFFFH"},
        {VIRTUAL_8086, {{VMCS_GUEST_CS_ACCESS_RIGHTS, 0xfb}}, "27.3.1.2", VMCS_GUEST_CS_ACCESS_RIGHTS, "000000F3H"},
        {VIRTUAL_8086, {{VMCS_GUEST_GS_ACCESS_RIGHTS, 0x100f3}}, "27.3.1.2", VMCS_GUEST_GS_ACCESS_RIGHTS, "000000F3H"},
        /* types */
        {LONG_MODE, {{VMCS_GUEST_CS_ACCESS_RIGHTS, 0xa09a}}, "27.3.1.2", VMCS_GUEST_CS_ACCESS_RIGHTS, "accessed code"},
        {LONG_MODE, {{VMCS_GUEST_CS_ACCESS_RIGHTS, 0xa097}}, "27.3.1.2", VMCS_GUEST_CS_ACCESS_RIGHTS, "accessed code"},
        {RESTRICTED, {{VMCS_GUEST_CS_ACCESS_RIGHTS, 0xa093}}, "27.3.1.2", VMCS_GUEST_CS_ACCESS_RIGHTS, "accessed code"},
        {LONG_MODE, {{VMCS_GUEST_SS_ACCESS_RIGHTS, 0xc091}}, "27.3.1.2", VMCS_GUEST_SS_ACCESS_RIGHTS, "3 or 7"},
        {LONG_MODE, {{VMCS_GUEST_DS_ACCESS_RIGHTS, 0xc0f2}}, "27.3.1.2", VMCS_GUEST_DS_ACCESS_RIGHTS, "(accessed)"},
        {LONG_MODE, {{VMCS_GUEST_DS_ACCESS_RIGHTS, 0xc0f9}}, "27.3.1.2", VMCS_GUEST_DS_ACCESS_RIGHTS, "(readable)"},
        /* S, P, reserved, granularity */
        {LONG_MODE, {{VMCS_GUEST_CS_ACCESS_RIGHTS, 0xa08b}}, "27.3.1.2", VMCS_GUEST_CS_ACCESS_RIGHTS, "bit 4 (S)"},
        {REAL_MODE, {{VMCS_GUEST_ES_ACCESS_RIGHTS, 0x83}}, "27.3.1.2", VMCS_GUEST_ES_ACCESS_RIGHTS, "bit 4 (S)"},
        {LONG_MODE, {{VMCS_GUEST_CS_ACCESS_RIGHTS, 0xa01b}}, "27.3.1.2", VMCS_GUEST_CS_ACCESS_RIGHTS, "bit 7 (P)"},
        {REAL_MODE, {{VMCS_GUEST_FS_ACCESS_RIGHTS, 0x193}}, "27.3.1.2", VMCS_GUEST_FS_ACCESS_RIGHTS, "11:8"},
        {REAL_MODE, {{VMCS_GUEST_GS_ACCESS_RIGHTS, 0x20093}}, "27.3.1.2", VMCS_GUEST_GS_ACCESS_RIGHTS, "31:17"},
        {LONG_MODE, {{VMCS_GUEST_DS_LIMIT, 0xfffffffe}}, "27.3.1.2", VMCS_GUEST_DS_ACCESS_RIGHTS, "G must be 0"},
        {REAL_MODE, {{VMCS_GUEST_DS_LIMIT, 0x1fffff}}, "27.3.1.2", VMCS_GUEST_DS_ACCESS_RIGHTS, "G must be 1"},
        /* privilege */
        {REAL_MODE,
         {{VMCS_GUEST_CS_ACCESS_RIGHTS, 0xf3}},
         "27.3.1.2",
         VMCS_GUEST_CS_ACCESS_RIGHTS,
         "the DPL must be 0"},
        {LONG_MODE, {{VMCS_GUEST_CS_ACCESS_RIGHTS, 0xa0fb}}, "27.3.1.2", VMCS_GUEST_CS_ACCESS_RIGHTS, "9 or 11"},
        {LONG_MODE, {{VMCS_GUEST_CS_ACCESS_RIGHTS, 0xa0ff}}, "27.3.1.2", VMCS_GUEST_CS_ACCESS_RIGHTS, "13 or 15"},
        {RESTRICTED,
         {{VMCS_GUEST_SS_ACCESS_RIGHTS, 0xc0f3}, {VMCS_GUEST_CS_ACCESS_RIGHTS, 0xa0fb}},
         "27.3.1.2",
         VMCS_GUEST_SS_ACCESS_RIGHTS,
         "RPL from the selector"},
        {REAL_MODE,
         {{VMCS_GUEST_CS_ACCESS_RIGHTS, 0x93}, {VMCS_GUEST_SS_ACCESS_RIGHTS, 0xb3}},
         "27.3.1.2",
         VMCS_GUEST_SS_ACCESS_RIGHTS,
         "CS is 3"},
        {REAL_MODE,
         {{VMCS_GUEST_CS_ACCESS_RIGHTS, 0xfb}, {VMCS_GUEST_SS_ACCESS_RIGHTS, 0xf3}},
         "27.3.1.2",
         VMCS_GUEST_SS_ACCESS_RIGHTS,
         "(PE) is 0"},
        {RESTRICTED, {{VMCS_GUEST_DS_ACCESS_RIGHTS, 0xc0d3}}, "27.3.1.2", VMCS_GUEST_DS_ACCESS_RIGHTS, "less than"},
        {LONG_MODE, {{VMCS_GUEST_CS_ACCESS_RIGHTS, 0xe09b}}, "27.3.1.2", VMCS_GUEST_CS_ACCESS_RIGHTS, "(D/B)"},
        /* TR and LDTR */
        {LONG_MODE, {{VMCS_GUEST_TR_ACCESS_RIGHTS, 0x83}}, "27.3.1.2", VMCS_GUEST_TR_ACCESS_RIGHTS, "Type must be 11"},
        {REAL_MODE, {{VMCS_GUEST_TR_ACCESS_RIGHTS, 0x89}}, "27.3.1.2", VMCS_GUEST_TR_ACCESS_RIGHTS, "Type must be 11"},
        {REAL_MODE, {{VMCS_GUEST_TR_ACCESS_RIGHTS, 0x9b}}, "27.3.1.2", VMCS_GUEST_TR_ACCESS_RIGHTS, "bit 4 (S)"},
        {REAL_MODE, {{VMCS_GUEST_TR_ACCESS_RIGHTS, 0x0b}}, "27.3.1.2", VMCS_GUEST_TR_ACCESS_RIGHTS, "bit 7 (P)"},
        {REAL_MODE, {{VMCS_GUEST_TR_ACCESS_RIGHTS, 0x88b}}, "27.3.1.2", VMCS_GUEST_TR_ACCESS_RIGHTS, "11:8"},
        {REAL_MODE, {{VMCS_GUEST_TR_ACCESS_RIGHTS, 0x1008b}}, "27.3.1.2", VMCS_GUEST_TR_ACCESS_RIGHTS, "(unusable)"},
        {REAL_MODE,
         {{VMCS_GUEST_TR_LIMIT, 0x67}, {VMCS_GUEST_TR_ACCESS_RIGHTS, 0x808b}},
         "27.3.1.2",
         VMCS_GUEST_TR_ACCESS_RIGHTS,
         "G must be 0"},
        {REAL_MODE, {{VMCS_GUEST_TR_LIMIT, 0xffffffff}}, "27.3.1.2", VMCS_GUEST_TR_ACCESS_RIGHTS, "G must be 1"},
        {REAL_MODE, {{VMCS_GUEST_LDTR_ACCESS_RIGHTS, 0x8b}}, "27.3.1.2", VMCS_GUEST_LDTR_ACCESS_RIGHTS, "(LDT)"},
        {REAL_MODE, {{VMCS_GUEST_LDTR_ACCESS_RIGHTS, 0x92}}, "27.3.1.2", VMCS_GUEST_LDTR_ACCESS_RIGHTS, "bit 4 (S)"},
        {REAL_MODE, {{VMCS_GUEST_LDTR_ACCESS_RIGHTS, 0x02}}, "27.3.1.2", VMCS_GUEST_LDTR_ACCESS_RIGHTS, "bit 7 (P)"},
        {REAL_MODE, {{VMCS_GUEST_LDTR_ACCESS_RIGHTS, 0x182}}, "27.3.1.2", VMCS_GUEST_LDTR_ACCESS_RIGHTS, "11:8"},
        {REAL_MODE, {{VMCS_GUEST_LDTR_ACCESS_RIGHTS, 0x80000082}}, "27.3.1.2", VMCS_GUEST_LDTR_ACCESS_RIGHTS, "31:17"},
        {REAL_MODE, {{VMCS_GUEST_LDTR_LIMIT, 0x100000}}, "27.3.1.2", VMCS_GUEST_LDTR_ACCESS_RIGHTS, "G must be 1"},
    };
    check_broken(cases, COUNT(cases));
}

static void guest_tables_and_flags(void **state)
{
    (void)state;
    static const struct broken cases[] = {
        {LONG_MODE, {{VMCS_GUEST_GDTR_BASE, 0x800000000000}}, "27.3.1.3", VMCS_GUEST_GDTR_BASE, "canonical"},
        {LONG_MODE, {{VMCS_GUEST_IDTR_BASE, 0x800000000000}}, "27.3.1.3", VMCS_GUEST_IDTR_BASE, "canonical"},
        {LONG_MODE, {{VMCS_GUEST_GDTR_LIMIT, 0x10000}}, "27.3.1.3", VMCS_GUEST_GDTR_LIMIT, "31:16"},
        {LONG_MODE, {{VMCS_GUEST_IDTR_LIMIT, 0x10000}}, "27.3.1.3", VMCS_GUEST_IDTR_LIMIT, "31:16"},
        {REAL_MODE, {{VMCS_GUEST_RIP, UINT64_C(1) << 32}}, "27.3.1.4", VMCS_GUEST_RIP, "63:32"},
        {LONG_MODE, {{VMCS_GUEST_CS_ACCESS_RIGHTS, 0xc09b}}, "27.3.1.4", VMCS_GUEST_RIP, "63:32"},
        {LONG_MODE, {{VMCS_GUEST_RIP, 0x800000000000}}, "27.3.1.4", VMCS_GUEST_RIP, "identical"},
        {LONG_MODE, {{VMCS_GUEST_RFLAGS, 0x400002}}, "27.3.1.4", VMCS_GUEST_RFLAGS, "63:22"},
        {LONG_MODE, {{VMCS_GUEST_RFLAGS, 0x8002}}, "27.3.1.4", VMCS_GUEST_RFLAGS, "bit 15"},
        {LONG_MODE, {{VMCS_GUEST_RFLAGS, 0x22}}, "27.3.1.4", VMCS_GUEST_RFLAGS, "bit 5"},
        {LONG_MODE, {{VMCS_GUEST_RFLAGS, 0xa}}, "27.3.1.4", VMCS_GUEST_RFLAGS, "bit 3"},
        {LONG_MODE, {{VMCS_GUEST_RFLAGS, 0x200}}, "27.3.1.4", VMCS_GUEST_RFLAGS, "bit 1 must be 1"},
        {VIRTUAL_8086, {{VMCS_GUEST_CR0, 0x30}}, "27.3.1.4", VMCS_GUEST_RFLAGS, "VM flag"},
        {LONG_MODE, {{VMCS_ENTRY_INTERRUPTION_INFO, 0x80000020}}, "27.3.1.4", VMCS_GUEST_RFLAGS, "IF flag"},
        {LONG_MODE, {ENTRY_WITH(ENTRY_LOAD_CET), {VMCS_GUEST_SSP, 1}}, "27.3.1.4", VMCS_GUEST_SSP, "bits 1:0"},
        {LONG_MODE,
         {ENTRY_WITH(ENTRY_LOAD_CET), {VMCS_GUEST_SSP, 0x800000000000}},
         "27.3.1.4",
         VMCS_GUEST_SSP,
         "identical"},
    };
    check_broken(cases, COUNT(cases));
}

static void guest_non_register_state(void **state)
{
    (void)state;
    enum { HLT = 1, SHUTDOWN = 2, WAIT_FOR_SIPI = 3 };
    static const struct broken cases[] = {
        {LONG_MODE, {{VMCS_GUEST_ACTIVITY, 4}}, "27.3.1.5", VMCS_GUEST_ACTIVITY, "range 0-3"},
        {LONG_MODE,
         {{VMCS_GUEST_ACTIVITY, HLT}, {VMCS_GUEST_CS_ACCESS_RIGHTS, 0xa0fb}, {VMCS_GUEST_SS_ACCESS_RIGHTS, 0xc0f3}},
         "27.3.1.5",
         VMCS_GUEST_ACTIVITY,
         "DPL"},
        {LONG_MODE,
         {{VMCS_GUEST_ACTIVITY, HLT}, {VMCS_GUEST_RFLAGS, 0x202}, {VMCS_GUEST_INTERRUPTIBILITY, 1}},
         "27.3.1.5",
         VMCS_GUEST_ACTIVITY,
         "active state"},
        {LONG_MODE,
         {{VMCS_GUEST_ACTIVITY, HLT}, {VMCS_ENTRY_INTERRUPTION_INFO, 0x80000b0e}},
         "27.3.1.5",
         VMCS_GUEST_ACTIVITY,
         "injected event"},
        {LONG_MODE,
         {{VMCS_GUEST_ACTIVITY, SHUTDOWN}, {VMCS_GUEST_RFLAGS, 0x202}, {VMCS_ENTRY_INTERRUPTION_INFO, 0x80000020}},
         "27.3.1.5",
         VMCS_GUEST_ACTIVITY,
         "injected event"},
        {LONG_MODE,
         {{VMCS_GUEST_ACTIVITY, WAIT_FOR_SIPI}, {VMCS_ENTRY_INTERRUPTION_INFO, 0x80000202}},
         "27.3.1.5",
         VMCS_GUEST_ACTIVITY,
         "injected event"},
        {LONG_MODE, {{VMCS_GUEST_INTERRUPTIBILITY, 0x20}}, "27.3.1.5", VMCS_GUEST_INTERRUPTIBILITY, "31:5"},
        {LONG_MODE,
         {{VMCS_GUEST_INTERRUPTIBILITY, 3}, {VMCS_GUEST_RFLAGS, 0x202}},
         "27.3.1.5",
         VMCS_GUEST_INTERRUPTIBILITY,
         "both STI and MOV SS"},
        {LONG_MODE, {{VMCS_GUEST_INTERRUPTIBILITY, 1}}, "27.3.1.5", VMCS_GUEST_INTERRUPTIBILITY, "IF flag is 0"},
        {LONG_MODE, {{VMCS_GUEST_INTERRUPTIBILITY, 4}}, "27.3.1.5", VMCS_GUEST_INTERRUPTIBILITY, "not in SMM"},
        {LONG_MODE,
         {{VMCS_GUEST_INTERRUPTIBILITY, 0x12}},
         "27.3.1.5",
         VMCS_GUEST_INTERRUPTIBILITY,
         "MOV SS) must be 0"},
        {LONG_MODE, {{VMCS_GUEST_INTERRUPTIBILITY, 0x10}}, "27.3.1.5", VMCS_GUEST_INTERRUPTIBILITY, "SGX"},
        {LONG_MODE,
         {{VMCS_GUEST_INTERRUPTIBILITY, 1}, {VMCS_GUEST_RFLAGS, 0x202}, {VMCS_ENTRY_INTERRUPTION_INFO, 0x80000020}},
         "27.3.1.5",
         VMCS_GUEST_INTERRUPTIBILITY,
         "external interrupt"},
        {LONG_MODE,
         {{VMCS_GUEST_INTERRUPTIBILITY, 2}, {VMCS_GUEST_RFLAGS, 0x202}, {VMCS_ENTRY_INTERRUPTION_INFO, 0x80000020}},
         "27.3.1.5",
         VMCS_GUEST_INTERRUPTIBILITY,
         "external interrupt"},
        {LONG_MODE,
         {{VMCS_GUEST_INTERRUPTIBILITY, 2}, {VMCS_ENTRY_INTERRUPTION_INFO, 0x80000202}},
         "27.3.1.5",
         VMCS_GUEST_INTERRUPTIBILITY,
         "bit 1 (blocking by MOV SS) must be 0 if an NMI"},
        {LONG_MODE,
         {{VMCS_GUEST_INTERRUPTIBILITY, 1}, {VMCS_GUEST_RFLAGS, 0x202}, {VMCS_ENTRY_INTERRUPTION_INFO, 0x80000202}},
         "27.3.1.5",
         VMCS_GUEST_INTERRUPTIBILITY,
         "may require"},
        {LONG_MODE,
         {{VMCS_GUEST_INTERRUPTIBILITY, 8}, {VMCS_ENTRY_INTERRUPTION_INFO, 0x80000202}},
         "27.3.1.5",
         VMCS_GUEST_INTERRUPTIBILITY,
         "bit 3"},
        {LONG_MODE,
         {{VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0x10}},
         "27.3.1.5",
         VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS,
         "11:4"},
        {LONG_MODE,
         {{VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0x800}}, // without bus-lock detection
         "27.3.1.5",
         VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS,
         "11:4"},
        {LONG_MODE,
         {{VMCS_GUEST_RFLAGS, 0x302}, {VMCS_GUEST_INTERRUPTIBILITY, 2}},
         "27.3.1.5",
         VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS,
         "(BS) must be 1"},
        {LONG_MODE,
         {{VMCS_GUEST_ACTIVITY, HLT}, {VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0x4000}},
         "27.3.1.5",
         VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS,
         "(BS) must be 0"},
        {LONG_MODE,
         {{VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0x10000}},
         "27.3.1.5",
         VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS,
         "bit 12 must be 1"},
        {LONG_MODE,
         {{VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0x11000}},
         "27.3.1.5",
         VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS,
         "support RTM"},
        {LONG_MODE, {{VMCS_LINK_POINTER, 0x123004}}, "27.3.1.5", VMCS_LINK_POINTER, "bits 11:0"},
        {LONG_MODE, {{VMCS_LINK_POINTER, UINT64_MAX - 0xfff}}, "27.3.1.5", VMCS_LINK_POINTER, "width"},
        {PAE, {{VMCS_GUEST_PDPTE0, 0x1003}}, "27.3.1.6", VMCS_GUEST_PDPTE0, "PDPTE"},
        {PAE, {{VMCS_GUEST_PDPTE3, 0x400000000001}}, "27.3.1.6", VMCS_GUEST_PDPTE3, "PDPTE"},
    };
    check_broken(cases, COUNT(cases));
}

/* ---- what depends on the processor ---- */

static void processors_differ(void **state)
{
    (void)state;
    struct vmx_entry_state s;
    struct vmx_violation violation;
    entry_base(&s, LONG_MODE);
    vmx_entry_set(&s, VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0x11000);
    s.processor.rtm = true;
    assert_true(vmx_entry_check(&s, &violation));
    vmx_entry_set(&s, VMCS_GUEST_INTERRUPTIBILITY, 2);
    assert_false(vmx_entry_check(&s, &violation));
    assert_non_null(strstr(violation.rule, "(RTM) is 1, the interruptibility"));

    entry_base(&s, LONG_MODE);
    vmx_entry_set(&s, VMCS_GUEST_INTERRUPTIBILITY, 0x10);
    s.processor.sgx = true;
    assert_true(vmx_entry_check(&s, &violation));

    entry_base(&s, LONG_MODE);
    vmx_entry_set(&s, VMCS_GUEST_CR3, UINT64_C(1) << 62 | 0x200000);
    s.processor.lam = true;
    assert_true(vmx_entry_check(&s, &violation));

    entry_base(&s, LONG_MODE);
    vmx_entry_set(&s, VMCS_GUEST_RIP, not_canonical);
    s.processor.linear_bits = 57;
    assert_true(vmx_entry_check(&s, &violation));

    entry_base(&s, LONG_MODE);
    struct vmx_caps caps = entry_caps;
    s.caps = &caps;
    caps.ept_vpid &= ~(UINT64_C(1) << 21);
    assert_false(vmx_entry_check(&s, &violation));
    assert_non_null(strstr(violation.rule, "accessed and dirty"));
    caps = entry_caps;
    caps.ept_vpid |= 1u << 7 | 1u << 23;
    vmx_entry_set(&s, VMCS_EPT_POINTER, 0x1230e6);
    assert_true(vmx_entry_check(&s, &violation));

    entry_base(&s, LONG_MODE);
    s.caps = &caps;
    caps.misc &= ~UINT64_C(0x40);
    vmx_entry_set(&s, VMCS_GUEST_ACTIVITY, 1);
    assert_false(vmx_entry_check(&s, &violation));
    assert_int_equal(violation.field, VMCS_GUEST_ACTIVITY);
}

/// Without the activating control, the fields of a feature are not looked at.
static void what_is_off_is_not_checked(void **state)
{
    (void)state;
    check_accepted(LONG_MODE, (const struct setting[CHANGES]){
                                  {VMCS_TERTIARY_CONTROLS, UINT64_MAX},
                                  {VMCS_PML_ADDRESS, 1},
                                  {VMCS_VIRTUAL_APIC_ADDRESS, 1},
                                  {VMCS_VM_FUNCTION_CONTROLS, UINT64_MAX},
                                  {VMCS_EXIT_MSR_LOAD_ADDRESS, 1},
                                  {VMCS_GUEST_IA32_PAT, 3},
                              });
    check_accepted(LONG_MODE, (const struct setting[CHANGES]){
                                  {VMCS_ENTRY_INTERRUPTION_INFO, 0x7fffffff},
                                  {VMCS_ENTRY_EXCEPTION_ERROR_CODE, UINT32_MAX},
                                  {VMCS_GUEST_ES_BASE, not_canonical},
                                  {VMCS_GUEST_LDTR_BASE, not_canonical},
                                  {VMCS_GUEST_PDPTE0, UINT64_MAX},
                                  {VMCS_GUEST_S_CET, UINT64_MAX},
                              });
}

static uint64_t fake_vmcs[VMCS_FIELD_COUNT];

static bool read_fake(uint32_t field, uint64_t *value)
{
    *value = fake_vmcs[vmcs_field_index(field)];
    return field != VMCS_TSC_MULTIPLIER; // which this processor has not
}

static void snapshots_hold_every_field(void **state)
{
    (void)state;
    struct vmx_entry_state s = {0};
    for (size_t i = 0; i < VMCS_FIELD_COUNT; i++)
        fake_vmcs[i] = i + 1;
    vmx_entry_snapshot(&s, read_fake);
    for (size_t i = 0; i < VMCS_FIELD_COUNT; i++)
        assert_int_equal(s.value[i], i == vmcs_field_index(VMCS_TSC_MULTIPLIER) ? 0 : i + 1);
    assert_int_equal(vmx_entry_get(&s, VMCS_VPID), 1);
    vmx_entry_set(&s, VMCS_VPID, 0x12345);
    assert_int_equal(vmx_entry_get(&s, VMCS_VPID), 0x2345);
}

static void violations_become_text(void **state)
{
    (void)state;
    struct vmx_entry_state s;
    struct vmx_violation violation;
    char text[200];
    entry_base(&s, LONG_MODE);
    vmx_entry_set(&s, VMCS_GUEST_RFLAGS, 0x200);
    assert_false(vmx_entry_check(&s, &violation));
    const size_t length = vmx_violation_text(&violation, text, sizeof(text));
    assert_string_equal(text, "guest_rflags = 0x200: reserved bit 1 must be 1 (SDM Vol. 3C 27.3.1.4)");
    assert_int_equal(length, strlen(text));
}

/// Garbage in any field: the checker ends, and when it refuses it names a field and a rule.
static void garbage_is_refused_with_a_reason(void **state)
{
    (void)state;
    uint64_t seed = 23;
    for (int round = 0; round < 20000; round++) {
        struct vmx_entry_state s;
        struct vmx_violation violation = {0};
        size_t count;
        const struct vmcs_field_info *fields = vmcs_fields(&count);
        entry_base(&s, (enum base)random_below(&seed, 5));
        for (uint64_t i = random_below(&seed, 8); i > 0; i--) {
            const uint64_t value = random_below(&seed, UINT64_C(1) << 53) << random_below(&seed, 12);
            vmx_entry_set(&s, (enum vmcs_field)fields[random_below(&seed, count)].encoding, value);
        }
        if (!vmx_entry_check(&s, &violation)) {
            assert_non_null(violation.rule);
            assert_non_null(vmcs_field_by_encoding(violation.field));
            assert_int_equal(violation.value, vmx_entry_get(&s, (enum vmcs_field)violation.field));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_states_are_accepted),
        cmocka_unit_test(guest_registers),
        cmocka_unit_test(guest_segments),
        cmocka_unit_test(guest_tables_and_flags),
        cmocka_unit_test(guest_non_register_state),
        cmocka_unit_test(processors_differ),
        cmocka_unit_test(what_is_off_is_not_checked),
        cmocka_unit_test(snapshots_hold_every_field),
        cmocka_unit_test(violations_become_text),
        cmocka_unit_test(garbage_is_refused_with_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
