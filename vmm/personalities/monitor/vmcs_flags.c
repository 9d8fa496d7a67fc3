// SPDX-License-Identifier: Apache-2.0
// Names of flags in VMCS fields, beyond those of the controls.
#include "arch/x86/vmx/vmcs_fields.h"
#include "text.h"
#include "vmcs_words.h"

enum { FLAGS = 64 };

/// SDM Vol. 3A 2.5.
static const char *const cr0[FLAGS] = {
    [0] = "PE",  [1] = "MP",  [2] = "EM",  [3] = "TS",  [4] = "ET",  [5] = "NE",
    [16] = "WP", [18] = "AM", [29] = "NW", [30] = "CD", [31] = "PG",
};

/// SDM Vol. 3A 2.5.
static const char *const cr4[FLAGS] = {
    [0] = "VME",    [1] = "PVI",   [2] = "TSD",      [3] = "DE",        [4] = "PSE",         [5] = "PAE",
    [6] = "MCE",    [7] = "PGE",   [8] = "PCE",      [9] = "OSFXSR",    [10] = "OSXMMEXCPT", [11] = "UMIP",
    [12] = "LA57",  [13] = "VMXE", [14] = "SMXE",    [16] = "FSGSBASE", [17] = "PCIDE",      [18] = "OSXSAVE",
    [19] = "KL",    [20] = "SMEP", [21] = "SMAP",    [22] = "PKE",      [23] = "CET",        [24] = "PKS",
    [25] = "UINTR", [27] = "LASS", [28] = "LAM_SUP", [32] = "FRED",
};

/// SDM Vol. 1 3.4.3; bit 1 is always set.
static const char *const rflags[FLAGS] = {
    [0] = "CF",  [2] = "PF",  [4] = "AF",  [6] = "ZF",  [7] = "SF",  [8] = "TF",   [9] = "IF",   [10] = "DF",
    [11] = "OF", [14] = "NT", [16] = "RF", [17] = "VM", [18] = "AC", [19] = "VIF", [20] = "VIP", [21] = "ID",
};

/// IA32_EFER, SDM Vol. 3A 2.2.1.
static const char *const efer[FLAGS] = {[0] = "SCE", [8] = "LME", [10] = "LMA", [11] = "NXE"};

/// SDM Vol. 3C table 25-4.
static const char *const pending_debug[FLAGS] = {
    [0] = "B0",  [1] = "B1",   [2] = "B2", [3] = "B3", [11] = "bus-lock", [12] = "enabled breakpoint",
    [14] = "BS", [16] = "RTM",
};

/// IA32_DEBUGCTL, SDM Vol. 4 table 2-2.
static const char *const debugctl[FLAGS] = {
    [0] = "LBR",
    [1] = "BTF",
    [2] = "bus-lock detect",
    [6] = "TR",
    [7] = "BTS",
    [8] = "BTINT",
    [9] = "BTS_OFF_OS",
    [10] = "BTS_OFF_USR",
    [11] = "freeze LBRs on PMI",
    [12] = "freeze PerfMon on PMI",
    [14] = "freeze while SMM",
    [15] = "RTM",
};

/// SDM Vol. 3C table 25-16.
static const char *const secondary_exit[FLAGS] = {
    [0] = "save FRED",
    [1] = "load FRED",
    [2] = "load IA32_SPEC_CTRL",
    [3] = "prematurely busy shadow stack",
};

/// SDM Vol. 3C table 25-10.
static const char *const vm_functions[FLAGS] = {[0] = "EPTP switching"};

static const char *const *flags_of(uint32_t field)
{
    switch (field) {
    case VMCS_GUEST_CR0:
    case VMCS_HOST_CR0:
    case VMCS_CR0_READ_SHADOW:
    case VMCS_CR0_GUEST_HOST_MASK:
        return cr0;
    case VMCS_GUEST_CR4:
    case VMCS_HOST_CR4:
    case VMCS_CR4_READ_SHADOW:
    case VMCS_CR4_GUEST_HOST_MASK:
        return cr4;
    case VMCS_GUEST_RFLAGS:
        return rflags;
    case VMCS_GUEST_IA32_EFER:
    case VMCS_HOST_IA32_EFER:
        return efer;
    case VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS:
        return pending_debug;
    case VMCS_GUEST_IA32_DEBUGCTL:
        return debugctl;
    case VMCS_SECONDARY_EXIT_CONTROLS:
        return secondary_exit;
    case VMCS_VM_FUNCTION_CONTROLS:
        return vm_functions;
    default:
        return NULL;
    }
}

/// The fields whose bits arch/x86/vmx knows.
static bool is_control(uint32_t field)
{
    switch (field) {
    case VMCS_PIN_CONTROLS:
    case VMCS_PRIMARY_CONTROLS:
    case VMCS_SECONDARY_CONTROLS:
    case VMCS_TERTIARY_CONTROLS:
    case VMCS_EXIT_CONTROLS:
    case VMCS_ENTRY_CONTROLS:
    case VMCS_GUEST_INTERRUPTIBILITY:
        return true;
    default:
        return false;
    }
}

bool vmcs_has_flags(uint32_t field)
{
    return field == VMCS_EXCEPTION_BITMAP || is_control(field) || flags_of(field) != NULL;
}

const char *vmcs_flag_name(uint32_t field, unsigned bit)
{
    if (bit >= FLAGS)
        return NULL;
    if (field == VMCS_EXCEPTION_BITMAP)
        return text_exception_or_null(bit);
    const char *const *names = flags_of(field);
    return names != NULL ? names[bit] : vmcs_bit_name(field, bit);
}
