// SPDX-License-Identifier: Apache-2.0
// The linux personality with a guest that is only pretended: two processors, of two agents or of one.
// links: tests/unit/linux_machine.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "linux_machine.h"

/* ---- the second processor ---- */

static int64_t started(unsigned at)
{
    assert_int_equal(machine.agents[1].place, AGENT_IN_GUEST);
    lapic_write(lapic, 0x300, 0x4400, 0); // an NMI, while it is in its guest
    assert_int_equal(signals, 2 + at);

    // What its last exit interrupted is forgotten with the first entry, even if that does not come about at first.
    const struct pv_vcpu_state *other = machine.cpus[1].vcpu.state;
    assert_int_equal(other->inject, PV_INJECT_CANCEL | (at == 0 ? 0 : VALID | 2 << 8 | 2));
    if (at < 2)
        return PV_RUN_KICKED;
    assert_int_equal(other->segment[PV_CS].base, 0x99000);
    assert_int_equal(other->segment[PV_CS].selector, 0x9900);
    assert_int_equal(other->rip, 0);
    assert_int_equal(other->cr0 & 1, 0);
    return end_machine();
}

static void test_start_up(void **state)
{
    (void)state;
    struct lapic *other = &machine.cpus[1].lapic;
    machine_lock();
    other->waits_for_startup = false;
    lapic_virtual_wire(other);
    machine.cpus[1].vcpu.state->inject = VALID | 0x50;
    machine.agents[1].place = AGENT_WAITING;
    lapic_write(lapic, 0x310, 1 << 24, 0);
    lapic_write(lapic, 0x300, 0xc500, 0); // INIT
    assert_true(other->init);
    assert_int_equal(signals, 1);
    lapic_write(lapic, 0x300, 0x4400, 0); // an NMI
    assert_false(other->nmi);
    assert_int_equal(signals, 1);
    machine.agents[1].place = AGENT_AT_WORK;
    lapic_write(lapic, 0x300, 0x4699, 0); // start-up
    assert_int_equal(signals, 1);
    machine_unlock();
    script = started;
    agent_loop(1);
    assert_int_equal(runs, 3);
    assert_false(other->waits_for_startup);
}

/// One that waits for its start hears of no NMI, and does not find it later.
static void test_deaf(void **state)
{
    (void)state;
    struct lapic *other = &machine.cpus[1].lapic;
    assert_true(other->waits_for_startup);
    lapic_write(lapic, 0x300, 0xc4400, 0); // to the others
    assert_false(other->nmi);
    assert_int_equal(signals, 0);
    lapic_write(lapic, 0x300, 0xc4699, 0);
    lapic_write(lapic, 0x300, 0xc4400, 0); // it is on its way
    assert_true(other->nmi);
}

/// INIT starts the first processor anew, and with it the machine, whoever sends it.
static int64_t init_first(unsigned at)
{
    assert_int_equal(at, 0);
    lapic_write(&machine.cpus[1].lapic, 0x300, 0x4500, 0);
    return PV_RUN_KICKED;
}

static void test_init_of_first(void **state)
{
    (void)state;
    static const char said[] = "linux: the guest resets the machine\n";
    run(init_first);
    assert_int_equal(machine.phase, PHASE_RESET);
    assert_int_equal(runs, 1);
    assert_int_equal(output_size, sizeof(said) - 1);
    assert_memory_equal(output, said, sizeof(said) - 1);
}

/// A timer that goes off faster than the guest is entered does not keep it from running.
static int64_t stormed(unsigned at)
{
    enum { MODE_2 = 0x34, LEAST = 20000 };
    static const struct {
        uint16_t port;
        uint8_t value;
    } writes[] = {{0x43, MODE_2}, {0x40, 2}, {0x40, 0}, {0x3f8, 'x'}};
    assert_true(run_deadline >= written + LEAST);
    return at < 4 ? io(writes[at].port, 1, false, writes[at].value) : at < 8 ? run_out() : end_machine();
}

static void test_storm(void **state)
{
    (void)state;
    machine.console.patience = 0; // what is said is said between two runs
    slowness = 100000;
    written = 0;
    run(stormed);
    slowness = 0;
    machine.console.patience = info.tsc_hz / 50;
    assert_int_equal(runs, 9);
    assert_int_equal(output_size, 1);
}

/// An end while the others already wait for the reset to go on: nobody waits for ever.
static void test_end_during_reset(void **state)
{
    (void)state;
    machine_lock();
    machine_reset();
    machine_end(42); // by an agent that had not seen the reset
    machine_unlock();
    assert_null(machine_await_reset(0));
    assert_null(machine_await_reset(1));
    assert_int_equal(machine.phase, PHASE_ENDED);
    assert_int_equal(machine.exit_code, 42);
}

/* ---- an agent with two processors ---- */

enum { TURN = 1000000 }; ///< ticks: a millisecond

/// Both want to run: each has the agent for a turn, also if an exit interrupts it.
static int64_t take_turns(unsigned at)
{
    assert_int_equal(ran, machine.cpus[at / 2 % 2].vcpu.id);
    assert_true(run_deadline <= pv_tsc() + TURN);
    if (at == 7)
        return end_machine();
    if (at % 2 == 0)
        return exit_with(54); // WBINVD, early in the turn
    return run_out();
}

static void test_turns(void **state)
{
    (void)state;
    machine.agent_count = 1;
    machine.cpus[1].lapic.waits_for_startup = false;
    script = take_turns;
    agent_loop(0);
    assert_int_equal(runs, 8);
    assert_int_equal(waits, 0);
}

static int64_t spin(struct pv_vcpu_state *state)
{
    state->exit_reason = PV_EXIT_PAUSE;
    state->exit_instruction_length = 2;
    return PV_RUN_EXIT;
}

/// Each waits in a loop of PAUSE: turns end at once, and the instruction is not executed again. When all have, or when there is only
/// one, the agent gives its core away.
static int64_t wait_for_each_other(unsigned at)
{
    static const unsigned yielded[] = {0, 0, 1, 1, 1, 2};
    struct cpu *cpu = &machine.cpus[at == 5 ? 0 : at % 2];
    assert_int_equal(ran, cpu->vcpu.id);
    assert_int_equal(yields, yielded[at]);
    assert_int_equal(cpu->vcpu.state->rip, at == 5 ? CODE + 6 : CODE + at / 2 * 2);
    if (at == 5)
        return end_machine();
    if (at != 3)
        return spin(cpu->vcpu.state);
    machine.cpus[1].lapic.waits_for_startup = true; // it does something, and then nothing any more
    return exit_with(54);
}

static void test_pause_loops(void **state)
{
    (void)state;
    machine.agent_count = 1;
    machine.cpus[1].lapic.waits_for_startup = false;
    for (unsigned i = 0; i < 2; i++)
        machine.cpus[i].vcpu.state->rip = CODE;
    script = wait_for_each_other;
    agent_loop(0);
    assert_int_equal(runs, 6);
}

/// The second one halts: the first one runs on without turns, and is interrupted for the second one's interrupt.
static int64_t interrupt_the_other(unsigned at)
{
    if (at < 2)
        return at == 0 ? run_out() : exit_with(12); // HLT, of the second one
    if (at == 2) {
        assert_int_equal(ran, machine.cpus[0].vcpu.id);
        assert_true(run_deadline > pv_tsc() + TURN);
        assert_int_equal(signals, 0);
        lapic_raise(&machine.cpus[1].lapic, 0x80, false);
        machine_wake(1);
        assert_int_equal(signals, 1);
        return PV_RUN_KICKED;
    }
    assert_int_equal(ran, machine.cpus[1].vcpu.id);
    assert_int_equal(machine.cpus[1].vcpu.state->inject & 0xff, 0x80);
    return end_machine();
}

static void test_wakes_the_other(void **state)
{
    (void)state;
    machine.agent_count = 1;
    struct pv_vcpu_state *other = machine.cpus[1].vcpu.state;
    machine.cpus[1].lapic.waits_for_startup = false;
    lapic_virtual_wire(&machine.cpus[1].lapic);
    other->rflags = RFLAGS_IF | 2;
    other->valid = PV_GROUP_ALL;
    script = interrupt_the_other;
    s = machine.cpus[0].vcpu.state;
    agent_loop(0);
    assert_int_equal(runs, 4);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, reset_machine)
    const struct CMUnitTest tests[] = {
        T(test_start_up), T(test_deaf),  T(test_init_of_first), T(test_end_during_reset),
        T(test_storm),    T(test_turns), T(test_pause_loops),   T(test_wakes_the_other),
    };
    return cmocka_run_group_tests(tests, make_machine, NULL);
}
