// SPDX-License-Identifier: Apache-2.0
// What the shell says about values of VMCS fields.
// links: vmm/personalities/monitor/vmcs_words.c vmm/personalities/monitor/vmcs_flags.c
// links: vmm/personalities/monitor/vmcs_qualification.c vmm/personalities/monitor/text.c
// links: vmm/personalities/monitor/json.c arch/x86/vmx/vmcs_fields.c arch/x86/vmx/vmcs_names.c
// links: vmm/lib/format.c vmm/lib/string.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/vmx/vmcs_fields.h"
#include "random.h"
#include "vmm/personalities/monitor/vmcs_words.h"

static void expect_after(uint32_t exit_reason, uint32_t field, uint64_t value, const char *expected)
{
    struct vmcs_words words;
    char text[VMCS_WORDS_SIZE] = "";
    vmcs_words_decode(&words, field, value, exit_reason);
    for (size_t i = 0; i < words.count; i++) {
        if (i > 0)
            strcat(text, ", ");
        strcat(text, words.word[i]);
    }
    if (strcmp(text, expected) != 0)
        fail_msg("field %#x, value %#lx: '%s', expected '%s'", field, value, text, expected);
}

static void expect(uint32_t field, uint64_t value, const char *expected)
{
    expect_after(0, field, value, expected);
}

static void names_controls(void **state)
{
    (void)state;
    expect(VMCS_PIN_CONTROLS, 0x7f,
           "external-interrupt exiting, NMI exiting, virtual NMIs, activate VMX-preemption timer, other bits 0x16");
    expect(VMCS_PRIMARY_CONTROLS, UINT32_C(0x80000080), "HLT exiting, activate secondary controls");
    expect(VMCS_SECONDARY_CONTROLS, 0xa2, "enable EPT, enable VPID, unrestricted guest");
    expect(VMCS_TERTIARY_CONTROLS, UINT64_C(0x8000000000000010), "IPI virtualization, other bits 0x8000000000000000");
    expect(VMCS_EXIT_CONTROLS, 0x200, "host address-space size");
    expect(VMCS_SECONDARY_EXIT_CONTROLS, 8, "prematurely busy shadow stack");
    expect(VMCS_ENTRY_CONTROLS, 0x200, "IA-32e mode guest");
    expect(VMCS_VM_FUNCTION_CONTROLS, 1, "EPTP switching");
    expect(VMCS_EXCEPTION_BITMAP, 0x80004042, "#DB debug, #UD invalid opcode, #PF page fault, other bits 0x80000000");
    expect(VMCS_PIN_CONTROLS, 0, "");
}

static void names_guest_state(void **state)
{
    (void)state;
    expect(VMCS_GUEST_INTERRUPTIBILITY, 9, "blocking by STI, blocking by NMI");
    expect(VMCS_GUEST_ACTIVITY, 0, "active");
    expect(VMCS_GUEST_ACTIVITY, 3, "wait-for-SIPI");
    expect(VMCS_GUEST_ACTIVITY, 4, "unknown");
    expect(VMCS_GUEST_CR0, 0x80000031, "PE, ET, NE, PG");
    expect(VMCS_CR4_READ_SHADOW, 0x2020, "PAE, VMXE");
    expect(VMCS_HOST_IA32_EFER, 0xd01, "SCE, LME, LMA, NXE");
    expect(VMCS_GUEST_RFLAGS, 0x246, "PF, ZF, IF");
    expect(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0x5001, "B0, enabled breakpoint, BS");
    expect(VMCS_GUEST_INTERRUPT_STATUS, 0x3041, "requesting vector 65, servicing vector 48");
    expect(VMCS_GUEST_RIP, 0x1234, "");
    expect(VMCS_GUEST_CS_SELECTOR, 8, "");
    expect(VMCS_EPT_POINTER, 0x150f05e,
           "tables at 0x150f000, write-back, page-walk length 4, accessed and dirty flags");
    expect(VMCS_EPT_POINTER, 0x20, "tables at 0, uncacheable, page-walk length 5");
}

static void names_access_rights(void **state)
{
    (void)state;
    expect(VMCS_GUEST_CS_ACCESS_RIGHTS, 0x9b, "code rx accessed, DPL 0, 16-bit");
    expect(VMCS_GUEST_CS_ACCESS_RIGHTS, 0xa09b, "code rx accessed, DPL 0, 64-bit, 4K units");
    expect(VMCS_GUEST_CS_ACCESS_RIGHTS, 0xc0fe, "code rx conforming, DPL 3, 32-bit, 4K units");
    expect(VMCS_GUEST_SS_ACCESS_RIGHTS, 0xd0b3, "data rw accessed, DPL 1, AVL, 32-bit, 4K units");
    expect(VMCS_GUEST_ES_ACCESS_RIGHTS, 0x15, "data r expand-down accessed, DPL 0, not present, 16-bit");
    expect(VMCS_GUEST_TR_ACCESS_RIGHTS, 0x8b, "busy TSS, DPL 0");
    expect(VMCS_GUEST_TR_ACCESS_RIGHTS, 0x83, "busy 16-bit TSS, DPL 0");
    expect(VMCS_GUEST_LDTR_ACCESS_RIGHTS, 0x82, "LDT, DPL 0");
    expect(VMCS_GUEST_LDTR_ACCESS_RIGHTS, 0x80, "reserved system type, DPL 0");
    expect(VMCS_GUEST_LDTR_ACCESS_RIGHTS, 0x10082, "unusable");
}

static void names_events(void **state)
{
    (void)state;
    expect(VMCS_ENTRY_INTERRUPTION_INFO, 0x0000000e, "none");
    expect(VMCS_ENTRY_INTERRUPTION_INFO, 0x80000b0e, "hardware exception, #PF page fault, with error code");
    expect(VMCS_ENTRY_INTERRUPTION_INFO, 0x80000020, "external interrupt, vector 32");
    expect(VMCS_IDT_VECTORING_INFO, 0x80000202, "NMI, vector 2");
    expect(VMCS_IDT_VECTORING_INFO, 0x80000480, "software interrupt, vector 128");
    expect(VMCS_IDT_VECTORING_INFO, 0x80000100, "reserved type, vector 0");
    expect(VMCS_EXIT_INTERRUPTION_INFO, 0x8000130e, "hardware exception, #PF page fault, NMI unblocking by IRET");
    expect(VMCS_IDT_VECTORING_INFO, 0x8000130e, "hardware exception, #PF page fault"); // undefined there
    expect(VMCS_EXIT_INTERRUPTION_INFO, 0x80000309, "hardware exception, vector 9");
}

static void names_exits(void **state)
{
    (void)state;
    expect(VMCS_EXIT_REASON, EXIT_REASON_CPUID, "CPUID");
    expect(VMCS_EXIT_REASON, 0x80000021, "VM-entry failure due to invalid guest state, VM-entry failure");
    expect(VMCS_EXIT_REASON, 0x30000000 | EXIT_REASON_MONITOR_TRAP,
           "monitor trap flag, from VMX root operation, pending MTF VM exit");
    expect(VMCS_EXIT_REASON, 35, "unknown");
    expect(VMCS_VM_INSTRUCTION_ERROR, 0, "none");
    expect(VMCS_VM_INSTRUCTION_ERROR, 7, "VM entry with invalid control field(s)");
    expect(VMCS_VM_INSTRUCTION_ERROR, 99, "unknown");
}

static void names_exit_qualifications(void **state)
{
    (void)state;
    expect_after(EXIT_REASON_IO, VMCS_EXIT_QUALIFICATION, 0xe90000, "out 1 byte, port 0xe9");
    expect_after(EXIT_REASON_IO, VMCS_EXIT_QUALIFICATION, 0x600079 | 2,
                 "in 4 bytes, port 0x60, string, REP, immediate operand");
    expect_after(EXIT_REASON_CR_ACCESS, VMCS_EXIT_QUALIFICATION, 0x300, "MOV to CR0 from rbx");
    expect_after(EXIT_REASON_CR_ACCESS, VMCS_EXIT_QUALIFICATION, 0xf18, "MOV from CR8 to r15");
    expect_after(EXIT_REASON_CR_ACCESS, VMCS_EXIT_QUALIFICATION, 0x20, "CLTS");
    expect_after(EXIT_REASON_CR_ACCESS, VMCS_EXIT_QUALIFICATION, 0x00010030, "LMSW 0x1");
    expect_after(EXIT_REASON_MOV_DR, VMCS_EXIT_QUALIFICATION, 0x17, "MOV from DR7 to rax");
    expect_after(EXIT_REASON_MOV_DR, VMCS_EXIT_QUALIFICATION, 0x107, "MOV to DR7 from rcx");
    expect_after(EXIT_REASON_EPT_VIOLATION, VMCS_EXIT_QUALIFICATION, 0x182, "write, not mapped, at a linear address");
    expect_after(EXIT_REASON_EPT_VIOLATION, VMCS_EXIT_QUALIFICATION, 0x108c,
                 "instruction fetch, readable, in a walk of the guest's page tables, NMI unblocking by IRET");
    expect_after(EXIT_REASON_INVLPG, VMCS_EXIT_QUALIFICATION, 0x1234, "");
    expect_after(EXIT_REASON_ENTRY_FAILURE | EXIT_REASON_IO, VMCS_EXIT_QUALIFICATION, 0xe90000,
                 "out 1 byte, port 0xe9");
}

static uint64_t random_word(uint64_t *seed)
{
    const uint64_t high = random_below(seed, UINT64_C(1) << 32);
    return high << 32 | random_below(seed, UINT64_C(1) << 32);
}

/// Every bit of every field at once, and random values, keep within the list.
static void has_room_for_everything(void **state)
{
    (void)state;
    struct vmcs_words words;
    uint64_t seed = 3;
    size_t count;
    const struct vmcs_field_info *fields = vmcs_fields(&count);
    for (size_t i = 0; i < count; i++) {
        const uint32_t field = fields[i].encoding;
        vmcs_words_decode(&words, field, vmcs_field_mask(field), 0);
        size_t named = 0;
        for (unsigned bit = 0; bit < vmcs_field_bits(field); bit++)
            named += vmcs_flag_name(field, bit) != NULL;
        if (vmcs_has_flags(field))
            assert_true(words.count == named || words.count == named + 1); // and what has no name
        for (unsigned n = 0; n < 200; n++)
            vmcs_words_decode(&words, field, random_word(&seed), (uint32_t)random_below(&seed, EXIT_REASON_COUNT));
    }
}

static void leaves_out_what_does_not_fit(void **state)
{
    (void)state;
    static struct vmcs_words words;
    char text[VMCS_WORDS_SIZE];
    for (int i = 0; i < VMCS_WORDS_MAX + 5; i++)
        vmcs_words_add(&words, "%d", i);
    assert_int_equal(words.count, VMCS_WORDS_MAX);
    assert_string_equal(words.word[VMCS_WORDS_MAX - 1], "71");
    words.count = words.used = 0;
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    vmcs_words_add(&words, "%s", text); // just fits
    vmcs_words_add(&words, "y");
    assert_int_equal(words.count, 1);
    assert_int_equal(strlen(words.word[0]), sizeof(text) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_controls),
        cmocka_unit_test(names_guest_state),
        cmocka_unit_test(names_access_rights),
        cmocka_unit_test(names_events),
        cmocka_unit_test(names_exits),
        cmocka_unit_test(names_exit_qualifications),
        cmocka_unit_test(has_room_for_everything),
        cmocka_unit_test(leaves_out_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
