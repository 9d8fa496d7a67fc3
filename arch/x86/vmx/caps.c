// SPDX-License-Identifier: Apache-2.0
#include "arch/x86/vmx/caps.h"

#include <polyvisor/format.h>
#include <polyvisor/string.h>

/// A control that can be set to 1 has its bit in the upper half of its capability MSR (SDM Vol. 3D A.3 to A.5).
#define MAY_BE_1(bit) (UINT64_C(1) << (32 + (bit)))

struct need {
    size_t offset; ///< of the MSR in struct vmx_caps
    uint64_t bits; ///< all must be set
    const char *name;
};

/// What the multiplexer forces or relies on (design: external interrupts, NMIs and time always come back; EPT and VPID
/// isolate; guests start in real mode or anywhere else).
static const struct need needs[] = {
    {offsetof(struct vmx_caps, pin), MAY_BE_1(0), "external-interrupt exiting"},
    {offsetof(struct vmx_caps, pin), MAY_BE_1(3), "NMI exiting"},
    {offsetof(struct vmx_caps, pin), MAY_BE_1(5), "virtual NMIs"},
    {offsetof(struct vmx_caps, primary), MAY_BE_1(7), "HLT exiting"},
    {offsetof(struct vmx_caps, primary), MAY_BE_1(25), "I/O bitmaps"},
    {offsetof(struct vmx_caps, primary), MAY_BE_1(28), "MSR bitmaps"},
    {offsetof(struct vmx_caps, primary), MAY_BE_1(31), "secondary controls"},
    {offsetof(struct vmx_caps, secondary), MAY_BE_1(1), "EPT"},
    {offsetof(struct vmx_caps, secondary), MAY_BE_1(5), "VPID"},
    {offsetof(struct vmx_caps, secondary), MAY_BE_1(7), "unrestricted guest"},
    {offsetof(struct vmx_caps, exit), MAY_BE_1(9), "64-bit host"},
    {offsetof(struct vmx_caps, exit), MAY_BE_1(15), "acknowledge interrupt on exit"},
    {offsetof(struct vmx_caps, exit), MAY_BE_1(20) | MAY_BE_1(21), "save and load of IA32_EFER at exit"},
    {offsetof(struct vmx_caps, exit), MAY_BE_1(18) | MAY_BE_1(19), "save and load of IA32_PAT at exit"},
    {offsetof(struct vmx_caps, entry), MAY_BE_1(14), "load of IA32_PAT at entry"},
    {offsetof(struct vmx_caps, entry), MAY_BE_1(15), "load of IA32_EFER at entry"},
    {offsetof(struct vmx_caps, ept_vpid), UINT64_C(1) << 6, "EPT with 4 levels"},
    {offsetof(struct vmx_caps, ept_vpid), UINT64_C(1) << 14, "write-back EPT tables"},
    {offsetof(struct vmx_caps, ept_vpid), UINT64_C(1) << 16, "EPT 2-MiB pages"},
    {offsetof(struct vmx_caps, ept_vpid), UINT64_C(1) << 20 | UINT64_C(1) << 25, "INVEPT of one context"},
    {offsetof(struct vmx_caps, ept_vpid), UINT64_C(1) << 32 | UINT64_C(1) << 41, "INVVPID of one context"},
};

static uint64_t value_at(const struct vmx_caps *caps, size_t offset)
{
    return *(const uint64_t *)((const char *)caps + offset);
}

int vmx_caps_missing(const struct vmx_caps *caps, char *names, size_t size)
{
    int missing = 0;
    size_t used = 0;
    pv_strcopy(names, size, "");
    for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
        if ((value_at(caps, needs[i].offset) & needs[i].bits) == needs[i].bits) {
            continue;
        }
        missing++;
        if (used < size) {
            used += pv_snprintf(names + used, size - used, "%s%s", used ? ", " : "", needs[i].name);
        }
    }
    return missing;
}

bool vmx_caps_same(const struct vmx_caps *a, const struct vmx_caps *b, const char **what)
{
    static const struct {
        size_t offset;
        const char *name;
    } parts[] = {
        {offsetof(struct vmx_caps, basic), "IA32_VMX_BASIC"},
        {offsetof(struct vmx_caps, pin), "pin-based controls"},
        {offsetof(struct vmx_caps, primary), "primary controls"},
        {offsetof(struct vmx_caps, secondary), "secondary controls"},
        {offsetof(struct vmx_caps, tertiary), "tertiary controls"},
        {offsetof(struct vmx_caps, exit), "exit controls"},
        {offsetof(struct vmx_caps, entry), "entry controls"},
        {offsetof(struct vmx_caps, misc), "IA32_VMX_MISC"},
        {offsetof(struct vmx_caps, ept_vpid), "EPT and VPID capabilities"},
        {offsetof(struct vmx_caps, vmfunc), "VM functions"},
        {offsetof(struct vmx_caps, cr0_fixed0), "CR0 fixed bits (0)"},
        {offsetof(struct vmx_caps, cr0_fixed1), "CR0 fixed bits (1)"},
        {offsetof(struct vmx_caps, cr4_fixed0), "CR4 fixed bits (0)"},
        {offsetof(struct vmx_caps, cr4_fixed1), "CR4 fixed bits (1)"},
    };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (value_at(a, parts[i].offset) != value_at(b, parts[i].offset)) {
            *what = parts[i].name;
            return false;
        }
    }
    return true;
}
