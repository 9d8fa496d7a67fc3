// SPDX-License-Identifier: Apache-2.0
// A guest that does anything to the devices of a PC, in any order, at any time: nothing crashes, and time always moves on.
// links: vmm/personalities/lib/devices/uart.c vmm/personalities/lib/devices/pic.c vmm/personalities/lib/devices/pit.c
// links: vmm/personalities/lib/devices/rtc.c vmm/personalities/lib/devices/acpi_pm.c
// links: vmm/personalities/lib/devices/lapic.c vmm/personalities/lib/devices/lapic_timer.c
// links: vmm/personalities/lib/devices/apic_bus.c vmm/personalities/lib/devices/ioapic.c
// links: vmm/personalities/lib/devices/lapic_page.c
#include <stdlib.h>

#include "devices/acpi_pm.h"
#include "devices/ioapic.h"
#include "devices/lapic_page.h"
#include "devices/pic.h"
#include "devices/pit.h"
#include "devices/rtc.h"
#include "devices/uart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CPUS = 3, HZ = 2903997001 % 1000000007 };

static struct apic_bus bus;
static struct lapic lapics[CPUS];
static struct ioapic ioapic;
static struct pic pic;
static struct pit pit;
static struct rtc rtc;
static struct uart uart;
static struct acpi_pm pm;
static uint64_t now;

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void set_line(void *context, uint32_t number, bool high)
{
    (void)context;
    pic_set_line(&pic, number, high);
    ioapic_set_line(&ioapic, number == 0 ? 2 : number, high);
}

static void set_intr(void *context, uint32_t number, bool high)
{
    (void)context, (void)number, (void)high;
}

static void send(void *context, uint8_t byte)
{
    (void)context, (void)byte;
}

static void wake(void *context, uint32_t index)
{
    (void)context;
    require(index < CPUS);
}

static void end(void *context, uint8_t vector)
{
    (void)context;
    ioapic_end(&ioapic, vector);
}

static void make(void)
{
    now = 0;
    bus = (struct apic_bus){.wake = wake, .end = end};
    for (uint32_t i = 0; i < CPUS; i++)
        lapic_init(&lapics[i], &bus, i);
    ioapic_init(&ioapic, &bus, CPUS);
    pic_init(&pic, (struct dev_line){set_intr, NULL, 0});
    pit_init(&pit, HZ, (struct dev_line){set_line, NULL, 0});
    rtc_init(&rtc, HZ, 0, 1767225600, (struct dev_line){set_line, NULL, 8});
    uart_init(&uart, send, NULL, (struct dev_line){set_line, NULL, 4});
    acpi_pm_init(&pm, HZ);
}

/// Timers that are due are due no more afterwards.
static void pass_time(void)
{
    pit_advance(&pit, now);
    require(pit_deadline(&pit) > now);
    rtc_advance(&rtc, now);
    require(rtc_deadline(&rtc) > now);
    for (uint32_t i = 0; i < CPUS; i++) {
        lapic_advance(&lapics[i], now);
        require(lapic_deadline(&lapics[i]) > now);
    }
}

/// The processors take what there is for them, after one try that comes to nothing.
static void take_interrupts(void)
{
    const int input = pic_next(&pic);
    if (input != PIC_NONE) {
        require(input >= 0 && input < 16 && input != 2);
        pic_offer(&pic, (uint32_t)input);
        pic_settle(&pic, (uint32_t)input, false);
        require(pic_next(&pic) == input);
        pic_accept(&pic, (uint32_t)input);
    }
    for (uint32_t i = 0; i < CPUS; i++) {
        const int vector = lapic_next(&lapics[i]);
        if (vector == LAPIC_NONE)
            continue;
        require(vector >= 16 && vector < 256);
        lapic_offer(&lapics[i], (uint8_t)vector);
        lapic_settle(&lapics[i], (uint8_t)vector, false);
        require(lapic_next(&lapics[i]) == vector);
        lapic_accept(&lapics[i], (uint8_t)vector);
        require(lapic_next(&lapics[i]) == LAPIC_NONE); // its class is in service
    }
}

static void access_port(uint8_t where, bool write, uint8_t value)
{
    static const uint16_t pics[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1}, pits[] = {0x40, 0x41, 0x42, 0x43, 0x61};
    const uint32_t device = where % 5, reg = where / 5u;
    if (device == 0 && write)
        uart_write(&uart, reg % 8, value);
    else if (device == 0)
        uart_read(&uart, reg % 8);
    else if (device == 1 && write)
        pic_write(&pic, pics[reg % 6], value);
    else if (device == 1)
        pic_read(&pic, pics[reg % 6]);
    else if (device == 2 && write)
        pit_write(&pit, pits[reg % 5], value, now);
    else if (device == 2)
        pit_read(&pit, pits[reg % 5], now);
    else if (device == 3 && write)
        rtc_write(&rtc, 0x70 + (reg & 1), value, now);
    else if (device == 3)
        rtc_read(&rtc, 0x70 + (reg & 1), now);
    else if (write)
        acpi_pm_write(&pm, (uint16_t)(0x600 + reg % 12), 1u << value % 3, value * 0x1010101u);
    else
        acpi_pm_read(&pm, (uint16_t)(0x600 + reg % 12), 1u << value % 3, now);
}

/// A virtual-APIC page between a run's beginning and its end, with anything written there by the guest; and messages of devices.
static void use_page(struct lapic *lapic, uint8_t how, uint32_t value)
{
    static uint32_t page[1024];
    const uint32_t offset = value & 0xff0;
    page[offset / 4] = value >> 12;
    switch (how % 6) {
    case 0:
        lapic_page_registers(lapic, page);
        lapic_page_level(lapic, page);
        break;
    case 1: {
        const uint32_t status = lapic_page_enter(lapic, page);
        require(status <= UINT16_MAX);
        page[offset / 4] =
            offset == 0x200 ? value & 0xffff0000 : value; // what the processor leaves: no vector below 16
        lapic_page_leave(lapic, page);
        break;
    }
    case 2:
        require(lapic_page_show(lapic, page) <= 15); // 4 bits, or the VM entry fails
        lapic_page_writes(lapic, page);
        break;
    case 3:
        lapic_page_written(lapic, page, value & 0xfff, now);
        break;
    case 4:
        lapic_page_ended(lapic, (uint8_t)value);
        break;
    default:
        apic_deliver_msi(&bus, LAPIC_ADDRESS + (value & 0xfffff), value >> 12);
        break;
    }
    require(lapic->task_priority <= 0xff);
}

static void access_apic(uint8_t where, bool write, uint32_t value)
{
    struct lapic *lapic = &lapics[where % CPUS];
    uint64_t wide;
    switch (where / CPUS % 5) {
    case 0: // registers that exist, mostly
        if (write)
            lapic_write(lapic, (value >> 26) << 4, value, now);
        else
            lapic_read(lapic, (value >> 26) << 4, now);
        break;
    case 1:
        if (write)
            lapic_write_msr(lapic, 0x800 + (value >> 26), (uint64_t)value << (value & 15), now);
        else
            lapic_read_msr(lapic, 0x800 + (value >> 26), &wide, now);
        break;
    case 2:
        if (write)
            lapic_write_msr(lapic, where & 64 ? 0x1b : 0x6e0, where & 64 ? lapic->base ^ (value & 0xc00) : now + value,
                            now);
        else
            lapic_write_cr8(lapic, value);
        break;
    case 3:
        use_page(lapic, where / (CPUS * 5), value);
        break;
    default:
        if (write)
            ioapic_write(&ioapic, value & 0x40 ? 0x40 : value & 0x10, value >> 8);
        else
            ioapic_read(&ioapic, value & 0x10);
        break;
    }
}

/// Six bytes an action.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    make();
    for (; size >= 6; data += 6, size -= 6) {
        const uint32_t value =
            (uint32_t)data[2] | (uint32_t)data[3] << 8 | (uint32_t)data[4] << 16 | (uint32_t)data[5] << 24;
        const bool write = (data[0] & 1) != 0;
        switch (data[0] >> 1 & 7) {
        case 0:
        case 1:
        case 2:
            access_port(data[1], write, data[2]);
            break;
        case 3:
        case 4:
            access_apic(data[1], write, value);
            break;
        case 5:
            now += (uint64_t)value << (data[1] % 24);
            pass_time();
            break;
        case 6:
            take_interrupts();
            break;
        default:
            if (uart_room(&uart) > 0)
                uart_receive(&uart, data[1]);
            set_line(NULL, data[1] % 16, write);
            break;
        }
    }
    return 0;
}
