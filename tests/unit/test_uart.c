// SPDX-License-Identifier: Apache-2.0
// The 16550A model of lib/devices.
// links: vmm/personalities/lib/devices/uart.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "devices/uart.h"

enum { DATA = 0, IER = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6 };

struct bench {
    struct uart uart;
    char sent[64];
    size_t sent_count;
    bool line;
    unsigned edges; ///< rising ones
};

static void send(void *context, uint8_t byte)
{
    struct bench *b = context;
    b->sent[b->sent_count++] = (char)byte;
}

static void set_line(void *context, uint32_t number, bool high)
{
    struct bench *b = context;
    assert_int_equal(number, 4);
    assert_int_not_equal(b->line, high); // only changes are told
    b->line = high;
    b->edges += high;
}

static struct bench new_bench(void)
{
    return (struct bench){0};
}

static void start(struct bench *b)
{
    uart_init(&b->uart, send, b, (struct dev_line){set_line, b, 4});
    uart_write(&b->uart, MCR, 0x0b);
}

static void test_sends(void **state)
{
    (void)state;
    struct bench b = new_bench();
    start(&b);
    assert_int_equal(uart_read(&b.uart, LSR), 0x60);
    uart_write(&b.uart, DATA, 'o');
    uart_write(&b.uart, DATA, 'k');
    assert_int_equal(b.sent_count, 2);
    assert_memory_equal(b.sent, "ok", 2);
    assert_int_equal(uart_read(&b.uart, LSR), 0x60);
    assert_false(b.line);
}

static void test_divisor_is_no_data(void **state)
{
    (void)state;
    struct bench b = new_bench();
    start(&b);
    uart_write(&b.uart, LCR, 0x83);
    uart_write(&b.uart, DATA, 0x34);
    uart_write(&b.uart, IER, 0x12);
    assert_int_equal(b.uart.divisor, 0x1234);
    assert_int_equal(uart_read(&b.uart, DATA), 0x34);
    assert_int_equal(uart_read(&b.uart, IER), 0x12);
    uart_write(&b.uart, LCR, 3);
    assert_int_equal(uart_read(&b.uart, IER), 0);
    assert_int_equal(b.sent_count, 0);
}

/// What a driver's interrupt handler sees: enabling it raises it, reading IIR ends it, each byte raises it anew.
static void test_transmitter_interrupt(void **state)
{
    (void)state;
    struct bench b = new_bench();
    start(&b);
    assert_int_equal(uart_read(&b.uart, IIR), 1);
    uart_write(&b.uart, IER, 2);
    assert_true(b.line);
    assert_int_equal(uart_read(&b.uart, IIR), 2);
    assert_false(b.line);
    assert_int_equal(uart_read(&b.uart, IIR), 1);
    uart_write(&b.uart, DATA, 'x');
    assert_true(b.line);
    uart_write(&b.uart, DATA, 'y'); // a second edge although nobody has read IIR
    assert_int_equal(b.edges, 3);
    uart_write(&b.uart, IER, 0);
    assert_false(b.line);
    uart_write(&b.uart, IER, 2);
    assert_true(b.line);
}

static void test_receiver_without_fifo(void **state)
{
    (void)state;
    struct bench b = new_bench();
    start(&b);
    uart_write(&b.uart, IER, 1);
    assert_int_equal(uart_room(&b.uart), 1);
    uart_receive(&b.uart, 'a');
    assert_int_equal(uart_room(&b.uart), 0);
    assert_true(b.line);
    assert_int_equal(uart_read(&b.uart, IIR), 4);
    assert_int_equal(uart_read(&b.uart, LSR), 0x61);
    assert_int_equal(uart_read(&b.uart, DATA), 'a');
    assert_false(b.line);
    assert_int_equal(uart_read(&b.uart, LSR), 0x60);
    uart_receive(&b.uart, 'b');
    uart_receive(&b.uart, 'c'); // there was no room
    assert_int_equal(uart_read(&b.uart, LSR), 0x63);
    assert_int_equal(uart_read(&b.uart, LSR), 0x61);
    assert_int_equal(uart_read(&b.uart, DATA), 'b');
}

static void test_receiver_fifo(void **state)
{
    (void)state;
    struct bench b = new_bench();
    start(&b);
    uart_write(&b.uart, FCR, 0x41); // trigger level 4
    uart_write(&b.uart, IER, 1);
    assert_int_equal(uart_room(&b.uart), 16);
    for (int round = 0; round < 3; round++) {
        for (uint8_t i = 0; i < 16; i++) {
            uart_receive(&b.uart, i);
            assert_int_equal(uart_read(&b.uart, IIR), i < 3 ? 0xcc : 0xc4);
        }
        assert_int_equal(uart_room(&b.uart), 0);
        for (uint8_t i = 0; i < 16; i++)
            assert_int_equal(uart_read(&b.uart, DATA), i);
        assert_int_equal(uart_read(&b.uart, IIR), 0xc1);
        assert_false(b.line);
    }
    uart_receive(&b.uart, 1);
    uart_write(&b.uart, FCR, 0x43); // clears the receiver
    assert_int_equal(uart_read(&b.uart, LSR), 0x60);
    assert_false(b.line);
}

static void test_priorities(void **state)
{
    (void)state;
    struct bench b = new_bench();
    start(&b);
    uart_write(&b.uart, IER, 15);
    uart_write(&b.uart, MCR, 0x1b); // loop back: CTS, DSR and DCD as before, no byte leaves
    uart_write(&b.uart, MCR, 0x18); // DTR and RTS go, CTS and DSR change
    uart_write(&b.uart, DATA, 'l');
    uart_write(&b.uart, DATA, 'm'); // overrun
    assert_int_equal(b.sent_count, 0);
    assert_int_equal(uart_read(&b.uart, IIR), 6);
    uart_read(&b.uart, LSR);
    assert_int_equal(uart_read(&b.uart, IIR), 4);
    assert_int_equal(uart_read(&b.uart, DATA), 'l');
    assert_int_equal(uart_read(&b.uart, IIR), 2);
    assert_int_equal(uart_read(&b.uart, IIR), 0);
    assert_int_equal(uart_read(&b.uart, MSR), 0x83);
    assert_int_equal(uart_read(&b.uart, IIR), 1);
}

/// Linux looks for a UART in this way (autoconfig in 8250_port.c).
static void test_loopback_probe(void **state)
{
    (void)state;
    struct bench b = new_bench();
    start(&b);
    uart_write(&b.uart, MCR, 0x1a); // loop, OUT2, RTS
    assert_int_equal(uart_read(&b.uart, MSR) & 0xf0, 0x90);
    uart_write(&b.uart, IER, 0);
    uart_write(&b.uart, IER, 15);
    assert_int_equal(uart_read(&b.uart, IER), 15);
    uart_write(&b.uart, FCR, 1);
    assert_int_equal(uart_read(&b.uart, IIR) >> 6, 3);
    uart_write(&b.uart, 7, 0x5a);
    assert_int_equal(uart_read(&b.uart, 7), 0x5a);
}

static void test_gate(void **state)
{
    (void)state;
    struct bench b = new_bench();
    start(&b);
    uart_write(&b.uart, IER, 2);
    assert_true(b.line);
    uart_write(&b.uart, MCR, 3);
    assert_false(b.line);
    uart_write(&b.uart, MCR, 0x0b);
    assert_true(b.line);
    uart_write(&b.uart, MCR, 0x1b);
    assert_false(b.line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sends),
        cmocka_unit_test(test_divisor_is_no_data),
        cmocka_unit_test(test_transmitter_interrupt),
        cmocka_unit_test(test_receiver_without_fifo),
        cmocka_unit_test(test_receiver_fifo),
        cmocka_unit_test(test_priorities),
        cmocka_unit_test(test_loopback_probe),
        cmocka_unit_test(test_gate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
