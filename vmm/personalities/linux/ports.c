// SPDX-License-Identifier: Apache-2.0
// Which device answers at which port. Ports without a device read as ones, as on an empty bus.
#include "devices/pvpanic.h"
#include "machine.h"

enum { COM1 = 0x3f8, KEYBOARD_COMMAND = 0x64, KEYBOARD_RESET = 0xfe, PORT_A = 0x92, PORT_A_RESET = 1 };

static bool is_pic(uint16_t port)
{
    const uint16_t pair = port & 0xfffe;
    return pair == PIC_FIRST_PORT || pair == PIC_SECOND_PORT || pair == PIC_EDGE_LEVEL_PORT;
}

static bool is_pit(uint16_t port)
{
    return (port >= PIT_FIRST_PORT && port <= PIT_LAST_PORT) || port == PIT_PORT_B;
}

static bool is_rtc(uint16_t port)
{
    return port == RTC_INDEX_PORT || port == RTC_DATA_PORT;
}

static bool is_pm(uint16_t port)
{
    return port >= ACPI_PM_FIRST_PORT && port <= ACPI_PM_LAST_PORT;
}

static bool is_pci(uint16_t port)
{
    return port >= PCI_ADDRESS_PORT && port <= PCI_DATA_LAST;
}

static bool is_uart(uint16_t port)
{
    return port >= COM1 && port < COM1 + UART_PORTS;
}

/// Whose an access to a port is.
static struct pv_device *row_of(uint16_t port)
{
    const enum device_row row = is_uart(port)             ? DEVICE_UART
                                : is_pit(port)            ? DEVICE_PIT
                                : is_pic(port)            ? DEVICE_PIC
                                : is_rtc(port)            ? DEVICE_RTC
                                : is_pm(port)             ? DEVICE_PM
                                : is_pci(port)            ? DEVICE_PCI
                                : port == PVPANIC_PORT    ? DEVICE_PVPANIC
                                : port == ACPI_RESET_PORT ? DEVICE_PM
                                                          : DEVICE_NONE;
    return device_row(row);
}

/// Deadlines may have changed: the first processor's agent looks.
static void poll_soon(void)
{
    machine.poll_at = 0;
    machine_wake(0);
}

/* ---- devices of bytes: wider accesses are made of them ---- */

static uint8_t read_byte(uint16_t port)
{
    if (is_uart(port))
        return uart_read(&machine.uart, port - COM1);
    if (is_pit(port))
        return pit_read(&machine.pit, port, pv_tsc());
    if (is_pic(port))
        return pic_read(&machine.pic, port);
    if (is_rtc(port))
        return rtc_read(&machine.rtc, port, pv_tsc());
    if (port == PVPANIC_PORT)
        return pvpanic_read();
    return 0xff;
}

/// For good: the message, then the exit code that says the same to whoever started the personality.
static void end(const char *why, enum machine_end code)
{
    if (machine.phase != PHASE_RUNNING)
        return;
    console_flush(&machine.console);
    pv_printf("linux: %s\n", why);
    machine_end(code);
}

static void write_byte(uint16_t port, uint8_t value)
{
    if (is_uart(port)) {
        uart_write(&machine.uart, port - COM1, value);
    } else if (is_pit(port)) {
        pit_write(&machine.pit, port, value, pv_tsc());
        poll_soon();
    } else if (is_pic(port)) {
        pic_write(&machine.pic, port, value);
    } else if (is_rtc(port)) {
        rtc_write(&machine.rtc, port, value, pv_tsc());
        poll_soon();
    } else if (port == PVPANIC_PORT) {
        if (pvpanic_write(value))
            end("the guest's kernel has panicked", MACHINE_PANICKED);
    } else if ((port == KEYBOARD_COMMAND && value == KEYBOARD_RESET) ||
               (port == PORT_A && (value & PORT_A_RESET) != 0)) {
        machine_reset();
    }
}

/* ---- all ---- */

static void write_pm(uint16_t port, uint32_t size, uint32_t value)
{
    const enum acpi_pm_request request = acpi_pm_write(&machine.pm, port, size, value);
    if (request == ACPI_PM_RESET)
        machine_reset();
    if (request == ACPI_PM_OFF)
        end("the guest switches the machine off", MACHINE_OFF);
}

uint32_t port_read(uint16_t port, uint32_t size)
{
    uint32_t value = 0;
    row_of(port)->reads++;
    if (is_pm(port))
        return acpi_pm_read(&machine.pm, port, size, pv_tsc());
    if (is_pci(port))
        return pci_read(&machine.pci, port, size);
    for (uint32_t i = 0; i < size; i++)
        value |= (uint32_t)read_byte((uint16_t)(port + i)) << (8 * i);
    return value;
}

void port_write(uint16_t port, uint32_t size, uint32_t value)
{
    row_of(port)->writes++;
    if (is_pm(port) || (port == ACPI_RESET_PORT && size == 1)) {
        write_pm(port, size, value);
    } else if (is_pci(port)) {
        pci_write(&machine.pci, port, size, value);
    } else {
        for (uint32_t i = 0; i < size; i++)
            write_byte((uint16_t)(port + i), (uint8_t)(value >> (8 * i)));
    }
}
