// SPDX-License-Identifier: Apache-2.0
/// A core's control registers and descriptor tables.
#include "arch/x86/core.h"

#include <polyvisor/string.h>

#include "arch/x86/fpu.h"
#include "arch/x86/registers.h"

struct core cores[PV_MAX_CORES];
uint32_t core_count;
/// Whether user copies must open and close SMAP's gate (entry.asm).
bool user_copy_smap;

/// Interrupt gate, SDM Vol. 3A 6.14.1.
struct gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
};
enum { GATE_INTERRUPT = 0x8e, GATE_RING3 = 0x60, STUB_SIZE = 16 };

static struct gate idt[256] __attribute__((aligned(4096)));

extern const uint8_t trap_stubs[];
extern void sysenter_entry(void);

static uint8_t ist_of(uint32_t vector)
{
    switch (vector) {
    case VECTOR_DF:
        return IST_DF;
    case VECTOR_MC:
        return IST_MC;
    case VECTOR_NMI:
        return IST_NMI;
    case VECTOR_DB: // may come on SYSENTER's first instruction
        return IST_DB;
    default:
        return IST_NONE;
    }
}

static void build_idt(void)
{
    for (uint32_t v = 0; v < 256; v++) {
        uint64_t stub = (uint64_t)trap_stubs + v * STUB_SIZE;
        // INT3 and INTO name themselves when ring 3 executes them; INT n with another number is #GP.
        uint8_t ring3 = v == VECTOR_BP || v == VECTOR_OF ? GATE_RING3 : 0;
        idt[v] = (struct gate){
            .offset_low = (uint16_t)stub,
            .selector = SELECTOR_KERNEL_CODE,
            .ist = ist_of(v),
            .type = GATE_INTERRUPT | ring3,
            .offset_middle = (uint16_t)(stub >> 16),
            .offset_high = (uint32_t)(stub >> 32),
        };
    }
}

static void load_idt(void)
{
    struct table_pointer p = {sizeof(idt) - 1, (uint64_t)idt};
    __asm__ volatile("lidt %0" : : "m"(p));
}

static void load_gdt(struct core *core)
{
    // SDM Vol. 3A 3.4.5: access byte and flags; base and limit count only for the TSS.
    static const uint64_t segments[] = {
        0,
        0x00af9a000000ffff, // ring 0, 64-bit code
        0x00cf92000000ffff, // ring 0, data
        0x00cffa000000ffff, // ring 3, 32-bit code: SYSEXIT's place for it, no one uses it
        0x00cff2000000ffff, // ring 3, data
        0x00affa000000ffff, // ring 3, 64-bit code
        0x00cff2000000ffff, // ring 3, data
    };
    memcpy(core->gdt, segments, sizeof(segments));
    uint64_t tss = (uint64_t)&core->tss;
    core->gdt[7] = (sizeof(struct tss) - 1) | (tss & 0xffffff) << 16 | UINT64_C(0x89) << 40 | (tss >> 24 & 0xff) << 56;
    core->gdt[8] = tss >> 32;

    core->gdt_pointer = (struct table_pointer){sizeof(core->gdt) - 1, (uint64_t)core->gdt};
    __asm__ volatile("lgdt %0\n\t"
                     "push %1\n\t"
                     "lea 1f(%%rip), %%rax\n\t"
                     "push %%rax\n\t"
                     "lretq\n"
                     "1:\n\t"
                     "mov %w2, %%ss\n\t"
                     "mov %w3, %%ds\n\t"
                     "mov %w3, %%es\n\t"
                     "mov %w3, %%fs\n\t"
                     "mov %w3, %%gs"
                     :
                     : "m"(core->gdt_pointer), "i"((uint64_t)SELECTOR_KERNEL_CODE), "r"(SELECTOR_KERNEL_DATA), "r"(0)
                     : "rax", "memory");
}

static void load_tss(struct core *core)
{
    core->tss.io_map_base = sizeof(struct tss);
    for (int i = 0; i < IST_COUNT; i++) {
        core->tss.ist[i + 1] = (uint64_t)core->ist_stack[i];
    }
    __asm__ volatile("ltr %w0" : : "r"(SELECTOR_TSS));
}

/// The features that protect ring 0, where present (SDM Vol. 3A 2.5, 4.1.3, 4.6). CR0.TS: the FPU holds a vcpu's
/// state, so its use in ring 3 is #NM. CR4.FSGSBASE stays 0 and EFER.SCE is 0: SYSCALL in ring 3 is #UD, never a jump
/// to a guest's LSTAR.
static void load_control_registers(void)
{
    struct cpuid f7 = cpu_cpuid(0, 0).eax >= 7 ? cpu_cpuid(7, 0) : (struct cpuid){0};
    uint64_t cr4 = CR4_PAE | CR4_PGE | CR4_MCE | CR4_DE | CR4_OSFXSR;
    cr4 |= f7.ebx & CPUID_7_EBX_SMEP ? CR4_SMEP : 0;
    cr4 |= f7.ebx & CPUID_7_EBX_SMAP ? CR4_SMAP : 0;
    cr4 |= f7.ecx & CPUID_7_ECX_UMIP ? CR4_UMIP : 0;
    user_copy_smap = (cr4 & CR4_SMAP) != 0;
    cpu_write_cr4(cr4);
    cpu_write_cr0((cpu_read_cr0() | CR0_WP | CR0_NE | CR0_MP | CR0_TS) & ~(CR0_EM | CR0_CD | CR0_NW));
    cpu_wrmsr(MSR_EFER, (cpu_rdmsr(MSR_EFER) | EFER_NXE) & ~EFER_SCE);
}

const char *core_missing_feature(void)
{
    struct cpuid vendor = cpu_cpuid(0, 0);
    if (!(cpu_cpuid(0x80000001, 0).edx & CPUID_80000001_EDX_NX)) {
        return "no execute-disable (NX), or the firmware has switched it off";
    }
    if (!(cpu_cpuid(1, 0).edx & CPUID_1_EDX_SEP) || vendor.ebx == VENDOR_AMD || vendor.ebx == VENDOR_HYGON) {
        return "no SYSENTER in 64-bit mode (Intel's processors have it, AMD's do not)";
    }
    return NULL;
}

void core_early_init(void)
{
    // Till core 0 has stacks of its own: one for whatever needs an interrupt stack this early.
    static uint8_t early_stack[STACK_SLOT] __attribute__((aligned(STACK_SLOT)));
    struct stack_top *early = stack_top_of((uint64_t)early_stack);
    early->core = &cores[0];
    for (int i = 0; i < IST_COUNT; i++) {
        cores[0].ist_stack[i] = early;
    }
    cores[0].main_stack = stack_top_of(cpu_stack_pointer());
    build_idt();
    load_gdt(&cores[0]);
    load_tss(&cores[0]);
    load_idt();
    cpu_wrmsr(MSR_EFER, cpu_rdmsr(MSR_EFER) | EFER_NXE); // before tables with NX bits are used
}

void core_load(struct core *core)
{
    load_gdt(core);
    load_tss(core);
    load_idt();
    load_control_registers();
    fpu_enable();
    core->xcr0 = fpu_features();
    // What firmware or INIT may have left: an LDT that ring 3 could name, breakpoints, branch traps, other page
    // attributes.
    __asm__ volatile("lldt %w0" : : "r"(0));
    __asm__ volatile("mov %0, %%dr7" : : "r"(DR7_RESET));
    msr_write_safe(MSR_DEBUGCTL, 0);
    cpu_wrmsr(MSR_PAT, PAT_RESET);
    cpu_wrmsr(MSR_SYSENTER_CS, SELECTOR_KERNEL_CODE);
    cpu_wrmsr(MSR_SYSENTER_ESP, (uint64_t)core->main_stack);
    cpu_wrmsr(MSR_SYSENTER_EIP, (uint64_t)sysenter_entry);
}

uint64_t core_idt_base(void)
{
    return (uint64_t)idt;
}

void core_hide_fpu(void)
{
    cpu_write_cr0(cpu_read_cr0() | CR0_TS);
}
