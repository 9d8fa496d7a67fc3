// SPDX-License-Identifier: Apache-2.0
// The linux personality with a guest that is only pretended: what its ports do.
// links: tests/unit/linux_machine.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "linux_machine.h"

static int64_t print(unsigned at)
{
    static const char text[] = "hi\n";
    return at < 3 ? io(0x3f8, 1, false, (uint8_t)text[at]) : end_machine();
}

static void test_prints(void **state)
{
    (void)state;
    run(print);
    assert_int_equal(output_size, 3);
    assert_memory_equal(output, "hi\n", 3);
    assert_int_equal(s->rip, CODE + 3 * 2);
    assert_int_equal(machine.exit_code, 42);
}

static int64_t read_ports(unsigned at)
{
    static const struct {
        uint16_t port;
        uint8_t size;
        uint32_t expected;
    } reads[] = {{0x3fd, 1, 0x55667760}, {0x64, 1, 0x556677ff}, {0xcfc, 4, 0x12378086}, {0x1234, 2, 0x5566ffff}};
    static const uint32_t before = 0x55667788;
    if (at == 0)
        return io(0xcf8, 4, false, 0x80000000);
    if (at > 1)
        assert_int_equal((uint32_t)s->gpr[PV_RAX], reads[at - 2].expected);
    return at <= 4 ? io(reads[at - 1].port, reads[at - 1].size, true, before) : end_machine();
}

static void test_reads_ports(void **state)
{
    (void)state;
    run(read_ports);
    assert_int_equal(runs, 6);
}

static int64_t set_timer(unsigned at)
{
    return at == 0 ? wrmsr(0x1b, 0xfee00d00) : end_machine();
}

/// The row of a device in the table for the shell.
static const struct pv_device *find_row(const char *name)
{
    for (uint64_t i = 0; i < published_count; i++)
        if (strcmp(published[i].name, name) == 0)
            return &published[i];
    fail_msg("there is no device '%s'", name);
    return NULL;
}

static int64_t use_what_is_not_there(unsigned at)
{
    s->gpr[PV_RCX] = 0xdead;
    s->inject = 0; // taken
    return at < 3    ? exit_with(at == 0 ? PV_EXIT_RDMSR : PV_EXIT_WRMSR)
           : at == 3 ? io(0x1234, 2, true, 0)
                     : end_machine();
}

/// What has no device is counted, too.
static void test_counts_nobody(void **state)
{
    (void)state;
    const struct pv_device *none = find_row("none"), *msr = find_row("no msr");
    const struct pv_device before[] = {*none, *msr};
    run(use_what_is_not_there);
    assert_int_equal(msr->reads, before[1].reads + 1);
    assert_int_equal(msr->writes, before[1].writes + 2);
    assert_int_equal(none->reads, before[0].reads + 1);
    assert_int_equal(none->writes, before[0].writes);
}

static void test_counts(void **state)
{
    (void)state;
    const struct pv_device *uart = find_row("uart"), *pci = find_row("pci"), *local = find_row("lapic 0");
    const struct pv_device before[] = {*uart, *pci, *local};
    assert_string_equal(uart->place, "port 0x3f8, irq 4");
    run(print);
    assert_int_equal(uart->writes, before[0].writes + 3);
    assert_int_equal(uart->bytes_out, before[0].bytes_out + 3);
    assert_int_equal(uart->reads, before[0].reads);
    reset_machine(state); // does not forget
    run(read_ports);
    assert_int_equal(uart->reads, before[0].reads + 1);
    assert_int_equal(uart->bytes_out, before[0].bytes_out + 3);
    assert_int_equal(pci->writes, before[1].writes + 1);
    assert_int_equal(pci->reads, before[1].reads + 1);
    reset_machine(state);
    run(set_timer);
    assert_int_equal(local->writes, before[2].writes + 1);
}

/// More input than the UART holds comes without a pause, as fast as the guest takes it.
static const char typed[] = "the quick brown fox jumps over the lazy dog, and nothing is lost";
static char got[sizeof(typed)];
static size_t got_size;

static int64_t read_input(unsigned at)
{
    if (at % 2 == 0) {
        if (at > 0)
            got[got_size++] = (char)s->gpr[PV_RAX];
        return got_size == strlen(typed) ? end_machine() : io(0x3fd, 1, true, 0);
    }
    assert_int_equal(s->gpr[PV_RAX] & 1, 1);
    return io(0x3f8, 1, true, 0);
}

static void test_input(void **state)
{
    (void)state;
    // Switching the FIFOs on clears them: input comes after that.
    input = "";
    got_size = 0;
    uart_write(&machine.uart, 2, 1);
    input = typed;
    run(read_input);
    assert_int_equal(got_size, strlen(typed));
    assert_string_equal(got, typed);
    assert_int_equal(waits, 0);
}

/// Input comes while the guest runs, which polls for it, and has no other reason to come out.
static int64_t wait_for_input(unsigned at)
{
    if (at == 0) {
        assert_true(run_deadline > pv_tsc() + info.tsc_hz / 100); // nothing is looked for in vain
        input = "x";
        pending = PV_EVENT_CONSOLE_INPUT;
        return PV_RUN_KICKED;
    }
    if (at == 1) {
        assert_int_equal(pending, 0);
        return io(0x3f8, 1, true, 0);
    }
    assert_int_equal(s->gpr[PV_RAX] & 0xff, 'x');
    return end_machine();
}

static void test_input_ends_a_run(void **state)
{
    (void)state;
    run(wait_for_input);
    assert_int_equal(runs, 3);
    assert_int_equal(waits, 0);
}

/// What the UART had no room for comes when the guest clears its FIFO, which reads nothing.
static int64_t clear_input(unsigned at)
{
    if (at == 0)
        return io(0x3fa, 1, false, 3);
    if (at == 1)
        return io(0x3f8, 1, true, 0);
    assert_int_equal(s->gpr[PV_RAX] & 0xff, 'q'); // the 17th
    return end_machine();
}

static void test_held_input(void **state)
{
    (void)state;
    uart_write(&machine.uart, 2, 1);
    input = "abcdefghijklmnopq";
    run(clear_input);
    assert_int_equal(runs, 3);
}

/// A prompt has no end of line: it is shown although the guest goes on.
static int64_t prompt(unsigned at)
{
    if (at == 0)
        return io(0x3f8, 1, false, '>');
    assert_int_equal(output_size, at == 1 ? 0 : 1);
    if (at == 2)
        return end_machine();
    assert_true(run_deadline <= pv_tsc() + info.tsc_hz / 50);
    return run_out();
}

static void test_prompt(void **state)
{
    (void)state;
    run(prompt);
    assert_int_equal(runs, 3);
}

/// REP OUTSB of a text that spans two pages, and REP INSW, backwards.
static int64_t string_io(unsigned at)
{
    static const uint64_t text = 0x9000 - 3;
    uint8_t *memory = pv_guest_pointer(&machine.memory, 0, 0x20000);
    if (at == 0) {
        memcpy(memory + text, "across\n", 7);
        s->gpr[PV_RCX] = UINT64_C(0xaa00000007);
        s->gpr[PV_RSI] = UINT64_C(0xbb00000000) + text;
        s->exit_instruction_info = 1 << 7; // 32-bit addresses
        s->exit_qualification = UINT64_C(0x3f80000) | 1 << 4 | 1 << 5;
        return exit_with(EXIT_IO);
    }
    if (at == 1) {
        assert_memory_equal(output, "across\n", 7);
        assert_int_equal(s->gpr[PV_RCX], 0);
        assert_int_equal(s->gpr[PV_RSI], text + 7);
        assert_int_equal(s->rip, CODE + 2);
        s->rflags |= 1 << 10;
        s->gpr[PV_RCX] = 3;
        s->gpr[PV_RDI] = 0xa004;
        s->exit_qualification = UINT64_C(0x12340000) | 1 << 4 | 1 << 5 | 8 | 1;
        memset(memory + 0xa000, 0, 16);
        return exit_with(EXIT_IO);
    }
    assert_memory_equal(memory + 0xa000, "\xff\xff\xff\xff\xff\xff\0\0", 8);
    assert_int_equal(s->gpr[PV_RDI], 0x9ffe);
    return end_machine();
}

static void test_string_io(void **state)
{
    (void)state;
    run(string_io);
    assert_int_equal(runs, 3);
    assert_int_equal(machine.exit_code, 42);
}

/// A long one lets interrupts in: the instruction is repeated with what is left.
static int64_t long_string(unsigned at)
{
    if (at == 0) {
        s->gpr[PV_RCX] = 1000;
        s->gpr[PV_RSI] = 0x9000;
        s->exit_instruction_info = 2 << 7;
        s->exit_qualification = UINT64_C(0x800000) | 1 << 4 | 1 << 5;
        return exit_with(EXIT_IO);
    }
    if (s->gpr[PV_RCX] == 0)
        return end_machine();
    assert_int_equal(s->rip, CODE);
    assert_int_equal(s->gpr[PV_RSI], 0x9000 + 1000 - s->gpr[PV_RCX]);
    return exit_with(EXIT_IO);
}

static void test_long_string(void **state)
{
    (void)state;
    run(long_string);
    assert_int_equal(s->rip, CODE + 2);
    assert_int_equal(runs, 5);
}

/// A string of resets is one, and so is one of power-offs, whatever follows.
static int64_t resets(unsigned at)
{
    assert_int_equal(at, 0);
    memset(pv_guest_pointer(&machine.memory, 0x9000, 100), 0xfe, 100);
    s->gpr[PV_RCX] = 100;
    s->gpr[PV_RSI] = 0x9000;
    s->exit_instruction_info = 2 << 7;
    s->exit_qualification = UINT64_C(0x640000) | 1 << 4 | 1 << 5;
    return exit_with(EXIT_IO);
}

static int64_t panics(unsigned at)
{
    resets(at);
    memset(pv_guest_pointer(&machine.memory, 0x9000, 100), 1, 100);
    s->exit_qualification = UINT64_C(0x5050000) | 1 << 4 | 1 << 5;
    return PV_RUN_EXIT;
}

static void test_string_of_ends(void **state)
{
    (void)state;
    run(resets);
    assert_int_equal(machine.phase, PHASE_RESET);
    output[output_size] = '\0';
    assert_string_equal(output, "linux: the guest resets the machine\n");
    reset_machine(NULL);
    run(panics);
    assert_int_equal(machine.exit_code, MACHINE_PANICKED);
    output[output_size] = '\0';
    assert_string_equal(output, "linux: the guest's kernel has panicked\n");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, reset_machine)
    const struct CMUnitTest tests[] = {
        T(test_prints),    T(test_reads_ports),      T(test_counts),         T(test_counts_nobody),
        T(test_input),     T(test_input_ends_a_run), T(test_held_input),     T(test_prompt),
        T(test_string_io), T(test_long_string),      T(test_string_of_ends),
    };
    return cmocka_run_group_tests(tests, make_machine, NULL);
}
