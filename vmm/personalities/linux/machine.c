// SPDX-License-Identifier: Apache-2.0
#include "machine.h"

#include <polyvisor/string.h>

#include "devices/acpi_tables.h"
#include "devices/pci_function.h"

enum {
    PCI_LEVELS = 0x0c, // 10 and 11 are PCI's, level-triggered
    PIT_INPUT = 2,
    FLUSHES_PER_SECOND = 50, // of output that is no whole line
    RESET_POLLS_PER_SECOND = 1000
};
/// Where the machine has no clock: 2026-01-01.
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

void machine_end(enum machine_end code)
{
    if (machine.phase == PHASE_ENDED)
        return;
    machine.exit_code = code;
    stop(PHASE_ENDED);
}

void machine_reset(void)
{
    if (machine.phase != PHASE_RUNNING)
        return;
    console_flush(&machine.console);
    pv_printf("linux: the guest resets the machine\n");
    stop(PHASE_RESET);
}

/* ---- devices ---- */

/// ISA interrupts go to the PIC and to the I/O APIC, whichever the guest listens to; the timer's comes in at input 2 there.
static void set_isa_line(void *context, uint32_t number, bool high)
{
    (void)context;
    devices_isa_line(number, high);
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
    device_row(DEVICE_UART)->bytes_out++;
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
    rtc_reset(&machine.rtc);
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

/// Whether a device has room for input.
static bool has_room(void)
{
    return virtio_devices_take_input() ? virtio_devices_input_room() > 0 : uart_room(&machine.uart) > 0;
}

/// Console input goes into the UART as far as there is room, or to the virtio console; the rest stays with the multiplexer.
static void take_input(void)
{
    machine.input_held = false;
    while (has_room()) {
        const int byte = console_get(&machine.console);
        if (byte < 0)
            return;
        if (virtio_devices_take_input()) {
            virtio_devices_receive((uint8_t)byte);
        } else {
            uart_receive(&machine.uart, (uint8_t)byte);
            device_row(DEVICE_UART)->bytes_in++;
        }
    }
    machine.input_held = true;
}

void machine_look_at_input(void)
{
    if (machine.input_held && has_room()) {
        machine.poll_at = 0;
        machine_wake(0);
    }
}

void machine_poll(uint64_t now)
{
    if (now < machine.poll_at)
        return;
    pit_advance(&machine.pit, now);
    rtc_advance(&machine.rtc, now);
    take_input();
    devices_update();
    const uint64_t deadlines[] = {pit_deadline(&machine.pit), rtc_deadline(&machine.rtc), virtio_devices_advance(now)};
    machine.deadline = DEV_NEVER;
    for (size_t i = 0; i < sizeof(deadlines) / sizeof(deadlines[0]); i++)
        if (deadlines[i] < machine.deadline)
            machine.deadline = deadlines[i];
    machine.poll_at = machine.deadline;
}

/* ---- beginning and end ---- */

const struct pv_module *machine_module(const char *name)
{
    for (uint32_t i = 0; i < machine.info->module_count; i++)
        if (strcmp(machine.info->modules[i].name, name) == 0)
            return &machine.info->modules[i];
    return NULL;
}

static const char *make(void)
{
    const char *wrong = load_kernel();
    if (wrong != NULL)
        return wrong;
    make_devices();
    wrong = devices_publish();
    wrong = wrong != NULL ? wrong : make_tables();
    return wrong != NULL ? wrong : load_information();
}

const char *machine_make(const struct pv_info *info)
{
    machine.info = info;
    static char why[OPTIONS_WHY];
    if (!options_parse(info->args, &machine.options, why))
        return why;
    console_init(&machine.console, info->tsc_hz / FLUSHES_PER_SECOND);
    machine.cpu_count = info->agent_count < MAX_CPUS ? info->agent_count : MAX_CPUS;
    if (machine.options.cpus != 0)
        machine.cpu_count = machine.options.cpus;
    machine.agent_count = info->agent_count < machine.cpu_count ? info->agent_count : machine.cpu_count;
    rtc_init(&machine.rtc, info->tsc_hz, info->time_entry != 0 ? info->tsc_entry : pv_tsc(),
             info->time_entry != 0 ? (int64_t)info->time_entry : EPOCH, (struct dev_line){set_isa_line, NULL, RTC_IRQ});
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
        while (machine.resets == before && machine.phase != PHASE_ENDED)
            pv_event_wait(PV_EVENT_USER, pv_tsc() + interval);
        return NULL;
    }
    // One that had not stopped yet may have ended the machine meanwhile; once all have, nobody can.
    while (machine.stopped < machine.agent_count && machine.phase != PHASE_ENDED)
        pv_event_wait(PV_EVENT_USER, pv_tsc() + interval);
    if (machine.phase == PHASE_ENDED)
        return NULL;
    const char *wrong = make();
    machine.stopped = 0;
    machine.phase = PHASE_RUNNING;
    machine.resets++;
    return wrong;
}
