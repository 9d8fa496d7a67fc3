// SPDX-License-Identifier: Apache-2.0
#include "arch/x86/uart.h"

#include <stdint.h>

#include "arch/x86/cpu.h"

/* Registers and bits of a 16550 (PC16550D data sheet) */
enum {
    UART_DATA = 0, // divisor, low byte, while LCR_DLAB
    UART_IER = 1,  // divisor, high byte, while LCR_DLAB
    UART_FCR = 2,
    UART_IIR = 2,
    UART_LCR = 3,
    UART_MCR = 4,
    UART_LSR = 5,
    UART_SCRATCH = 7,
    IER_RECEIVED = 1,
    IER_TRANSMIT_EMPTY = 2,
    FCR_ENABLE_CLEAR = 0x07, // FIFOs on, both emptied, interrupt at every byte
    LCR_8N1 = 0x03,
    LCR_DLAB = 0x80,
    MCR_DTR_RTS_OUT2 = 0x0b, // OUT2 gates the interrupt line
    LSR_DATA = 0x01,
    LSR_TRANSMIT_EMPTY = 0x20,   // the FIFO
    LSR_TRANSMITTER_IDLE = 0x40, // the shift register too
    FIFO_SIZE = 16,
    DIVISOR_115200 = 1,
    WAIT_LIMIT = 1000000, // polls; a byte takes 87 us
};

static const uint16_t ports[UARTS] = {[UART_COM1] = 0x3f8, [UART_COM2] = 0x2f8};
static bool present[UARTS];

static uint16_t reg(enum uart_line line, uint16_t number)
{
    return (uint16_t)(ports[line] + number);
}

bool uart_init(enum uart_line line)
{
    cpu_out8(reg(line, UART_SCRATCH), 0x5a);
    present[line] = cpu_in8(reg(line, UART_SCRATCH)) == 0x5a;
    if (!present[line]) {
        return false;
    }
    cpu_out8(reg(line, UART_IER), 0);
    cpu_out8(reg(line, UART_LCR), LCR_DLAB);
    cpu_out8(reg(line, UART_DATA), DIVISOR_115200);
    cpu_out8(reg(line, UART_IER), 0);
    cpu_out8(reg(line, UART_LCR), LCR_8N1);
    cpu_out8(reg(line, UART_FCR), FCR_ENABLE_CLEAR);
    cpu_out8(reg(line, UART_MCR), MCR_DTR_RTS_OUT2);
    return true;
}

void uart_enable_interrupts(enum uart_line line)
{
    if (present[line]) {
        cpu_out8(reg(line, UART_IER), IER_RECEIVED | IER_TRANSMIT_EMPTY);
    }
}

size_t uart_transmit_room(enum uart_line line)
{
    return present[line] && (cpu_in8(reg(line, UART_LSR)) & LSR_TRANSMIT_EMPTY) ? FIFO_SIZE : 0;
}

void uart_put(enum uart_line line, char c)
{
    if (present[line]) {
        cpu_out8(reg(line, UART_DATA), (uint8_t)c);
    }
}

int uart_get(enum uart_line line)
{
    if (!present[line]) {
        return -1;
    }
    (void)cpu_in8(reg(line, UART_IIR)); // acknowledges an empty transmitter
    return cpu_in8(reg(line, UART_LSR)) & LSR_DATA ? cpu_in8(reg(line, UART_DATA)) : -1;
}

void uart_put_wait(enum uart_line line, char c)
{
    for (int i = 0; present[line] && i < WAIT_LIMIT && uart_transmit_room(line) == 0; i++) {
        cpu_pause();
    }
    uart_put(line, c);
}

void uart_flush(enum uart_line line)
{
    for (int i = 0; present[line] && i < WAIT_LIMIT && !(cpu_in8(reg(line, UART_LSR)) & LSR_TRANSMITTER_IDLE); i++) {
        cpu_pause();
    }
}
