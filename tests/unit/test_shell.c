// SPDX-License-Identifier: Apache-2.0
// The whole shell against a multiplexer that is only pretended: what is typed goes in, what is printed comes out.
// links: tests/unit/shell_session.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shell_session.h"
#include "vmm/personalities/monitor/command.h"
#include "vmm/personalities/monitor/out.h"

static void greets(void **state)
{
    (void)state;
    session("");
    expect_printed("Polyvisor 1.0-test, ABI 1\n2 cores, in VMX operation: 0-1\n");
    expect_printed("personalities: monitor (running), broken (faulted), done (exited), tiny (running)\n");
    expect_not_printed("configuration");
    assert_string_equal(fake.output + fake.output_size - 11, "polyvisor> ");
}

static void greets_with_what_is_wrong(void **state)
{
    (void)state;
    fake.core_count = 3;
    fake.cores[0].state = fake.cores[1].state = PV_CORE_NO_VMX;
    fake.cores[2] = (struct pv_core_info){.core = 2, .state = PV_CORE_ABSENT, .why = "did not answer"};
    strcpy(fake.cores[0].why, "VMX (CPUID.1:ECX.5)");
    strcpy(fake.cores[1].why, "VMX (CPUID.1:ECX.5)");
    fake.personalities[1].state = PV_STATE_REFUSED;
    strcpy(fake.personalities[1].why, "needs VMX");
    fake.config_errors = "polyvisor.cfg:3:1: found 'x', expected '}'\n";
    session("");
    expect_printed("3 cores, in VMX operation: none\n");
    expect_printed("core 0-1: no VMX: VMX (CPUID.1:ECX.5)\n");
    expect_printed("core 2: absent: did not answer\n");
    expect_printed("broken was not started: needs VMX\n");
    expect_printed("The configuration is wrong:\n  polyvisor.cfg:3:1: found 'x', expected '}'\n");
}

static void lists_as_json(void **state)
{
    (void)state;
    expect_json("cores --json", "{\"cores\":[{\"core\":0,\"apic\":0,\"state\":\"vmx\",\"vmxon\":1,\"vmxoff\":0,");
    expect_json("cores --json", "\"why\":\"\"},{\"core\":1,\"apic\":2,");
    expect_json("ps --json", "{\"personalities\":[{\"id\":0,\"name\":\"monitor\",\"state\":\"running\"");
    expect_json("ps --json", "\"cores\":[0,1],");
    expect_json("ps done --json", "\"exit_code\":-7,");
    expect_json("ps broken --json", "\"rip\":\"0x401000\"");
    expect_json("mem --json", "{\"base\":1048576,\"size\":16777216,\"kind\":\"pool\",\"owner\":\"monitor\"}");
    expect_json("log --json", "{\"log\":[\"[0.1] one\",\"[0.2] two \\\"quoted\\\"\",\"[0.3] three\"]}");
    expect_json("log 1 --json", "{\"log\":[\"[0.3] three\"]}");
    expect_json("config --json", "\"errors\":[]}");
    expect_json("console done --json", "\"text\":\"kept\\toutput\\u0080\\n\"");
    expect_json("machine --json", "\"version\":\"1.0-test\"");
    expect_json("version --json", "\"abi\":1");
    expect_json("peek 0x1010 4 --json", "{\"address\":\"0x1010\",\"bytes\":4,\"hex\":\"10111213\"}");
    expect_json("cpu --json", "\"brand\":\"Fake Processor\"");
    expect_json("cpu vmx --json", "\"vmx\":{\"revision\":0,");
}

static void errors_as_json(void **state)
{
    (void)state;
    expect_json("ps nobody --json", "{\"error\":\"ps: there is no personality 'nobody'; ps lists them\"}");
    expect_json("peek 0 --json", "{\"error\":\"peek: there is no RAM at 0x0 to 0x3f\"}");
    expect_json("msr 0x123 --json", "{\"error\":\"msr 0x123: core 0 has no such MSR (#GP)\"}");
    expect_json("nonsense --json", "{\"error\":\"nonsense: no such command; help lists them\"}");
    expect_json("kill broken --json", "{\"error\":\"kill: does not know the option '--json'\"}");
    expect_json("cores x --json", "{\"error\":\"cores: has no use for 'x'");
    expect_json("ps --json --jason", "{\"error\":\"ps: does not know the option '--jason'");
}

static void explains_mistakes(void **state)
{
    (void)state;
    expect("nonsense", "nonsense: no such command");
    expect("--json cores", "--json: no such command");
    expect("kill", "kill: needs more arguments: kill NAME");
    expect("kill nobody", "kill: there is no personality 'nobody'");
    expect("attach monitor", "attach: this is the console of monitor already");
    expect("cores --yaml", "cores: does not know the option '--yaml'");
    expect("version 2", "version: has no use for '2'");
    expect("peek 0x", "peek: address '0x': expected a decimal number");
    expect("peek 0x1000 5000", "number of bytes 5000 is too large: at most 0x1000");
    expect("peek 0x10000000000000", "too large");
    expect("msr NO_SUCH", "there is no MSR named 'NO_SUCH'");
    expect("msr 9 0x10", "there is no core 9");
    expect("msr 0x123", "msr 0x123: core 0 has no such MSR (#GP)");
    expect("cpu frobnicate", "'frobnicate' is neither a core nor one of");
    expect("help nonsense", "there is no command 'nonsense'");
    expect("set pager maybe", "pager is on or off, not 'maybe'");
    expect("set rows 1", "rows must be at least 2");
    expect("set volume 11", "there is no setting 'volume'");
    expect("crash", "only a debug build can do that");
    expect("crash softly", "'softly' is not a way to crash");
    expect("log -1", "does not know the option '-1'");
    expect("ps a b c d e f g h i j k l m n o p q r s t u v w x y z", "more than 16 words");
}

static void shows_personalities(void **state)
{
    (void)state;
    expect("ps", "#PF at 0x401000, reading 0x10\n");
    expect("ps", "exit code -7\n");
    expect("ps broken", "stopped by   #PF page fault, error code 0x4, on core 0\nrip 0000000000401000");
    expect("ps monitor", "state        running\n");
}

static void reads_memory_and_msrs(void **state)
{
    (void)state;
    expect("peek 0x1041 3", "0x000000001041  41 42 43 ");
    expect("peek 0x1041 3", " ABC\n");
    fake.msrs[fake.msr_count++] = (struct fake_msr){0xc0000080, 0xd01};
    expect("msr ia32_efer", "core 0  0xc0000080 IA32_EFER = 0x0000000000000d01\n");
    expect("msr 1 0xc0000080", "core 1  0xc0000080 IA32_EFER = 0x0000000000000d01\n");
    expect_json("msr 1 0xc0000080 --json",
                "{\"core\":1,\"msr\":\"0xc0000080\",\"name\":\"IA32_EFER\",\"value\":\"0xd01\"}");
}

static void tells_of_vmx(void **state)
{
    (void)state;
    const struct fake_msr msrs[] = {
        {0x3a, 5},
        {0x480, UINT64_C(0x00d810000000002b)},
        {0x482, UINT64_C(0xfff9fffe0401e172)},
        {0x48b, UINT64_C(0x0000000200000000)},
        {0x48d, UINT64_C(0x0000007f00000016)},
        {0x48c, UINT64_C(0x141)},
    };
    memcpy(fake.msrs, msrs, sizeof(msrs));
    fake.msr_count = sizeof(msrs) / sizeof(msrs[0]);
    out_settings.pager = false;
    expect("cpu vmx", "VMX: VMCS revision 0x2b, regions of 4096 bytes, memory type 6 (write-back)");
    expect("cpu vmx", "pin-based controls (MSR 0x48d = 0x0000007f00000016):");
    expect("cpu vmx", "   6  yes    activate VMX-preemption timer\n   7  no     process posted interrupts\n");
    expect("cpu vmx", "   1  yes    enable EPT\n");
    expect("cpu vmx", "tertiary processor-based controls: none");
    expect("cpu vmx", "VM functions: none");
    expect("cpu vmx", "   6  yes    EPT page-walk length 4\n");
    expect("cpu errata", "L1TF: a guest can read the L1 data cache");
    expect("cpu features", "features:\n  vmx\n");
    expect_json("cpu 1 --json", "\"ept_vpid\":{\"msr\":\"0x48c\"");
}

static void controls(void **state)
{
    (void)state;
    expect("kill broken", "broken: killed\n");
    assert_int_equal(fake.last_operation, PV_DEBUG_KILL);
    assert_int_equal(fake.last_argument, 1);
    expect("restart done", "done: restarted\n");
    assert_int_equal(fake.last_operation, PV_DEBUG_RESTART);
    assert_int_equal(fake.last_argument, 2);
    fake.control_result = PV_ERR_DENIED;
    expect("kill monitor", "kill: monitor is the monitor, and this is its shell\n");
    fake.control_result = PV_ERR_STATE;
    expect("kill done", "kill: done is not running\n");
    fake.control_result = PV_ERR_UNSUPPORTED;
    expect("poweroff", "poweroff: could not: the multiplexer answered PV_ERR_UNSUPPORTED (-10)\n");
    assert_int_equal(fake.last_operation, PV_DEBUG_POWEROFF);
    expect("reboot", "rebooting\nreboot: could not");
    assert_int_equal(fake.last_operation, PV_DEBUG_REBOOT);
}

static void attaches(void **state)
{
    (void)state;
    session("attach broken\r" PAUSE REDRAW "version\r");
    assert_int_equal(fake.last_operation, PV_DEBUG_ATTACH);
    assert_int_equal(fake.last_argument, 1);
    expect_printed("attached to broken; Ctrl-] returns to the shell\npolyvisor> version\nPolyvisor 1.0");
}

static void pages_long_output(void **state)
{
    (void)state;
    out_settings.rows = 5;
    session("help\r" PAUSE " " PAUSE "\r" PAUSE "q");
    // Four rows, four more, one more, and then the reader has had enough.
    const char *text = strstr(fake.output, "agents ");
    assert_non_null(text);
    unsigned rows = 0;
    for (; *text != '\0'; text++)
        rows += *text == '\n';
    assert_int_equal(rows, 9);
    expect_printed("\ncrash ");
    expect_not_printed("machine ");
    assert_string_equal(fake.output + fake.output_size - 11, "polyvisor> ");
}

static void does_not_page_for_programs(void **state)
{
    (void)state;
    out_settings.rows = 5;
    session("help\rversion\r");
    expect_not_printed("--more--");
    session("cpu --json\r" PAUSE "version\r");
    expect_not_printed("--more--");
    session("set pager off\rhelp\r" PAUSE "version\r");
    expect_not_printed("--more--");
    expect_printed("Polyvisor 1.0-test, ABI 1\npolyvisor> ");
}

static void redraws(void **state)
{
    (void)state;
    session("vers" PAUSE REDRAW "ion\r");
    expect_printed("polyvisor> vers\rpolyvisor> vers\x1b[K\r\x1b[15Cion\nPolyvisor");
}

static void completes(void **state)
{
    (void)state;
    session("vers\t\r");
    expect_printed("\nPolyvisor 1.0-test, ABI 1\npolyvisor> ");
    session("kill bro\t\r");
    expect_printed("broken: killed");
    session("ps  d\t--j\t\r");
    expect_printed("\"name\":\"done\"");
    session("msr IA32_EF\t\r");
    expect_printed("IA32_EFER");
    session("set pager o\t\tn\r");
    expect_printed("\non   off");
}

static void does_not_end(void **state)
{
    (void)state;
    session("\x04version\r");
    expect_printed("The shell does not end; poweroff and reboot do.\npolyvisor> version\nPolyvisor");
}

static void commands_are_in_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < command_count; i++) {
        const struct command *command = commands[i];
        if (i > 0)
            assert_true(strcmp(commands[i - 1]->name, command->name) < 0);
        assert_true(strlen(command->summary) > 0 && strlen(command->summary) + 11 < 80);
        assert_true(command->least <= command->most);
        const size_t size = strlen(command->details);
        assert_true(size == 0 || command->details[size - 1] == '\n');
        assert_int_equal(command->json, strstr(command->arguments, "--json") != NULL);
        char line[64];
        snprintf(line, sizeof(line), "help %s", command->name);
        expect(line, command->summary);
    }
}

/// Whatever is typed, the shell reads on; the sanitizers watch.
static void survives_anything(void **state)
{
    (void)state;
    static const char *const words[] = {"cores",  "cpu",    "mem",    "ps",   "log",  "config", "peek",
                                        "msr",    "help",   "set",    "kill", "x",    "0",      "1",
                                        "0x1000", "--json", "broken", "-",    "rows", "\t",     "\x7f",
                                        "\x1b",   "[A",     "\x17",   "4096", "vmx",  "restart"};
    type_at_random(words, sizeof(words) / sizeof(words[0]), 300, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(greets, shell_set_up),
        cmocka_unit_test_setup(greets_with_what_is_wrong, shell_set_up),
        cmocka_unit_test_setup(lists_as_json, shell_set_up),
        cmocka_unit_test_setup(errors_as_json, shell_set_up),
        cmocka_unit_test_setup(explains_mistakes, shell_set_up),
        cmocka_unit_test_setup(shows_personalities, shell_set_up),
        cmocka_unit_test_setup(reads_memory_and_msrs, shell_set_up),
        cmocka_unit_test_setup(tells_of_vmx, shell_set_up),
        cmocka_unit_test_setup(controls, shell_set_up),
        cmocka_unit_test_setup(attaches, shell_set_up),
        cmocka_unit_test_setup(pages_long_output, shell_set_up),
        cmocka_unit_test_setup(does_not_page_for_programs, shell_set_up),
        cmocka_unit_test_setup(redraws, shell_set_up),
        cmocka_unit_test_setup(completes, shell_set_up),
        cmocka_unit_test_setup(does_not_end, shell_set_up),
        cmocka_unit_test_setup(commands_are_in_order, shell_set_up),
        cmocka_unit_test_setup(survives_anything, shell_set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
