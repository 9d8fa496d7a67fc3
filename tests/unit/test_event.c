// SPDX-License-Identifier: Apache-2.0
// Which events can be injected when, and what is injected again after an interrupted delivery.
// links: arch/x86/vmx/event.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/vmx/caps.h"
#include "arch/x86/vmx/event.h"
#include "random.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { IF = 1 << 9, PE = 1, STI = 1, MOV_SS = 2, NMI = 8 };

/* Interruption information, typed out: valid, deliver error code, type, vector. */
#define EXTERNAL(vector) (0x80000000u | (vector))
#define INJECT_NMI 0x80000202u
#define EXCEPTION(vector) (0x80000300u | (vector))
#define EXCEPTION_WITH_CODE(vector) (0x80000b00u | (vector))
#define SOFTWARE_INTERRUPT(vector) (0x80000400u | (vector))
#define INT1 0x80000501u
#define INT3 0x80000603u
#define PENDING_MTF 0x80000700u

static const struct vmx_caps caps = {.primary = UINT64_C(0xffffffff00000000), .misc = 0};

static struct vmx_event_context context(uint64_t rflags, uint32_t interruptibility, uint32_t activity)
{
    return (struct vmx_event_context){
        .caps = &caps,
        .cr0 = PE,
        .rflags = rflags,
        .secondary = SECONDARY_UNRESTRICTED,
        .interruptibility = interruptibility,
        .activity = activity,
    };
}

static enum vmx_event_verdict verdict(uint32_t info, uint64_t rflags, uint32_t interruptibility, uint32_t activity)
{
    const struct vmx_event_context where = context(rflags, interruptibility, activity);
    const struct vmx_event event = {.info = info, .length = 2};
    return vmx_event_injectable(&where, &event);
}

static void external_interrupts_wait_for_their_window(void **state)
{
    (void)state;
    assert_int_equal(verdict(EXTERNAL(0x20), IF, 0, ACTIVITY_ACTIVE), EVENT_READY);
    assert_int_equal(verdict(EXTERNAL(0xff), IF, NMI, ACTIVITY_ACTIVE), EVENT_READY);
    assert_int_equal(verdict(EXTERNAL(0x20), 2, 0, ACTIVITY_ACTIVE), EVENT_NEEDS_INTERRUPT_WINDOW);
    assert_int_equal(verdict(EXTERNAL(0x20), IF, STI, ACTIVITY_ACTIVE), EVENT_NEEDS_INTERRUPT_WINDOW);
    assert_int_equal(verdict(EXTERNAL(0x20), IF, MOV_SS, ACTIVITY_ACTIVE), EVENT_NEEDS_INTERRUPT_WINDOW);
    assert_int_equal(verdict(EXTERNAL(0x20), IF, 0, ACTIVITY_HLT), EVENT_READY);
    assert_int_equal(verdict(EXTERNAL(0x20), 0, 0, ACTIVITY_HLT), EVENT_NEEDS_INTERRUPT_WINDOW);
    assert_int_equal(verdict(EXTERNAL(0x20), IF, 0, ACTIVITY_SHUTDOWN), EVENT_BLOCKED);
    assert_int_equal(verdict(EXTERNAL(0x20), IF, 0, ACTIVITY_WAIT_FOR_SIPI), EVENT_BLOCKED);
}

static void nmis_wait_for_theirs(void **state)
{
    (void)state;
    assert_int_equal(verdict(INJECT_NMI, 0, 0, ACTIVITY_ACTIVE), EVENT_READY);
    assert_int_equal(verdict(INJECT_NMI, 0, NMI, ACTIVITY_ACTIVE), EVENT_NEEDS_NMI_WINDOW);
    assert_int_equal(verdict(INJECT_NMI, 0, MOV_SS, ACTIVITY_ACTIVE), EVENT_NEEDS_NMI_WINDOW);
    assert_int_equal(verdict(INJECT_NMI, IF, STI, ACTIVITY_ACTIVE), EVENT_NEEDS_INTERRUPT_WINDOW);
    assert_int_equal(verdict(INJECT_NMI, IF, STI | NMI, ACTIVITY_ACTIVE), EVENT_NEEDS_NMI_WINDOW);
    assert_int_equal(verdict(INJECT_NMI, 0, 0, ACTIVITY_HLT), EVENT_READY);
    assert_int_equal(verdict(INJECT_NMI, 0, 0, ACTIVITY_SHUTDOWN), EVENT_READY);
    assert_int_equal(verdict(INJECT_NMI, 0, 0, ACTIVITY_WAIT_FOR_SIPI), EVENT_BLOCKED);
}

static void exceptions_wait_for_nothing(void **state)
{
    (void)state;
    static const uint32_t events[] = {
        EXCEPTION(6), EXCEPTION_WITH_CODE(13), EXCEPTION_WITH_CODE(14), INT1, INT3, SOFTWARE_INTERRUPT(0x80),
        PENDING_MTF};
    for (size_t i = 0; i < COUNT(events); i++) {
        for (uint32_t blocking = 0; blocking < 16; blocking++)
            assert_int_equal(verdict(events[i], 0, blocking, ACTIVITY_ACTIVE), EVENT_READY);
    }
}

static void a_halted_guest_takes_few_exceptions(void **state)
{
    (void)state;
    assert_int_equal(verdict(EXCEPTION(1), 0, 0, ACTIVITY_HLT), EVENT_READY);
    assert_int_equal(verdict(EXCEPTION(18), 0, 0, ACTIVITY_HLT), EVENT_READY);
    assert_int_equal(verdict(PENDING_MTF, 0, 0, ACTIVITY_HLT), EVENT_READY);
    assert_int_equal(verdict(EXCEPTION(6), 0, 0, ACTIVITY_HLT), EVENT_BLOCKED);
    assert_int_equal(verdict(EXCEPTION_WITH_CODE(14), 0, 0, ACTIVITY_HLT), EVENT_BLOCKED);
    assert_int_equal(verdict(SOFTWARE_INTERRUPT(0x80), 0, 0, ACTIVITY_HLT), EVENT_BLOCKED);
    assert_int_equal(verdict(INT1, 0, 0, ACTIVITY_HLT), EVENT_BLOCKED);
    assert_int_equal(verdict(EXCEPTION(18), 0, 0, ACTIVITY_SHUTDOWN), EVENT_READY);
    assert_int_equal(verdict(EXCEPTION(1), 0, 0, ACTIVITY_SHUTDOWN), EVENT_BLOCKED);
    assert_int_equal(verdict(PENDING_MTF, 0, 0, ACTIVITY_SHUTDOWN), EVENT_BLOCKED);
    assert_int_equal(verdict(EXCEPTION(18), 0, 0, ACTIVITY_WAIT_FOR_SIPI), EVENT_BLOCKED);
    assert_int_equal(verdict(EXCEPTION(18), 0, 0, 4), EVENT_BLOCKED);
}

static const char *flaw(const struct vmx_caps *of, bool error_codes, uint32_t info, uint32_t error, uint32_t length,
                        enum vmcs_field *field)
{
    const struct vmx_event event = {info, error, length};
    return vmx_event_flaw(of, error_codes, &event, field);
}

static void check_flaw(uint32_t info, uint32_t error, uint32_t length, enum vmcs_field expected, const char *words)
{
    enum vmcs_field field;
    const char *text = flaw(&caps, true, info, error, length, &field);
    assert_non_null(text);
    assert_non_null(strstr(text, words));
    assert_int_equal(field, expected);
}

static void flawed_events_are_explained(void **state)
{
    (void)state;
    check_flaw(0x80000100, 0, 0, VMCS_ENTRY_INTERRUPTION_INFO, "reserved value"); // type 1
    check_flaw(0x80000203, 0, 0, VMCS_ENTRY_INTERRUPTION_INFO, "consistent");     // NMI with vector 3
    check_flaw(EXCEPTION(32), 0, 0, VMCS_ENTRY_INTERRUPTION_INFO, "consistent");
    check_flaw(0x80000701, 0, 0, VMCS_ENTRY_INTERRUPTION_INFO, "consistent");       // other event 1
    check_flaw(EXCEPTION(13), 0, 0, VMCS_ENTRY_INTERRUPTION_INFO, "deliver-error"); // #GP without
    check_flaw(EXCEPTION_WITH_CODE(6), 0, 0, VMCS_ENTRY_INTERRUPTION_INFO, "deliver-error");
    check_flaw(0x80000820, 0, 0, VMCS_ENTRY_INTERRUPTION_INFO, "deliver-error"); // interrupt with
    check_flaw(0x80001020, 0, 0, VMCS_ENTRY_INTERRUPTION_INFO, "30:12");
    check_flaw(0xc0000020, 0, 0, VMCS_ENTRY_INTERRUPTION_INFO, "30:12");
    check_flaw(EXCEPTION_WITH_CODE(14), 0x10000, 0, VMCS_ENTRY_EXCEPTION_ERROR_CODE, "31:16");
    check_flaw(SOFTWARE_INTERRUPT(0x80), 0, 0, VMCS_ENTRY_INSTRUCTION_LENGTH, "range");
    check_flaw(INT3, 0, 16, VMCS_ENTRY_INSTRUCTION_LENGTH, "range");
    check_flaw(INT1, 0, UINT32_MAX, VMCS_ENTRY_INSTRUCTION_LENGTH, "range");
}

static void capabilities_change_the_rules(void **state)
{
    (void)state;
    enum vmcs_field field;
    struct vmx_caps other = caps;
    other.primary = 0; // no monitor trap flag
    assert_non_null(flaw(&other, true, PENDING_MTF, 0, 0, &field));
    assert_null(flaw(&caps, true, PENDING_MTF, 0, 0, &field));
    other = caps;
    other.misc = UINT64_C(1) << 30;
    assert_null(flaw(&other, true, INT3, 0, 0, &field));
    other = caps;
    other.basic = UINT64_C(1) << 56;
    assert_null(flaw(&other, true, EXCEPTION(13), 0, 0, &field));
    assert_null(flaw(&other, true, EXCEPTION_WITH_CODE(6), 0, 0, &field));
    assert_non_null(flaw(&other, true, 0x80000820, 0, 0, &field));
    other.basic = UINT64_C(1) << 58;
    assert_null(flaw(&other, true, 0x80002306, 0, 0, &field)); // nested #UD
}

static void real_mode_has_no_error_codes(void **state)
{
    (void)state;
    enum vmcs_field field;
    assert_true(vmx_event_error_codes(PE, SECONDARY_UNRESTRICTED));
    assert_true(vmx_event_error_codes(0, 0));
    assert_false(vmx_event_error_codes(0, SECONDARY_UNRESTRICTED));
    assert_null(flaw(&caps, false, EXCEPTION(13), 0, 0, &field));
    assert_non_null(flaw(&caps, false, EXCEPTION_WITH_CODE(13), 0, 0, &field));
    struct vmx_event_context where = context(IF, 0, ACTIVITY_ACTIVE);
    where.cr0 = 0;
    const struct vmx_event gp = {.info = EXCEPTION(13)}, gp_with_code = {.info = EXCEPTION_WITH_CODE(13)};
    assert_int_equal(vmx_event_injectable(&where, &gp), EVENT_READY);
    assert_int_equal(vmx_event_injectable(&where, &gp_with_code), EVENT_INVALID);
}

/// Exactly #DF, #TS, #NP, #SS, #GP, #PF and #AC have error codes.
static void error_codes_go_with_vectors(void **state)
{
    (void)state;
    enum vmcs_field field;
    for (uint32_t vector = 0; vector < 32; vector++) {
        const bool has = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
        assert_int_equal(flaw(&caps, true, EXCEPTION_WITH_CODE(vector), 0, 0, &field) == NULL, has);
        assert_int_equal(flaw(&caps, true, EXCEPTION(vector), 0, 0, &field) == NULL, !has);
    }
}

static void an_event_that_is_none_is_invalid(void **state)
{
    (void)state;
    assert_int_equal(verdict(0, IF, 0, ACTIVITY_ACTIVE), EVENT_INVALID);
    assert_int_equal(verdict(0x20, IF, 0, ACTIVITY_ACTIVE), EVENT_INVALID);
    assert_int_equal(verdict(0x80000100, IF, 0, ACTIVITY_ACTIVE), EVENT_INVALID);
}

static struct vmx_event_plan plan(uint32_t info, uint64_t rflags, uint32_t interruptibility, bool occupied)
{
    const struct vmx_event event = {.info = info, .length = 1};
    const struct vmx_event_context where = context(rflags, interruptibility, ACTIVITY_ACTIVE);
    return vmx_plan_event(&where, &event, occupied);
}

static void check_plan(struct vmx_event_plan plan, bool inject, bool forget, uint32_t windows)
{
    assert_int_equal(plan.inject, inject);
    assert_int_equal(plan.forget, forget);
    assert_int_equal(plan.windows, windows);
}

/// Injected, or watched for by the window that its kind needs; never both, and garbage is neither.
static void waiting_events_are_planned(void **state)
{
    (void)state;
    const uint32_t interrupt_window = 1 << 2, nmi_window = 1 << 22; // SDM Vol. 3C table 25-6
    check_plan(plan(EXTERNAL(0x31), IF, 0, false), true, false, 0);
    check_plan(plan(EXTERNAL(0x31), 0, 0, false), false, false, interrupt_window);
    check_plan(plan(EXTERNAL(0x31), IF, 1, false), false, false, interrupt_window);
    check_plan(plan(EXTERNAL(0x31), IF, 0, true), false, false, interrupt_window);
    check_plan(plan(0x80000202, 0, 0, false), true, false, 0);
    check_plan(plan(0x80000202, 0, 8, false), false, false, nmi_window);
    check_plan(plan(0x80000202, 0, 0, true), false, false, nmi_window);
    check_plan(plan(EXCEPTION(6), 0, 8, false), true, false, 0);
    check_plan(plan(EXCEPTION(6), 0, 0, true), false, false, interrupt_window);
    check_plan(plan(0x80000100, IF, 0, false), false, true, 0);
    check_plan(plan(0x80000100, IF, 0, true), false, true, 0);
    check_plan(plan(0x20, IF, 0, false), false, true, 0);
    const struct vmx_event gp = {.info = EXCEPTION_WITH_CODE(13)};
    const struct vmx_event_context halted = context(IF, 0, ACTIVITY_HLT);
    check_plan(vmx_plan_event(&halted, &gp, false), false, false, 0); // no window opens that
}

static void interrupted_deliveries_are_repeated(void **state)
{
    (void)state;
    struct vmx_event event;
    uint32_t blocking = 0;
    struct vmx_exit_events exit = {.reason = EXIT_REASON_EPT_VIOLATION, .instruction_length = 3};
    assert_false(vmx_reinject(&exit, &event, &blocking));

    exit.vectoring_info = EXTERNAL(0x31);
    exit.vectoring_error = 0x77;
    assert_true(vmx_reinject(&exit, &event, &blocking));
    assert_int_equal(event.info, EXTERNAL(0x31));
    assert_int_equal(event.error, 0);
    assert_int_equal(event.length, 0);

    exit.vectoring_info = EXCEPTION_WITH_CODE(14) | 0x1000; // bit 12 is undefined and must not be copied
    exit.vectoring_error = 6;
    assert_true(vmx_reinject(&exit, &event, &blocking));
    assert_int_equal(event.info, EXCEPTION_WITH_CODE(14));
    assert_int_equal(event.error, 6);
    assert_int_equal(event.length, 0);

    exit.vectoring_info = SOFTWARE_INTERRUPT(0x80);
    assert_true(vmx_reinject(&exit, &event, &blocking));
    assert_int_equal(event.info, SOFTWARE_INTERRUPT(0x80));
    assert_int_equal(event.length, 3);
    assert_int_equal(blocking, 0);
}

static void repeating_changes_what_would_refuse_it(void **state)
{
    (void)state;
    struct vmx_event event;
    const struct vmx_exit_events nmi = {.reason = EXIT_REASON_EPT_VIOLATION, .vectoring_info = INJECT_NMI};
    uint32_t blocking = NMI;
    assert_true(vmx_reinject(&nmi, &event, &blocking));
    assert_int_equal(blocking, 0); // its own first delivery had set it
    const struct vmx_exit_events interrupt = {.reason = EXIT_REASON_EPT_VIOLATION, .vectoring_info = EXTERNAL(0x40)};
    blocking = NMI | STI | MOV_SS;
    assert_true(vmx_reinject(&interrupt, &event, &blocking));
    assert_int_equal(blocking, NMI); // an interrupt in an NMI handler leaves that blocking alone
}

static void a_task_switch_delivers_by_itself(void **state)
{
    (void)state;
    struct vmx_event event;
    uint32_t blocking = NMI;
    const struct vmx_exit_events exit = {.reason = EXIT_REASON_TASK_SWITCH, .vectoring_info = INJECT_NMI};
    assert_false(vmx_reinject(&exit, &event, &blocking));
    assert_int_equal(blocking, NMI);
}

/// What comes out of vmx_reinject is accepted at entry, for all that the processor can put into the field.
static void repeated_events_are_injectable(void **state)
{
    (void)state;
    static const uint32_t infos[] = {EXTERNAL(0x20),          INJECT_NMI, EXCEPTION(6), EXCEPTION(1),
                                     EXCEPTION_WITH_CODE(14), INT1,       INT3,         SOFTWARE_INTERRUPT(0x21)};
    uint64_t seed = 9;
    for (int i = 0; i < 10000; i++) {
        struct vmx_event event;
        const struct vmx_exit_events exit = {
            .reason = EXIT_REASON_EPT_VIOLATION,
            .vectoring_info = infos[random_below(&seed, COUNT(infos))] | (uint32_t)random_below(&seed, 2) << 12,
            .vectoring_error = (uint32_t)random_below(&seed, 32),
            .instruction_length = 1 + (uint32_t)random_below(&seed, 15),
        };
        const uint32_t before = (uint32_t)random_below(&seed, 3) | (uint32_t)random_below(&seed, 2) << 3;
        uint32_t blocking = before;
        assert_true(vmx_reinject(&exit, &event, &blocking));
        const struct vmx_event_context where = context(IF, blocking, ACTIVITY_ACTIVE);
        assert_int_equal(vmx_event_injectable(&where, &event), EVENT_READY);
    }
}

static void exceptions_can_be_given_to_the_guest(void **state)
{
    (void)state;
    struct vmx_event event;
    struct vmx_exit_events exit = {
        .reason = EXIT_REASON_EXCEPTION_NMI,
        .interruption_info = EXCEPTION_WITH_CODE(17) | 0x1000,
        .interruption_error = 0,
        .instruction_length = 1,
    };
    assert_true(vmx_reflect(&exit, &event));
    assert_int_equal(event.info, EXCEPTION_WITH_CODE(17));
    exit.interruption_info = INT3;
    assert_true(vmx_reflect(&exit, &event));
    assert_int_equal(event.info, INT3);
    assert_int_equal(event.length, 1);
    exit.interruption_info = INJECT_NMI;
    assert_false(vmx_reflect(&exit, &event));
    exit.interruption_info = 0;
    assert_false(vmx_reflect(&exit, &event));
    exit.interruption_info = EXCEPTION(6);
    exit.reason = EXIT_REASON_CPUID;
    assert_false(vmx_reflect(&exit, &event));
}

/// SDM Vol. 3A table 6-5, row by row.
static void double_and_triple_faults(void **state)
{
    (void)state;
    const uint32_t benign = EXCEPTION(6), contributory = EXCEPTION_WITH_CODE(13), page_fault = EXCEPTION_WITH_CODE(14);
    const uint32_t df = EXCEPTION_WITH_CODE(8), triple = 0;
    const struct {
        uint32_t first, second, expected;
    } cases[] = {
        {0, page_fault, page_fault},
        {benign, benign, benign},
        {benign, contributory, contributory},
        {benign, page_fault, page_fault},
        {contributory, benign, benign},
        {contributory, contributory, df},
        {contributory, page_fault, page_fault},
        {page_fault, benign, benign},
        {page_fault, contributory, df},
        {page_fault, page_fault, df},
        {df, benign, benign},
        {df, contributory, triple},
        {df, page_fault, triple},
        {EXTERNAL(0x0d), contributory, contributory}, // not an exception, whatever its vector
        {SOFTWARE_INTERRUPT(0x0e), page_fault, page_fault},
        {EXCEPTION(0), EXCEPTION_WITH_CODE(10), df},
        {EXCEPTION_WITH_CODE(11), EXCEPTION_WITH_CODE(12), df},
        {EXCEPTION_WITH_CODE(17), contributory, contributory}, // #AC is benign
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct vmx_event second = {.info = cases[i].second, .error = 7};
        assert_int_equal(vmx_combine(cases[i].first, true, &second), cases[i].expected != triple);
        if (cases[i].expected == triple)
            continue;
        assert_int_equal(second.info, cases[i].expected);
        assert_int_equal(second.error, cases[i].expected == df ? 0 : 7);
    }
    struct vmx_event second = {.info = EXCEPTION(13)};
    assert_true(vmx_combine(EXCEPTION(13), false, &second)); // real mode
    assert_int_equal(second.info, EXCEPTION(8));
}

static void iret_that_faults_keeps_nmis_blocked(void **state)
{
    (void)state;
    struct vmx_exit_events exit = {.reason = EXIT_REASON_EXCEPTION_NMI};
    exit.interruption_info = EXCEPTION_WITH_CODE(14) | 0x1000;
    assert_true(vmx_nmi_unblocked_by_iret(&exit));
    exit.vectoring_info = EXTERNAL(0x20); // undefined then
    assert_false(vmx_nmi_unblocked_by_iret(&exit));
    exit.vectoring_info = 0;
    exit.interruption_info = EXCEPTION_WITH_CODE(8) | 0x1000; // undefined for double faults
    assert_false(vmx_nmi_unblocked_by_iret(&exit));
    exit.interruption_info = EXCEPTION_WITH_CODE(14);
    assert_false(vmx_nmi_unblocked_by_iret(&exit));

    exit = (struct vmx_exit_events){.reason = EXIT_REASON_EPT_VIOLATION, .qualification = 0x1000};
    assert_true(vmx_nmi_unblocked_by_iret(&exit));
    exit.vectoring_info = INJECT_NMI;
    assert_false(vmx_nmi_unblocked_by_iret(&exit));
    exit = (struct vmx_exit_events){.reason = EXIT_REASON_EPT_VIOLATION, .qualification = 0xfff};
    assert_false(vmx_nmi_unblocked_by_iret(&exit));
    exit = (struct vmx_exit_events){.reason = EXIT_REASON_IO, .qualification = 0x1000};
    assert_false(vmx_nmi_unblocked_by_iret(&exit));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(external_interrupts_wait_for_their_window),
        cmocka_unit_test(nmis_wait_for_theirs),
        cmocka_unit_test(exceptions_wait_for_nothing),
        cmocka_unit_test(a_halted_guest_takes_few_exceptions),
        cmocka_unit_test(flawed_events_are_explained),
        cmocka_unit_test(capabilities_change_the_rules),
        cmocka_unit_test(real_mode_has_no_error_codes),
        cmocka_unit_test(error_codes_go_with_vectors),
        cmocka_unit_test(an_event_that_is_none_is_invalid),
        cmocka_unit_test(interrupted_deliveries_are_repeated),
        cmocka_unit_test(repeating_changes_what_would_refuse_it),
        cmocka_unit_test(a_task_switch_delivers_by_itself),
        cmocka_unit_test(waiting_events_are_planned),
        cmocka_unit_test(repeated_events_are_injectable),
        cmocka_unit_test(exceptions_can_be_given_to_the_guest),
        cmocka_unit_test(double_and_triple_faults),
        cmocka_unit_test(iret_that_faults_keeps_nmis_blocked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
