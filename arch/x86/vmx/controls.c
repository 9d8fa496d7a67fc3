// SPDX-License-Identifier: Apache-2.0
#include "arch/x86/vmx/controls.h"

#include <stddef.h>

#include "arch/x86/registers.h"
#include "arch/x86/vmx/caps.h"

#define CR0_PE BIT(0)
#define CR0_PG BIT(31)

/// What the design says of a control field. Every bit is in at most one of free and forced.
struct control {
    enum vmcs_field field;
    size_t caps;       ///< offset of its capability MSR in struct vmx_caps
    uint32_t required; ///< always 1; a processor without them cannot be used
    uint32_t forced;   ///< 1 where the processor has them
    uint32_t free;     ///< the personality's choice
    uint32_t initial;  ///< of the free ones: 1 in a new vcpu
};

/*
 * Forced besides what section 6 of the design names:
 * - CR8 accesses would reach the core's own task priority while there is no TPR shadow (apic_policy.c).
 * - MWAIT could take the core into a C-state in which the VMX-preemption timer stands still (SDM Vol. 3C 26.5.1).
 * - RDPMC reads the machine's counters.
 * - WBINVD stalls the core for as long as it takes to write back caches that others fill.
 *
 * Not free: what names physical memory (APIC virtualization, which apic_policy.c decides about, VMCS shadowing, PML, #VE, sub-pages, PASIDs, EPTP lists);
 * what needs a second set of tables (mode-based execute control); what loads a host or guest MSR that is not switched
 * both ways (PERF_GLOBAL_CTRL, BNDCFGS, PKRS, CET, Intel PT, LBR, UINV, FRED); SMM; PCONFIG, which changes the
 * machine's keys.
 */
static const struct control controls[] = {
    {
        .field = VMCS_PIN_CONTROLS,
        .caps = offsetof(struct vmx_caps, pin),
        .required = PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI,
        .forced = PIN_PREEMPTION_TIMER, // else the local APIC's timer takes its place (vmm/sched.c)
    },
    {
        .field = VMCS_PRIMARY_CONTROLS,
        .caps = offsetof(struct vmx_caps, primary),
        .required = PRIMARY_IO_BITMAPS | PRIMARY_MSR_BITMAPS | PRIMARY_SECONDARY | PRIMARY_MWAIT | PRIMARY_RDPMC |
                    PRIMARY_CR8_LOAD | PRIMARY_CR8_STORE,
        .free = PRIMARY_INTERRUPT_WINDOW | PRIMARY_TSC_OFFSET | PRIMARY_HLT | PRIMARY_INVLPG | PRIMARY_RDTSC |
                PRIMARY_CR3_LOAD | PRIMARY_CR3_STORE | PRIMARY_NMI_WINDOW | PRIMARY_MOV_DR | PRIMARY_UNCONDITIONAL_IO |
                PRIMARY_MONITOR_TRAP | PRIMARY_MONITOR | PRIMARY_PAUSE,
        .initial = PRIMARY_TSC_OFFSET | PRIMARY_HLT | PRIMARY_MOV_DR | PRIMARY_MONITOR,
    },
    {
        .field = VMCS_SECONDARY_CONTROLS,
        .caps = offsetof(struct vmx_caps, secondary),
        .required = SECONDARY_EPT | SECONDARY_VPID,
        .forced = SECONDARY_WBINVD,
        .free = SECONDARY_DESCRIPTOR_TABLE | SECONDARY_RDTSCP | SECONDARY_UNRESTRICTED | SECONDARY_PAUSE_LOOP |
                SECONDARY_RDRAND | SECONDARY_INVPCID | SECONDARY_ENCLS | SECONDARY_RDSEED | SECONDARY_XSAVES |
                SECONDARY_USER_WAIT | SECONDARY_ENCLV | SECONDARY_BUS_LOCK | SECONDARY_INSTRUCTION_TIMEOUT,
        .initial = SECONDARY_RDTSCP | SECONDARY_UNRESTRICTED | SECONDARY_INVPCID | SECONDARY_XSAVES,
    },
    {
        .field = VMCS_EXIT_CONTROLS,
        .caps = offsetof(struct vmx_caps, exit),
        .required = EXIT_HOST_64 | EXIT_ACK_INTERRUPT | EXIT_SAVE_EFER | EXIT_LOAD_EFER | EXIT_SAVE_PAT |
                    EXIT_LOAD_PAT | EXIT_SAVE_DEBUG,
        .forced = EXIT_SAVE_PREEMPTION_TIMER,
    },
    {
        .field = VMCS_ENTRY_CONTROLS,
        .caps = offsetof(struct vmx_caps, entry),
        .required = ENTRY_LOAD_EFER | ENTRY_LOAD_PAT | ENTRY_LOAD_DEBUG,
        .free = ENTRY_LONG_MODE,
    },
};

enum { CONTROLS = sizeof(controls) / sizeof(controls[0]) };

static const struct control *find(enum vmcs_field field)
{
    for (size_t i = 0; i < CONTROLS; i++) {
        if (controls[i].field == field) {
            return &controls[i];
        }
    }
    return NULL;
}

static uint64_t capability(const struct vmx_caps *caps, const struct control *control)
{
    return *(const uint64_t *)((const char *)caps + control->caps);
}

/// Lower half of a capability MSR: bits that cannot be 0 (SDM Vol. 3D A.3 to A.5).
static uint32_t must_be_1(const struct vmx_caps *caps, const struct control *control)
{
    return (uint32_t)capability(caps, control);
}

/// Upper half: bits that can be 1.
static uint32_t may_be_1(const struct vmx_caps *caps, const struct control *control)
{
    return (uint32_t)(capability(caps, control) >> 32);
}

uint32_t vmx_control_fixed(const struct vmx_caps *caps, enum vmcs_field field)
{
    const struct control *control = find(field);
    if (control == NULL) {
        return 0;
    }
    return ~control->free | must_be_1(caps, control) | ~may_be_1(caps, control);
}

uint32_t vmx_control_sanitise(const struct vmx_caps *caps, enum vmcs_field field, uint32_t wanted)
{
    const struct control *control = find(field);
    if (control == NULL) {
        return 0;
    }
    uint32_t value = (wanted & control->free) | control->required | control->forced | must_be_1(caps, control);
    return value & may_be_1(caps, control);
}

uint32_t vmx_control_default(const struct vmx_caps *caps, enum vmcs_field field)
{
    const struct control *control = find(field);
    return control == NULL ? 0 : vmx_control_sanitise(caps, field, control->initial);
}

bool vmx_controls_possible(const struct vmx_caps *caps, enum vmcs_field *field, unsigned *bit)
{
    for (size_t i = 0; i < CONTROLS; i++) {
        const struct control *control = &controls[i];
        uint32_t missing = control->required & ~may_be_1(caps, control);
        if (missing != 0) {
            *field = control->field;
            *bit = (unsigned)__builtin_ctz(missing);
            return false;
        }
    }
    return true;
}

bool vmx_saves_preemption_timer(const struct vmx_caps *caps)
{
    return (vmx_control_default(caps, VMCS_EXIT_CONTROLS) & EXIT_SAVE_PREEMPTION_TIMER) != 0;
}

uint32_t vmx_exception_bitmap(uint32_t wanted)
{
    return wanted | UINT32_C(1) << VECTOR_DB | UINT32_C(1) << VECTOR_AC | UINT32_C(1) << VECTOR_MC;
}

uint64_t vmx_cr0_mask(uint64_t wanted)
{
    return wanted | CR0_NE | CR0_NW | CR0_CD;
}

uint64_t vmx_cr4_mask(uint64_t wanted)
{
    return wanted | CR4_VMXE | CR4_MCE;
}

bool vmx_absorb_cr4(uint64_t value, uint64_t wanted, uint64_t *shadow)
{
    uint64_t differs = value ^ *shadow;
    if ((differs & (wanted | CR4_VMXE)) != 0 || (differs & CR4_MCE) == 0) {
        return false;
    }
    *shadow ^= CR4_MCE;
    return true;
}

uint64_t vmx_guest_cr0(const struct vmx_caps *caps, uint64_t wanted)
{
    return (wanted | (caps->cr0_fixed0 & ~(CR0_PE | CR0_PG))) & caps->cr0_fixed1;
}

uint64_t vmx_guest_cr4(const struct vmx_caps *caps, uint64_t wanted)
{
    return (wanted | caps->cr4_fixed0 | CR4_MCE) & caps->cr4_fixed1;
}

bool vmx_pat_valid(uint64_t pat)
{
    const uint32_t types = 1u << 0 | 1u << 1 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 7; // UC, WC, WT, WP, WB, UC-
    for (unsigned i = 0; i < sizeof(pat); i++, pat >>= 8) {
        if ((pat & 0xff) > 7 || (types >> (pat & 0xff) & 1) == 0) {
            return false;
        }
    }
    return true;
}

void vmx_settle_mode(struct vmx_mode *mode)
{
    mode->efer = vmx_guest_efer(VMX_EFER_ALL, mode->cr0, mode->efer);
    mode->entry = (mode->efer & EFER_LMA) != 0 ? mode->entry | ENTRY_LONG_MODE : mode->entry & ~ENTRY_LONG_MODE;
}

uint64_t vmx_guest_efer(uint64_t supported, uint64_t cr0, uint64_t wanted)
{
    enum { LME = 1 << 8, LMA = 1 << 10 };
    uint64_t efer = wanted & supported & VMX_EFER_ALL & ~(uint64_t)LMA;
    return (efer & LME) != 0 && (cr0 & CR0_PG) != 0 ? efer | LMA : efer;
}
