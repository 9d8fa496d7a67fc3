// SPDX-License-Identifier: Apache-2.0
// The linux personality with a guest that is only pretended: how it begins, ends, and what it counts.
// links: tests/unit/linux_machine.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "linux_machine.h"

static void test_loaded(void **state)
{
    (void)state;
    const uint8_t *memory = pv_guest_pointer(&machine.memory, 0, machine.memory.size);
    assert_int_equal(machine.memory.size, POOL - (2 << 20));
    assert_memory_equal(memory + 0x1000000, "kernel starts here", 18);
    assert_string_equal((const char *)memory + LAYOUT_CMDLINE, "console=ttyS0");
    assert_memory_equal(memory + LAYOUT_ACPI, "RSD PTR ", 8);
    assert_true(cpu_enter_kernel(&machine.cpus[0]));
    assert_int_equal(s->rip, 0x1000200);
    assert_int_equal(s->gpr[PV_RSI], LAYOUT_PARAMS);
    assert_int_equal(s->segment[PV_CS].selector, 0x10);
    assert_int_equal(s->segment[PV_SS].selector, 0x18);
    const uint64_t *gdt = (const uint64_t *)(const void *)(memory + s->gdtr.base);
    assert_int_equal(gdt[2], UINT64_C(0x00af9b000000ffff)); // what the selectors name is what the registers hold
    assert_int_equal(gdt[3], UINT64_C(0x00cf93000000ffff));
    assert_int_equal(s->rflags & RFLAGS_IF, 0);
}

/// A Multiboot 1 kernel with a module, in the same machine; then the bzImage again.
static void test_multiboot(void **state)
{
    static uint8_t other[256];
    enum { HEADER = 16, PLACE = 0x200000, FLAGS = 0x10000, MAGIC = 0x1badb002, CR0_START = 0x11 };
    const uint32_t fields[] = {MAGIC,          FLAGS,       (uint32_t)-(MAGIC + FLAGS), PLACE + HEADER, PLACE, 0,
                               PLACE + 0x1000, PLACE + 0x40};
    uint8_t *memory = pv_guest_pointer(&machine.memory, 0, machine.memory.size);
    (void)state;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        put(other + HEADER + 4 * i, 4, fields[i]);
    info.modules[0].address = (uintptr_t)other;
    info.modules[0].size = sizeof(other);
    strcpy(info.modules[1].name, "extra");
    info.modules[1].address = (uintptr_t)"extra";
    info.modules[1].size = 5;
    info.module_count = 2;
    memset(memory + PLACE, 0xcc, 0x1000);
    machine.agent_count = 1;
    assert_null(machine_await_reset(0));
    assert_true(cpu_create(&machine.cpus[0], 0) >= 0 && cpu_enter_kernel(&machine.cpus[0]));
    assert_memory_equal(memory + PLACE, other, sizeof(other));
    assert_int_equal(memory[PLACE + sizeof(other)] | memory[PLACE + 0xfff], 0);
    assert_memory_equal(memory + PLACE + 0x1000, "extra", 5);
    assert_int_equal(s->rip, PLACE + 0x40);
    assert_int_equal(s->gpr[PV_RAX], 0x2badb002);
    assert_int_equal(s->gpr[PV_RBX], LAYOUT_INFO);
    assert_int_equal(s->cr0, CR0_START);
    assert_int_equal(s->cr3 | s->cr4 | s->efer, 0);
    assert_int_equal(s->rflags, 2);
    assert_int_equal(s->segment[PV_TR].base, 0);
    assert_int_equal(s->segment[PV_TR].limit, 0x67);
    for (unsigned i = PV_ES; i <= PV_GS; i++) {
        assert_int_equal(s->segment[i].base, 0);
        assert_int_equal(s->segment[i].limit, UINT32_MAX);
        assert_int_equal(s->segment[i].access, i == PV_CS ? 0xc09b : 0xc093);
    }
    machine.options.boot = IMAGE_LINUX;
    assert_non_null(strstr(machine_await_reset(0), "'kernel': truncated: 256 bytes, less than the header"));
    machine.options.boot = IMAGE_UNKNOWN;
    info.modules[0].address = (uintptr_t)kernel;
    info.modules[0].size = sizeof(kernel);
    info.module_count = 1;
    assert_null(machine_await_reset(0));
}

static void test_refuses(void **state)
{
    (void)state;
    info.modules[0].size = KERNEL_SIZE - 100;
    machine.agent_count = 1;
    const char *wrong = machine_await_reset(0);
    assert_non_null(strstr(wrong, "'kernel': truncated"));
    info.modules[0].size = sizeof(kernel);
    strcpy(info.modules[0].name, "kernal");
    assert_non_null(strstr(machine_await_reset(0), "no kernel"));
    strcpy(info.modules[0].name, "kernel");
}

static int64_t power_off(unsigned at)
{
    return at == 0 ? io(0x604, 2, false, 5 << 10 | 1 << 13) : end_machine();
}

static int64_t reset(unsigned at)
{
    return at == 0 ? io(0xcf9, 1, false, 6) : end_machine();
}

static void test_power(void **state)
{
    (void)state;
    run(power_off);
    assert_int_equal(runs, 1);
    assert_int_equal(machine.phase, PHASE_ENDED);
    assert_int_equal(machine.exit_code, 0);
    reset_machine(state);
    run(reset);
    assert_int_equal(runs, 1);
    assert_int_equal(machine.phase, PHASE_RESET);
}

static int64_t panic(unsigned at)
{
    static const struct {
        bool in;
        uint32_t value;
    } accesses[] = {{true, 0}, {false, 2}, {false, 1}}; // a kernel that has another one for its dump goes on
    if (at == 1)
        assert_int_equal((uint8_t)s->gpr[PV_RAX], 1);
    return at < 3 ? io(0x505, 1, accesses[at].in, accesses[at].value) : end_machine();
}

static void test_panic(void **state)
{
    (void)state;
    run(panic);
    assert_int_equal(runs, 3);
    assert_int_equal(machine.phase, PHASE_ENDED);
    assert_int_equal(machine.exit_code, MACHINE_PANICKED);
    assert_non_null(strstr(output, "linux: the guest's kernel has panicked\n"));
    machine_end(MACHINE_OFF); // too late
    assert_int_equal(machine.exit_code, MACHINE_PANICKED);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, reset_machine)
    const struct CMUnitTest tests[] = {
        T(test_loaded), T(test_multiboot), T(test_refuses), T(test_power), T(test_panic),
    };
    return cmocka_run_group_tests(tests, make_machine, NULL);
}
