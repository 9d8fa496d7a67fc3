// SPDX-License-Identifier: Apache-2.0
/// COM1 for the loaders' error messages, 115200 baud 8N1, polled. Inline, because two separate programs use it (the EFI
/// loader and the multiboot2 entry). A machine without the port must not hang: every wait is bounded.
#ifndef POLYVISOR_BOOT_SERIAL_H
#define POLYVISOR_BOOT_SERIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// 16550 registers (National Semiconductor PC16550D, table II).
enum {
    SERIAL_COM1 = 0x3f8,
    SERIAL_DATA = 0,       ///< divisor, low byte, while LCR.DLAB is set
    SERIAL_IER = 1,        ///< interrupts enabled; divisor, high byte, while LCR.DLAB is set
    SERIAL_FCR = 2,        ///< FIFO control
    SERIAL_LCR = 3,        ///< line control
    SERIAL_MCR = 4,        ///< modem control
    SERIAL_LSR = 5,        ///< line status
    SERIAL_FCR_ENABLE = 1, ///< without clearing, so that text of the firmware still goes out
    SERIAL_LCR_8N1 = 3,
    SERIAL_LCR_DLAB = 0x80,
    SERIAL_MCR_DTR_RTS = 3,
    SERIAL_LSR_THRE = 0x20, ///< room for a byte to send
    SERIAL_LSR_TEMT = 0x40, ///< everything sent
    SERIAL_LSR_ABSENT = 0xff,
    SERIAL_DIVISOR = 1,   ///< 115200 baud
    SERIAL_WAIT = 100000, ///< reads of LSR; one takes about 1 us, a byte on the line 87 us
};

static inline void serial_out(unsigned offset, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"((uint16_t)(SERIAL_COM1 + offset)));
}

static inline uint8_t serial_in(unsigned offset)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"((uint16_t)(SERIAL_COM1 + offset)));
    return value;
}

/// Waits until all the given LSR bits are set. False: no port there, or it is stuck.
static inline bool serial_wait(uint8_t bits)
{
    for (unsigned i = 0; i < SERIAL_WAIT; i++) {
        uint8_t status = serial_in(SERIAL_LSR);
        if (status == SERIAL_LSR_ABSENT)
            return false;
        if ((status & bits) == bits)
            return true;
    }
    return false;
}

/// Sets the line up, after what the firmware still had to send. False: the port cannot be used.
static inline bool serial_init(void)
{
    if (!serial_wait(SERIAL_LSR_TEMT))
        return false;
    serial_out(SERIAL_IER, 0);
    serial_out(SERIAL_LCR, SERIAL_LCR_DLAB | SERIAL_LCR_8N1);
    serial_out(SERIAL_DATA, SERIAL_DIVISOR);
    serial_out(SERIAL_IER, 0);
    serial_out(SERIAL_LCR, SERIAL_LCR_8N1);
    serial_out(SERIAL_FCR, SERIAL_FCR_ENABLE);
    serial_out(SERIAL_MCR, SERIAL_MCR_DTR_RTS);
    return true;
}

/// Sends text, "\n" as "\r\n". False: the port stopped answering, the rest is dropped.
static inline bool serial_write(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\n') {
            if (!serial_wait(SERIAL_LSR_THRE))
                return false;
            serial_out(SERIAL_DATA, '\r');
        }
        if (!serial_wait(SERIAL_LSR_THRE))
            return false;
        serial_out(SERIAL_DATA, (uint8_t)text[i]);
    }
    return true;
}

#endif
