// SPDX-License-Identifier: Apache-2.0
/// What guests do, as far as the multiplexer sees it.
#include "arch/x86/registers.h"
#include "arch/x86/vmx/vmcs.h"
#include "syscall.h"

/// Reasons of exits that can interrupt the delivery of an event (SDM Vol. 3C 28.2.4).
static bool may_have_vectoring(uint32_t reason)
{
    return reason == EXIT_REASON_EXCEPTION_NMI || reason == EXIT_REASON_TRIPLE_FAULT ||
           reason == EXIT_REASON_TASK_SWITCH || reason == EXIT_REASON_EPT_VIOLATION ||
           reason == EXIT_REASON_EPT_MISCONFIGURATION;
}

static const uint32_t events[] = {
    EVENT_EXTERNAL_INTERRUPT << INTERRUPTION_TYPE_SHIFT | 0x30,
    EVENT_SOFTWARE_INTERRUPT << INTERRUPTION_TYPE_SHIFT | 0x80,
    /* those that can cause an exit themselves */
    EVENT_NMI << INTERRUPTION_TYPE_SHIFT | VECTOR_NMI,
    EVENT_HARDWARE_EXCEPTION << INTERRUPTION_TYPE_SHIFT | VECTOR_DB,
    EVENT_HARDWARE_EXCEPTION << INTERRUPTION_TYPE_SHIFT | VECTOR_AC | INTERRUPTION_ERROR_CODE,
    EVENT_HARDWARE_EXCEPTION << INTERRUPTION_TYPE_SHIFT | VECTOR_PF | INTERRUPTION_ERROR_CODE,
    EVENT_HARDWARE_EXCEPTION << INTERRUPTION_TYPE_SHIFT | VECTOR_DF | INTERRUPTION_ERROR_CODE,
    EVENT_SOFTWARE_EXCEPTION << INTERRUPTION_TYPE_SHIFT | VECTOR_BP,
};
enum { EVENTS = sizeof(events) / sizeof(events[0]), FIRST_EXCEPTION = 2, FIRST_DB = 3 };

/// The NMI or exception that an exit is for: one that the exception bitmap asks for, else #DB, which exits always.
static uint32_t exception(uint64_t vmcs, struct input *in)
{
    uint32_t info = events[FIRST_EXCEPTION + input_byte(in) % (EVENTS - FIRST_EXCEPTION)];
    uint64_t bitmap = machine_vmcs_peek(vmcs, VMCS_EXCEPTION_BITMAP);
    bool exits = info == events[FIRST_EXCEPTION] || (bitmap >> (info & INTERRUPTION_VECTOR) & 1);
    return (exits ? info : events[FIRST_DB]) | INTERRUPTION_VALID;
}

/// Whether the guest can have this exit at all, as its controls are.
static bool possible(uint64_t vmcs, uint32_t reason)
{
    uint64_t primary = machine_vmcs_peek(vmcs, VMCS_PRIMARY_CONTROLS);
    switch (reason) {
    case EXIT_REASON_MOV_DR:
        return primary & PRIMARY_MOV_DR;
    case EXIT_REASON_INTERRUPT_WINDOW:
        return primary & PRIMARY_INTERRUPT_WINDOW;
    case EXIT_REASON_NMI_WINDOW:
        return primary & PRIMARY_NMI_WINDOW;
    case EXIT_REASON_HLT:
        return primary & PRIMARY_HLT;
    default:
        return true;
    }
}

static void fill_msr(struct machine_exit *exit, struct input *in)
{
    static const uint32_t msrs[] = {0, 1, 2, MSR_STAR, MSR_LSTAR, MSR_SFMASK, MSR_CSTAR, MSR_TSC_AUX};
    uint64_t value = input_value(in);
    exit->rcx = msrs[input_byte(in) % (sizeof(msrs) / sizeof(msrs[0]))];
    exit->rax = value;
    exit->rdx = value >> 32;
}

void do_exit(uint32_t core, struct input *in)
{
    static const uint32_t reasons[] = {
        EXIT_REASON_PREEMPTION_TIMER,
        EXIT_REASON_CPUID,
        EXIT_REASON_HLT,
        EXIT_REASON_IO,
        EXIT_REASON_RDMSR,
        EXIT_REASON_WRMSR,
        EXIT_REASON_EXCEPTION_NMI,
        EXIT_REASON_XSETBV,
        EXIT_REASON_INTERRUPT_WINDOW,
        EXIT_REASON_NMI_WINDOW,
        EXIT_REASON_MOV_DR,
        EXIT_REASON_EPT_VIOLATION,
        EXIT_REASON_VMCALL,
        EXIT_REASON_TRIPLE_FAULT,
        EXIT_REASON_TASK_SWITCH,
        EXIT_REASON_INIT,
        EXIT_REASON_BUS_LOCK,
        EXIT_REASON_URDMSR,
        EXIT_REASON_CR_ACCESS,
        EXIT_REASON_EPT_MISCONFIGURATION,
    };
    struct machine_exit exit = {.reason = reasons[input_byte(in) % (sizeof(reasons) / sizeof(reasons[0]))]};
    exit.ticks = (uint64_t)input_byte(in) * 500;
    exit.dirt = (uint64_t)input_byte(in) * UINT64_C(0x0123456789abcdef);
    exit.rax = exit.rcx = exit.dirt & 3;
    uint64_t vmcs = cores[core].main_stack->vcpu->vmcs;
    if (exit.reason == EXIT_REASON_PREEMPTION_TIMER || !possible(vmcs, exit.reason)) {
        machine_end_slice(core);
        return;
    }
    if (exit.reason == EXIT_REASON_RDMSR || exit.reason == EXIT_REASON_WRMSR) {
        fill_msr(&exit, in);
    } else if (exit.reason == EXIT_REASON_XSETBV) {
        exit.rax = input_byte(in) % 16;
        exit.rcx = exit.dirt & 1;
    } else if (exit.reason == EXIT_REASON_EXCEPTION_NMI) {
        exit.interruption_info = exception(vmcs, in);
        exit.qualification = input_byte(in);
    }
    if (may_have_vectoring(exit.reason) && input_byte(in) % 4 == 0) {
        exit.vectoring_info = events[input_byte(in) % EVENTS] | INTERRUPTION_VALID;
    }
    machine_exit_guest(core, &exit);
}
