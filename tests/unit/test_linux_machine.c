// SPDX-License-Identifier: Apache-2.0
// The linux personality as a whole, with a guest that is only pretended: each run of its vcpu is a function here.
// links: vmm/personalities/linux/bzimage.c vmm/personalities/linux/layout.c vmm/personalities/linux/cpuid.c
// links: vmm/personalities/linux/msr.c vmm/personalities/linux/machine.c vmm/personalities/linux/console.c
// links: vmm/personalities/linux/agent.c
// links: vmm/personalities/linux/cpu.c vmm/personalities/linux/exits.c vmm/personalities/linux/control_registers.c
// links: vmm/personalities/linux/ports.c vmm/personalities/linux/mmio.c vmm/personalities/linux/string_io.c
// links: vmm/personalities/linux/load.c vmm/personalities/lib/loaders/*.c
// links: vmm/personalities/linux/entry.c vmm/personalities/lib/vcpu.c vmm/personalities/lib/vcpu_start.c
// links: vmm/personalities/lib/console.c vmm/personalities/lib/error.c vmm/lib/format.c vmm/lib/string.c
// links: vmm/personalities/lib/devices/uart.c vmm/personalities/lib/devices/pic.c
// links: vmm/personalities/lib/devices/pit.c vmm/personalities/lib/devices/rtc.c
// links: vmm/personalities/lib/devices/pci.c vmm/personalities/lib/devices/acpi_pm.c
// links: vmm/personalities/lib/devices/acpi_tables.c vmm/personalities/lib/devices/lapic.c
// links: vmm/personalities/lib/devices/lapic_timer.c vmm/personalities/lib/devices/apic_bus.c
// links: vmm/personalities/lib/devices/ioapic.c vmm/personalities/lib/devices/instruction.c
// links: vmm/personalities/linux/devices.c vmm/personalities/lib/devices/pvpanic.c
// links: vmm/personalities/lib/devices/page_walk.c vmm/personalities/lib/devices/pci_function.c
// links: vmm/personalities/linux/virtual_apic.c vmm/personalities/lib/devices/lapic_page.c
// links: vmm/personalities/linux/virtio_devices.c vmm/personalities/linux/options.c
// links: vmm/personalities/lib/devices/virtio_pci.c vmm/personalities/lib/devices/virtio.c
// links: vmm/personalities/lib/devices/virtqueue.c vmm/personalities/lib/devices/msix.c
// links: vmm/personalities/lib/devices/virtio_blk.c vmm/personalities/lib/devices/overlay.c
// links: vmm/personalities/lib/devices/virtio_console.c vmm/personalities/lib/devices/virtio_entropy.c
// links: vmm/personalities/lib/devices/virtio_net.c vmm/personalities/lib/devices/entropy.c vmm/personalities/lib/devices/sha256.c
#define _GNU_SOURCE // MAP_FIXED_NOREPLACE
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "vmm/personalities/linux/machine.h"

__asm__(".globl linux_dsdt, linux_dsdt_end\nlinux_dsdt: .space 64\nlinux_dsdt_end:");

enum { POOL = 64 << 20, KERNEL_SIZE = 4096, EXIT_IO = 30, EXIT_RDMSR = 31, EXIT_WRMSR = 32 };
enum { CODE = 0x8000, RFLAGS_IF = 1 << 9 };
#define VALID (UINT32_C(1) << 31)

static struct pv_info info;
const struct pv_info *host_info_page = &info;
static uint8_t kernel[KERNEL_SIZE];

/* ---- the multiplexer ---- */

static int64_t (*script)(unsigned run); ///< a run of the guest: changes the state page, returns what pv_vcpu_run does
static unsigned runs, waits, signals;
static uint32_t pending;      ///< events of the agent
static uint64_t run_deadline; ///< of the last run
static uint64_t waited_until, ran;
static char output[4096];
static size_t output_size;
static uint64_t vcpus;
static const char *input = "";
static const struct pv_device *published;
static uint64_t published_count;
static bool has_apic;
static uint64_t features; ///< of the last PV_SYS_VCPU_APIC

static int64_t wait_for_event(uint32_t mask, uint64_t deadline)
{
    const uint32_t events = pending & mask;
    pending &= ~mask;
    if (events != 0)
        return events;
    waits++;
    waited_until = deadline;
    if (deadline == DEV_NEVER)
        machine.phase = PHASE_ENDED; // nothing would ever happen
    while (deadline != DEV_NEVER && pv_tsc() < deadline)
        __asm__ volatile("pause");
    return PV_ERR_TIMEOUT;
}

int64_t pv_syscall(uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
    (void)a4;
    switch (number) {
    case PV_SYS_DEVICES:
        published = pv_pool_pointer(a0);
        published_count = a1;
        return PV_OK;
    case PV_SYS_VCPU_CREATE:
        return (int64_t)vcpus++;
    case PV_SYS_VCPU_RUN:
        assert_int_equal(a1, 0); // a budget would be the guest's own time
        assert_true(a2 != 0);    // would be none
        assert_true((a3 & (PV_EVENT_USER | PV_EVENT_CONSOLE_INPUT)) == (PV_EVENT_USER | PV_EVENT_CONSOLE_INPUT));
        run_deadline = a2;
        ran = a0;
        return pending & a3 ? PV_RUN_KICKED : script(runs++);
    case PV_SYS_EVENT_WAIT:
        return wait_for_event((uint32_t)a0, a1);
    case PV_SYS_CONSOLE_WRITE:
        assert_true(output_size + a1 < sizeof(output));
        memcpy(output + output_size, (const char *)(uintptr_t)a0, a1);
        output_size += a1;
        return (int64_t)a1;
    case PV_SYS_CONSOLE_READ: {
        const size_t size = strnlen(input, a1 < 7 ? a1 : 7); // in pieces
        memcpy((char *)(uintptr_t)a0, input, size);
        input += size;
        return (int64_t)size;
    }
    case PV_SYS_VCPU_APIC:
        features = a1;
        return has_apic ? PV_OK : PV_ERR_UNSUPPORTED;
    case PV_SYS_EVENT_SIGNAL:
        signals++;
        return PV_OK;
    default:
        return PV_OK;
    }
}

/* ---- setting up ---- */

static void put(uint8_t *at, unsigned bytes, uint64_t value)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static void make_kernel(void)
{
    kernel[0x1f1] = 1;
    put(kernel + 0x1f4, 4, (KERNEL_SIZE - 1024) / 16);
    put(kernel + 0x1fe, 2, 0xaa55);
    kernel[0x201] = 0x6a;
    memcpy(kernel + 0x202, "HdrS", 4);
    put(kernel + 0x206, 2, 0x20f);
    kernel[0x211] = 1;
    put(kernel + 0x230, 4, 0x200000);
    kernel[0x234] = 1;
    put(kernel + 0x236, 2, 1);
    put(kernel + 0x238, 4, 2047);
    put(kernel + 0x258, 8, 0x1000000);
    put(kernel + 0x260, 4, 0x800000);
    memcpy(kernel + 1024, "kernel starts here", 18);
}

static int make_machine(void **state)
{
    (void)state;
    void *pool = mmap((void *)(uintptr_t)PV_POOL_VA, POOL, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (pool == MAP_FAILED)
        return -1;
    make_kernel();
    info.pool_size = POOL;
    info.tsc_hz = 1000000000;
    info.agent_count = 2;
    info.module_count = 1;
    strcpy(info.args, "console=ttyS0");
    strcpy(info.modules[0].name, "kernel");
    info.modules[0].address = (uintptr_t)kernel;
    info.modules[0].size = sizeof(kernel);
    return machine_make(&info) == NULL && cpu_create(&machine.cpus[0], 0) >= 0 && cpu_create(&machine.cpus[1], 1) >= 0
               ? 0
               : -1;
}

static struct pv_vcpu_state *s;
static struct lapic *lapic;

/// A machine that has just been reset; its first processor is in real mode, its code at CODE, interrupts on.
static int reset_machine(void **state)
{
    (void)state;
    machine.phase = PHASE_RUNNING;
    machine.agent_count = 1; // nobody else comes to the reset
    assert_null(machine_await_reset(0));
    machine.agent_count = 2;
    machine.exit_code = -1;
    assert_true(cpu_create(&machine.cpus[0], 0) >= 0 && cpu_create(&machine.cpus[1], 1) >= 0);
    s = machine.cpus[0].vcpu.state;
    lapic = &machine.cpus[0].lapic;
    s->rip = CODE;
    s->rflags = RFLAGS_IF | 2;
    s->valid = PV_GROUP_ALL;
    s->exit_instruction_length = 2;
    runs = waits = signals = 0;
    pending = 0;
    output_size = 0;
    machine.console.used = 0;
    return 0;
}

static void run(int64_t (*guest)(unsigned))
{
    script = guest;
    agent_loop(0);
}

static int64_t exit_with(uint32_t reason)
{
    (ran == machine.cpus[1].vcpu.id ? machine.cpus[1].vcpu.state : s)->exit_reason = reason;
    return PV_RUN_EXIT;
}

static int64_t end(void)
{
    machine_end(42);
    return PV_RUN_BUDGET;
}

static int64_t io(uint16_t port, unsigned size, bool in, uint32_t value)
{
    s->gpr[PV_RAX] = value;
    s->exit_qualification = (uint64_t)port << 16 | (in ? 8 : 0) | (size - 1);
    return exit_with(EXIT_IO);
}

static int64_t wrmsr(uint32_t msr, uint64_t value)
{
    s->gpr[PV_RCX] = msr;
    s->gpr[PV_RAX] = (uint32_t)value;
    s->gpr[PV_RDX] = value >> 32;
    return exit_with(EXIT_WRMSR);
}

/* ---- the start ---- */

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

/* ---- ports ---- */

static int64_t print(unsigned at)
{
    static const char text[] = "hi\n";
    return at < 3 ? io(0x3f8, 1, false, (uint8_t)text[at]) : end();
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
    return at <= 4 ? io(reads[at - 1].port, reads[at - 1].size, true, before) : end();
}

static void test_reads_ports(void **state)
{
    (void)state;
    run(read_ports);
    assert_int_equal(runs, 6);
}

static int64_t power_off(unsigned at)
{
    return at == 0 ? io(0x604, 2, false, 5 << 10 | 1 << 13) : end();
}

static int64_t reset(unsigned at)
{
    return at == 0 ? io(0xcf9, 1, false, 6) : end();
}

static int64_t set_timer(unsigned at)
{
    return at == 0 ? wrmsr(0x1b, 0xfee00d00) : end();
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

static int64_t panic(unsigned at)
{
    static const struct {
        bool in;
        uint32_t value;
    } accesses[] = {{true, 0}, {false, 2}, {false, 1}}; // a kernel that has another one for its dump goes on
    if (at == 1)
        assert_int_equal((uint8_t)s->gpr[PV_RAX], 1);
    return at < 3 ? io(0x505, 1, accesses[at].in, accesses[at].value) : end();
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

/// More input than the UART holds comes without a pause, as fast as the guest takes it.
static const char typed[] = "the quick brown fox jumps over the lazy dog, and nothing is lost";
static char got[sizeof(typed)];
static size_t got_size;

static int64_t read_input(unsigned at)
{
    if (at % 2 == 0) {
        if (at > 0)
            got[got_size++] = (char)s->gpr[PV_RAX];
        return got_size == strlen(typed) ? end() : io(0x3fd, 1, true, 0);
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
    return end();
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
    return end();
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
        return end();
    assert_true(run_deadline <= pv_tsc() + info.tsc_hz / 50);
    while (pv_tsc() < run_deadline)
        __asm__ volatile("pause");
    return PV_RUN_BUDGET;
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
        s->gpr[PV_RSI] = UINT64_C(0xbb00001234);
        s->guest_linear_address = text;
        s->exit_instruction_info = 1 << 7; // 32-bit addresses
        s->exit_qualification = UINT64_C(0x3f80000) | 1 << 4 | 1 << 5;
        return exit_with(EXIT_IO);
    }
    if (at == 1) {
        assert_memory_equal(output, "across\n", 7);
        assert_int_equal(s->gpr[PV_RCX], 0);
        assert_int_equal(s->gpr[PV_RSI], 0x123b);
        assert_int_equal(s->rip, CODE + 2);
        s->rflags |= 1 << 10;
        s->gpr[PV_RCX] = 3;
        s->gpr[PV_RDI] = 0xa004;
        s->guest_linear_address = 0xa004;
        s->exit_qualification = UINT64_C(0x12340000) | 1 << 4 | 1 << 5 | 8 | 1;
        memset(memory + 0xa000, 0, 16);
        return exit_with(EXIT_IO);
    }
    assert_memory_equal(memory + 0xa000, "\xff\xff\xff\xff\xff\xff\0\0", 8);
    assert_int_equal(s->gpr[PV_RDI], 0x9ffe);
    return end();
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
        s->guest_linear_address = 0x9000;
        s->exit_instruction_info = 2 << 7;
        s->exit_qualification = UINT64_C(0x800000) | 1 << 4 | 1 << 5;
        return exit_with(EXIT_IO);
    }
    if (s->gpr[PV_RCX] == 0)
        return end();
    assert_int_equal(s->rip, CODE);
    assert_int_equal(s->gpr[PV_RSI], 1000 - s->gpr[PV_RCX]);
    return exit_with(EXIT_IO);
}

static void test_long_string(void **state)
{
    (void)state;
    run(long_string);
    assert_int_equal(s->rip, CODE + 2);
    assert_int_equal(runs, 5);
}

/* ---- interrupts ---- */

static void raise(uint8_t vector)
{
    const struct apic_message m = {.destination = 0, .vector = vector, .mode = APIC_FIXED};
    apic_deliver(&machine.bus, &m);
}

static bool in_service(uint8_t vector)
{
    return (lapic->in_service[vector / 32] >> vector % 32 & 1) != 0;
}

enum { PAGE_IRR = 0x200 / 4, PAGE_ISR = 0x100 / 4, VMCS_EOI = 0x201c };

/// The processor of a guest whose local APIC is a page: it delivers 0x61, has its end exit, and sees a command that the guest gives.
static int64_t by_page(unsigned at)
{
    uint32_t *page = machine.cpus[0].virtual_apic.registers;
    const uint32_t word = 3, bit = UINT32_C(1) << 1; // of 0x61
    switch (at) {
    case 0:
        assert_int_equal(s->inject, 0); // not by the slot
        assert_int_equal(s->apic_status, 0x61);
        assert_true(s->dirty & PV_GROUP_APIC);
        assert_int_equal(page[PAGE_IRR + 4 * word], bit);
        page[PAGE_IRR + 4 * word] = 0;
        page[PAGE_ISR + 4 * word] = bit;
        raise(0x52); // from elsewhere, meanwhile
        return PV_RUN_KICKED;
    case 1:
        assert_int_equal(s->apic_status, 0x52 | 0x61 << 8);
        page[PAGE_ISR + 4 * word] = 0;
        s->exit_qualification = 0x61;
        return exit_with(PV_EXIT_VIRTUALIZED_EOI);
    case 2:
        assert_int_equal(s->apic_status, 0x52);
        assert_int_equal(s->rip, CODE); // the instruction was complete
        page[0x310 / 4] = 0;
        page[0x300 / 4] = 0x4000 | 0x71; // to itself
        s->exit_qualification = 0x300;
        return exit_with(PV_EXIT_APIC_WRITE);
    default:
        assert_int_equal(s->apic_status, 0x71);
        assert_int_equal(s->rip, CODE);
        return end();
    }
}

static void test_virtual_apic(void **state)
{
    has_apic = true;
    virtual_apic_plan(OPTIONS_APIC_DELIVERY);
    reset_machine(state);
    assert_int_equal(features, PV_APIC_TPR | PV_APIC_ACCESSES | PV_APIC_REGISTERS | PV_APIC_INTERRUPTS);
    lapic_virtual_wire(lapic);
    raise(0x61);
    run(by_page);
    assert_int_equal(runs, 4);
    lapic_write_msr(lapic, LAPIC_MSR_BASE, lapic->base | 1 << 10, 0); // x2APIC
    machine.phase = PHASE_RUNNING;
    runs = 3;
    run(by_page);
    assert_int_equal(features, PV_APIC_TPR | PV_APIC_X2APIC | PV_APIC_REGISTERS | PV_APIC_INTERRUPTS);
    has_apic = false;
    virtual_apic_plan(OPTIONS_APIC_SOFTWARE);
    reset_machine(state);
}

/// What is offered but not taken may be replaced by something more important, and is not lost.
static int64_t not_taken(unsigned at)
{
    switch (at) {
    case 0:
        assert_int_equal(s->inject, VALID | 0x50);
        raise(0x70);
        return PV_RUN_KICKED; // interrupts were off
    case 1:
        assert_false(in_service(0x50));
        assert_int_equal(s->inject, VALID | 0x70);
        s->inject = 0; // taken
        return PV_RUN_KICKED;
    case 2:
        assert_true(in_service(0x70));
        assert_int_equal(s->inject, 0);
        return wrmsr(0x80b, 0);
    default:
        assert_int_equal(s->inject, VALID | 0x50);
        return end();
    }
}

static void test_not_taken(void **state)
{
    (void)state;
    lapic->spurious |= 0x100;
    assert_true(lapic_write_msr(lapic, 0x1b, lapic->base | 0x400, 0));
    raise(0x50);
    run(not_taken);
    assert_int_equal(runs, 4);
}

/// A fault of the guest's needs the slot that an interrupt stands in.
static int64_t fault(unsigned at)
{
    if (at == 0) {
        assert_int_equal(s->inject, VALID | 0x50);
        s->gpr[PV_RCX] = 0x12345678;
        return exit_with(EXIT_RDMSR);
    }
    if (at == 1) {
        assert_int_equal(s->inject, VALID | 3 << 8 | 1 << 11 | 13); // #GP(0)
        assert_int_equal(s->rip, CODE);
        s->inject = 0;
        return PV_RUN_KICKED;
    }
    assert_int_equal(s->inject, VALID | 0x50);
    return end();
}

static void test_fault_goes_first(void **state)
{
    (void)state;
    lapic->spurious |= 0x100;
    raise(0x50);
    run(fault);
    assert_int_equal(runs, 3);
}

static int64_t take_all(unsigned at)
{
    static const uint32_t expected[] = {2 << 8 | 2, 0x34, 0x50, 0}; // NMI, PIC, local APIC
    assert_int_equal(s->inject & ~VALID, expected[at]);
    s->inject = 0;
    return at < 3 ? PV_RUN_KICKED : end();
}

static void test_sources(void **state)
{
    (void)state;
    static const uint8_t icws[] = {0x11, 0x30, 0x04, 0x01};
    for (unsigned i = 0; i < 4; i++)
        pic_write(&machine.pic, i == 0 ? 0x20 : 0x21, icws[i]);
    lapic->nmi = true;
    raise(0x50);
    uart_write(&machine.uart, 4, 8);
    uart_write(&machine.uart, 1, 2); // the transmitter's interrupt: input 4
    run(take_all);
    assert_int_equal(runs, 4);
    assert_int_equal(machine.pic.chip[0].in_service, 0x10);
}

static int64_t halt_until_timer(unsigned at)
{
    switch (at) {
    case 0:
        return wrmsr(0x832, 0x40031); // LVT timer: TSC deadline
    case 1:
        return wrmsr(0x6e0, pv_tsc() + 2000000);
    case 2:
        return exit_with(12); // HLT
    default:
        assert_int_equal(waits, 1);
        assert_int_equal(s->inject, VALID | 0x31);
        return end();
    }
}

static void test_halt(void **state)
{
    (void)state;
    lapic->spurious |= 0x100;
    assert_true(lapic_write_msr(lapic, 0x1b, lapic->base | 0x400, 0));
    run(halt_until_timer);
    assert_int_equal(runs, 4);
}

static int64_t halt_deaf(unsigned at)
{
    assert_int_equal(at, 0);
    s->rflags = 2;
    return exit_with(12);
}

/// With interrupts off and no NMI, nothing wakes it, and nothing is polled.
static void test_halt_for_ever(void **state)
{
    (void)state;
    lapic->spurious |= 0x100;
    raise(0x50);
    run(halt_deaf);
    assert_int_equal(runs, 1);
    assert_true(waited_until == DEV_NEVER);
}

/* ---- device memory ---- */

static void set_code(const char *code, size_t size)
{
    memcpy(pv_guest_pointer(&machine.memory, CODE, 16), code, size);
}

static int64_t touch(uint64_t address)
{
    s->guest_physical_address = address;
    s->exit_instruction_length = 0; // undefined for EPT violations
    return exit_with(48);
}

static int64_t use_ioapic(unsigned at)
{
    switch (at) {
    case 0:
        s->gpr[PV_RAX] = 1;
        set_code("\x67\x66\x89\x03", 4); // mov [ebx], eax in 16-bit code
        return touch(0xfec00000);
    case 1:
        assert_int_equal(s->rip, CODE + 4);
        s->rip = CODE;
        set_code("\x67\x66\x8b\x0b", 4); // mov ecx, [ebx]
        return touch(0xfec00010);
    case 2:
        assert_int_equal(s->gpr[PV_RCX], 0x170020);
        s->rip = CODE;
        return touch(0xd0000000); // where nothing is
    case 3:
        assert_int_equal(s->gpr[PV_RCX], UINT32_MAX);
        s->rip = CODE;
        s->gpr[PV_RAX] = 0x1ff;
        set_code("\x67\x66\x89\x03", 4);
        s->dirty = 0;
        return touch(0xfee000f0);
    case 4:
        assert_int_equal(s->dirty, PV_GROUP_RIP); // no more is written than has changed
        s->rip = CODE;
        set_code("\x67\x66\x81\x3b\xff\x01\x00\x00", 8); // cmp dword [ebx], 0x1ff
        return touch(0xfee000f0);
    default:
        assert_int_equal(s->rflags & 0x40, 0x40); // equal
        assert_true((s->dirty & PV_GROUP_FLAGS) != 0);
        return end();
    }
}

static void test_device_memory(void **state)
{
    (void)state;
    run(use_ioapic);
    assert_int_equal(machine.exit_code, 42);
    assert_int_equal(lapic->spurious, 0x1ff);
}

static int64_t strange(unsigned at)
{
    set_code("\x0f\x11\x03", 3); // movups
    return at == 0 ? touch(0xfee00000) : end();
}

static void test_unknown_instruction(void **state)
{
    (void)state;
    run(strange);
    assert_int_equal(runs, 1);
    assert_int_equal(machine.exit_code, 1);
    output[output_size] = '\0';
    assert_non_null(strstr(output, "not emulated"));
}

/* ---- other exits ---- */

static int64_t control_registers(unsigned at)
{
    switch (at) {
    case 0:
        s->gpr[PV_RDX] = 5;
        s->exit_qualification = 8 | PV_RDX << 8; // mov cr8, rdx
        return exit_with(28);
    case 1:
        assert_int_equal(lapic->task_priority, 0x50);
        s->exit_qualification = 8 | 1 << 4 | PV_RSP << 8; // mov rsp, cr8
        return exit_with(28);
    case 2:
        assert_int_equal(s->rsp, 5);
        assert_true((s->dirty & PV_GROUP_FLAGS) != 0);
        s->dirty = 0;
        s->cr0 = 0x80000011;
        s->gpr[PV_RDX] = 0xc0000011; // CD
        s->exit_qualification = PV_RDX << 8;
        return exit_with(28);
    case 3:
        assert_int_equal(s->cr0, 0xc0000011);
        assert_true((s->dirty & PV_GROUP_CONTROL) != 0);
        s->gpr[PV_RDX] = 0xa0000011; // NW without CD
        return exit_with(28);
    case 4:
        assert_int_equal(s->inject & 0xff, 13);
        s->inject = 0;
        s->gpr[PV_RDX] = 0x2020; // CR4.VMXE
        s->exit_qualification = 4 | PV_RDX << 8;
        return exit_with(28);
    default:
        assert_int_equal(s->inject & 0xff, 13);
        return end();
    }
}

static void test_control_registers(void **state)
{
    (void)state;
    run(control_registers);
    assert_int_equal(runs, 6);
}

static int64_t vmx_instruction(unsigned at)
{
    static const uint32_t reasons[] = {18, 19, 27, 50, 53, 36, 11};
    if (at > 0) {
        assert_int_equal(s->inject, VALID | 3 << 8 | 6); // #UD
        s->inject = 0;
    }
    return at < 7 ? exit_with(reasons[at]) : end();
}

static void test_hidden_instructions(void **state)
{
    (void)state;
    run(vmx_instruction);
    assert_int_equal(runs, 8);
}

static int64_t triple_fault(unsigned at)
{
    return at == 0 ? exit_with(2) : end();
}

static void test_triple_fault(void **state)
{
    (void)state;
    run(triple_fault);
    assert_int_equal(machine.exit_code, 1);
    output[output_size] = '\0';
    assert_non_null(strstr(output, "triple fault"));
}

/* ---- the second processor ---- */

static int64_t started(unsigned at)
{
    assert_int_equal(machine.agents[1].place, AGENT_IN_GUEST);
    lapic_write(lapic, 0x300, 0x4400, 0); // an NMI, while it is in its guest
    assert_int_equal(signals, 2);

    const struct pv_vcpu_state *other = machine.cpus[1].vcpu.state;
    assert_int_equal(at, 0);
    assert_int_equal(other->segment[PV_CS].base, 0x99000);
    assert_int_equal(other->segment[PV_CS].selector, 0x9900);
    assert_int_equal(other->rip, 0);
    assert_int_equal(other->cr0 & 1, 0);
    return end();
}

static void test_start_up(void **state)
{
    (void)state;
    struct lapic *other = &machine.cpus[1].lapic;
    machine_lock();
    machine.agents[1].place = AGENT_WAITING;
    lapic_write(lapic, 0x310, 1 << 24, 0);
    lapic_write(lapic, 0x300, 0xc500, 0); // INIT
    assert_true(other->init);
    assert_int_equal(signals, 1);
    machine.agents[1].place = AGENT_AT_WORK;
    lapic_write(lapic, 0x300, 0x4699, 0); // start-up
    assert_int_equal(signals, 1);
    machine_unlock();
    script = started;
    agent_loop(1);
    assert_int_equal(runs, 1);
    assert_false(other->waits_for_startup);
}

/* ---- an agent with two processors ---- */

enum { TURN = 1000000 }; ///< ticks: a millisecond

static void wait_for_turn(void)
{
    while (pv_tsc() < run_deadline)
        __asm__ volatile("pause");
}

/// Both want to run: each has the agent for a turn, also if an exit interrupts it.
static int64_t take_turns(unsigned at)
{
    assert_int_equal(ran, machine.cpus[at / 2 % 2].vcpu.id);
    assert_true(run_deadline <= pv_tsc() + TURN);
    if (at == 7)
        return end();
    if (at % 2 == 0)
        return exit_with(54); // WBINVD, early in the turn
    wait_for_turn();
    return PV_RUN_BUDGET;
}

static void test_turns(void **state)
{
    (void)state;
    machine.agent_count = 1;
    machine.cpus[1].lapic.waits_for_startup = false;
    script = take_turns;
    agent_loop(0);
    assert_int_equal(runs, 8);
    assert_int_equal(waits, 0);
}

/// The second one halts: the first one runs on without turns, and is interrupted for the second one's interrupt.
static int64_t interrupt_the_other(unsigned at)
{
    if (at == 0)
        wait_for_turn();
    if (at < 2)
        return at == 0 ? PV_RUN_BUDGET : exit_with(12); // HLT, of the second one
    if (at == 2) {
        assert_int_equal(ran, machine.cpus[0].vcpu.id);
        assert_true(run_deadline > pv_tsc() + TURN);
        assert_int_equal(signals, 0);
        lapic_raise(&machine.cpus[1].lapic, 0x80, false);
        machine_wake(1);
        assert_int_equal(signals, 1);
        return PV_RUN_KICKED;
    }
    assert_int_equal(ran, machine.cpus[1].vcpu.id);
    assert_int_equal(machine.cpus[1].vcpu.state->inject & 0xff, 0x80);
    return end();
}

static void test_wakes_the_other(void **state)
{
    (void)state;
    machine.agent_count = 1;
    struct pv_vcpu_state *other = machine.cpus[1].vcpu.state;
    machine.cpus[1].lapic.waits_for_startup = false;
    lapic_virtual_wire(&machine.cpus[1].lapic);
    other->rflags = RFLAGS_IF | 2;
    other->valid = PV_GROUP_ALL;
    script = interrupt_the_other;
    s = machine.cpus[0].vcpu.state;
    agent_loop(0);
    assert_int_equal(runs, 4);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, reset_machine)
    const struct CMUnitTest tests[] = {
        T(test_loaded),
        T(test_multiboot),
        T(test_refuses),
        T(test_prints),
        T(test_reads_ports),
        T(test_input),
        T(test_panic),
        T(test_counts),
        T(test_input_ends_a_run),
        T(test_held_input),
        T(test_prompt),
        T(test_power),
        T(test_string_io),
        T(test_long_string),
        T(test_virtual_apic),
        T(test_not_taken),
        T(test_fault_goes_first),
        T(test_sources),
        T(test_halt),
        T(test_halt_for_ever),
        T(test_device_memory),
        T(test_unknown_instruction),
        T(test_control_registers),
        T(test_hidden_instructions),
        T(test_triple_fault),
        T(test_start_up),
        T(test_turns),
        T(test_wakes_the_other),
    };
    return cmocka_run_group_tests(tests, make_machine, NULL);
}
