// SPDX-License-Identifier: Apache-2.0
/// COM1 (the console) and COM2 (the debugger's line), each a 16550: 115200 baud, 8N1.
#ifndef POLYVISOR_ARCH_UART_H
#define POLYVISOR_ARCH_UART_H

#include <stdbool.h>
#include <stddef.h>

enum uart_line { UART_COM1, UART_COM2, UARTS };

/// False: there is no UART there; the other functions then do nothing.
bool uart_init(enum uart_line line);
/// Lets the UART interrupt on received bytes and on an empty transmitter.
void uart_enable_interrupts(enum uart_line line);
/// How many bytes may be written now: 0, or the FIFO's size.
size_t uart_transmit_room(enum uart_line line);
void uart_put(enum uart_line line, char c);
/// Next received byte, or -1.
int uart_get(enum uart_line line);
/// Puts a byte, waiting (bounded) until the UART takes it. For a panic and for the very end.
void uart_put_wait(enum uart_line line, char c);
/// Waits (bounded) until the last byte is on the line.
void uart_flush(enum uart_line line);

#endif
