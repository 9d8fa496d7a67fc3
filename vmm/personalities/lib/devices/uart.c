// SPDX-License-Identifier: Apache-2.0
// Source: National Semiconductor, PC16550D data sheet, section 8 (registers); interrupt priorities: its table IV.
#include "devices/uart.h"

enum { RBR_THR = 0, IER = 1, IIR_FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCRATCH = 7 };
enum { IER_RECEIVE = 1, IER_TRANSMIT = 2, IER_LINE = 4, IER_MODEM = 8, IER_ALL = 15 };
enum {
    IIR_NONE = 1,
    IIR_MODEM = 0,
    IIR_TRANSMIT = 2,
    IIR_RECEIVE = 4,
    IIR_LINE = 6,
    IIR_TIMEOUT = 12,
    IIR_FIFOS = 0xc0
};
enum { FCR_ENABLE = 1, FCR_CLEAR_RECEIVER = 2, FCR_STORED = 0xc9 };
enum { LCR_DIVISOR = 0x80 };
enum { MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 16, MCR_ALL = 31 };
enum { LSR_DATA = 1, LSR_OVERRUN = 2, LSR_EMPTY = 0x60 /* holding register, and shift register too */ };
enum { MSR_CTS = 16, MSR_DSR = 32, MSR_RI = 64, MSR_DCD = 128, MSR_RI_ENDED = 4 };

static bool fifos(const struct uart *uart)
{
    return (uart->fcr & FCR_ENABLE) != 0;
}

static uint32_t capacity(const struct uart *uart)
{
    return fifos(uart) ? UART_FIFO : 1;
}

/// The number of received bytes from which the receiver interrupts.
static uint32_t trigger(const struct uart *uart)
{
    static const uint8_t levels[] = {1, 4, 8, 14};
    return fifos(uart) ? levels[uart->fcr >> 6] : 1;
}

/// The interrupt of the highest priority that is enabled and pending. The time-out of bytes below the trigger level
/// comes at once: nothing else is on its way.
static uint8_t identify(const struct uart *uart)
{
    if (uart->errors != 0 && (uart->ier & IER_LINE) != 0)
        return IIR_LINE;
    if ((uart->ier & IER_RECEIVE) != 0 && uart->count > 0)
        return uart->count >= trigger(uart) ? IIR_RECEIVE : IIR_TIMEOUT;
    if (uart->transmit_event && (uart->ier & IER_TRANSMIT) != 0)
        return IIR_TRANSMIT;
    if (uart->modem_deltas != 0 && (uart->ier & IER_MODEM) != 0)
        return IIR_MODEM;
    return IIR_NONE;
}

/// On a PC the interrupt passes a gate that the pin OUT2 opens; in loopback mode that pin is off.
static void update(struct uart *uart)
{
    const bool gate = (uart->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;
    const bool wanted = gate && identify(uart) != IIR_NONE;
    if (wanted != uart->asserted) {
        uart->asserted = wanted;
        dev_line_set(&uart->interrupt, wanted);
    }
}

void uart_init(struct uart *uart, void (*send)(void *context, uint8_t byte), void *context, struct dev_line interrupt)
{
    *uart = (struct uart){.send = send, .context = context, .interrupt = interrupt, .divisor = 12};
}

static void clear_receiver(struct uart *uart)
{
    uart->first = 0;
    uart->count = 0;
}

uint32_t uart_room(const struct uart *uart)
{
    return (uart->mcr & MCR_LOOP) != 0 ? 0 : capacity(uart) - uart->count;
}

static void take(struct uart *uart, uint8_t byte)
{
    if (uart->count >= capacity(uart)) {
        uart->errors |= LSR_OVERRUN;
        return;
    }
    uart->fifo[(uart->first + uart->count) % UART_FIFO] = byte;
    uart->count++;
}

void uart_receive(struct uart *uart, uint8_t byte)
{
    take(uart, byte);
    update(uart);
}

/// Upper half of MSR: somebody is there and ready; in loopback mode, the own outputs.
static uint8_t modem_lines(const struct uart *uart)
{
    if ((uart->mcr & MCR_LOOP) == 0)
        return MSR_CTS | MSR_DSR | MSR_DCD;
    return (uint8_t)(((uart->mcr & MCR_RTS) ? MSR_CTS : 0) | ((uart->mcr & MCR_DTR) ? MSR_DSR : 0) |
                     ((uart->mcr & MCR_OUT1) ? MSR_RI : 0) | ((uart->mcr & MCR_OUT2) ? MSR_DCD : 0));
}

static void write_mcr(struct uart *uart, uint8_t value)
{
    const uint8_t before = modem_lines(uart);
    uart->mcr = value & MCR_ALL;
    const uint8_t after = modem_lines(uart), changed = (before ^ after) >> 4;
    // The ring indicator counts only when it ends.
    uart->modem_deltas |= changed & (uint8_t)~MSR_RI_ENDED;
    if ((before & MSR_RI) != 0 && (after & MSR_RI) == 0)
        uart->modem_deltas |= MSR_RI_ENDED;
}

static void write_fcr(struct uart *uart, uint8_t value)
{
    if (((uart->fcr ^ value) & FCR_ENABLE) != 0 || (value & FCR_CLEAR_RECEIVER) != 0)
        clear_receiver(uart);
    uart->fcr = (value & FCR_ENABLE) != 0 ? value & FCR_STORED : 0;
}

/// The event ends with the write and begins anew when the byte has left, so that an edge is seen.
static void transmit(struct uart *uart, uint8_t byte)
{
    uart->transmit_event = false;
    update(uart);
    if ((uart->mcr & MCR_LOOP) != 0)
        take(uart, byte);
    else
        uart->send(uart->context, byte);
    uart->transmit_event = true;
}

static void write_ier(struct uart *uart, uint8_t value)
{
    const uint8_t enabled = value & (uint8_t)~uart->ier;
    if ((enabled & IER_TRANSMIT) != 0)
        uart->transmit_event = true; // the transmitter is empty, as always
    uart->ier = value & IER_ALL;
}

void uart_write(struct uart *uart, uint32_t reg, uint8_t value)
{
    const bool divisor = (uart->lcr & LCR_DIVISOR) != 0;
    switch (reg) {
    case RBR_THR:
        if (divisor)
            uart->divisor = (uint16_t)((uart->divisor & 0xff00) | value);
        else
            transmit(uart, value);
        break;
    case IER:
        if (divisor)
            uart->divisor = (uint16_t)((uart->divisor & 0x00ff) | value << 8);
        else
            write_ier(uart, value);
        break;
    case IIR_FCR:
        write_fcr(uart, value);
        break;
    case LCR:
        uart->lcr = value;
        break;
    case MCR:
        write_mcr(uart, value);
        break;
    case SCRATCH:
        uart->scratch = value;
        break;
    default: // LSR and MSR: writes are for the factory
        break;
    }
    update(uart);
}

static uint8_t read_data(struct uart *uart)
{
    const uint8_t byte = uart->fifo[uart->first];
    if (uart->count > 0) {
        uart->first = (uint8_t)((uart->first + 1) % UART_FIFO);
        uart->count--;
    }
    return byte;
}

static uint8_t read_iir(struct uart *uart)
{
    const uint8_t id = identify(uart);
    if (id == IIR_TRANSMIT)
        uart->transmit_event = false;
    return id | (fifos(uart) ? IIR_FIFOS : 0);
}

static uint8_t read_lsr(struct uart *uart)
{
    const uint8_t value = (uint8_t)(LSR_EMPTY | uart->errors | (uart->count > 0 ? LSR_DATA : 0));
    uart->errors = 0;
    return value;
}

static uint8_t read_msr(struct uart *uart)
{
    const uint8_t value = modem_lines(uart) | uart->modem_deltas;
    uart->modem_deltas = 0;
    return value;
}

static uint8_t read_register(struct uart *uart, uint32_t reg)
{
    const bool divisor = (uart->lcr & LCR_DIVISOR) != 0;
    switch (reg) {
    case RBR_THR:
        return divisor ? (uint8_t)uart->divisor : read_data(uart);
    case IER:
        return divisor ? (uint8_t)(uart->divisor >> 8) : uart->ier;
    case IIR_FCR:
        return read_iir(uart);
    case LCR:
        return uart->lcr;
    case MCR:
        return uart->mcr;
    case LSR:
        return read_lsr(uart);
    case MSR:
        return read_msr(uart);
    default:
        return uart->scratch;
    }
}

uint8_t uart_read(struct uart *uart, uint32_t reg)
{
    const uint8_t value = read_register(uart, reg);
    update(uart);
    return value;
}
