// SPDX-License-Identifier: Apache-2.0
#include "arch/x86/vmx/vmx.h"

#include <polyvisor/format.h>
#include <polyvisor/string.h>

#include "arch/x86/core.h"
#include "arch/x86/paging.h"
#include "arch/x86/registers.h"
#include "arch/x86/vmx/caps.h"
#include "arch/x86/vmx/controls.h"
#include "arch/x86/vmx/entry_check.h"
#include "arch/x86/vmx/feature_control.h"
#include "arch/x86/vmx/field_policy.h"
#include "arch/x86/vmx/vmcs.h"
#include "vmm/panic.h"

struct vmx_caps vmx_caps;
struct field_table vmx_fields;
uint32_t vmx_timer_shift;
bool vmx_guest_timer;
static bool ready;

static uint64_t read_msr_or_0(uint32_t msr)
{
    uint64_t value;
    return msr_read_safe(msr, &value) ? value : 0;
}

void vmx_caps_read(struct vmx_caps *caps)
{
    memset(caps, 0, sizeof(*caps));
    caps->basic = cpu_rdmsr(MSR_VMX_BASIC);
    bool true_controls = caps->basic & VMX_BASIC_TRUE_CONTROLS;
    caps->pin = cpu_rdmsr(true_controls ? MSR_VMX_TRUE_PINBASED_CTLS : MSR_VMX_PINBASED_CTLS);
    caps->primary = cpu_rdmsr(true_controls ? MSR_VMX_TRUE_PROCBASED_CTLS : MSR_VMX_PROCBASED_CTLS);
    caps->exit = cpu_rdmsr(true_controls ? MSR_VMX_TRUE_EXIT_CTLS : MSR_VMX_EXIT_CTLS);
    caps->entry = cpu_rdmsr(true_controls ? MSR_VMX_TRUE_ENTRY_CTLS : MSR_VMX_ENTRY_CTLS);
    caps->misc = cpu_rdmsr(MSR_VMX_MISC);
    caps->cr0_fixed0 = cpu_rdmsr(MSR_VMX_CR0_FIXED0);
    caps->cr0_fixed1 = cpu_rdmsr(MSR_VMX_CR0_FIXED1);
    caps->cr4_fixed0 = cpu_rdmsr(MSR_VMX_CR4_FIXED0);
    caps->cr4_fixed1 = cpu_rdmsr(MSR_VMX_CR4_FIXED1);
    caps->secondary = read_msr_or_0(MSR_VMX_PROCBASED_CTLS2);
    caps->tertiary = read_msr_or_0(MSR_VMX_PROCBASED_CTLS3);
    caps->ept_vpid = read_msr_or_0(MSR_VMX_EPT_VPID_CAP);
    caps->vmfunc = read_msr_or_0(MSR_VMX_VMFUNC);
}

static bool refuse(struct core *core, const char *why)
{
    core->state = PV_CORE_NO_VMX;
    pv_strcopy(core->why, sizeof(core->why), why);
    return false;
}

/// IA32_FEATURE_CONTROL, SDM Vol. 3C 24.7.
static bool allow_vmxon(struct core *core)
{
    uint64_t value;
    switch (feature_control_decide(cpu_rdmsr(MSR_FEATURE_CONTROL), &value)) {
    case FEATURE_CONTROL_READY:
        return true;
    case FEATURE_CONTROL_WRITE:
        cpu_wrmsr(MSR_FEATURE_CONTROL, value);
        return true;
    case FEATURE_CONTROL_DISABLED:
        break;
    }
    return refuse(core,
                  "VT-x is disabled by firmware: switch on 'Intel Virtualization Technology' in the firmware's set-up, "
                  "then power off and on");
}

static bool check_caps(struct core *core)
{
    struct vmx_caps caps;
    vmx_caps_read(&caps);
    char missing[PV_WHY_SIZE - 32];
    if (vmx_caps_missing(&caps, missing, sizeof(missing)) > 0) {
        pv_snprintf(core->why, sizeof(core->why), "VMX lacks: %s", missing);
        core->state = PV_CORE_NO_VMX;
        return false;
    }
    enum vmcs_field field;
    unsigned bit;
    if (!vmx_controls_possible(&caps, &field, &bit)) {
        pv_snprintf(core->why, sizeof(core->why), "VMX lacks: %s in %s", vmcs_bit_name(field, bit),
                    vmcs_field_by_encoding(field)->name);
        core->state = PV_CORE_NO_VMX;
        return false;
    }
    if (core->bsp) {
        vmx_caps = caps;
        field_table_fill(&vmx_fields, &caps);
        vmx_timer_shift = (uint32_t)(caps.misc & VMX_MISC_TIMER_SHIFT);
        return true;
    }
    const char *what;
    if (!vmx_caps_same(&vmx_caps, &caps, &what)) {
        pv_snprintf(core->why, sizeof(core->why), "its %s differ from core 0's", what);
        core->state = PV_CORE_NO_VMX;
        return false;
    }
    return true;
}

bool vmx_choose_guest_timer(bool lapic)
{
    // Without saving, an exit that is only answered would start it anew.
    bool usable = (vmx_control_default(&vmx_caps, VMCS_PIN_CONTROLS) & PIN_PREEMPTION_TIMER) &&
                  vmx_saves_preemption_timer(&vmx_caps);
    vmx_guest_timer = usable && !lapic;
    if (!vmx_guest_timer) { // what is derived from them follows
        vmx_caps.pin &= ~((uint64_t)PIN_PREEMPTION_TIMER << 32);
        vmx_caps.exit &= ~((uint64_t)EXIT_SAVE_PREEMPTION_TIMER << 32);
    }
    return usable;
}

/// CR0 and CR4 must have the bits that are fixed in VMX operation (SDM Vol. 3C 24.8, Vol. 3D A.7, A.8).
static bool fix_control_registers(struct core *core)
{
    uint64_t cr0 = (cpu_read_cr0() | vmx_caps.cr0_fixed0);
    uint64_t cr4 = (cpu_read_cr4() | CR4_VMXE | vmx_caps.cr4_fixed0);
    if ((cr0 & ~vmx_caps.cr0_fixed1) || (cr4 & ~vmx_caps.cr4_fixed1)) {
        return refuse(core, "a control-register bit that Polyvisor needs is not allowed in VMX operation");
    }
    cpu_write_cr0(cr0);
    cpu_write_cr4(cr4);
    return true;
}

/// VMXON; CF or ZF set: it failed (SDM Vol. 3C 31.2).
static bool vmxon(uint64_t region)
{
    bool failed;
    __asm__ volatile("vmxon %1" : "=@ccbe"(failed) : "m"(region) : "memory");
    return !failed;
}

bool vmx_enable(struct core *core)
{
    if (!(cpu_cpuid(1, 0).ecx & CPUID_1_ECX_VMX)) {
        return refuse(core, "the processor has no VMX (CPUID.1:ECX bit 5 is 0)");
    }
    if (!core->bsp && !ready) {
        return refuse(core, "core 0 is not in VMX operation");
    }
    if (!allow_vmxon(core) || !check_caps(core) || !fix_control_registers(core)) {
        return false;
    }
    uint32_t *region = phys_to_virt(core->vmxon_region);
    memset(region, 0, VMX_REGION_SIZE);
    region[0] = (uint32_t)(vmx_caps.basic & VMX_BASIC_REVISION);
    if (!vmxon(core->vmxon_region)) {
        return refuse(core, "VMXON failed");
    }
    core->vmxon_count++;
    core->state = PV_CORE_VMX;
    if (core->bsp) {
        ready = true;
    }
    return true;
}

bool vmx_ready(void)
{
    return ready;
}

struct vmx_processor vmx_processor(void)
{
    struct cpuid widths = cpu_cpuid(0x80000008, 0);
    struct cpuid f7 = cpu_cpuid(7, 0), f71 = f7.eax >= 1 ? cpu_cpuid(7, 1) : (struct cpuid){0};
    return (struct vmx_processor){
        .physical_bits = (uint8_t)widths.eax,
        .linear_bits = (uint8_t)(widths.eax >> 8),
        .sgx = f7.ebx >> 2 & 1,
        .rtm = f7.ebx >> 11 & 1,
        .bus_lock = f7.ecx >> 24 & 1,
        .lam = f71.eax >> 26 & 1,
        .efer = VMX_EFER_ALL,
        .debugctl = DEBUGCTL_ALL,
    };
}

bool vmx_read_any(uint32_t field, uint64_t *value)
{
    return field_table_get(&vmx_fields, field) != FIELD_ABSENT && vmcs_try_read(field, value);
}

void vmx_failed(const char *instruction, uint64_t operand, uint64_t value)
{
    uint64_t error = 0;
    vmcs_try_read(VMCS_VM_INSTRUCTION_ERROR, &error);
    const struct vmcs_field_info *field = vmcs_field_by_encoding((uint32_t)operand);
    const char *words = vmx_instruction_error_name((uint32_t)error);
    panic("%s failed: operand 0x%lx (%s), value 0x%lx, VM-instruction error %lu (%s)", instruction, operand,
          field ? field->name : "no field", value, error, words ? words : "unknown");
}

void vmx_disable(struct core *core)
{
    if (core->state != PV_CORE_VMX) {
        return;
    }
    __asm__ volatile("vmxoff" : : : "memory", "cc");
    core->vmxoff_count++;
    core->state = PV_CORE_NO_VMX;
    cpu_write_cr4(cpu_read_cr4() & ~CR4_VMXE);
}
