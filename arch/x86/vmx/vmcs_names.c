// SPDX-License-Identifier: Apache-2.0
/// What the SDM calls exit reasons, VM-instruction errors and bits of VMCS fields.
#include "arch/x86/vmx/vmcs_bits.h"

#include <stddef.h>

#include "arch/x86/vmx/vmcs_fields.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/// SDM Vol. 3D appendix C.
static const char *const exit_reasons[EXIT_REASON_COUNT] = {
    [EXIT_REASON_EXCEPTION_NMI] = "exception or NMI",
    [EXIT_REASON_EXTERNAL_INTERRUPT] = "external interrupt",
    [EXIT_REASON_TRIPLE_FAULT] = "triple fault",
    [EXIT_REASON_INIT] = "INIT signal",
    [EXIT_REASON_SIPI] = "start-up IPI",
    [EXIT_REASON_IO_SMI] = "I/O SMI",
    [EXIT_REASON_OTHER_SMI] = "other SMI",
    [EXIT_REASON_INTERRUPT_WINDOW] = "interrupt window",
    [EXIT_REASON_NMI_WINDOW] = "NMI window",
    [EXIT_REASON_TASK_SWITCH] = "task switch",
    [EXIT_REASON_CPUID] = "CPUID",
    [EXIT_REASON_GETSEC] = "GETSEC",
    [EXIT_REASON_HLT] = "HLT",
    [EXIT_REASON_INVD] = "INVD",
    [EXIT_REASON_INVLPG] = "INVLPG",
    [EXIT_REASON_RDPMC] = "RDPMC",
    [EXIT_REASON_RDTSC] = "RDTSC",
    [EXIT_REASON_RSM] = "RSM",
    [EXIT_REASON_VMCALL] = "VMCALL",
    [EXIT_REASON_VMCLEAR] = "VMCLEAR",
    [EXIT_REASON_VMLAUNCH] = "VMLAUNCH",
    [EXIT_REASON_VMPTRLD] = "VMPTRLD",
    [EXIT_REASON_VMPTRST] = "VMPTRST",
    [EXIT_REASON_VMREAD] = "VMREAD",
    [EXIT_REASON_VMRESUME] = "VMRESUME",
    [EXIT_REASON_VMWRITE] = "VMWRITE",
    [EXIT_REASON_VMXOFF] = "VMXOFF",
    [EXIT_REASON_VMXON] = "VMXON",
    [EXIT_REASON_CR_ACCESS] = "control-register access",
    [EXIT_REASON_MOV_DR] = "MOV DR",
    [EXIT_REASON_IO] = "I/O instruction",
    [EXIT_REASON_RDMSR] = "RDMSR",
    [EXIT_REASON_WRMSR] = "WRMSR",
    [EXIT_REASON_INVALID_GUEST_STATE] = "VM-entry failure due to invalid guest state",
    [EXIT_REASON_MSR_LOADING] = "VM-entry failure due to MSR loading",
    [EXIT_REASON_MWAIT] = "MWAIT",
    [EXIT_REASON_MONITOR_TRAP] = "monitor trap flag",
    [EXIT_REASON_MONITOR] = "MONITOR",
    [EXIT_REASON_PAUSE] = "PAUSE",
    [EXIT_REASON_ENTRY_MACHINE_CHECK] = "VM-entry failure due to machine-check event",
    [EXIT_REASON_TPR_BELOW_THRESHOLD] = "TPR below threshold",
    [EXIT_REASON_APIC_ACCESS] = "APIC access",
    [EXIT_REASON_VIRTUALIZED_EOI] = "virtualized EOI",
    [EXIT_REASON_GDTR_IDTR] = "access to GDTR or IDTR",
    [EXIT_REASON_LDTR_TR] = "access to LDTR or TR",
    [EXIT_REASON_EPT_VIOLATION] = "EPT violation",
    [EXIT_REASON_EPT_MISCONFIGURATION] = "EPT misconfiguration",
    [EXIT_REASON_INVEPT] = "INVEPT",
    [EXIT_REASON_RDTSCP] = "RDTSCP",
    [EXIT_REASON_PREEMPTION_TIMER] = "VMX-preemption timer expired",
    [EXIT_REASON_INVVPID] = "INVVPID",
    [EXIT_REASON_WBINVD] = "WBINVD or WBNOINVD",
    [EXIT_REASON_XSETBV] = "XSETBV",
    [EXIT_REASON_APIC_WRITE] = "APIC write",
    [EXIT_REASON_RDRAND] = "RDRAND",
    [EXIT_REASON_INVPCID] = "INVPCID",
    [EXIT_REASON_VMFUNC] = "VMFUNC",
    [EXIT_REASON_ENCLS] = "ENCLS",
    [EXIT_REASON_RDSEED] = "RDSEED",
    [EXIT_REASON_PML_FULL] = "page-modification log full",
    [EXIT_REASON_XSAVES] = "XSAVES",
    [EXIT_REASON_XRSTORS] = "XRSTORS",
    [EXIT_REASON_PCONFIG] = "PCONFIG",
    [EXIT_REASON_SPP] = "SPP-related event",
    [EXIT_REASON_UMWAIT] = "UMWAIT",
    [EXIT_REASON_TPAUSE] = "TPAUSE",
    [EXIT_REASON_LOADIWKEY] = "LOADIWKEY",
    [EXIT_REASON_ENCLV] = "ENCLV",
    [EXIT_REASON_ENQCMD_PASID] = "ENQCMD PASID translation failure",
    [EXIT_REASON_ENQCMDS_PASID] = "ENQCMDS PASID translation failure",
    [EXIT_REASON_BUS_LOCK] = "bus lock",
    [EXIT_REASON_INSTRUCTION_TIMEOUT] = "instruction timeout",
    [EXIT_REASON_SEAMCALL] = "SEAMCALL",
    [EXIT_REASON_TDCALL] = "TDCALL",
    [EXIT_REASON_RDMSRLIST] = "RDMSRLIST",
    [EXIT_REASON_WRMSRLIST] = "WRMSRLIST",
    [EXIT_REASON_URDMSR] = "URDMSR",
    [EXIT_REASON_UWRMSR] = "UWRMSR",
    [EXIT_REASON_RDMSR_IMMEDIATE] = "RDMSR with immediate",
    [EXIT_REASON_WRMSRNS_IMMEDIATE] = "WRMSRNS with immediate",
};

/// SDM Vol. 3C 31.4.
static const char *const instruction_errors[] = {
    [1] = "VMCALL executed in VMX root operation",
    [2] = "VMCLEAR with invalid physical address",
    [3] = "VMCLEAR with VMXON pointer",
    [4] = "VMLAUNCH with non-clear VMCS",
    [5] = "VMRESUME with non-launched VMCS",
    [6] = "VMRESUME after VMXOFF (VMXOFF and VMXON between VMLAUNCH and VMRESUME)",
    [7] = "VM entry with invalid control field(s)",
    [8] = "VM entry with invalid host-state field(s)",
    [9] = "VMPTRLD with invalid physical address",
    [10] = "VMPTRLD with VMXON pointer",
    [11] = "VMPTRLD with incorrect VMCS revision identifier",
    [12] = "VMREAD/VMWRITE from/to unsupported VMCS component",
    [13] = "VMWRITE to read-only VMCS component",
    [15] = "VMXON executed in VMX root operation",
    [16] = "VM entry with invalid executive-VMCS pointer",
    [17] = "VM entry with non-launched executive VMCS",
    [18] = "VM entry with executive-VMCS pointer not VMXON pointer (when attempting to deactivate the dual-monitor "
           "treatment of SMIs and SMM)",
    [19] = "VMCALL with non-clear VMCS (when attempting to activate the dual-monitor treatment of SMIs and SMM)",
    [20] = "VMCALL with invalid VM-exit control fields",
    [22] = "VMCALL with incorrect MSEG revision identifier (when attempting to activate the dual-monitor treatment of "
           "SMIs and SMM)",
    [23] = "VMXOFF under dual-monitor treatment of SMIs and SMM",
    [24] = "VMCALL with invalid SMM-monitor features (when attempting to activate the dual-monitor treatment of SMIs "
           "and SMM)",
    [25] = "VM entry with invalid VM-execution control fields in executive VMCS (when attempting to return from SMM)",
    [26] = "VM entry with events blocked by MOV SS",
    [28] = "invalid operand to INVEPT/INVVPID",
};

/* Names of bits are those of the SDM's tables in 25.6.1, 25.6.2, 25.7.1, 25.8.1 and 25.4.2. */

static const char *const pin_bits[32] = {
    [0] = "external-interrupt exiting",
    [3] = "NMI exiting",
    [5] = "virtual NMIs",
    [6] = "activate VMX-preemption timer",
    [7] = "process posted interrupts",
};

static const char *const primary_bits[32] = {
    [2] = "interrupt-window exiting",
    [3] = "use TSC offsetting",
    [7] = "HLT exiting",
    [9] = "INVLPG exiting",
    [10] = "MWAIT exiting",
    [11] = "RDPMC exiting",
    [12] = "RDTSC exiting",
    [15] = "CR3-load exiting",
    [16] = "CR3-store exiting",
    [17] = "activate tertiary controls",
    [19] = "CR8-load exiting",
    [20] = "CR8-store exiting",
    [21] = "use TPR shadow",
    [22] = "NMI-window exiting",
    [23] = "MOV-DR exiting",
    [24] = "unconditional I/O exiting",
    [25] = "use I/O bitmaps",
    [27] = "monitor trap flag",
    [28] = "use MSR bitmaps",
    [29] = "MONITOR exiting",
    [30] = "PAUSE exiting",
    [31] = "activate secondary controls",
};

static const char *const secondary_bits[32] = {
    [0] = "virtualize APIC accesses",
    [1] = "enable EPT",
    [2] = "descriptor-table exiting",
    [3] = "enable RDTSCP",
    [4] = "virtualize x2APIC mode",
    [5] = "enable VPID",
    [6] = "WBINVD exiting",
    [7] = "unrestricted guest",
    [8] = "APIC-register virtualization",
    [9] = "virtual-interrupt delivery",
    [10] = "PAUSE-loop exiting",
    [11] = "RDRAND exiting",
    [12] = "enable INVPCID",
    [13] = "enable VM functions",
    [14] = "VMCS shadowing",
    [15] = "enable ENCLS exiting",
    [16] = "RDSEED exiting",
    [17] = "enable PML",
    [18] = "EPT-violation #VE",
    [19] = "conceal VMX from PT",
    [20] = "enable XSAVES/XRSTORS",
    [21] = "PASID translation",
    [22] = "mode-based execute control for EPT",
    [23] = "sub-page write permissions for EPT",
    [24] = "Intel PT uses guest physical addresses",
    [25] = "use TSC scaling",
    [26] = "enable user wait and pause",
    [27] = "enable PCONFIG",
    [28] = "enable ENCLV exiting",
    [30] = "VMM bus-lock detection",
    [31] = "instruction timeout",
};

static const char *const tertiary_bits[32] = {
    [0] = "LOADIWKEY exiting",         [1] = "enable HLAT",        [2] = "EPT paging-write control",
    [3] = "guest-paging verification", [4] = "IPI virtualization", [6] = "enable MSR-list instructions",
    [7] = "virtualize IA32_SPEC_CTRL",
};

static const char *const exit_bits[32] = {
    [2] = "save debug controls",
    [9] = "host address-space size",
    [12] = "load IA32_PERF_GLOBAL_CTRL",
    [15] = "acknowledge interrupt on exit",
    [18] = "save IA32_PAT",
    [19] = "load IA32_PAT",
    [20] = "save IA32_EFER",
    [21] = "load IA32_EFER",
    [22] = "save VMX-preemption timer value",
    [23] = "clear IA32_BNDCFGS",
    [24] = "conceal VMX from PT",
    [25] = "clear IA32_RTIT_CTL",
    [26] = "clear IA32_LBR_CTL",
    [27] = "clear UINV",
    [28] = "load CET state",
    [29] = "load PKRS",
    [30] = "save IA32_PERF_GLOBAL_CTRL",
    [31] = "activate secondary controls",
};

static const char *const entry_bits[32] = {
    [2] = "load debug controls",
    [9] = "IA-32e mode guest",
    [10] = "entry to SMM",
    [11] = "deactivate dual-monitor treatment",
    [13] = "load IA32_PERF_GLOBAL_CTRL",
    [14] = "load IA32_PAT",
    [15] = "load IA32_EFER",
    [16] = "load IA32_BNDCFGS",
    [17] = "conceal VMX from PT",
    [18] = "load IA32_RTIT_CTL",
    [19] = "load UINV",
    [20] = "load CET state",
    [21] = "load guest IA32_LBR_CTL",
    [22] = "load PKRS",
    [23] = "load FRED",
};

static const char *const interruptibility_bits[32] = {
    [0] = "blocking by STI", [1] = "blocking by MOV SS",   [2] = "blocking by SMI",
    [3] = "blocking by NMI", [4] = "enclave interruption",
};

const char *vmx_exit_reason_name(uint32_t basic_reason)
{
    return basic_reason < COUNT(exit_reasons) ? exit_reasons[basic_reason] : NULL;
}

const char *vmx_instruction_error_name(uint32_t error)
{
    return error < COUNT(instruction_errors) ? instruction_errors[error] : NULL;
}

static const char *const *bits_of(uint32_t field)
{
    switch (field) {
    case VMCS_PIN_CONTROLS:
        return pin_bits;
    case VMCS_PRIMARY_CONTROLS:
        return primary_bits;
    case VMCS_SECONDARY_CONTROLS:
        return secondary_bits;
    case VMCS_TERTIARY_CONTROLS:
        return tertiary_bits;
    case VMCS_EXIT_CONTROLS:
        return exit_bits;
    case VMCS_ENTRY_CONTROLS:
        return entry_bits;
    case VMCS_GUEST_INTERRUPTIBILITY:
        return interruptibility_bits;
    default:
        return NULL;
    }
}

const char *vmcs_bit_name(uint32_t field, unsigned bit)
{
    const char *const *names = bits_of(field);
    return names != NULL && bit < 32 ? names[bit] : NULL;
}

const char *vmx_event_type_name(uint32_t type)
{
    static const char *const names[] = {
        [EVENT_EXTERNAL_INTERRUPT] = "external interrupt",
        [EVENT_NMI] = "NMI",
        [EVENT_HARDWARE_EXCEPTION] = "hardware exception",
        [EVENT_SOFTWARE_INTERRUPT] = "software interrupt",
        [EVENT_PRIVILEGED_SOFTWARE_EXCEPTION] = "privileged software exception",
        [EVENT_SOFTWARE_EXCEPTION] = "software exception",
        [EVENT_OTHER] = "other event",
    };
    return type < COUNT(names) ? names[type] : NULL;
}

const char *vmx_activity_name(uint32_t activity)
{
    static const char *const names[] = {
        [ACTIVITY_ACTIVE] = "active",
        [ACTIVITY_HLT] = "HLT",
        [ACTIVITY_SHUTDOWN] = "shutdown",
        [ACTIVITY_WAIT_FOR_SIPI] = "wait-for-SIPI",
    };
    return activity < COUNT(names) ? names[activity] : NULL;
}
