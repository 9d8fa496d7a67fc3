// SPDX-License-Identifier: Apache-2.0
#include "arch/x86/vmx/event.h"

#include <stddef.h>

#include "arch/x86/registers.h"
#include "arch/x86/vmx/caps.h"

/// IA32_VMX_BASIC: hardware exceptions can be injected with or without an error code, whatever their vector (A.1).
#define BASIC_ANY_ERROR_CODE BIT(56)
/// IA32_VMX_BASIC: bit 13 of the interruption information, nested exception, is supported (A.1).
#define BASIC_NESTED_EXCEPTION BIT(58)
/// IA32_VMX_MISC: software events can be injected with instruction length 0 (A.6).
#define MISC_LENGTH_0 BIT(30)
#define NESTED_EXCEPTION UINT32_C(0x00002000)
/// Exit qualification of EPT violations, table 28-7, and of page-modification log full and SPP-related events.
#define QUALIFICATION_NMI_UNBLOCKING BIT(12)

enum { MAX_LENGTH = 15 };

static uint32_t vector_of(uint32_t info)
{
    return info & INTERRUPTION_VECTOR;
}

static bool is_hardware_exception(uint32_t info, uint32_t vector)
{
    return vmx_event_type(info) == EVENT_HARDWARE_EXCEPTION && vector_of(info) == vector;
}

/* ---- VM-entry event injection ---- */

bool vmx_event_error_codes(uint64_t cr0, uint32_t secondary)
{
    return (cr0 & BIT(0)) != 0 || (secondary & SECONDARY_UNRESTRICTED) == 0;
}

/// #DF, #TS, #NP, #SS, #GP, #PF, #AC.
static bool has_error_code(uint32_t vector)
{
    const uint32_t vectors = 1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 17;
    return vector < VECTOR_EXCEPTIONS && (vectors >> vector & 1) != 0;
}

static bool type_supported(const struct vmx_caps *caps, uint32_t info)
{
    switch (vmx_event_type(info)) {
    case EVENT_EXTERNAL_INTERRUPT:
    case EVENT_NMI:
    case EVENT_HARDWARE_EXCEPTION:
    case EVENT_SOFTWARE_INTERRUPT:
    case EVENT_PRIVILEGED_SOFTWARE_EXCEPTION:
    case EVENT_SOFTWARE_EXCEPTION:
        return true;
    case EVENT_OTHER:
        return (caps->primary >> 32 & PRIMARY_MONITOR_TRAP) != 0;
    }
    return false;
}

static bool vector_consistent(uint32_t info)
{
    switch (vmx_event_type(info)) {
    case EVENT_NMI:
        return vector_of(info) == VECTOR_NMI;
    case EVENT_HARDWARE_EXCEPTION:
        return vector_of(info) < VECTOR_EXCEPTIONS;
    case EVENT_OTHER:
        return vector_of(info) == 0;
    default:
        return true;
    }
}

static bool error_code_consistent(const struct vmx_caps *caps, bool error_codes, uint32_t info)
{
    bool deliver = (info & INTERRUPTION_ERROR_CODE) != 0;
    if (!error_codes || vmx_event_type(info) != EVENT_HARDWARE_EXCEPTION) {
        return !deliver;
    }
    return (caps->basic & BASIC_ANY_ERROR_CODE) != 0 || deliver == has_error_code(vector_of(info));
}

static bool reserved_bits_clear(const struct vmx_caps *caps, uint32_t info)
{
    uint32_t known = INTERRUPTION_VALID | INTERRUPTION_VECTOR | INTERRUPTION_TYPE | INTERRUPTION_ERROR_CODE;
    if ((caps->basic & BASIC_NESTED_EXCEPTION) != 0) {
        known |= NESTED_EXCEPTION;
    }
    return (info & ~known) == 0;
}

static bool length_allowed(const struct vmx_caps *caps, uint32_t length)
{
    return length <= MAX_LENGTH && (length != 0 || (caps->misc & MISC_LENGTH_0) != 0);
}

const char *vmx_event_flaw(const struct vmx_caps *caps, bool error_codes, const struct vmx_event *event,
                           enum vmcs_field *field)
{
    *field = VMCS_ENTRY_INTERRUPTION_INFO;
    if (!type_supported(caps, event->info)) {
        return "the interruption type (bits 10:8) must not be a reserved value";
    }
    if (!vector_consistent(event->info)) {
        return "the vector (bits 7:0) must be consistent with the interruption type: 2 for NMI, at most 31 for "
               "hardware "
               "exception, 0 for other event";
    }
    if (!error_code_consistent(caps, error_codes, event->info)) {
        return "the deliver-error-code bit (bit 11) must be 1 for hardware exceptions that normally deliver an error "
               "code, and 0 for all other events and in real mode";
    }
    if (!reserved_bits_clear(caps, event->info)) {
        return "reserved bits (30:12) must be 0";
    }
    if ((event->info & INTERRUPTION_ERROR_CODE) != 0 && event->error >> 16 != 0) {
        *field = VMCS_ENTRY_EXCEPTION_ERROR_CODE;
        return "bits 31:16 must be 0 if the deliver-error-code bit is 1";
    }
    if (vmx_event_has_length(event->info) && !length_allowed(caps, event->length)) {
        *field = VMCS_ENTRY_INSTRUCTION_LENGTH;
        return "the length must be in the range 1-15 (0-15 if IA32_VMX_MISC bit 30 is 1) for software interrupts, "
               "software exceptions and privileged software exceptions";
    }
    return NULL;
}

bool vmx_event_activity(uint32_t activity, uint32_t info)
{
    enum vmx_event_type type = vmx_event_type(info);
    switch (activity) {
    case ACTIVITY_ACTIVE:
        return true;
    case ACTIVITY_HLT:
        return type == EVENT_EXTERNAL_INTERRUPT || type == EVENT_NMI || type == EVENT_OTHER ||
               is_hardware_exception(info, VECTOR_DB) || is_hardware_exception(info, VECTOR_MC);
    case ACTIVITY_SHUTDOWN:
        return type == EVENT_NMI || is_hardware_exception(info, VECTOR_MC);
    default:
        return false;
    }
}

static enum vmx_event_verdict interrupt_verdict(const struct vmx_event_context *context)
{
    bool blocked = (context->interruptibility & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)) != 0;
    return blocked || (context->rflags & RFLAGS_IF) == 0 ? EVENT_NEEDS_INTERRUPT_WINDOW : EVENT_READY;
}

/// Some processors refuse an NMI while there is blocking by STI (27.3.1.5), and an NMI-window exit may come in spite
/// of that blocking (26.2), again and again, with the guest getting nowhere. RFLAGS.IF is 1 then, so that the
/// interrupt window opens one instruction later.
static enum vmx_event_verdict nmi_verdict(const struct vmx_event_context *context)
{
    if ((context->interruptibility & (INTERRUPTIBILITY_NMI | INTERRUPTIBILITY_MOV_SS)) != 0) {
        return EVENT_NEEDS_NMI_WINDOW;
    }
    return (context->interruptibility & INTERRUPTIBILITY_STI) != 0 ? EVENT_NEEDS_INTERRUPT_WINDOW : EVENT_READY;
}

enum vmx_event_verdict vmx_event_injectable(const struct vmx_event_context *context, const struct vmx_event *event)
{
    enum vmcs_field field;
    bool error_codes = vmx_event_error_codes(context->cr0, context->secondary);
    if ((event->info & INTERRUPTION_VALID) == 0 || vmx_event_flaw(context->caps, error_codes, event, &field) != NULL) {
        return EVENT_INVALID;
    }
    if (!vmx_event_activity(context->activity, event->info)) {
        return EVENT_BLOCKED;
    }
    switch (vmx_event_type(event->info)) {
    case EVENT_EXTERNAL_INTERRUPT:
        return interrupt_verdict(context);
    case EVENT_NMI:
        return nmi_verdict(context);
    default:
        return EVENT_READY; // exceptions and software events: nothing blocks them, and entry ends STI and MOV-SS blocking
    }
}

struct vmx_event_plan vmx_plan_event(const struct vmx_event_context *context, const struct vmx_event *event,
                                     bool occupied)
{
    enum vmx_event_verdict verdict = vmx_event_injectable(context, event);
    if (occupied && verdict != EVENT_INVALID) { // when that one was delivered
        verdict = vmx_event_type(event->info) == EVENT_NMI ? EVENT_NEEDS_NMI_WINDOW : EVENT_NEEDS_INTERRUPT_WINDOW;
    }
    return (struct vmx_event_plan){
        .inject = verdict == EVENT_READY,
        .forget = verdict == EVENT_INVALID,
        // EVENT_BLOCKED: the personality has to change the activity state first
        .windows = verdict == EVENT_NEEDS_INTERRUPT_WINDOW ? PRIMARY_INTERRUPT_WINDOW
                   : verdict == EVENT_NEEDS_NMI_WINDOW     ? PRIMARY_NMI_WINDOW
                                                           : 0,
    };
}

/* ---- after exits ---- */

/// From the format of exits to that of entries: the same but for bit 12, which is NMI unblocking or undefined.
static struct vmx_event for_entry(uint32_t info, uint32_t error, uint32_t length)
{
    const uint32_t common = INTERRUPTION_VALID | INTERRUPTION_VECTOR | INTERRUPTION_TYPE | INTERRUPTION_ERROR_CODE;
    return (struct vmx_event){
        .info = info & common,
        .error = (info & INTERRUPTION_ERROR_CODE) != 0 ? error : 0,
        .length = vmx_event_has_length(info) ? length : 0,
    };
}

bool vmx_reinject(const struct vmx_exit_events *exit, struct vmx_event *event, uint32_t *interruptibility)
{
    if ((exit->vectoring_info & INTERRUPTION_VALID) == 0) {
        return false;
    }
    if (exit->reason == EXIT_REASON_TASK_SWITCH) {
        return false; // through a task gate: the event is delivered by the switch that the exit asks software to do
    }
    *event = for_entry(exit->vectoring_info, exit->vectoring_error, exit->instruction_length);
    // Delivery had got past this blocking, and an entry that injects ends it in any case (27.7.1).
    *interruptibility &= ~(INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS);
    if (vmx_event_type(event->info) == EVENT_NMI) {
        *interruptibility &= ~INTERRUPTIBILITY_NMI; // its own first delivery set it
    }
    return true;
}

bool vmx_reflect(const struct vmx_exit_events *exit, struct vmx_event *event)
{
    if (exit->reason != EXIT_REASON_EXCEPTION_NMI || (exit->interruption_info & INTERRUPTION_VALID) == 0 ||
        vmx_event_type(exit->interruption_info) == EVENT_NMI) {
        return false;
    }
    *event = for_entry(exit->interruption_info, exit->interruption_error, exit->instruction_length);
    return true;
}

/// SDM Vol. 3A table 6-4.
enum exception_class { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

static enum exception_class class_of(uint32_t info)
{
    enum { VECTOR_TS = 10, VECTOR_NP = 11, VECTOR_SS = 12, VECTOR_VE = 20, VECTOR_CP = 21 };
    if ((info & INTERRUPTION_VALID) == 0 || vmx_event_type(info) != EVENT_HARDWARE_EXCEPTION) {
        return BENIGN;
    }
    switch (vector_of(info)) {
    case VECTOR_DE:
    case VECTOR_TS:
    case VECTOR_NP:
    case VECTOR_SS:
    case VECTOR_GP:
    case VECTOR_CP:
        return CONTRIBUTORY;
    case VECTOR_PF:
    case VECTOR_VE:
        return PAGE_FAULT;
    case VECTOR_DF:
        return DOUBLE_FAULT;
    default:
        return BENIGN;
    }
}

static struct vmx_event double_fault(bool error_codes)
{
    const uint32_t type = EVENT_HARDWARE_EXCEPTION << INTERRUPTION_TYPE_SHIFT;
    return (struct vmx_event){
        .info = INTERRUPTION_VALID | type | VECTOR_DF | (error_codes ? INTERRUPTION_ERROR_CODE : 0),
    };
}

bool vmx_combine(uint32_t vectoring_info, bool error_codes, struct vmx_event *second)
{
    enum exception_class then = class_of(second->info);
    bool serious = then == CONTRIBUTORY || then == PAGE_FAULT;
    switch (class_of(vectoring_info)) {
    case DOUBLE_FAULT:
        return !serious;
    case CONTRIBUTORY:
        if (then == CONTRIBUTORY) {
            *second = double_fault(error_codes);
        }
        return true;
    case PAGE_FAULT:
        if (serious) {
            *second = double_fault(error_codes);
        }
        return true;
    case BENIGN:
        break;
    }
    return true;
}

bool vmx_nmi_unblocked_by_iret(const struct vmx_exit_events *exit)
{
    if ((exit->vectoring_info & INTERRUPTION_VALID) != 0) {
        return false; // undefined: the exit came from a delivery, not from IRET
    }
    switch (exit->reason) {
    case EXIT_REASON_EXCEPTION_NMI:
        return (exit->interruption_info & INTERRUPTION_VALID) != 0 &&
               !is_hardware_exception(exit->interruption_info, VECTOR_DF) &&
               (exit->interruption_info & INTERRUPTION_NMI_UNBLOCKING) != 0;
    case EXIT_REASON_EPT_VIOLATION:
    case EXIT_REASON_PML_FULL:
    case EXIT_REASON_SPP:
        return (exit->qualification & QUALIFICATION_NMI_UNBLOCKING) != 0;
    default:
        return false;
    }
}
