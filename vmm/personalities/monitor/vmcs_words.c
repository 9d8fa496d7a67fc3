// SPDX-License-Identifier: Apache-2.0
#include "vmcs_words.h"

#include <stdarg.h>

#include <polyvisor/format.h>

#include "arch/x86/vmx/vmcs_fields.h"
#include "text.h"

void vmcs_words_add(struct vmcs_words *words, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = words->text + words->used;
    const size_t room = sizeof(words->text) - words->used;
    const size_t size = pv_vsnprintf(text, room, format, args) + 1;
    va_end(args);
    if (words->count == VMCS_WORDS_MAX || size > room)
        return;
    words->word[words->count++] = text;
    words->used += size;
}

static void add_flags(struct vmcs_words *words, uint32_t field, uint64_t value)
{
    enum { RFLAGS_FIXED = 1 << 1 };
    uint64_t others = 0;
    if (field == VMCS_GUEST_RFLAGS)
        value &= ~(uint64_t)RFLAGS_FIXED; // tells nothing
    for (unsigned bit = 0; bit < 64; bit++) {
        const char *name = vmcs_flag_name(field, bit);
        if (!(value >> bit & 1))
            continue;
        if (name != NULL)
            vmcs_words_add(words, "%s", name);
        else
            others |= UINT64_C(1) << bit;
    }
    if (others != 0)
        vmcs_words_add(words, "other bits %#lx", others);
}

/// The format that the entry and exit interruption information and the IDT-vectoring information share.
static void add_event(struct vmcs_words *words, uint32_t field, uint32_t value)
{
    if (!(value & INTERRUPTION_VALID)) {
        vmcs_words_add(words, "none");
        return;
    }
    const uint32_t type = (value & INTERRUPTION_TYPE) >> INTERRUPTION_TYPE_SHIFT;
    const uint32_t vector = value & INTERRUPTION_VECTOR;
    const char *name = vmx_event_type_name(type);
    vmcs_words_add(words, "%s", name != NULL ? name : "reserved type");
    const char *exception = type == EVENT_HARDWARE_EXCEPTION ? text_exception_or_null(vector) : NULL;
    if (exception != NULL)
        vmcs_words_add(words, "%s", exception);
    else
        vmcs_words_add(words, "vector %u", vector);
    if (value & INTERRUPTION_ERROR_CODE)
        vmcs_words_add(words, "with error code");
    if (value & INTERRUPTION_NMI_UNBLOCKING && field == VMCS_EXIT_INTERRUPTION_INFO)
        vmcs_words_add(words, "NMI unblocking by IRET");
}

static void add_exit_reason(struct vmcs_words *words, uint32_t value)
{
    const char *name = vmx_exit_reason_name(value & EXIT_REASON_BASIC);
    vmcs_words_add(words, "%s", name != NULL ? name : "unknown");
    if (value & EXIT_REASON_ENTRY_FAILURE)
        vmcs_words_add(words, "VM-entry failure");
    if (value & EXIT_REASON_FROM_ROOT)
        vmcs_words_add(words, "from VMX root operation");
    if (value & EXIT_REASON_PENDING_MTF)
        vmcs_words_add(words, "pending MTF VM exit");
}

/// SDM Vol. 3C table 25-9.
static void add_ept_pointer(struct vmcs_words *words, uint64_t value)
{
    enum { WRITE_BACK = 6, ACCESSED_DIRTY = 1 << 6 };
    const uint64_t type = value & 7;
    vmcs_words_add(words, "tables at %#lx", value & UINT64_C(0x000ffffffffff000));
    vmcs_words_add(words, type == WRITE_BACK ? "write-back" : type == 0 ? "uncacheable" : "reserved memory type");
    vmcs_words_add(words, "page-walk length %lu", (value >> 3 & 7) + 1);
    if (value & ACCESSED_DIRTY)
        vmcs_words_add(words, "accessed and dirty flags");
}

/// A field with a meaning of its own. False: it has none.
static bool add_special(struct vmcs_words *words, uint32_t field, uint64_t value, uint32_t exit_reason)
{
    const char *name = NULL;
    switch (field) {
    case VMCS_ENTRY_INTERRUPTION_INFO:
    case VMCS_EXIT_INTERRUPTION_INFO:
    case VMCS_IDT_VECTORING_INFO:
        add_event(words, field, (uint32_t)value);
        return true;
    case VMCS_GUEST_ACTIVITY:
        name = vmx_activity_name((uint32_t)value);
        break;
    case VMCS_VM_INSTRUCTION_ERROR:
        name = value == 0 ? "none" : vmx_instruction_error_name((uint32_t)value);
        break;
    case VMCS_EXIT_REASON:
        add_exit_reason(words, (uint32_t)value);
        return true;
    case VMCS_EXIT_QUALIFICATION:
        vmcs_words_qualification(words, value, exit_reason);
        return true;
    case VMCS_EPT_POINTER:
        add_ept_pointer(words, value);
        return true;
    case VMCS_GUEST_INTERRUPT_STATUS:
        vmcs_words_add(words, "requesting vector %lu", value & 0xff);
        vmcs_words_add(words, "servicing vector %lu", value >> 8 & 0xff);
        return true;
    default:
        return false;
    }
    vmcs_words_add(words, "%s", name != NULL ? name : "unknown");
    return true;
}

void vmcs_words_decode(struct vmcs_words *words, uint32_t field, uint64_t value, uint32_t exit_reason)
{
    words->count = words->used = 0;
    if (field >= VMCS_GUEST_ES_ACCESS_RIGHTS && field <= VMCS_GUEST_TR_ACCESS_RIGHTS)
        vmcs_words_access_rights(words, (uint32_t)value);
    else if (vmcs_has_flags(field))
        add_flags(words, field, value);
    else
        add_special(words, field, value, exit_reason);
}

/// Types of code and data segments, without the accessed bit: SDM Vol. 3A table 3-1.
static const char *memory_segment(uint32_t type)
{
    static const char *const names[] = {
        "data r", "data rw", "data r expand-down", "data rw expand-down",
        "code x", "code rx", "code x conforming",  "code rx conforming",
    };
    return names[type >> 1 & 7];
}

/// Types of system segments: SDM Vol. 3A table 3-2.
static const char *system_segment(uint32_t type)
{
    static const char *const names[16] = {
        [1] = "16-bit TSS", [2] = "LDT", [3] = "busy 16-bit TSS", [9] = "TSS", [11] = "busy TSS",
    };
    return names[type & 15] != NULL ? names[type & 15] : "reserved system type";
}

void vmcs_words_access_rights(struct vmcs_words *words, uint32_t value)
{
    enum { ACCESSED = 1, CODE = 8, S = 1 << 4, P = 1 << 7, AVL = 1 << 12, L = 1 << 13, DB = 1 << 14, G = 1 << 15 };
    enum { UNUSABLE = 1 << 16 };
    if (value & UNUSABLE) {
        vmcs_words_add(words, "unusable");
        return;
    }
    if (value & S)
        vmcs_words_add(words, "%s%s", memory_segment(value), value & ACCESSED ? " accessed" : "");
    else
        vmcs_words_add(words, "%s", system_segment(value));
    vmcs_words_add(words, "DPL %u", value >> 5 & 3);
    if (!(value & P))
        vmcs_words_add(words, "not present");
    if (value & AVL)
        vmcs_words_add(words, "AVL");
    if (value & S && value & CODE && value & L)
        vmcs_words_add(words, "64-bit");
    else if (value & S)
        vmcs_words_add(words, value & DB ? "32-bit" : "16-bit");
    if (value & G)
        vmcs_words_add(words, "4K units");
}
