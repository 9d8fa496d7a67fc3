// SPDX-License-Identifier: Apache-2.0
#include "vmx_caps.h"

enum vmx_setting vmx_setting(enum vmx_layout layout, uint64_t value, unsigned bit)
{
    if (layout == VMX_LAYOUT_FLAGS)
        return value >> bit & 1 ? VMX_YES : VMX_NO;
    if (!(value >> (32 + bit) & 1))
        return VMX_NO;
    return value >> bit & 1 ? VMX_ALWAYS : VMX_YES;
}

const char *vmx_setting_name(enum vmx_setting setting)
{
    switch (setting) {
    case VMX_YES:
        return "yes";
    case VMX_ALWAYS:
        return "always";
    default:
        return "no";
    }
}

uint64_t vmx_unnamed(const struct vmx_group *group, uint64_t value)
{
    uint64_t free = group->layout == VMX_LAYOUT_FLAGS ? value : value >> 32 & ~value & UINT32_MAX;
    for (size_t i = 0; i < group->count; i++)
        free &= ~(UINT64_C(1) << group->bits[i].bit);
    return free;
}

/// Bits [high:low] of a value.
static uint32_t field(uint64_t value, unsigned high, unsigned low)
{
    return (uint32_t)(value >> low & ((UINT64_C(1) << (high - low + 1)) - 1));
}

struct vmx_basic vmx_basic_decode(uint64_t value)
{
    return (struct vmx_basic){
        .revision = field(value, 30, 0),
        .region_size = field(value, 44, 32),
        .memory_type = field(value, 53, 50),
        .addresses_32_bit = field(value, 48, 48),
    };
}

struct vmx_misc vmx_misc_decode(uint64_t value)
{
    enum { MSR_LIST_UNIT = 512 };
    return (struct vmx_misc){
        .timer_shift = field(value, 4, 0),
        .cr3_targets = field(value, 24, 16),
        .msr_list_max = MSR_LIST_UNIT * (field(value, 27, 25) + 1),
        .mseg_revision = field(value, 63, 32),
    };
}
