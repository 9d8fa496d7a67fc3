// SPDX-License-Identifier: Apache-2.0
// The 8259A pair of lib/devices.
// links: vmm/personalities/lib/devices/pic.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "devices/pic.h"

static bool intr;

static void set_intr(void *context, uint32_t number, bool high)
{
    (void)context, (void)number;
    assert_int_not_equal(intr, high);
    intr = high;
}

/// As a PC's firmware or Linux sets them up: vectors 0x30 and 0x38, everything unmasked.
static struct pic ready(uint8_t icw4)
{
    struct pic pic;
    static const struct {
        uint16_t port;
        uint8_t value;
    } words[] = {{0x20, 0x11}, {0x21, 0x30}, {0x21, 4}, {0x21, 0}, {0xa0, 0x11}, {0xa1, 0x38}, {0xa1, 2}, {0xa1, 0}};
    intr = false;
    pic_init(&pic, (struct dev_line){set_intr, NULL, 0});
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        const bool last = i % 4 == 3;
        pic_write(&pic, words[i].port, last ? icw4 : words[i].value);
    }
    assert_int_equal(pic_read(&pic, 0x21), 0);
    return pic;
}

static void pulse(struct pic *pic, uint32_t input)
{
    pic_set_line(pic, input, false);
    pic_set_line(pic, input, true);
}

static void take(struct pic *pic, int input, uint8_t vector)
{
    assert_true(intr);
    assert_int_equal(pic_next(pic), input);
    assert_int_equal(pic_vector(pic, (uint32_t)input), vector);
    pic_accept(pic, (uint32_t)input);
}

static void test_silent_until_set_up(void **state)
{
    (void)state;
    struct pic pic;
    intr = false;
    pic_init(&pic, (struct dev_line){set_intr, NULL, 0});
    pulse(&pic, 0);
    assert_false(intr);
    assert_int_equal(pic_next(&pic), PIC_NONE);
}

static void test_one(void **state)
{
    (void)state;
    struct pic pic = ready(1);
    pulse(&pic, 4);
    take(&pic, 4, 0x34);
    assert_false(intr);
    pulse(&pic, 4); // a new edge while in service waits
    assert_false(intr);
    pic_write(&pic, 0x20, 0x20);
    take(&pic, 4, 0x34);
    pic_write(&pic, 0x20, 0x64); // specific EOI
    assert_false(intr);          // the line is still high: no edge
    pic_write(&pic, 0x20, 0x0b);
    assert_int_equal(pic_read(&pic, 0x20), 0);
}

static void test_priorities_nest(void **state)
{
    (void)state;
    struct pic pic = ready(1);
    pulse(&pic, 5);
    pulse(&pic, 3);
    take(&pic, 3, 0x33);
    assert_false(intr);
    pulse(&pic, 1);
    take(&pic, 1, 0x31);
    pic_write(&pic, 0x20, 0x0b);
    assert_int_equal(pic_read(&pic, 0x20), 0x0a);
    pic_write(&pic, 0x20, 0x0a);
    assert_int_equal(pic_read(&pic, 0x20), 0x20);
    pic_write(&pic, 0x20, 0x20);
    assert_false(intr);
    pic_write(&pic, 0x20, 0x20);
    take(&pic, 5, 0x35);
}

static void test_mask(void **state)
{
    (void)state;
    struct pic pic = ready(1);
    pic_write(&pic, 0x21, 0x10);
    pulse(&pic, 4);
    assert_false(intr);
    pic_write(&pic, 0x21, 0);
    assert_true(intr);
    pic_set_line(&pic, 4, false); // not held: lost
    assert_false(intr);
}

static void test_second_chip(void **state)
{
    (void)state;
    struct pic pic = ready(1);
    pulse(&pic, 12);
    pulse(&pic, 8);
    take(&pic, 8, 0x38);
    assert_false(intr);
    pic_write(&pic, 0xa0, 0x20);
    assert_false(intr); // the first chip still has the cascade in service
    pic_write(&pic, 0x20, 0x20);
    take(&pic, 12, 0x3c);
    pic_write(&pic, 0xa0, 0x20);
    pic_write(&pic, 0x20, 0x20);
    assert_false(intr);
    pulse(&pic, 9);
    pulse(&pic, 0);
    take(&pic, 0, 0x30);
    pic_write(&pic, 0x20, 0x20);
    take(&pic, 9, 0x39);
}

static void test_level_triggered(void **state)
{
    (void)state;
    struct pic pic = ready(1);
    pic_write(&pic, 0x4d0, 0xff);
    pic_write(&pic, 0x4d1, 0xff);
    assert_int_equal(pic_read(&pic, 0x4d0), 0xf8);
    assert_int_equal(pic_read(&pic, 0x4d1), 0xde);
    pic_set_line(&pic, 10, true);
    take(&pic, 10, 0x3a);
    pic_write(&pic, 0xa0, 0x20);
    pic_write(&pic, 0x20, 0x20);
    take(&pic, 10, 0x3a); // still high
    pic_set_line(&pic, 10, false);
    pic_write(&pic, 0xa0, 0x20);
    pic_write(&pic, 0x20, 0x20);
    assert_false(intr);
}

static void test_auto_eoi_and_rotation(void **state)
{
    (void)state;
    struct pic pic = ready(3);
    pic_write(&pic, 0x20, 0x80); // rotate in automatic EOI mode
    pulse(&pic, 1);
    pulse(&pic, 2); // not an input
    pulse(&pic, 3);
    take(&pic, 1, 0x31);
    pulse(&pic, 1);
    take(&pic, 3, 0x33); // 1 has the lowest priority now
    take(&pic, 1, 0x31);
    pic_write(&pic, 0x20, 0x0b);
    assert_int_equal(pic_read(&pic, 0x20), 0);
    pic_write(&pic, 0x20, 0xc4); // set priority: 5 is the highest
    pulse(&pic, 0);
    pulse(&pic, 5);
    take(&pic, 5, 0x35);
}

/// What the processor is offered can be read as a request; what becomes of it depends on whether it was taken.
static void test_offers(void **state)
{
    (void)state;
    struct pic pic = ready(1);
    pulse(&pic, 4);
    pic_offer(&pic, 4);
    assert_false(intr);
    assert_int_equal(pic_read(&pic, 0x20), 0x10);
    pic_settle(&pic, 4, false);
    assert_true(intr);
    pic_offer(&pic, 4);
    pic_set_line(&pic, 4, false); // not held
    pic_settle(&pic, 4, false);
    assert_int_equal(pic_next(&pic), PIC_NONE);
    pulse(&pic, 12);
    pic_offer(&pic, 12);
    assert_false(intr);
    pulse(&pic, 9);
    assert_true(intr);
    pic_settle(&pic, 12, false);
    take(&pic, 9, 0x39);
    pic_write(&pic, 0xa0, 0x20);
    pic_write(&pic, 0x20, 0x20);
    pic_offer(&pic, 12);
    pulse(&pic, 12);
    pic_settle(&pic, 12, true);
    assert_int_equal(pic.chip[0].in_service, 4);
    assert_int_equal(pic.chip[1].in_service, 0x10);
    assert_false(intr);
    pic_write(&pic, 0xa0, 0x20);
    pic_write(&pic, 0x20, 0x20);
    take(&pic, 12, 0x3c);
}

/// A level that goes away is no request any more, and one that stays is one again.
static void test_offered_levels(void **state)
{
    (void)state;
    struct pic pic = ready(1);
    pic_write(&pic, 0x4d1, 4);
    pic_set_line(&pic, 10, true);
    pic_offer(&pic, 10);
    pic_set_line(&pic, 10, false);
    pic_settle(&pic, 10, false);
    assert_int_equal(pic_next(&pic), PIC_NONE);
    pic_set_line(&pic, 10, true);
    pic_offer(&pic, 10);
    pic_settle(&pic, 10, false);
    take(&pic, 10, 0x3a);
    pic_write(&pic, 0xa0, 0x20);
    pic_write(&pic, 0x20, 0x20);
    take(&pic, 10, 0x3a);
    pic_write(&pic, 0xa0, 0x11); // set up again: nothing of before is asked for
    pulse(&pic, 4);
    pic_offer(&pic, 4);
    pic_write(&pic, 0x20, 0x11);
    pic_settle(&pic, 4, false);
    assert_int_equal(pic.chip[0].requests & 0x10, 0);
}

static void test_special_mask(void **state)
{
    (void)state;
    struct pic pic = ready(1);
    pulse(&pic, 3);
    take(&pic, 3, 0x33);
    pulse(&pic, 6);
    assert_false(intr);
    pic_write(&pic, 0x20, 0x68); // special mask mode: a masked input in service blocks nobody
    pic_write(&pic, 0x21, 0x08);
    take(&pic, 6, 0x36);
    pic_write(&pic, 0x20, 0x48);
    assert_false(intr);
}

static void test_poll(void **state)
{
    (void)state;
    struct pic pic = ready(1);
    pic_write(&pic, 0x20, 0x0c);
    assert_int_equal(pic_read(&pic, 0x20), 0);
    pulse(&pic, 7);
    pic_write(&pic, 0x20, 0x0c);
    assert_int_equal(pic_read(&pic, 0x20), 0x87);
    assert_false(intr);
    pic_write(&pic, 0x20, 0x0b);
    assert_int_equal(pic_read(&pic, 0x20), 0x80);
}

/// Setting up again forgets requests and masks.
static void test_initialised_again(void **state)
{
    (void)state;
    struct pic pic = ready(1);
    pulse(&pic, 6);
    pic_write(&pic, 0x20, 0x11);
    assert_false(intr);
    pic_write(&pic, 0x21, 0x40);
    pic_write(&pic, 0x21, 4);
    pic_write(&pic, 0x21, 1);
    assert_false(intr);
    pulse(&pic, 6);
    take(&pic, 6, 0x46);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_silent_until_set_up),
        cmocka_unit_test(test_one),
        cmocka_unit_test(test_priorities_nest),
        cmocka_unit_test(test_mask),
        cmocka_unit_test(test_second_chip),
        cmocka_unit_test(test_level_triggered),
        cmocka_unit_test(test_auto_eoi_and_rotation),
        cmocka_unit_test(test_offers),
        cmocka_unit_test(test_offered_levels),
        cmocka_unit_test(test_special_mask),
        cmocka_unit_test(test_poll),
        cmocka_unit_test(test_initialised_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
