// SPDX-License-Identifier: Apache-2.0
#include "msr_names.h"

const struct msr_name msr_names[] = {
    {0x10, "IA32_TIME_STAMP_COUNTER", "time stamp counter"},
    {0x17, "IA32_PLATFORM_ID", "bits 52:50: platform"},
    {0x1b, "IA32_APIC_BASE", "local APIC: address, bit 8 boot processor, 10 x2APIC, 11 enabled"},
    {0x34, "MSR_SMI_COUNT", "system management interrupts since reset"},
    {0x3a, "IA32_FEATURE_CONTROL", "bit 0 locked, 1 VMX inside SMX, 2 VMX outside SMX"},
    {0x3b, "IA32_TSC_ADJUST", "what was added to the time stamp counter"},
    {0x48, "IA32_SPEC_CTRL", "bit 0 IBRS, 1 STIBP, 2 SSBD"},
    {0x8b, "IA32_BIOS_SIGN_ID", "bits 63:32: microcode revision"},
    {0xce, "MSR_PLATFORM_INFO", "bits 15:8: base ratio to 100 MHz"},
    {0xcf, "IA32_CORE_CAPABILITIES", "bit 5: split-lock detection"},
    {0xe1, "IA32_UMWAIT_CONTROL", "limits of UMWAIT and TPAUSE"},
    {0xe7, "IA32_MPERF", "counts at the maximum frequency"},
    {0xe8, "IA32_APERF", "counts at the actual frequency"},
    {0xfe, "IA32_MTRRCAP", "memory-type range registers that exist"},
    {0x10a, "IA32_ARCH_CAPABILITIES", "which attacks the processor withstands"},
    {0x122, "IA32_TSX_CTRL", "bit 0: transactions always abort"},
    {0x123, "IA32_MCU_OPT_CTRL", "bit 0: no mitigation of SRBDS"},
    {0x174, "IA32_SYSENTER_CS", "selector that SYSENTER loads"},
    {0x175, "IA32_SYSENTER_ESP", "stack that SYSENTER loads"},
    {0x176, "IA32_SYSENTER_EIP", "where SYSENTER goes"},
    {0x179, "IA32_MCG_CAP", "machine-check capabilities"},
    {0x17a, "IA32_MCG_STATUS", "machine-check status"},
    {0x1a0, "IA32_MISC_ENABLE", "bit 0 fast strings, 18 MONITOR, 22 limit CPUID"},
    {0x1d9, "IA32_DEBUGCTL", "bit 0 last-branch records, 1 step on branches"},
    {0x200, "IA32_MTRR_PHYSBASE0", "first variable memory-type range"},
    {0x201, "IA32_MTRR_PHYSMASK0", "its mask; bit 11: valid"},
    {0x277, "IA32_PAT", "page attribute table"},
    {0x2ff, "IA32_MTRR_DEF_TYPE", "bits 7:0 default memory type, 11 enabled"},
    {0x345, "IA32_PERF_CAPABILITIES", "performance-monitoring capabilities"},
    {0x38f, "IA32_PERF_GLOBAL_CTRL", "performance counters that run"},
    {0x480, "IA32_VMX_BASIC", "VMCS revision, size, memory type"},
    {0x481, "IA32_VMX_PINBASED_CTLS", "pin-based controls: bits 31:0 must be 1, 63:32 may be 1"},
    {0x482, "IA32_VMX_PROCBASED_CTLS", "primary processor-based controls"},
    {0x483, "IA32_VMX_EXIT_CTLS", "VM-exit controls"},
    {0x484, "IA32_VMX_ENTRY_CTLS", "VM-entry controls"},
    {0x485, "IA32_VMX_MISC", "preemption-timer rate, activity states, CR3 targets"},
    {0x486, "IA32_VMX_CR0_FIXED0", "CR0 bits that must be 1 in VMX operation"},
    {0x487, "IA32_VMX_CR0_FIXED1", "CR0 bits that may be 1 in VMX operation"},
    {0x488, "IA32_VMX_CR4_FIXED0", "CR4 bits that must be 1 in VMX operation"},
    {0x489, "IA32_VMX_CR4_FIXED1", "CR4 bits that may be 1 in VMX operation"},
    {0x48a, "IA32_VMX_VMCS_ENUM", "highest VMCS field index"},
    {0x48b, "IA32_VMX_PROCBASED_CTLS2", "secondary processor-based controls"},
    {0x48c, "IA32_VMX_EPT_VPID_CAP", "EPT and VPID capabilities"},
    {0x48d, "IA32_VMX_TRUE_PINBASED_CTLS", "pin-based controls, with the bits that older processors fixed"},
    {0x48e, "IA32_VMX_TRUE_PROCBASED_CTLS", "primary controls, likewise"},
    {0x48f, "IA32_VMX_TRUE_EXIT_CTLS", "VM-exit controls, likewise"},
    {0x490, "IA32_VMX_TRUE_ENTRY_CTLS", "VM-entry controls, likewise"},
    {0x491, "IA32_VMX_VMFUNC", "VM functions"},
    {0x492, "IA32_VMX_PROCBASED_CTLS3", "tertiary processor-based controls"},
    {0x493, "IA32_VMX_EXIT_CTLS2", "secondary VM-exit controls"},
    {0x6e0, "IA32_TSC_DEADLINE", "when the local APIC's timer fires"},
    {0x802, "IA32_X2APIC_APICID", "local APIC id"},
    {0x803, "IA32_X2APIC_VERSION", "local APIC version"},
    {0x808, "IA32_X2APIC_TPR", "task priority"},
    {0x80f, "IA32_X2APIC_SIVR", "spurious-interrupt vector"},
    {0xd90, "IA32_BNDCFGS", "MPX bounds of ring 0"},
    {0xda0, "IA32_XSS", "supervisor state that XSAVES saves"},
    {0xc0000080, "IA32_EFER", "bit 0 SYSCALL, 8 and 10 long mode, 11 NX"},
    {0xc0000081, "IA32_STAR", "selectors of SYSCALL and SYSRET"},
    {0xc0000082, "IA32_LSTAR", "where SYSCALL goes"},
    {0xc0000083, "IA32_CSTAR", "where SYSCALL goes from 32-bit code (not on Intel)"},
    {0xc0000084, "IA32_FMASK", "flags that SYSCALL clears"},
    {0xc0000100, "IA32_FS_BASE", "base of FS"},
    {0xc0000101, "IA32_GS_BASE", "base of GS"},
    {0xc0000102, "IA32_KERNEL_GS_BASE", "what SWAPGS exchanges"},
    {0xc0000103, "IA32_TSC_AUX", "what RDTSCP and RDPID return"},
};
const size_t msr_name_count = sizeof(msr_names) / sizeof(msr_names[0]);

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static int same_name(const char *a, const char *b)
{
    while (*a != '\0' && upper(*a) == upper(*b)) {
        a++;
        b++;
    }
    return *a == *b;
}

const struct msr_name *msr_by_name(const char *name)
{
    for (size_t i = 0; i < msr_name_count; i++)
        if (same_name(msr_names[i].name, name))
            return &msr_names[i];
    return NULL;
}

const struct msr_name *msr_by_number(uint32_t number)
{
    for (size_t i = 0; i < msr_name_count; i++)
        if (msr_names[i].number == number)
            return &msr_names[i];
    return NULL;
}
