// SPDX-License-Identifier: Apache-2.0
/// Names of MSRs, control-register bits, CPUID bits and vectors, as the SDM calls them.
#ifndef POLYVISOR_ARCH_REGISTERS_H
#define POLYVISOR_ARCH_REGISTERS_H

#include <stdint.h>

#include <polyvisor/vmx_msrs.h>

#define BIT(n) (UINT64_C(1) << (n))

/* Model-specific registers, SDM Vol. 4; those of VMX are in polyvisor/vmx_msrs.h */
enum {
    MSR_APIC_BASE = 0x1b,
    MSR_ARCH_CAPABILITIES = 0x10a,
    MSR_TSC_ADJUST = 0x3b,
    MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP = 0x175,
    MSR_SYSENTER_EIP = 0x176,
    MSR_DEBUGCTL = 0x1d9,
    MSR_PAT = 0x277,
    MSR_TSC_DEADLINE = 0x6e0,
    MSR_X2APIC = 0x800, ///< register at xAPIC offset n stands at MSR_X2APIC + n / 16
    MSR_X2APIC_ICR = 0x830,
};
#define MSR_EFER UINT32_C(0xc0000080)
#define MSR_STAR UINT32_C(0xc0000081)
#define MSR_LSTAR UINT32_C(0xc0000082)
#define MSR_CSTAR UINT32_C(0xc0000083)
#define MSR_SFMASK UINT32_C(0xc0000084)
#define MSR_FS_BASE UINT32_C(0xc0000100)
#define MSR_GS_BASE UINT32_C(0xc0000101)
#define MSR_KERNEL_GS_BASE UINT32_C(0xc0000102)
#define MSR_TSC_AUX UINT32_C(0xc0000103)
#define ARCH_CAPABILITIES_IF_PSCHANGE_MC_NO BIT(6)
#define EFER_SCE BIT(0)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)
#define APIC_BASE_EXTD BIT(10)
#define APIC_BASE_ENABLE BIT(11)

/* Control registers, SDM Vol. 3A 2.5 */
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)
#define CR4_DE BIT(3)
#define CR4_PSE BIT(4)
#define CR4_PAE BIT(5)
#define CR4_MCE BIT(6)
#define CR4_PGE BIT(7)
#define CR4_OSFXSR BIT(9)
#define CR4_UMIP BIT(11)
#define CR4_LA57 BIT(12)
#define CR4_VMXE BIT(13)
#define CR4_PCIDE BIT(17)
#define CR4_OSXSAVE BIT(18)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)

/* Debug registers, SDM Vol. 3B 18.2 */
#define DR7_ENABLES UINT64_C(0xff)
#define DR7_GD BIT(13)

#define DEBUGCTL_ALL UINT64_C(0xffc3)          // IA32_DEBUGCTL's bits, SDM Vol. 3B 18.4.1
#define DR7_RESET UINT64_C(0x400)              // SDM Vol. 3A table 10-1
#define PAT_RESET UINT64_C(0x0007040600070406) // SDM Vol. 3A 12.12.4; page flags in paging.h rely on it

/* RFLAGS */
#define RFLAGS_FIXED BIT(1)
#define RFLAGS_TF BIT(8)
#define RFLAGS_IF BIT(9)

/* CPUID, SDM Vol. 2A */
#define CPUID_1_ECX_VMX BIT(5)
#define CPUID_1_ECX_X2APIC BIT(21)
#define CPUID_1_ECX_TSC_DEADLINE BIT(24)
#define CPUID_1_ECX_XSAVE BIT(26)
#define CPUID_7_EBX_TSC_ADJUST BIT(1)
#define CPUID_7_EBX_SMEP BIT(7)
#define CPUID_7_EBX_SMAP BIT(20)
#define CPUID_7_ECX_UMIP BIT(2)
#define CPUID_1_EDX_SEP BIT(11)
#define VENDOR_AMD UINT32_C(0x68747541)   // CPUID.0:EBX, "Auth"enticAMD
#define VENDOR_HYGON UINT32_C(0x6f677948) // "Hygo"nGenuine
#define CPUID_80000001_EDX_NX BIT(20)
#define CPUID_80000001_EDX_1G BIT(26)
#define CPUID_80000001_EDX_RDTSCP BIT(27)

/* Exception vectors, SDM Vol. 3A 6.3.1 */
enum {
    VECTOR_DE = 0,
    VECTOR_DB = 1,
    VECTOR_NMI = 2,
    VECTOR_BP = 3,
    VECTOR_OF = 4,
    VECTOR_UD = 6,
    VECTOR_DF = 8,
    VECTOR_GP = 13,
    VECTOR_PF = 14,
    VECTOR_AC = 17,
    VECTOR_MC = 18,
    VECTOR_EXCEPTIONS = 32, ///< external interrupts from here on
    /* ours */
    VECTOR_COM1 = 0x40,
    VECTOR_TIMER = 0xf0,
    VECTOR_MESSAGE = 0xf1,
    VECTOR_SPURIOUS = 0xff,
};

/* Selectors. SYSENTER and SYSEXIT derive all from SYSENTER_CS (SDM Vol. 2B SYSEXIT): +8 ring-0 SS, +32 ring-3 64-bit
 * CS, +40 ring-3 SS. */
enum {
    SELECTOR_KERNEL_CODE = 0x08,
    SELECTOR_KERNEL_DATA = 0x10,
    SELECTOR_USER_CODE = 0x28 | 3,
    SELECTOR_USER_DATA = 0x30 | 3,
    SELECTOR_TSS = 0x38,
};

#endif
