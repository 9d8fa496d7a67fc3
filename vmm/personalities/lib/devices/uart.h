// SPDX-License-Identifier: Apache-2.0
/// A 16550A UART: FIFOs, interrupts, loopback. Its line is infinitely fast: what is written has been sent at once.
#ifndef POLYVISOR_DEVICES_UART_H
#define POLYVISOR_DEVICES_UART_H

#include "devices/device.h"

enum { UART_PORTS = 8, UART_FIFO = 16 };

struct uart {
    void (*send)(void *context, uint8_t byte); ///< a byte leaves
    void *context;
    struct dev_line interrupt;
    bool asserted;       ///< the level of the interrupt line
    bool transmit_event; ///< the transmitter has become empty, and nobody has taken notice
    uint8_t ier, fcr, lcr, mcr, scratch;
    uint8_t errors;       ///< bits of LSR that reading it clears
    uint8_t modem_deltas; ///< low half of MSR
    uint16_t divisor;
    uint8_t fifo[UART_FIFO];
    uint8_t first, count; ///< of the received bytes
};

/// Reset state.
void uart_init(struct uart *uart, void (*send)(void *context, uint8_t byte), void *context, struct dev_line interrupt);

/// How many bytes uart_receive takes now: hold the others back, nothing is ever overrun then.
uint32_t uart_room(const struct uart *uart);
/// A byte arrives.
void uart_receive(struct uart *uart, uint8_t byte);

/// Accesses to register 0 to 7.
uint8_t uart_read(struct uart *uart, uint32_t reg);
void uart_write(struct uart *uart, uint32_t reg, uint8_t value);

#endif
