// SPDX-License-Identifier: Apache-2.0
// links: vmm/personalities/linux/[!m]*.c vmm/personalities/linux/machine.c vmm/personalities/linux/mmio.c vmm/personalities/linux/msr.c
// links: vmm/personalities/lib/devices/*.c vmm/personalities/lib/loaders/*.c vmm/personalities/lib/vcpu.c
// links: vmm/personalities/lib/vcpu_start.c vmm/personalities/lib/console.c vmm/personalities/lib/error.c
// links: vmm/lib/format.c vmm/lib/string.c
#define _GNU_SOURCE // MAP_FIXED_NOREPLACE
#include "linux_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

__asm__(".globl linux_dsdt, linux_dsdt_end\nlinux_dsdt: .space 64\nlinux_dsdt_end:");

struct pv_info info;
const struct pv_info *host_info_page = &info;
uint8_t kernel[KERNEL_SIZE];
int64_t (*script)(unsigned run);
uint32_t pending;
const char *input = "";
bool has_apic;
uint64_t cs_access, slowness;
unsigned runs, waits, signals, yields;
unsigned most_waits;
struct pv_vmcs_entry written_fields[4];
uint64_t run_deadline, ran;
uint64_t waited_until, written;
char output[4096];
size_t output_size;
const struct pv_device *published;
uint64_t published_count;
uint64_t features;
bool reads_freely[0x40];
struct pv_vcpu_state *s;
struct lapic *lapic;

static uint64_t vcpus;

/* ---- time ---- */

enum { LOOK = 100 }; ///< ticks that pass with each look at the time

static uint64_t now;

uint64_t pv_tsc(void)
{
    return now += LOOK;
}

void restart_time(void)
{
    now = 0;
}

static void pass_until(uint64_t point)
{
    now = point > now ? point : now;
}

/* ---- the multiplexer ---- */

static int64_t wait_for_event(uint32_t mask, uint64_t deadline)
{
    const uint32_t events = pending & mask;
    pending &= ~mask;
    if (events != 0)
        return events;
    waits++;
    waited_until = deadline;
    if (deadline == DEV_NEVER || waits == most_waits)
        machine.phase = PHASE_ENDED; // nothing would ever happen, or has for too long
    else
        pass_until(deadline);
    return PV_ERR_TIMEOUT;
}

enum { FIELDS = 32, SEGMENT_LIMITS = 0x4800, SEGMENT_ACCESS = 0x4814, FLAT_DATA = 0xc093 };
static struct pv_vmcs_entry fields[FIELDS];
static unsigned field_count;

uint64_t vmcs_field(uint32_t field)
{
    for (unsigned i = 0; i < field_count; i++)
        if (fields[i].field == field)
            return fields[i].value;
    if (field == VMCS_CS_ACCESS_RIGHTS)
        return cs_access;
    if (field - SEGMENT_LIMITS < 2 * 6)
        return UINT32_MAX;
    return field - SEGMENT_ACCESS < 2 * 6 ? FLAT_DATA : 0;
}

void set_vmcs_field(uint32_t field, uint64_t value)
{
    unsigned i = 0;
    while (i < field_count && fields[i].field != field)
        i++;
    assert_true(i < FIELDS);
    field_count += i == field_count;
    fields[i] = (struct pv_vmcs_entry){.field = field, .value = value};
}

static int64_t access_fields(bool write, struct pv_vmcs_entry *entries, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (write && i < 4)
            written_fields[i] = entries[i];
        if (write)
            set_vmcs_field(entries[i].field, entries[i].value);
        else
            entries[i].value = vmcs_field(entries[i].field);
    }
    return (int64_t)count;
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
        written = now += slowness;
        return (int64_t)a1;
    case PV_SYS_CONSOLE_READ: {
        const size_t size = strnlen(input, a1 < 7 ? a1 : 7); // in pieces
        memcpy((char *)(uintptr_t)a0, input, size);
        input += size;
        return (int64_t)size;
    }
    case PV_SYS_VCPU_APIC:
        features = a1;
        memset(reads_freely, 0, sizeof(reads_freely));
        return has_apic ? PV_OK : PV_ERR_UNSUPPORTED;
    case PV_SYS_MSR_ALLOW:
        assert_true(a1 >= LAPIC_MSR_FIRST && a1 + a2 <= LAPIC_MSR_LAST + 1);
        for (uint64_t i = 0; i < a2; i++)
            reads_freely[a1 - LAPIC_MSR_FIRST + i] = (a3 & PV_GRANT_READ) != 0;
        return PV_OK;
    case PV_SYS_YIELD:
        yields++;
        return PV_OK;
    case PV_SYS_EVENT_SIGNAL:
        signals++;
        return PV_OK;
    case PV_SYS_VMCS_READ:
    case PV_SYS_VMCS_WRITE:
        return access_fields(number == PV_SYS_VMCS_WRITE, (struct pv_vmcs_entry *)(uintptr_t)a1, a2);
    default:
        return PV_OK;
    }
}

/* ---- setting up ---- */

void put(uint8_t *at, unsigned bytes, uint64_t value)
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

int make_machine(void **state)
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

int reset_machine(void **state)
{
    (void)state;
    machine.phase = PHASE_RUNNING;
    machine.agent_count = 1; // nobody else comes to the reset
    field_count = 0;
    cs_access = 0;
    assert_null(machine_await_reset(0));
    machine.agent_count = 2;
    machine.exit_code = (enum machine_end) - 1;
    assert_true(cpu_create(&machine.cpus[0], 0) >= 0 && cpu_create(&machine.cpus[1], 1) >= 0);
    s = machine.cpus[0].vcpu.state;
    lapic = &machine.cpus[0].lapic;
    s->rip = CODE;
    s->rflags = RFLAGS_IF | 2;
    s->valid = PV_GROUP_ALL;
    s->exit_instruction_length = 2;
    runs = waits = signals = yields = 0;
    pending = 0;
    output_size = 0;
    machine.console.used = 0;
    machine.refusals = 0;
    return 0;
}

void run(int64_t (*guest)(unsigned))
{
    script = guest;
    agent_loop(0);
}

int64_t run_out(void)
{
    pass_until(run_deadline);
    return PV_RUN_BUDGET;
}

int64_t exit_with(uint32_t reason)
{
    (ran == machine.cpus[1].vcpu.id ? machine.cpus[1].vcpu.state : s)->exit_reason = reason;
    return PV_RUN_EXIT;
}

int64_t end_machine(void)
{
    machine_end(42);
    return PV_RUN_BUDGET;
}

int64_t io(uint16_t port, unsigned size, bool in, uint32_t value)
{
    s->gpr[PV_RAX] = value;
    s->exit_qualification = (uint64_t)port << 16 | (in ? 8 : 0) | (size - 1);
    return exit_with(EXIT_IO);
}

int64_t wrmsr(uint32_t msr, uint64_t value)
{
    s->gpr[PV_RCX] = msr;
    s->gpr[PV_RAX] = (uint32_t)value;
    s->gpr[PV_RDX] = value >> 32;
    return exit_with(EXIT_WRMSR);
}

void send_interrupt(uint8_t vector)
{
    const struct apic_message m = {.destination = 0, .vector = vector, .mode = APIC_FIXED};
    apic_deliver(&machine.bus, &m);
}

void set_code(const char *code, size_t size)
{
    memcpy(pv_guest_pointer(&machine.memory, CODE, 16), code, size);
}
