// SPDX-License-Identifier: Apache-2.0
// What ends vcpu_run besides exits, budgets and kicks: deadlines and events, on two agents, the first beside a busy neighbour. Guests
// spin. Prints how late they ended, 'N errors', and goes on running its guest until a line comes on its console; then it ends with
// code 0 if nothing was wrong.
#include <stdatomic.h>

#include "isolation.h"

enum {
    RUNS = 100,
    SLICE_US = 2000, ///< the configuration's
    PAST_RUNS = 10,
    SIGNAL = PV_EVENT_USER,
    OTHER = PV_EVENT_USER << 1,
};

/// Interrupts on: Bochs takes none out of a guest that was entered with them off.
GUEST_CODE(spinner, 64, "sti; 1: pause; jmp 1b");

static struct guest guest;
static uint64_t slice, errors;
static _Atomic uint64_t wanted, signalled; ///< the second agent is to signal at that time; when it did

static void expect(bool right, const char *what, int64_t detail)
{
    errors += !right;
    if (!right)
        pv_printf("wrong: %s (%ld)\n", what, detail);
}

static uint64_t ran(void)
{
    return guest.vcpu.state->run_time;
}

static uint64_t random_below(uint64_t limit)
{
    static uint64_t random = 1;
    random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (random >> 32) % limit;
}

/// What is wrong or over already: the guest does not run.
static void try_at_once(void)
{
    const uint64_t vcpu = guest.vcpu.id, before = ran();
    int64_t result = pv_syscall(PV_SYS_VCPU_RUN, vcpu, 0, 0, UINT64_C(1) << 31, 0);
    expect(result == PV_ERR_INVALID, "a mask of events that cannot be", result);
    for (int i = 0; i < PAST_RUNS; i++) {
        result = pv_vcpu_run_until(vcpu, 0, pv_tsc(), 0);
        expect(result == PV_RUN_BUDGET, "a deadline that has passed", result);
    }
    pv_event_signal(0, SIGNAL);
    result = pv_vcpu_run_until(vcpu, 0, PV_NO_DEADLINE, SIGNAL | OTHER);
    expect(result == PV_RUN_KICKED, "an event that is pending", result);
    expect(ran() == before, "the guest has run", (int64_t)(ran() - before));

    // Others do not matter, nor does the event itself once nobody asks for it.
    result = pv_vcpu_run_until(vcpu, 0, pv_tsc() + slice / 4, OTHER);
    expect(result == PV_RUN_BUDGET && ran() > before, "an event that was not asked for", result);
    result = pv_vcpu_run(vcpu, slice / 4);
    expect(result == PV_RUN_BUDGET, "no events, and no deadline any more", result);
    expect(pv_event_wait(SIGNAL | OTHER, 0) == SIGNAL, "the event is pending still", 0);
}

/// Deadlines beyond the ends of slices. A budget would not do: the neighbour's time does not count for it.
static void try_deadlines(void)
{
    uint64_t latest = 0, late = 0;
    for (int i = 0; i < RUNS; i++) {
        const uint64_t deadline = pv_tsc() + slice / 8 + random_below(6 * slice);
        const int64_t result = pv_vcpu_run_until(guest.vcpu.id, 0, deadline, SIGNAL);
        const uint64_t now = pv_tsc();
        expect(result == PV_RUN_BUDGET, "a deadline", result);
        expect(now >= deadline, "before the deadline", (int64_t)(now - deadline));
        latest = now > deadline + latest ? now - deadline : latest;
        late += now > deadline + slice / 8; // it came in the neighbour's turn
    }
    pv_printf("deadlines: %lu ticks late at most, slice %lu, %lu in another's turn\n", latest, slice, late);
    expect(late > 0 && late < RUNS, "the neighbour is busy, and does not have the core all the time", (int64_t)late);
    expect(latest <= slice + slice / 2, "later than a slice of the neighbour's", (int64_t)latest);
}

/// Events from the other core, while the guest runs without any limit.
static void try_events(void)
{
    uint64_t latest = 0, inside = 0;
    for (int i = 0; i < RUNS; i++) {
        signalled = 0;
        wanted = pv_tsc() + slice / 8 + random_below(3 * slice);
        const uint64_t before = ran();
        const int64_t result = pv_vcpu_run_until(guest.vcpu.id, 0, PV_NO_DEADLINE, SIGNAL);
        const uint64_t now = pv_tsc(), then = signalled;
        expect(result == PV_RUN_KICKED, "an event from another core", result);
        inside += ran() > before; // otherwise the neighbour had the core before the guest ran
        expect(then != 0 && now >= then, "before the event", (int64_t)(now - then));
        expect(pv_event_wait(SIGNAL, 0) == SIGNAL, "the event is pending still", i);
        latest = now > then + latest ? now - then : latest;
    }
    pv_printf("events: %lu ticks late at most, %lu inside the guest\n", latest, inside);
    expect(inside > RUNS / 2, "events come before the guest has run", (int64_t)inside);
    expect(latest <= slice + slice / 2, "later than a slice of the neighbour's", (int64_t)latest);
}

static _Noreturn void signal_for_ever(void)
{
    for (;;) {
        const uint64_t at = wanted;
        if (at == 0) {
            pv_yield();
            continue;
        }
        wanted = 0;
        pv_event_wait(OTHER, at);
        signalled = pv_tsc();
        pv_event_signal(0, SIGNAL);
    }
}

int main(const struct pv_info *info, uint32_t agent)
{
    char key;
    if (agent != 0)
        signal_for_ever();
    if (!guest_open(&guest))
        return 2;
    slice = info->tsc_hz / 1000000 * SLICE_US;
    guest_start(&guest, GUEST_LONG, spinner, spinner_end);
    try_at_once();
    try_deadlines();
    try_events();
    pv_printf("%lu errors\n", errors);
    while (pv_console_read(&key, 1) == 0) {
        const int64_t result = pv_vcpu_run_until(guest.vcpu.id, 0, 0, PV_EVENT_CONSOLE_INPUT);
        expect(result == PV_RUN_KICKED && pv_event_wait(PV_EVENT_CONSOLE_INPUT, 0) > 0, "input ends a run", result);
    }
    pv_printf("%lu errors\n", errors);
    return errors != 0;
}
