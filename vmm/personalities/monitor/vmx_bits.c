// SPDX-License-Identifier: Apache-2.0
// The tables behind vmx_caps.h: names of all bits, as in SDM Vol. 3C tables 25-5 to 25-15 and Vol. 3D appendix A.
#include "vmx_caps.h"

#define BITS(array) .bits = (array), .count = sizeof(array) / sizeof((array)[0])

static const struct vmx_bit feature_control[] = {
    {0, "locked"},
    {1, "VMX inside SMX operation"},
    {2, "VMX outside SMX operation"},
    {15, "SENTER"},
    {17, "SGX launch control"},
    {18, "SGX"},
    {20, "local machine-check exceptions"},
};

static const struct vmx_bit basic[] = {
    {49, "dual-monitor treatment of SMI"},
    {54, "INS/OUTS exits tell the instruction"},
    {55, "true controls"},
    {56, "exceptions injected with or without error code"},
    {58, "nested exceptions (FRED)"},
};

static const struct vmx_bit pin[] = {
    {0, "external-interrupt exiting"}, {3, "NMI exiting"}, {5, "virtual NMIs"}, {6, "activate VMX-preemption timer"},
    {7, "process posted interrupts"},
};

static const struct vmx_bit primary[] = {
    {2, "interrupt-window exiting"},
    {3, "use TSC offsetting"},
    {7, "HLT exiting"},
    {9, "INVLPG exiting"},
    {10, "MWAIT exiting"},
    {11, "RDPMC exiting"},
    {12, "RDTSC exiting"},
    {15, "CR3-load exiting"},
    {16, "CR3-store exiting"},
    {17, "activate tertiary controls"},
    {19, "CR8-load exiting"},
    {20, "CR8-store exiting"},
    {21, "use TPR shadow"},
    {22, "NMI-window exiting"},
    {23, "MOV-DR exiting"},
    {24, "unconditional I/O exiting"},
    {25, "use I/O bitmaps"},
    {27, "monitor trap flag"},
    {28, "use MSR bitmaps"},
    {29, "MONITOR exiting"},
    {30, "PAUSE exiting"},
    {31, "activate secondary controls"},
};

static const struct vmx_bit secondary[] = {
    {0, "virtualize APIC accesses"},
    {1, "enable EPT"},
    {2, "descriptor-table exiting"},
    {3, "enable RDTSCP"},
    {4, "virtualize x2APIC mode"},
    {5, "enable VPID"},
    {6, "WBINVD exiting"},
    {7, "unrestricted guest"},
    {8, "APIC-register virtualization"},
    {9, "virtual-interrupt delivery"},
    {10, "PAUSE-loop exiting"},
    {11, "RDRAND exiting"},
    {12, "enable INVPCID"},
    {13, "enable VM functions"},
    {14, "VMCS shadowing"},
    {15, "enable ENCLS exiting"},
    {16, "RDSEED exiting"},
    {17, "enable PML"},
    {18, "EPT-violation #VE"},
    {19, "conceal VMX from PT"},
    {20, "enable XSAVES/XRSTORS"},
    {21, "PASID translation"},
    {22, "mode-based execute control for EPT"},
    {23, "sub-page write permissions for EPT"},
    {24, "Intel PT uses guest physical addresses"},
    {25, "use TSC scaling"},
    {26, "enable user wait and pause"},
    {27, "enable PCONFIG"},
    {28, "enable ENCLV exiting"},
    {30, "VMM bus-lock detection"},
    {31, "instruction timeout"},
};

static const struct vmx_bit tertiary[] = {
    {0, "LOADIWKEY exiting"},
    {1, "enable HLAT"},
    {2, "EPT paging-write control"},
    {3, "guest-paging verification"},
    {4, "IPI virtualization"},
    {5, "SEAM guest-physical address width"},
    {6, "enable MSR-list instructions"},
    {7, "virtualize IA32_SPEC_CTRL"},
    {8, "APIC-timer virtualization"},
    {9, "enable PBNDKB"},
    {12, "PEBS uses guest physical addresses"},
};

static const struct vmx_bit exit_controls[] = {
    {2, "save debug controls"},
    {9, "host address-space size"},
    {12, "load IA32_PERF_GLOBAL_CTRL"},
    {15, "acknowledge interrupt on exit"},
    {18, "save IA32_PAT"},
    {19, "load IA32_PAT"},
    {20, "save IA32_EFER"},
    {21, "load IA32_EFER"},
    {22, "save VMX-preemption timer value"},
    {23, "clear IA32_BNDCFGS"},
    {24, "conceal VMX from PT"},
    {25, "clear IA32_RTIT_CTL"},
    {26, "clear IA32_LBR_CTL"},
    {27, "clear UINV"},
    {28, "load CET state"},
    {29, "load PKRS"},
    {30, "save IA32_PERF_GLOBAL_CTL"},
    {31, "activate secondary controls"},
};

static const struct vmx_bit exit_controls2[] = {
    {0, "save FRED"},
    {1, "load FRED"},
    {2, "load IA32_SPEC_CTRL"},
    {3, "prematurely busy shadow stack"},
};

static const struct vmx_bit entry[] = {
    {2, "load debug controls"},
    {9, "IA-32e mode guest"},
    {10, "entry to SMM"},
    {11, "deactivate dual-monitor treatment"},
    {13, "load IA32_PERF_GLOBAL_CTRL"},
    {14, "load IA32_PAT"},
    {15, "load IA32_EFER"},
    {16, "load IA32_BNDCFGS"},
    {17, "conceal VMX from PT"},
    {18, "load IA32_RTIT_CTL"},
    {19, "load UINV"},
    {20, "load CET state"},
    {21, "load guest IA32_LBR_CTL"},
    {22, "load PKRS"},
    {23, "load FRED"},
    {24, "load IA32_SPEC_CTRL"},
    {25, "allow SEAM-guest telemetry"},
};

static const struct vmx_bit misc[] = {
    {5, "exits store IA32_EFER.LMA in the entry controls"},
    {6, "activity state HLT"},
    {7, "activity state shutdown"},
    {8, "activity state wait-for-SIPI"},
    {14, "Intel PT in VMX operation"},
    {15, "RDMSR of IA32_SMBASE in SMM"},
    {28, "SMI blocking by VMXOFF can be set"},
    {29, "VMWRITE to exit-information fields"},
    {30, "injection with instruction length 0"},
};

static const struct vmx_bit ept_vpid[] = {
    {0, "EPT execute-only"},
    {6, "EPT page-walk length 4"},
    {7, "EPT page-walk length 5"},
    {8, "EPT structures uncacheable"},
    {14, "EPT structures write-back"},
    {16, "EPT 2 MiB pages"},
    {17, "EPT 1 GiB pages"},
    {20, "INVEPT"},
    {21, "EPT accessed and dirty flags"},
    {22, "advanced information on EPT violations"},
    {23, "EPT supervisor shadow-stack control"},
    {25, "INVEPT single-context"},
    {26, "INVEPT all-context"},
    {32, "INVVPID"},
    {40, "INVVPID individual-address"},
    {41, "INVVPID single-context"},
    {42, "INVVPID all-context"},
    {43, "INVVPID single-context retaining globals"},
};

static const struct vmx_bit vm_functions[] = {{0, "EPTP switching"}};

enum {
    MSR_PINBASED = 0x481,
    MSR_PROCBASED = 0x482,
    MSR_EXIT = 0x483,
    MSR_ENTRY = 0x484,
    MSR_PROCBASED2 = 0x48b,
    MSR_EPT_VPID = 0x48c,
    MSR_TRUE_PINBASED = 0x48d,
    MSR_TRUE_PROCBASED = 0x48e,
    MSR_TRUE_EXIT = 0x48f,
    MSR_TRUE_ENTRY = 0x490,
    MSR_VMFUNC = 0x491,
    MSR_PROCBASED3 = 0x492,
    MSR_EXIT2 = 0x493,
};

/// Where a control's "may be 1" stands in its MSR.
#define MAY_BE_1(bit) (32 + (bit))

const struct vmx_group vmx_feature_control = {
    .key = "feature_control",
    .title = "IA32_FEATURE_CONTROL",
    .msr = 0x3a,
    .layout = VMX_LAYOUT_FLAGS,
    BITS(feature_control),
};

const struct vmx_group vmx_groups[] = {
    {.key = "basic", .title = "basic", .msr = MSR_VMX_BASIC, .layout = VMX_LAYOUT_FLAGS, BITS(basic)},
    {.key = "pin", .title = "pin-based controls", .msr = MSR_PINBASED, .true_msr = MSR_TRUE_PINBASED, BITS(pin)},
    {.key = "primary",
     .title = "primary processor-based controls",
     .msr = MSR_PROCBASED,
     .true_msr = MSR_TRUE_PROCBASED,
     BITS(primary)},
    {.key = "secondary",
     .title = "secondary processor-based controls",
     .msr = MSR_PROCBASED2,
     .gate_msr = MSR_PROCBASED,
     .gate_bit = MAY_BE_1(31),
     BITS(secondary)},
    {.key = "tertiary",
     .title = "tertiary processor-based controls",
     .msr = MSR_PROCBASED3,
     .gate_msr = MSR_PROCBASED,
     .gate_bit = MAY_BE_1(17),
     .layout = VMX_LAYOUT_FLAGS,
     BITS(tertiary)},
    {.key = "exit",
     .title = "primary VM-exit controls",
     .msr = MSR_EXIT,
     .true_msr = MSR_TRUE_EXIT,
     BITS(exit_controls)},
    {.key = "exit2",
     .title = "secondary VM-exit controls",
     .msr = MSR_EXIT2,
     .gate_msr = MSR_EXIT,
     .gate_bit = MAY_BE_1(31),
     .layout = VMX_LAYOUT_FLAGS,
     BITS(exit_controls2)},
    {.key = "entry", .title = "VM-entry controls", .msr = MSR_ENTRY, .true_msr = MSR_TRUE_ENTRY, BITS(entry)},
    {.key = "misc", .title = "miscellaneous", .msr = MSR_VMX_MISC, .layout = VMX_LAYOUT_FLAGS, BITS(misc)},
    {.key = "ept_vpid",
     .title = "EPT and VPID",
     .msr = MSR_EPT_VPID,
     .gate_msr = MSR_PROCBASED2,
     .gate_bit = MAY_BE_1(1),
     .layout = VMX_LAYOUT_FLAGS,
     BITS(ept_vpid)},
    {.key = "vmfunc",
     .title = "VM functions",
     .msr = MSR_VMFUNC,
     .gate_msr = MSR_PROCBASED2,
     .gate_bit = MAY_BE_1(13),
     .layout = VMX_LAYOUT_FLAGS,
     BITS(vm_functions)},
};
const size_t vmx_group_count = sizeof(vmx_groups) / sizeof(vmx_groups[0]);
