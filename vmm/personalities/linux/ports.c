// SPDX-License-Identifier: Apache-2.0
// Which device answers at which port.
#include "machine.h"

enum { COM1 = 0x3f8 };

/// One byte; wider accesses to these devices are made of bytes.
static uint8_t read_byte(uint16_t port)
{
    if (port >= COM1 && port < COM1 + UART_PORTS)
        return uart_read(&machine.uart, port - COM1);
    if ((port >= PIT_FIRST_PORT && port <= PIT_LAST_PORT) || port == PIT_PORT_B)
        return pit_read(&machine.pit, port, pv_tsc());
    if ((port & ~1) == PIC_FIRST_PORT || (port & ~1) == PIC_SECOND_PORT || (port & ~1) == PIC_EDGE_LEVEL_PORT)
        return pic_read(&machine.pic, port);
    return 0xff;
}

static void write_byte(uint16_t port, uint8_t value)
{
    if (port >= COM1 && port < COM1 + UART_PORTS)
        uart_write(&machine.uart, port - COM1, value);
    else if ((port >= PIT_FIRST_PORT && port <= PIT_LAST_PORT) || port == PIT_PORT_B)
        pit_write(&machine.pit, port, value, pv_tsc());
    else if ((port & ~1) == PIC_FIRST_PORT || (port & ~1) == PIC_SECOND_PORT || (port & ~1) == PIC_EDGE_LEVEL_PORT)
        pic_write(&machine.pic, port, value);
}

uint32_t port_read(uint16_t port, uint32_t size)
{
    uint32_t value = 0;
    for (uint32_t i = 0; i < size; i++)
        value |= (uint32_t)read_byte((uint16_t)(port + i)) << (8 * i);
    return value;
}

void port_write(uint16_t port, uint32_t size, uint32_t value)
{
    for (uint32_t i = 0; i < size; i++)
        write_byte((uint16_t)(port + i), (uint8_t)(value >> (8 * i)));
}
