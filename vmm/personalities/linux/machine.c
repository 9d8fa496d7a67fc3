// SPDX-License-Identifier: Apache-2.0
#include "machine.h"

#include <polyvisor/string.h>

#include "devices/acpi_tables.h"
#include "devices/pci_function.h"

enum {
    PIT_IRQ = 0,
    UART_IRQ = 4,
    RTC_IRQ = 8,
    PCI_LEVELS = 0x0c, // 10 and 11 are PCI's, level-triggered
    PIT_INPUT = 2,
    OVERHEAD = 2 << 20,
    POLLS_PER_SECOND = 50,
    RESET_POLLS_PER_SECOND = 1000
};
/// There is nobody to ask for the time: 2026-01-01.
#define EPOCH INT64_C(1767225600)

extern const uint8_t linux_dsdt[], linux_dsdt_end[];

struct machine machine;

/* ---- the lock ---- */

void machine_lock(void)
{
    enum { SPINS = 1000 };
    for (uint32_t i = 0; atomic_exchange(&machine.locked, true); i++) {
        if (i % SPINS == SPINS - 1)
            pv_yield(); // its holder may be waiting for this core
        __asm__ volatile("pause");
    }
}

void machine_unlock(void)
{
    atomic_store(&machine.locked, false);
}

void machine_wake(uint32_t cpu)
{
    if (machine.cpus[cpu].made)
        agent_wake(&machine.cpus[cpu]);
}

static void stop(enum machine_phase phase)
{
    machine.phase = phase;
    for (uint32_t i = 0; i < machine.cpu_count; i++)
        machine_wake(i);
}

void machine_end(int code)
{
    machine.exit_code = code;
    stop(PHASE_ENDED);
}

void machine_reset(void)
{
    if (machine.phase == PHASE_RUNNING)
        stop(PHASE_RESET);
}

/* ---- devices ---- */

/// ISA interrupts go to the PIC and to the I/O APIC, whichever the guest listens to; the timer's comes in at input 2 there.
static void set_isa_line(void *context, uint32_t number, bool high)
{
    (void)context;
    pic_set_line(&machine.pic, number, high);
    ioapic_set_line(&machine.ioapic, number == PIT_IRQ ? PIT_INPUT : number, high);
}

/// Devices share inputs: one is high as long as any of its devices wants it.
static void set_pci_pin(void *context, uint32_t device, bool high)
{
    (void)context, (void)high;
    bool ioapic = false, pic = false;
    for (uint32_t i = 0; i < PCI_DEVICES; i++) {
        if ((machine.pci.asserted >> i & 1) == 0)
            continue;
        ioapic = ioapic || pci_ioapic_input(i) == pci_ioapic_input(device);
        pic = pic || pci_pic_input(i) == pci_pic_input(device);
    }
    ioapic_set_line(&machine.ioapic, pci_ioapic_input(device), ioapic);
    pic_set_line(&machine.pic, pci_pic_input(device), pic);
}

/// INTR goes to the first processor.
static void set_intr(void *context, uint32_t number, bool high)
{
    (void)context, (void)number;
    if (high)
        machine_wake(0);
}

static void wake_cpu(void *context, uint32_t index)
{
    (void)context;
    machine_wake(index);
}

static void end_interrupt(void *context, uint8_t vector)
{
    ioapic_end(context, vector);
}

static void send_byte(void *context, uint8_t byte)
{
    console_put(context, (char)byte);
}

static void make_apics(void)
{
    machine.bus = (struct apic_bus){.wake = wake_cpu, .end = end_interrupt, .context = &machine.ioapic};
    for (uint32_t i = 0; i < machine.cpu_count; i++) {
        lapic_init(&machine.cpus[i].lapic, &machine.bus, i);
        machine.cpus[i].lapic.waits_for_startup = i != 0;
        machine.cpus[i].lapic.no_x2apic = machine.options.no_x2apic;
    }
    lapic_virtual_wire(&machine.cpus[0].lapic);
    ioapic_init(&machine.ioapic, &machine.bus, machine.cpu_count);
}

static void make_devices(void)
{
    const uint64_t hz = machine.info->tsc_hz;
    make_apics();
    pic_init(&machine.pic, (struct dev_line){set_intr, NULL, 0});
    pit_init(&machine.pit, hz, (struct dev_line){set_isa_line, NULL, PIT_IRQ});
    uart_init(&machine.uart, send_byte, &machine.console, (struct dev_line){set_isa_line, NULL, UART_IRQ});
    pci_init(&machine.pci, (struct dev_line){set_pci_pin, NULL, 0});
    pic_write(&machine.pic, PIC_EDGE_LEVEL_PORT + 1, PCI_LEVELS);
    acpi_pm_init(&machine.pm, hz);
    virtio_devices_make();
    machine.poll_at = 0;
}

/// ACPI tables in the BIOS's area.
static const char *make_tables(void)
{
    const struct acpi_machine view = {.cpus = machine.cpu_count,
                                      .dsdt = linux_dsdt,
                                      .dsdt_size = (size_t)((uintptr_t)linux_dsdt_end - (uintptr_t)linux_dsdt)};
    void *area = pv_guest_pointer(&machine.memory, LAYOUT_ACPI, LAYOUT_ACPI_SIZE);
    return acpi_tables(&view, area, LAYOUT_ACPI_SIZE, LAYOUT_ACPI) != 0 ? NULL : "the ACPI tables do not fit";
}

/// Console input goes into the UART as far as there is room, or to the virtio console; the rest stays with the multiplexer.
static void take_input(void)
{
    machine.input_held = false;
    if (virtio_devices_take_input())
        return;
    while (uart_room(&machine.uart) > 0) {
        const int byte = console_get(&machine.console);
        if (byte < 0)
            return;
        uart_receive(&machine.uart, (uint8_t)byte);
    }
    machine.input_held = true;
}

void machine_poll(uint64_t now)
{
    if (now < machine.poll_at)
        return;
    pit_advance(&machine.pit, now);
    rtc_advance(&machine.rtc, now);
    take_input();
    console_flush(&machine.console);
    const uint64_t deadlines[] = {pit_deadline(&machine.pit), rtc_deadline(&machine.rtc), virtio_devices_advance(now)};
    const uint64_t console = now + machine.info->tsc_hz / POLLS_PER_SECOND;
    machine.deadline = DEV_NEVER;
    for (size_t i = 0; i < sizeof(deadlines) / sizeof(deadlines[0]); i++)
        if (deadlines[i] < machine.deadline)
            machine.deadline = deadlines[i];
    machine.poll_at = machine.deadline < console ? machine.deadline : console;
}

/* ---- the guest's memory ---- */

const struct pv_module *machine_module(const char *name)
{
    for (uint32_t i = 0; i < machine.info->module_count; i++)
        if (strcmp(machine.info->modules[i].name, name) == 0)
            return &machine.info->modules[i];
    return NULL;
}

/// Copies large files; memcpy goes byte by byte.
static void copy_in(uint64_t gpa, const void *data, uint64_t size)
{
    void *to = pv_guest_pointer(&machine.memory, gpa, size);
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(data), "+c"(size) : : "memory");
}

/// Makes the guest's memory, the first time, and puts everything there that the kernel needs.
static const char *load(void)
{
    static char text[sizeof("the file of module 'kernel': ") + BZIMAGE_WHY];
    char why[BZIMAGE_WHY];
    const struct pv_module *kernel = machine_module("kernel"), *initrd = machine_module("initrd");
    const uint64_t pool = machine.info->pool_size;
    const uint64_t overhead = OVERHEAD + virtio_devices_memory();
    const uint64_t ram = pool > overhead ? (pool - overhead) & ~(uint64_t)(PV_LARGE_PAGE_SIZE - 1) : 0;
    struct bzimage image;
    if (kernel == NULL)
        return "no kernel: the configuration lacks 'module kernel FILE'";
    const void *file = (const void *)(uintptr_t)kernel->address;
    if (!bzimage_parse(file, kernel->size, &image, why)) {
        pv_snprintf(text, sizeof(text), "the file of module 'kernel': %s", why);
        return text;
    }
    if (!layout_make(&image, ram, initrd != NULL ? initrd->size : 0, strlen(machine.info->args), &machine.layout,
                     why)) {
        pv_strcopy(text, sizeof(text), why);
        return text;
    }
    const int64_t result = machine.memory.size != 0 ? PV_OK : pv_guest_memory_create(&machine.memory, ram);
    if (result < 0) {
        pv_snprintf(text, sizeof(text), "the guest's memory cannot be made: %s", pv_error_name(result));
        return text;
    }
    copy_in(machine.layout.kernel, (const uint8_t *)file + image.offset, image.size);
    if (initrd != NULL)
        copy_in(machine.layout.initrd, (const void *)(uintptr_t)initrd->address, initrd->size);
    copy_in(LAYOUT_CMDLINE, machine.info->args, machine.layout.cmdline_size + 1);
    layout_params(&machine.layout, &image, file, pv_guest_pointer(&machine.memory, LAYOUT_PARAMS, LAYOUT_PARAMS_SIZE));
    return NULL;
}

static const char *make(void)
{
    const char *wrong = load();
    if (wrong != NULL)
        return wrong;
    make_devices();
    return make_tables();
}

const char *machine_make(const struct pv_info *info)
{
    machine.info = info;
    static char why[OPTIONS_WHY];
    if (!options_parse(info->args, &machine.options, why))
        return why;
    machine.cpu_count = info->agent_count < MAX_CPUS ? info->agent_count : MAX_CPUS;
    if (machine.options.cpus != 0)
        machine.cpu_count = machine.options.cpus;
    machine.agent_count = info->agent_count < machine.cpu_count ? info->agent_count : machine.cpu_count;
    rtc_init(&machine.rtc, info->tsc_hz, pv_tsc(), EPOCH, (struct dev_line){set_isa_line, NULL, RTC_IRQ});
    virtual_apic_plan(machine.options.apic);
    const char *wrong = virtio_devices_plan(&machine.options);
    return wrong != NULL ? wrong : make();
}

const char *machine_await_reset(uint32_t agent)
{
    const uint32_t before = machine.resets;
    const uint64_t interval = machine.info->tsc_hz / RESET_POLLS_PER_SECOND;
    machine.stopped++;
    if (agent != 0) {
        while (machine.resets == before)
            pv_event_wait(PV_EVENT_USER, pv_tsc() + interval);
        return NULL;
    }
    while (machine.stopped < machine.agent_count)
        pv_event_wait(PV_EVENT_USER, pv_tsc() + interval);
    const char *wrong = make();
    machine.stopped = 0;
    machine.phase = PHASE_RUNNING;
    machine.resets++;
    return wrong;
}
