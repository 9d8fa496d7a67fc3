// SPDX-License-Identifier: Apache-2.0
// Two vcpus that all agents want: each agent again and again kicks one out of where it runs, brings it to its own core and goes on
// running it there. Every guest has filled all registers that move with it, and looks whether they are still what they were. After as
// many moves of each as the arguments say (1000) it tells, waits for a line on its console, and ends with code 0 if nothing was wrong.
#include <stdatomic.h>

#include "isolation.h"

enum { VCPUS = 2, COUNTER = 0x7000, WRONG = 0x7008, DEFAULT_MOVES = 1000, LEAST_WAIT = 500, WAIT_MASK = 0x1fff };

/// Fills registers with numbers made of their own and checks them for ever, counting at COUNTER; RAX, RCX and RDX are the means. What is
/// wrong first is left at WRONG before the HLT: 1 to 16 general registers, 32 + n XMM, 64 + n debug registers, 80 CR2, 96 + n MSRs.
#define EACH_GPR "rbx,rbp,rsi,rdi,r8,r9,r10,r11,r12,r13,r14,r15"
#define EACH_NUMBER "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15"
GUEST_CODE(wanderer, 64,
           "mov %cr4, %rax; or $0x200, %eax; mov %rax, %cr4\n"
           ".set n, 0\n"
           ".irp r," EACH_GPR "\n mov $0x10001000 + n, %\\r\n .set n, n + 1\n.endr\n"
           ".irp i," EACH_NUMBER "\n mov $0x20002000 + \\i, %eax; movq %rax, %xmm\\i\n.endr\n"
           ".irp i,0,1,2,3\n mov $0x30003000 + \\i, %eax; mov %rax, %dr\\i\n.endr\n"
           "mov $0x40004000, %eax; mov %rax, %cr2\n"
           ".irp m,0xc0000081,0xc0000082,0xc0000102,0x174,0x175,0x176\n"
           " mov $\\m, %ecx; mov $0x50005000 + (\\m & 0xff), %eax; xor %edx, %edx; wrmsr\n.endr\n"
           "fninit; fldpi\n"
           "1: incq 0x7000\n"
           ".set n, 0\n"
           ".irp r," EACH_GPR "\n mov $1 + n, %edx; cmp $0x10001000 + n, %\\r; jne 9f\n .set n, n + 1\n.endr\n"
           ".irp i," EACH_NUMBER
           "\n mov $32 + \\i, %edx; movq %xmm\\i, %rax; cmp $0x20002000 + \\i, %rax; jne 9f\n.endr\n"
           ".irp i,0,1,2,3\n mov $64 + \\i, %edx; mov %dr\\i, %rax; cmp $0x30003000 + \\i, %rax; jne 9f\n.endr\n"
           "mov $80, %edx; mov %cr2, %rax; cmp $0x40004000, %rax; jne 9f\n"
           ".irp m,0xc0000081,0xc0000082,0xc0000102,0x174,0x175,0x176\n"
           " mov $\\m, %ecx; rdmsr; cmp $0x50005000 + (\\m & 0xff), %eax; mov $\\m & 0xff, %edx; jne 9f\n.endr\n"
           "fldpi; fcomip %st(1), %st; mov $90, %edx; jne 9f\n"
           "jmp 1b\n"
           "9: mov %edx, 0x7008; hlt");

/// What the agents share.
static struct guest guests[VCPUS];
static _Atomic uint64_t moves[VCPUS], odd_runs[VCPUS];
static _Atomic bool ready, done, claimed[VCPUS]; ///< claimed: by the agent that will have it next

static uint64_t volatile *counter(uint32_t which)
{
    return pv_guest_pointer(&guests[which].memory, COUNTER, sizeof(uint64_t));
}

static bool make_guests(void)
{
    for (uint32_t i = 0; i < VCPUS; i++) {
        if (!guest_open(&guests[i]))
            return false;
        guests[i].vcpu.state->fill = 0;
        guest_start(&guests[i], GUEST_LONG, wanderer, wanderer_end);
    }
    return true;
}

/// Brings a vcpu to this core, from wherever it is. False: another agent is about to.
static bool fetch_here(uint32_t which)
{
    const uint64_t vcpu = guests[which].vcpu.id;
    if (atomic_exchange(&claimed[which], true))
        return false;
    int64_t result = pv_vcpu_move(vcpu);
    if (result == PV_ERR_STATE)
        pv_vcpu_kick(vcpu);
    while (result == PV_ERR_STATE) {
        pv_yield();
        result = pv_vcpu_move(vcpu);
    }
    odd_runs[which] += result != PV_OK;
    claimed[which] = false;
    return result == PV_OK;
}

static void run_here(uint32_t which)
{
    const uint64_t before = *counter(which);
    const int64_t result = pv_vcpu_run(guests[which].vcpu.id, 0);
    if (result == PV_RUN_KICKED && *counter(which) != before)
        moves[which]++;                                         // one that was kicked before it ran does not count
    else if (result != PV_RUN_KICKED && result != PV_ERR_STATE) // somebody may have been faster
        odd_runs[which]++;
}

/// An agent's part, until all have moved often enough.
static void take_turns(uint32_t agent, uint64_t wanted)
{
    uint32_t random = agent * 2654435761u + 1;
    while (!done) {
        random = random * 1664525 + 1013904223;
        const uint32_t which = random >> 16 & 1;
        pv_event_wait(PV_EVENT_USER, pv_tsc() + LEAST_WAIT + (random >> 8 & WAIT_MASK));
        if (fetch_here(which))
            run_here(which);
        done = moves[0] >= wanted && moves[1] >= wanted;
    }
    // Nobody kicks any more: whoever is still in a guest has to come out.
    for (uint32_t i = 0; i < VCPUS; i++)
        pv_vcpu_kick(guests[i].vcpu.id);
}

static uint64_t report(void)
{
    uint64_t errors = 0;
    for (uint32_t i = 0; i < VCPUS; i++) {
        const uint32_t *wrong = pv_guest_pointer(&guests[i].memory, WRONG, sizeof(*wrong));
        pv_printf("guest %u: %lu moves, %lu rounds, %lu odd runs, register %u wrong\n", i, moves[i], *counter(i),
                  odd_runs[i], *wrong);
        errors += odd_runs[i] + *wrong;
    }
    pv_printf("%lu errors\n", errors);
    return errors;
}

int main(const struct pv_info *info, uint32_t agent)
{
    uint64_t wanted = DEFAULT_MOVES;
    char key;
    pv_parse_number(info->args, &wanted);
    if (agent == 0) {
        if (!make_guests())
            return 2;
        ready = true;
    }
    while (!ready)
        pv_yield();
    take_turns(agent, wanted);
    if (agent != 0)
        return 0;
    const uint64_t errors = report();
    while (pv_console_read(&key, 1) == 0)
        pv_event_wait(PV_EVENT_CONSOLE_INPUT, PV_NO_DEADLINE);
    pv_printf("%lu errors\n", errors);
    return errors != 0;
}
