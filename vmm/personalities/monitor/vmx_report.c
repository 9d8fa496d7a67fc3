// SPDX-License-Identifier: Apache-2.0
#include "vmx_report.h"

#include "out.h"
#include "personality.h"
#include "query.h"
#include "vmx_caps.h"

/// The value of an MSR, or 0.
static uint64_t msr(uint32_t core, uint32_t number)
{
    uint64_t value;
    return query_msr(core, number, &value) == PV_OK ? value : 0;
}

static bool has_group(uint32_t core, const struct vmx_group *group)
{
    return group->gate_msr == 0 || msr(core, group->gate_msr) >> group->gate_bit & 1;
}

/// The MSR that tells a group's bits: the "true" one where there is one.
static uint32_t group_msr(uint32_t core, const struct vmx_group *group)
{
    const bool true_controls = msr(core, MSR_VMX_BASIC) & VMX_BASIC_TRUE_CONTROLS;
    return group->true_msr != 0 && true_controls ? group->true_msr : group->msr;
}

static void print_group(uint32_t core, const struct vmx_group *group)
{
    const uint32_t number = group_msr(core, group);
    const uint64_t value = msr(core, number);
    out("\n%s (MSR 0x%x = 0x%016lx):\n", group->title, number, value);
    for (size_t i = 0; i < group->count; i++) {
        const enum vmx_setting setting = vmx_setting(group->layout, value, group->bits[i].bit);
        out("  %2u  %-6s %s\n", group->bits[i].bit, vmx_setting_name(setting), group->bits[i].name);
    }
}

/// Mentions what may be set and has no name here. Not for MSRs that hold numbers beside flags.
static void print_unnamed(uint32_t core, const struct vmx_group *group)
{
    if (group->msr == MSR_VMX_BASIC || group->msr == MSR_VMX_MISC)
        return;
    const uint64_t unnamed = vmx_unnamed(group, msr(core, group_msr(core, group)));
    if (unnamed != 0)
        out("  and bits without a name here: 0x%lx\n", unnamed);
}

static void print_numbers(uint32_t core)
{
    enum { TYPE_WRITE_BACK = 6 };
    const struct vmx_basic basic = vmx_basic_decode(msr(core, MSR_VMX_BASIC));
    const struct vmx_misc misc = vmx_misc_decode(msr(core, MSR_VMX_MISC));
    out("\nVMX: VMCS revision 0x%x, regions of %u bytes, memory type %u%s%s\n", basic.revision, basic.region_size,
        basic.memory_type, basic.memory_type == TYPE_WRITE_BACK ? " (write-back)" : "",
        basic.addresses_32_bit ? ", below 4 GiB" : "");
    out("preemption timer: one count every 2^%u TSC ticks; CR3 targets: %u; MSR lists: up to %u entries\n",
        misc.timer_shift, misc.cr3_targets, misc.msr_list_max);
    out("CR0 must have 0x%lx, may have 0x%lx\n", msr(core, MSR_VMX_CR0_FIXED0), msr(core, MSR_VMX_CR0_FIXED1));
    out("CR4 must have 0x%lx, may have 0x%lx\n", msr(core, MSR_VMX_CR4_FIXED0), msr(core, MSR_VMX_CR4_FIXED1));
    out("highest VMCS field index: %lu\n", msr(core, MSR_VMX_VMCS_ENUM) >> 1 & 0x1ff);
}

void vmx_report_print(uint32_t core, bool vmx)
{
    if (!vmx) {
        out("\nVMX: the processor does not have it, or it is hidden (CPUID.1:ECX bit 5 is 0)\n");
        return;
    }
    print_numbers(core);
    print_group(core, &vmx_feature_control);
    for (size_t i = 0; i < vmx_group_count; i++) {
        if (out_stopped())
            return;
        if (!has_group(core, &vmx_groups[i])) {
            out("\n%s: none\n", vmx_groups[i].title);
            continue;
        }
        print_group(core, &vmx_groups[i]);
        print_unnamed(core, &vmx_groups[i]);
    }
}

static void json_group(struct json *json, uint32_t core, const struct vmx_group *group)
{
    const uint32_t number = group_msr(core, group);
    const uint64_t value = msr(core, number);
    json_open(json, group->key, '{');
    json_hex(json, "msr", number);
    json_hex(json, "value", value);
    for (size_t i = 0; i < group->count; i++)
        json_string(json, group->bits[i].name, vmx_setting_name(vmx_setting(group->layout, value, group->bits[i].bit)));
    json_close(json, '}');
}

void vmx_report_json(struct json *json, uint32_t core, bool vmx)
{
    json_open(json, "vmx", '{');
    if (vmx) {
        const struct vmx_basic basic = vmx_basic_decode(msr(core, MSR_VMX_BASIC));
        const struct vmx_misc misc = vmx_misc_decode(msr(core, MSR_VMX_MISC));
        json_number(json, "revision", basic.revision);
        json_number(json, "region_size", basic.region_size);
        json_number(json, "memory_type", basic.memory_type);
        json_number(json, "timer_shift", misc.timer_shift);
        json_number(json, "cr3_targets", misc.cr3_targets);
        json_hex(json, "cr0_fixed0", msr(core, MSR_VMX_CR0_FIXED0));
        json_hex(json, "cr0_fixed1", msr(core, MSR_VMX_CR0_FIXED1));
        json_hex(json, "cr4_fixed0", msr(core, MSR_VMX_CR4_FIXED0));
        json_hex(json, "cr4_fixed1", msr(core, MSR_VMX_CR4_FIXED1));
        json_group(json, core, &vmx_feature_control);
        for (size_t i = 0; i < vmx_group_count; i++)
            if (has_group(core, &vmx_groups[i]))
                json_group(json, core, &vmx_groups[i]);
    }
    json_close(json, '}');
}
