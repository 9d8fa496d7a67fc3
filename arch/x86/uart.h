// SPDX-License-Identifier: Apache-2.0
/// COM1, a 16550: 115200 baud, 8N1.
#ifndef POLYVISOR_ARCH_UART_H
#define POLYVISOR_ARCH_UART_H

#include <stdbool.h>
#include <stddef.h>

/// False: there is no UART at COM1; the other functions then do nothing.
bool uart_init(void);
/// Lets the UART interrupt on received bytes and on an empty transmitter.
void uart_enable_interrupts(void);
/// How many bytes may be written now: 0, or the FIFO's size.
size_t uart_transmit_room(void);
void uart_put(char c);
/// Next received byte, or -1.
int uart_get(void);
/// Puts a byte, waiting (bounded) until the UART takes it. For a panic and for the very end.
void uart_put_wait(char c);
/// Waits (bounded) until the last byte is on the line.
void uart_flush(void);

#endif
