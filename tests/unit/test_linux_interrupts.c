// SPDX-License-Identifier: Apache-2.0
// The linux personality with a guest that is only pretended: which interrupt it gets when.
// links: tests/unit/linux_machine.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "linux_machine.h"

static bool in_service(uint8_t vector)
{
    return (lapic->in_service[vector / 32] >> vector % 32 & 1) != 0;
}

enum { PAGE_IRR = 0x200 / 4, PAGE_ISR = 0x100 / 4 };

/// The processor of a guest whose local APIC is a page: it delivers 0x61, has its end exit, and sees a command that the guest gives.
static int64_t by_page(unsigned at)
{
    uint32_t *page = machine.cpus[0].virtual_apic.registers;
    const uint32_t word = 3, bit = UINT32_C(1) << 1; // of 0x61
    switch (at) {
    case 0:
        assert_int_equal(s->inject, 0); // not by the slot
        assert_int_equal(s->apic_status, 0x61);
        assert_true(s->dirty & PV_GROUP_APIC);
        assert_int_equal(page[PAGE_IRR + 4 * word], bit);
        page[PAGE_IRR + 4 * word] = 0;
        page[PAGE_ISR + 4 * word] = bit;
        send_interrupt(0x52); // from elsewhere, meanwhile
        return PV_RUN_KICKED;
    case 1:
        assert_int_equal(s->apic_status, 0x52 | 0x61 << 8);
        page[PAGE_ISR + 4 * word] = 0;
        s->exit_qualification = 0x61;
        return exit_with(PV_EXIT_VIRTUALIZED_EOI);
    case 2:
        assert_int_equal(s->apic_status, 0x52);
        assert_int_equal(s->rip, CODE); // the instruction was complete
        page[0x310 / 4] = 0;
        page[0x300 / 4] = 0x4000 | 0x71; // to itself
        s->exit_qualification = 0x300;
        return exit_with(PV_EXIT_APIC_WRITE);
    default:
        assert_int_equal(s->apic_status, 0x71);
        assert_int_equal(s->rip, CODE);
        return end_machine();
    }
}

static void test_virtual_apic(void **state)
{
    has_apic = true;
    virtual_apic_plan(OPTIONS_APIC_DELIVERY);
    reset_machine(state);
    assert_int_equal(features, PV_APIC_TPR | PV_APIC_ACCESSES | PV_APIC_REGISTERS | PV_APIC_INTERRUPTS);
    lapic_virtual_wire(lapic);
    send_interrupt(0x61);
    run(by_page);
    assert_int_equal(runs, 4);
    lapic_write_msr(lapic, LAPIC_MSR_BASE, lapic->base | 1 << 10, 0); // x2APIC
    machine.phase = PHASE_RUNNING;
    runs = 3;
    run(by_page);
    assert_int_equal(features, PV_APIC_TPR | PV_APIC_X2APIC | PV_APIC_REGISTERS | PV_APIC_INTERRUPTS);
    has_apic = false;
    virtual_apic_plan(OPTIONS_APIC_SOFTWARE);
    reset_machine(state);
}

static int64_t end_at_once(unsigned at)
{
    (void)at;
    return end_machine();
}

/// Where it is not the processor that takes interrupts, it does not know priority, services and requests.
static void test_reads_by_msr(void **state)
{
    static const uint8_t known[] = {0x02, 0x08, 0x0f, 0x18, 0x28, 0x30, 0x38},
                         delivered[] = {0x0a, 0x10, 0x17, 0x20, 0x27};
    has_apic = true;
    for (int delivery = 0; delivery < 2; delivery++) {
        virtual_apic_plan(delivery ? OPTIONS_APIC_DELIVERY : OPTIONS_APIC_REGISTERS);
        reset_machine(state);
        assert_true(lapic_write_msr(lapic, LAPIC_MSR_BASE, lapic->base | 1 << 10, 0));
        run(end_at_once);
        for (size_t i = 0; i < sizeof(known); i++)
            assert_true(reads_freely[known[i]]);
        for (size_t i = 0; i < sizeof(delivered); i++)
            assert_int_equal(reads_freely[delivered[i]], delivery);
        assert_false(reads_freely[0x39]); // the current count
    }
    has_apic = false;
    virtual_apic_plan(OPTIONS_APIC_SOFTWARE);
    reset_machine(state);
}

/// What is offered but not taken may be replaced by something more important, and is not lost.
static int64_t not_taken(unsigned at)
{
    switch (at) {
    case 0:
        assert_int_equal(s->inject, VALID | 0x50);
        send_interrupt(0x70);
        return PV_RUN_KICKED; // interrupts were off
    case 1:
        assert_false(in_service(0x50));
        assert_int_equal(s->inject, VALID | 0x70);
        s->inject = 0; // taken
        return PV_RUN_KICKED;
    case 2:
        assert_true(in_service(0x70));
        assert_int_equal(s->inject, 0);
        return wrmsr(0x80b, 0);
    default:
        assert_int_equal(s->inject, VALID | 0x50);
        return end_machine();
    }
}

static void test_not_taken(void **state)
{
    (void)state;
    lapic->spurious |= 0x100;
    assert_true(lapic_write_msr(lapic, 0x1b, lapic->base | 0x400, 0));
    send_interrupt(0x50);
    run(not_taken);
    assert_int_equal(runs, 4);
}

/// Behind an NMI, behind a fault, and where the guest may raise the task priority unseen, interrupts ask for a window.
static int64_t wait_for_windows(unsigned at)
{
    switch (at) {
    case 0:
        assert_int_equal(s->inject, VALID | PV_INJECT_WINDOW | 2 << 8 | 2);
        s->inject = PV_INJECT_WINDOW; // taken
        send_interrupt(0x51);
        return exit_with(PV_EXIT_INTERRUPT_WINDOW);
    case 1:
        assert_int_equal(s->inject, VALID | 0x51);
        s->inject = 0;
        lapic->nmi = true;
        s->cr0 = 1;
        s->gpr[PV_RCX] = 0x12345678;
        return exit_with(EXIT_RDMSR);
    case 2:
        assert_int_equal(s->inject, VALID | PV_INJECT_NMI_WINDOW | 3 << 8 | 1 << 11 | 13);
        s->inject = 0;
        return exit_with(8);
    default:
        assert_int_equal(s->inject, VALID | 2 << 8 | 2);
        return end_machine();
    }
}

static void test_windows(void **state)
{
    (void)state;
    lapic->spurious |= 0x100;
    assert_true(lapic_write_msr(lapic, 0x1b, lapic->base | 0x400, 0));
    send_interrupt(0x50);
    lapic->nmi = true;
    run(wait_for_windows);
    assert_int_equal(runs, 4);
}

/// With registers in a page the guest's task priority changes without an exit.
static int64_t may_raise_priority(unsigned at)
{
    if (at == 0) {
        assert_int_equal(s->inject, PV_INJECT_WINDOW);
        s->inject = 0;
        s->rflags |= RFLAGS_IF;
        return exit_with(PV_EXIT_INTERRUPT_WINDOW);
    }
    assert_int_equal(s->inject, VALID | 0x50);
    return end_machine();
}

static void test_priority_in_page(void **state)
{
    has_apic = true;
    virtual_apic_plan(OPTIONS_APIC_REGISTERS);
    reset_machine(state);
    lapic_virtual_wire(lapic);
    send_interrupt(0x50);
    s->rflags &= ~(uint64_t)RFLAGS_IF;
    run(may_raise_priority);
    assert_int_equal(runs, 2);
    has_apic = false;
    virtual_apic_plan(OPTIONS_APIC_SOFTWARE);
    reset_machine(state);
}

/// A fault of the guest's needs the slot that an interrupt stands in.
static int64_t fault(unsigned at)
{
    if (at == 0) {
        assert_int_equal(s->inject, VALID | 0x50);
        s->gpr[PV_RCX] = 0x12345678;
        return exit_with(EXIT_RDMSR);
    }
    if (at == 1) {
        // #GP, in real mode without an error code; what had to make room is to be told of when it can be taken.
        assert_int_equal(s->inject, VALID | PV_INJECT_WINDOW | 3 << 8 | 13);
        assert_int_equal(s->rip, CODE);
        s->inject = 0;
        return exit_with(PV_EXIT_INTERRUPT_WINDOW);
    }
    assert_int_equal(s->inject, VALID | 0x50);
    return end_machine();
}

static void test_fault_goes_first(void **state)
{
    (void)state;
    lapic->spurious |= 0x100;
    send_interrupt(0x50);
    run(fault);
    assert_int_equal(runs, 3);
}

/* ---- the same event once more, while the first is on its way ---- */

static void send_to_first(enum apic_mode mode, uint8_t vector, bool level)
{
    const struct apic_message m = {.destination = 0, .vector = vector, .mode = mode, .level = level};
    apic_deliver(&machine.bus, &m);
}

/// The guest takes what it was offered, and another one comes before it exits.
static int64_t comes_again(unsigned at)
{
    if (at == 0) {
        assert_int_equal(s->inject, VALID | 0x50);
        s->inject = 0;
        send_interrupt(0x50);
        return PV_RUN_KICKED;
    }
    if (at == 1) {
        assert_true(in_service(0x50));
        assert_int_equal(s->inject, 0);
        assert_int_equal(lapic_read(lapic, 0x200 + 16 * 2, 0), 1 << 16); // IRR beside ISR
        return wrmsr(0x80b, 0);
    }
    assert_int_equal(s->inject, at == 2 ? VALID | 0x50 : 0);
    s->inject = 0;
    return at == 2 ? PV_RUN_KICKED : end_machine();
}

static void test_comes_again(void **state)
{
    (void)state;
    lapic->spurious |= 0x100;
    assert_true(lapic_write_msr(lapic, 0x1b, lapic->base | 0x400, 0));
    send_interrupt(0x50);
    const uint64_t before = device_lapic(0)->interrupts;
    run(comes_again);
    assert_int_equal(runs, 4);
    assert_int_equal(device_lapic(0)->interrupts - before, 2);
}

/// An NMI that is not taken merges with the next one; one that is taken does not.
static int64_t nmi_again(unsigned at)
{
    static const bool offered[] = {true, true, true, false};
    assert_int_equal(s->inject, offered[at] ? VALID | 2 << 8 | 2 : 0);
    if (at == 3)
        return end_machine();
    s->inject = at == 0 ? s->inject : 0;
    if (at < 2)
        send_to_first(APIC_NMI, 0, false);
    return PV_RUN_KICKED;
}

static void test_nmi_again(void **state)
{
    (void)state;
    send_to_first(APIC_NMI, 0, false);
    run(nmi_again);
    assert_int_equal(runs, 4);
}

static void set_up_pic(void)
{
    static const uint8_t icws[] = {0x11, 0x30, 0x04, 0x01};
    for (unsigned i = 0; i < 4; i++)
        pic_write(&machine.pic, i == 0 ? 0x20 : 0x21, icws[i]);
}

/// Edges at the PIC: two while the first one is on its way, of its own input and of a more important one, which brings news to the agent.
static int64_t edges(unsigned at)
{
    static const uint32_t expected[] = {0x34, 0x31, 0, 0x34, 0};
    assert_int_equal(s->inject & ~VALID, expected[at]);
    s->inject = 0;
    if (at == 0) {
        pic_set_line(&machine.pic, 4, false);
        assert_int_equal(signals, 0);
        pic_set_line(&machine.pic, 4, true);
        assert_int_equal(signals, 1);
        pic_set_line(&machine.pic, 1, true);
    } else if (at == 2) {
        pic_write(&machine.pic, 0x20, 0x20); // both end
        pic_write(&machine.pic, 0x20, 0x20);
    }
    return at < 4 ? PV_RUN_KICKED : end_machine();
}

static void test_edges(void **state)
{
    (void)state;
    set_up_pic();
    pic_set_line(&machine.pic, 4, true);
    run(edges);
    assert_int_equal(runs, 5);
}

/// A level-triggered interrupt that is not taken at first, but after a more important one, ends at the I/O APIC as ever.
static int64_t level(unsigned at)
{
    static const uint32_t expected[] = {0x50, 0x70, 0, 0x50, 0, 0x50};
    assert_int_equal(s->inject & ~VALID, expected[at]);
    if (at == 0) {
        send_interrupt(0x70);
        return PV_RUN_KICKED;
    }
    s->inject = 0;
    if (at == 2 || at == 4)
        return wrmsr(0x80b, 0);
    return at < 5 ? PV_RUN_KICKED : end_machine();
}

static void test_level(void **state)
{
    (void)state;
    lapic->spurious |= 0x100;
    assert_true(lapic_write_msr(lapic, 0x1b, lapic->base | 0x400, 0));
    ioapic_write(&machine.ioapic, 0, 0x10 + 2 * 9);
    ioapic_write(&machine.ioapic, 0x10, 0x8050);
    ioapic_set_line(&machine.ioapic, 9, true);
    run(level);
    assert_int_equal(runs, 6);
    assert_int_equal(machine.ioapic.sent, 2);
}

static int64_t take_all(unsigned at)
{
    static const uint32_t expected[] = {PV_INJECT_WINDOW | 2 << 8 | 2, PV_INJECT_WINDOW | 0x34, 0x50,
                                        0}; // NMI, PIC, local APIC
    assert_int_equal(s->inject & ~VALID, expected[at]);
    s->inject = 0;
    return at < 3 ? PV_RUN_KICKED : end_machine();
}

static void test_sources(void **state)
{
    (void)state;
    set_up_pic();
    lapic->nmi = true;
    send_interrupt(0x50);
    uart_write(&machine.uart, 4, 8);
    uart_write(&machine.uart, 1, 2); // the transmitter's interrupt: input 4
    run(take_all);
    assert_int_equal(runs, 4);
    assert_int_equal(machine.pic.chip[0].in_service, 0x10);
}

/// A driver's handler that fills the transmitter: an edge for each byte, one request more, which finds nothing left. None is lost: the last
/// edge comes before the end of the service.
static int64_t fill_transmitter(unsigned at)
{
    enum { BYTES = 16 };
    const bool taken = at == 0 || at == BYTES + 1;
    assert_int_equal(s->inject, taken ? VALID | 0x41 : 0);
    s->inject = 0;
    if (at < BYTES)
        return io(0x3f8, 1, false, 'x');
    if (at == BYTES || at == BYTES + 2)
        return wrmsr(0x80b, 0);
    return at == BYTES + 1 ? io(0x3fa, 1, true, 0) : end_machine();
}

static void test_edges_merge(void **state)
{
    (void)state;
    lapic->spurious |= 0x100;
    assert_true(lapic_write_msr(lapic, 0x1b, lapic->base | 0x400, 0));
    ioapic_write(&machine.ioapic, 0, 0x10 + 2 * UART_IRQ);
    ioapic_write(&machine.ioapic, 0x10, 0x41); // an edge is vector 0x41
    uart_write(&machine.uart, 4, 8);
    uart_write(&machine.uart, 1, 2);
    const uint64_t before = device_lapic(0)->interrupts;
    run(fill_transmitter);
    assert_int_equal(runs, 20);
    assert_int_equal(machine.ioapic.sent, 17);
    assert_int_equal(device_lapic(0)->interrupts - before, 2);
}

static int64_t halt_until_timer(unsigned at)
{
    switch (at) {
    case 0:
        return wrmsr(0x832, 0x40031); // LVT timer: TSC deadline
    case 1:
        return wrmsr(0x6e0, pv_tsc() + 2000000);
    case 2:
        return exit_with(12); // HLT
    default:
        assert_int_equal(waits, 1);
        assert_int_equal(s->inject, VALID | 0x31);
        return end_machine();
    }
}

static void test_halt(void **state)
{
    (void)state;
    lapic->spurious |= 0x100;
    assert_true(lapic_write_msr(lapic, 0x1b, lapic->base | 0x400, 0));
    run(halt_until_timer);
    assert_int_equal(runs, 4);
}

static int64_t halt_deaf(unsigned at)
{
    assert_int_equal(at, 0);
    s->rflags = 2;
    return exit_with(12);
}

/// With interrupts off and no NMI, nothing wakes it, and nothing is polled.
static void test_halt_for_ever(void **state)
{
    (void)state;
    lapic->spurious |= 0x100;
    send_interrupt(0x50);
    run(halt_deaf);
    assert_int_equal(runs, 1);
    assert_true(waited_until == DEV_NEVER);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, reset_machine)
    const struct CMUnitTest tests[] = {
        T(test_virtual_apic), T(test_reads_by_msr),
        T(test_not_taken),    T(test_fault_goes_first),
        T(test_windows),      T(test_priority_in_page),
        T(test_comes_again),  T(test_nmi_again),
        T(test_edges),        T(test_level),
        T(test_sources),      T(test_edges_merge),
        T(test_halt),         T(test_halt_for_ever),
    };
    return cmocka_run_group_tests(tests, make_machine, NULL);
}
