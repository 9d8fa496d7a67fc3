// SPDX-License-Identifier: Apache-2.0
#include "vmm/roll_call.h"

#include <polyvisor/string.h>

#include "arch/x86/core.h"
#include "arch/x86/layout.h"
#include "arch/x86/registers.h"
#include "arch/x86/tsc.h"
#include "arch/x86/vmx/vmx.h"
#include "arch/x86/vmx/witness.h"
#include "vmm/config.h"
#include "vmm/log.h"
#include "vmm/machine.h"
#include "vmm/panic.h"
#include "vmm/trace.h"

/// Steps: 0 wait, 1 everyone looks, 2 + n core n executes VMXON and everyone looks.
enum { STEP_LOOK = 1, STEP_FIRST = 2, STEP_OVER = STEP_FIRST + PV_MAX_CORES, ANSWER_WAIT_US = 100000 };
#define VALUE UINT64_C(0x1000001)

static struct {
    bool wanted;
    uint32_t step;
    uint64_t vmcs[PV_MAX_CORES]; ///< a page a core: it holds a current VMCS while others execute VMXON
    struct seat {
        uint32_t answered; ///< the last step that it has taken
        struct vmx_witness saw;
    } __attribute__((aligned(64))) seats[PV_MAX_CORES];
} roll_call;

bool roll_call_wanted(void)
{
    char value[16];
    bool asked = config_option(machine.boot.cmdline, "vmxon", value, sizeof(value)) && strcmp(value, "watched") == 0;
    roll_call.wanted = asked && (cpu_cpuid(1, 0).ecx & CPUID_1_ECX_VMX);
    if (asked && !roll_call.wanted) {
        log_line("vmxon=watched: the processor has no VMX");
    }
    return roll_call.wanted;
}

/// This core's part of a step.
static void take(struct core *core, uint32_t step)
{
    struct seat *seat = &roll_call.seats[core->id];
    if (step == STEP_FIRST + core->id && vmx_enable(core)) {
        trace_vmx(core, true);
        vmx_witness_load(roll_call.vmcs[core->id], VALUE * (core->id + 1));
    }
    if (step == STEP_OVER) {
        if (core->state == PV_CORE_VMX) {
            vmx_witness_clear(roll_call.vmcs[core->id]);
        }
    } else {
        vmx_witness_look(&seat->saw);
    }
    __atomic_store_n(&seat->answered, step, __ATOMIC_RELEASE);
}

static void print(uint32_t core)
{
    const struct vmx_witness *w = &roll_call.seats[core].saw;
    log_line("watched: core=%u vmxe=%u vmptrst=%s vmcs=0x%lx read=%u value=0x%lx cr0=0x%lx cr4=0x%lx efer=0x%lx "
             "feature_control=0x%lx features=0x%lx caps=0x%lx",
             core, (w->cr4 & CR4_VMXE) != 0, w->in_vmx ? "works" : "#UD", w->vmcs, w->reads_vmcs, w->vmcs_value, w->cr0,
             w->cr4, w->efer, w->feature_control, w->features, w->caps);
}

/// Has every core take a step.
static void call(uint32_t step)
{
    __atomic_store_n(&roll_call.step, step, __ATOMIC_RELEASE);
    take(core_self(), step);
    uint64_t end = cpu_rdtsc() + tsc_hz() / 1000000 * ANSWER_WAIT_US;
    for (uint32_t i = 1; i < core_count; i++) {
        while (cores[i].state != PV_CORE_ABSENT &&
               __atomic_load_n(&roll_call.seats[i].answered, __ATOMIC_ACQUIRE) != step) {
            if (cpu_rdtsc() > end) {
                panic("vmxon=watched: core %u does not answer", i);
            }
            cpu_pause();
        }
    }
    for (uint32_t i = 0; i < core_count && step != STEP_OVER; i++) {
        if (cores[i].state != PV_CORE_ABSENT) {
            print(i);
        }
    }
}

void roll_call_lead(void)
{
    for (uint32_t i = 0; i < core_count; i++) {
        roll_call.vmcs[i] = memmap_alloc(&machine.memory, VMX_REGION_SIZE, PAGE_SIZE, 0, UINT64_C(1) << 32,
                                         PV_MEMORY_MULTIPLEXER, MEMMAP_NO_OWNER);
        if (!roll_call.vmcs[i]) {
            panic("no memory for a VMCS a core");
        }
    }
    log_line("watched: step=before");
    call(STEP_LOOK);
    for (uint32_t i = 0; i < core_count; i++) {
        if (cores[i].state != PV_CORE_ABSENT) {
            log_line("watched: step=vmxon core=%u", i);
            call(STEP_FIRST + i);
        }
    }
    call(STEP_OVER);
}

bool roll_call_follow(struct core *core)
{
    uint32_t step = 0;
    while (roll_call.wanted && step != STEP_OVER) {
        uint32_t next = __atomic_load_n(&roll_call.step, __ATOMIC_ACQUIRE);
        if (next != step) {
            step = next;
            take(core, step);
        }
        cpu_pause();
    }
    return roll_call.wanted;
}
