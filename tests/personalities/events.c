// SPDX-License-Identifier: Apache-2.0
// Events for guests: when one that waits is taken, when vcpu_run says that one could be, and what becomes of one whose delivery an exit
// interrupted. Exit code 0 when all is as polyvisor/vcpu.h says.
#include "isolation.h"

enum { VECTOR = 0x40, HANDLER = 0x7000, MARK = 0x6000, UNMAPPED = 0x300000, RFLAGS_IF = 1 << 9, NMI = 2 };
enum { EXIT_NMI_WINDOW = 8 };

/// Marks how often it came, then: iret.
GUEST_CODE(handler, 16, "incw 0x6000; iret");
/// Interrupts off for a while, then on; the loop can be interrupted.
GUEST_CODE(opener, 16, "cli; mov $200, %cx; 1: loop 1b; sti; nop; 2: jmp 2b");
GUEST_CODE(looper, 16, "sti; nop; 2: jmp 2b");
GUEST_CODE(closed, 16, "cli; 2: jmp 2b");
/// LSTAR with an address that is not canonical; 18 bytes before the WRMSR.
GUEST_CODE(bad_wrmsr, 16, "movl $0xc0000082, %ecx; movl $0, %eax; movl $0x8000, %edx; wrmsr; hlt");
GUEST_CODE(halter, 16, "hlt");
GUEST_CODE(cr2_reader, 16, "mov %cr2, %eax; mov %eax, 0x6000; inc %eax; mov %eax, %cr2; hlt");
GUEST_CODE(mce_toggler, 16,
           "mov $0xc0, %eax; mov %eax, %cr4; mov %cr4, %ebx; mov %ebx, 0x6000\n"
           "mov $0x80, %eax; mov %eax, %cr4; mov %cr4, %ebx; mov %ebx, 0x6004; hlt");

static struct guest guest;

/// Real mode, with a handler for VECTOR and for NMIs, and the count of how often it came at 0.
static struct pv_vcpu_state *prepare(const char *code, const char *end)
{
    guest_start(&guest, GUEST_REAL, code, end);
    pv_guest_load_image(&guest.memory, HANDLER, handler, handler_end);
    *(uint32_t *)pv_guest_pointer(&guest.memory, VECTOR * 4, 4) = HANDLER;
    *(uint32_t *)pv_guest_pointer(&guest.memory, NMI * 4, 4) = HANDLER;
    *(uint16_t *)pv_guest_pointer(&guest.memory, MARK, 2) = 0;
    guest.vcpu.state->inject = 0;
    return guest.vcpu.state;
}

static uint32_t handled(void)
{
    return *(uint16_t *)pv_guest_pointer(&guest.memory, MARK, 2);
}

/// Whether something is as it should be; the words say what, as after "wrong: ".
static void expect(bool good, const char *what, int64_t detail)
{
    isolation_failures += !good;
    if (!good)
        pv_printf("wrong: %s (%ld)\n", what, detail);
}

static void window_opens_when_the_guest_lets_it(void)
{
    struct pv_vcpu_state *state = prepare(opener, opener_end);
    pv_request_window(state);
    const int64_t reason = guest_run(&guest);
    expect(reason == PV_EXIT_INTERRUPT_WINDOW, "the exit at an opening window", reason);
    expect((state->rflags & RFLAGS_IF) != 0, "IF in an open window", (int64_t)state->rflags);
    expect(state->rip == GUEST_CODE_AT + (uint64_t)(opener_end - opener) - 2, "where it opens", (int64_t)state->rip);
    expect(state->inject == 0, "a request that was met", state->inject);
    expect(pv_can_interrupt(state), "what can be told of it", state->interruptibility);
    expect(guest_run(&guest) == -100, "a run without a request", pv_exit_reason(state));
}

static void open_window_is_told_at_once(void)
{
    struct pv_vcpu_state *state = prepare(looper, looper_end);
    expect(guest_run(&guest) == -100, "a run to get going", pv_exit_reason(state));
    for (int i = 0; i < 3; i++) {
        pv_request_window(state);
        const uint64_t before = state->run_time;
        const int64_t reason = guest_run(&guest);
        expect(reason == PV_EXIT_INTERRUPT_WINDOW, "the exit in an open window", reason);
        expect(state->run_time - before < BUDGET / 100, "its time", (int64_t)(state->run_time - before));
    }
    expect(handled() == 0, "nothing was injected", handled());
}

static void event_goes_before_the_window(void)
{
    struct pv_vcpu_state *state = prepare(opener, opener_end);
    expect(pv_inject(state, PV_TYPE_INTERRUPT, VECTOR), "an event that can be given", 0);
    pv_request_window(state);
    expect(!pv_can_interrupt(state), "a second one", 0);
    const int64_t reason = guest_run(&guest);
    expect(reason == PV_EXIT_INTERRUPT_WINDOW, "the exit behind the event", reason);
    expect(handled() == 1, "how often it was delivered", handled());
    expect(state->inject == 0, "event and request", state->inject);
}

static void event_waits_and_can_be_withdrawn(void)
{
    struct pv_vcpu_state *state = prepare(closed, closed_end);
    expect(pv_inject(state, PV_TYPE_INTERRUPT, VECTOR), "an event that can be given", 0);
    expect(guest_run(&guest) == -100, "a run with interrupts off", pv_exit_reason(state));
    expect(pv_inject_pending(state) && handled() == 0, "an event that waits", state->inject);
    state->inject = 0;
    state = prepare(looper, looper_end);
    expect(guest_run(&guest) == -100, "a run after it was withdrawn", pv_exit_reason(state));
    expect(handled() == 0, "how often it was delivered", handled());
}

static void nmi_window_opens_behind_iret(void)
{
    struct pv_vcpu_state *state = prepare(closed, closed_end);
    expect(pv_inject(state, PV_TYPE_NMI, NMI), "an NMI that can be given", 0);
    state->inject |= PV_INJECT_NMI_WINDOW;
    const int64_t reason = guest_run(&guest);
    expect(reason == EXIT_NMI_WINDOW, "the exit at an opening NMI window", reason);
    expect(handled() == 1, "the NMI that went before", handled());
    expect(state->inject == 0, "event and request", state->inject);
}

/// #GP of a WRMSR that the multiplexer carries out, in real mode, where exceptions have no error codes.
static void absorbed_wrmsr_faults_in_real_mode(void)
{
    const uint32_t vector = 13;
    struct pv_vcpu_state *state = prepare(bad_wrmsr, bad_wrmsr_end);
    pv_guest_load_image(&guest.memory, HANDLER, halter, halter_end);
    *(uint32_t *)pv_guest_pointer(&guest.memory, vector * 4, 4) = HANDLER;
    const int64_t reason = guest_run(&guest);
    expect(reason == PV_EXIT_HLT && state->rip == HANDLER, "the handler of a #GP", reason);
    expect(*(uint16_t *)pv_guest_pointer(&guest.memory, GUEST_STACK - 6, 2) == GUEST_CODE_AT + 18, "where it came from",
           *(uint16_t *)pv_guest_pointer(&guest.memory, GUEST_STACK - 6, 2));
}

/// A page fault's address goes into the guest, and comes out.
static void page_faults_have_an_address(void)
{
    struct pv_vcpu_state *state = prepare(looper, looper_end);
    const uint32_t vector = 14, address = 0x12345678;
    pv_guest_load_image(&guest.memory, HANDLER, cr2_reader, cr2_reader_end);
    *(uint32_t *)pv_guest_pointer(&guest.memory, vector * 4, 4) = HANDLER;
    expect(pv_inject(state, PV_TYPE_EXCEPTION, vector), "an event that can be given", 0); // real mode: no error code
    state->cr2 = address;
    state->dirty |= PV_GROUP_CR2;
    const int64_t reason = guest_run(&guest);
    const uint32_t seen = *(const uint32_t *)pv_guest_pointer(&guest.memory, MARK, 4);
    expect(reason == PV_EXIT_HLT && seen == address, "the address of a page fault", seen);
    expect(state->cr2 == address + 1, "one that the guest wrote", (int64_t)state->cr2);
}

/// The guest turns CR4.MCE on and off: it sees what it wrote, the machine keeps it on.
static void machine_check_enable_stays(void)
{
    struct pv_vcpu_state *state = prepare(mce_toggler, mce_toggler_end);
    struct pv_vmcs_entry cr4 = {.field = 0x6804};
    const uint32_t mce = 1 << 6, pge = 1 << 7;
    const uint32_t *seen = pv_guest_pointer(&guest.memory, MARK, 8);
    const int64_t reason = guest_run(&guest);
    expect(reason == PV_EXIT_HLT, "a guest that changes CR4.MCE", reason);
    expect(seen[0] == (mce | pge) && seen[1] == pge, "what it sees", seen[0] << 16 | seen[1]);
    expect(state->cr4 == pge, "what its personality sees", (int64_t)state->cr4);
    pv_vmcs_read(guest.vcpu.id, &cr4, 1);
    expect((cr4.value & (mce | pge)) == (mce | pge), "what is in force", (int64_t)cr4.value);
}

/// An interrupt whose delivery exits, because the stack is not mapped.
static void interrupt_into_a_hole(struct pv_vcpu_state *state)
{
    state->segment[PV_SS].base = UNMAPPED;
    expect(guest_run(&guest) == -100, "a run to get going", pv_exit_reason(state));
    expect(pv_inject(state, PV_TYPE_INTERRUPT, VECTOR), "an event that can be given", 0);
    const int64_t reason = guest_run(&guest);
    expect(reason == PV_EXIT_EPT_VIOLATION, "the exit during a delivery", reason);
    expect(state->vectoring_info == (PV_INJECT_VALID | VECTOR), "what was delivered", state->vectoring_info);
    expect(!pv_can_interrupt(state) && !pv_inject(state, PV_TYPE_INTERRUPT, VECTOR), "a second one meanwhile", 0);
    state->segment[PV_SS].base = 0;
    state->dirty |= PV_GROUP_SEGMENTS;
}

static void interrupted_delivery_is_repeated(void)
{
    struct pv_vcpu_state *state = prepare(looper, looper_end);
    interrupt_into_a_hole(state);
    expect(guest_run(&guest) == -100, "the run that repeats it", pv_exit_reason(state));
    expect(handled() == 1, "how often it was delivered", handled());
}

static void interrupted_delivery_can_be_cancelled(void)
{
    struct pv_vcpu_state *state = prepare(looper, looper_end);
    interrupt_into_a_hole(state);
    pv_cancel_vectoring(state);
    expect(guest_run(&guest) == -100, "the run without it", pv_exit_reason(state));
    expect(handled() == 0, "how often it was delivered", handled());
    expect(state->inject == 0, "a request that was met", state->inject);
    state = prepare(looper, looper_end);
    interrupt_into_a_hole(state);
    pv_cancel_vectoring(state);
    expect(pv_inject(state, PV_TYPE_NMI, NMI), "another event instead", 0);
    expect(guest_run(&guest) == -100, "the run with that", pv_exit_reason(state));
    expect(handled() == 1, "how often that was delivered", handled());
}

int main(const struct pv_info *info, uint32_t agent)
{
    (void)info;
    if (agent != 0)
        return 0;
    if (!guest_open(&guest))
        return 2;
    window_opens_when_the_guest_lets_it();
    open_window_is_told_at_once();
    event_goes_before_the_window();
    event_waits_and_can_be_withdrawn();
    nmi_window_opens_behind_iret();
    absorbed_wrmsr_faults_in_real_mode();
    machine_check_enable_stays();
    page_faults_have_an_address();
    interrupted_delivery_is_repeated();
    interrupted_delivery_can_be_cancelled();
    pv_printf("%u wrong\n", isolation_failures);
    return isolation_failures != 0;
}
