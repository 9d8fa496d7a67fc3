// SPDX-License-Identifier: Apache-2.0
/// Events for guests: which can be injected and when (SDM Vol. 3C 27.2.1.3, 27.3.1, 27.6), and what has to be injected
/// again after an exit interrupted a delivery (28.2.4). Pure; host-tested.
#ifndef POLYVISOR_VMX_EVENT_H
#define POLYVISOR_VMX_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/vmx/vmcs_fields.h"

struct vmx_caps;

/// The three VM-entry fields for event injection.
struct vmx_event {
    uint32_t info;   ///< VM-entry interruption information
    uint32_t error;  ///< used when info has INTERRUPTION_ERROR_CODE
    uint32_t length; ///< of the instruction, for software interrupts and exceptions
};

/// Guest state that decides about an event.
struct vmx_event_context {
    const struct vmx_caps *caps;
    uint64_t cr0, rflags;
    uint32_t secondary; ///< secondary controls in force
    uint32_t interruptibility, activity;
};

enum vmx_event_verdict {
    EVENT_READY,                  ///< VM entry can inject it
    EVENT_NEEDS_INTERRUPT_WINDOW, ///< it can after an interrupt-window exit
    EVENT_NEEDS_NMI_WINDOW,       ///< it can after an NMI-window exit
    EVENT_BLOCKED,                ///< not in this activity state (27.3.1.5), which no window exit ends
    EVENT_INVALID,                ///< its fields make no event
};

static inline enum vmx_event_type vmx_event_type(uint32_t info)
{
    return (enum vmx_event_type)((info & INTERRUPTION_TYPE) >> INTERRUPTION_TYPE_SHIFT);
}

/// Software interrupts, INT1, INT3 and INTO: their delivery pushes the address of the next instruction, so needs a
/// length.
static inline bool vmx_event_has_length(uint32_t info)
{
    enum vmx_event_type type = vmx_event_type(info);
    return type == EVENT_SOFTWARE_INTERRUPT || type == EVENT_PRIVILEGED_SOFTWARE_EXCEPTION ||
           type == EVENT_SOFTWARE_EXCEPTION;
}

/// Whether the delivery of an exception can push an error code: not while the guest is in real mode.
bool vmx_event_error_codes(uint64_t cr0, uint32_t secondary);
/// The first rule of 27.2.1.3 that a valid event (bit 31) breaks, in the SDM's words; *field: where. NULL: none.
const char *vmx_event_flaw(const struct vmx_caps *caps, bool error_codes, const struct vmx_event *event,
                           enum vmcs_field *field);
/// Whether an activity state other than active lets an event in (27.3.1.5).
bool vmx_event_activity(uint32_t activity, uint32_t info);
/// Whether the guest can take an event now, or what to wait for. An event without INTERRUPTION_VALID is EVENT_INVALID.
enum vmx_event_verdict vmx_event_injectable(const struct vmx_event_context *context, const struct vmx_event *event);

/// What to do about an event that waits for an entry.
struct vmx_event_plan {
    bool inject;      ///< the entry can inject it
    bool forget;      ///< it is none
    uint32_t windows; ///< otherwise: window exiting (primary controls) that tells when to look again
};
/// occupied: the entry injects another event already.
struct vmx_event_plan vmx_plan_event(const struct vmx_event_context *context, const struct vmx_event *event,
                                     bool occupied);

/// What the fields of an exit say about events.
struct vmx_exit_events {
    uint32_t reason; ///< basic exit reason
    uint64_t qualification;
    uint32_t interruption_info, interruption_error;
    uint32_t vectoring_info, vectoring_error;
    uint32_t instruction_length;
};

/// The event whose delivery the exit interrupted, to be injected at the next entry; *interruptibility is changed so
/// that this entry is accepted. False: there is none, or a task switch that the exit reports delivers it.
bool vmx_reinject(const struct vmx_exit_events *exit, struct vmx_event *event, uint32_t *interruptibility);
/// The exception that caused the exit, to give it to the guest after all. False: the exit was not due to an exception.
/// The caller updates CR2 for a page fault; DR6 and DR7 for a debug exception (28.1: such exits do not).
bool vmx_reflect(const struct vmx_exit_events *exit, struct vmx_event *event);
/// An exception during the delivery of another event (vectoring_info; may be invalid): SDM Vol. 3A 6.15, table 6-5.
/// May make *second a double fault. False: triple fault.
bool vmx_combine(uint32_t vectoring_info, bool error_codes, struct vmx_event *second);
/// Whether the exit is due to a fault of an IRET that had already ended blocking by NMI: that blocking has to be put
/// back into the interruptibility state before the guest repeats the IRET (28.2.3, table 28-7).
bool vmx_nmi_unblocked_by_iret(const struct vmx_exit_events *exit);

#endif
