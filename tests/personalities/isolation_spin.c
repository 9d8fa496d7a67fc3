// SPDX-License-Identifier: Apache-2.0
// Guests that try to keep their core: with interrupts off, halted without HLT exiting, in a triple-fault loop, in endless exceptions, in
// states in which a processor is deaf. Every run must end when its budget does, or by a delivered exit. With a number as argument,
// one of the guests runs without any budget: then the neighbours can tell whether they get their time.
#include "isolation.h"

enum {
    SLICE = 100000, ///< budget, in ticks
    SLACK = 20000,  ///< by which a run may exceed it: a switch, a long instruction
    LONG = 65536,   ///< more than that: Bochs interrupts no REP when it emulates several cores
    RUNS = 3,
    FIELD_PRIMARY = 0x4002,
    HLT_EXITING = 1 << 7,
    TRIPLE_FAULTS = 100,
};

GUEST_CODE(spinner16, 16, "cli; 1: jmp 1b");
GUEST_CODE(spinner64, 64, "cli; 1: jmp 1b");
GUEST_CODE(pauser, 64, "cli; 1: pause; jmp 1b");
GUEST_CODE(halter, 64, "cli; 1: hlt; jmp 1b");
GUEST_CODE(storer, 16, "1: mov $0xffff, %cx; xor %di, %di; mov $0x2000, %ax; mov %ax, %es; rep stosb; jmp 1b");
GUEST_CODE(shadower, 16, "1: mov %ss, %ax; mov %ax, %ss; mov %ax, %ss; sti; cli; jmp 1b");
GUEST_CODE(asker, 64, "cli; 1: mov $0x40000000, %eax; cpuid; jmp 1b");
GUEST_CODE(faulter, 64, "lidt 0x6000; ud2");

/// #DB whose delivery writes to the stack slot that breakpoint 0 watches (CVE-2015-8104): the IDT at 0x6000, gate 1 back to the loop.
GUEST_CODE(debugger, 64,
           "movq $0x6000, 0x5f02; movw $0xfff, 0x5f00\n"
           "lea 2f(%rip), %rax; mov %ax, 0x6010; movw $0x18, 0x6012; movw $0x8e00, 0x6014; movw $0, 0x6016\n"
           "movl $0, 0x6018; lidt 0x5f00\n"
           "2: mov $0x8000, %rsp; lea -8(%rsp), %rax; mov %rax, %dr0; mov $0x000d0602, %eax; mov %rax, %dr7\n"
           "1: push %rax; pop %rax; jmp 1b");

static struct guest guest;

/// Runs with a budget and looks whether that was all it took.
static void expect_budget(const char *what, uint64_t slack)
{
    for (int i = 0; i < RUNS; i++) {
        const uint64_t before = guest.vcpu.state->run_time;
        const int64_t result = pv_vcpu_run(guest.vcpu.id, SLICE);
        const uint64_t ran = guest.vcpu.state->run_time - before;
        if (result == PV_RUN_BUDGET && ran <= SLICE + slack)
            continue;
        pv_printf("%s: vcpu_run %ld after %lu ticks, exit %u\n", what, result, ran, pv_exit_reason(guest.vcpu.state));
        isolation_check(false, what, result);
        return;
    }
    isolation_check(true, what, SLICE);
}

/// Exits that the multiplexer absorbs: the time that it spends on them must not prolong the run without end.
static void try_absorbed_exits(void)
{
    const struct pv_cpuid_entry leaf = {.leaf = 0x40000000, .subleaf = PV_CPUID_ANY};
    if (pv_vcpu_cpuid(guest.vcpu.id, &leaf, 1) < 0)
        isolation_check(false, "a table that has to work", 0);
    guest_start(&guest, GUEST_LONG, asker, asker_end);
    const uint64_t start = pv_tsc();
    expect_budget("a storm of exits that the multiplexer absorbs", SLACK);
    pv_printf("%d runs of %d took %lu\n", RUNS, SLICE, pv_tsc() - start);
}

/// Guests that never exit by themselves.
static const struct sitter {
    const char *what;
    enum guest_mode mode;
    const char *code, *end;
    uint64_t slack;
} sitters[] = {
    {"spinning with interrupts off in real mode", GUEST_REAL, spinner16, spinner16_end, SLACK},
    {"spinning with interrupts off", GUEST_LONG, spinner64, spinner64_end, SLACK},
    {"spinning with PAUSE", GUEST_LONG, pauser, pauser_end, SLACK},
    {"long string instructions", GUEST_REAL, storer, storer_end, SLACK + LONG},
    {"interrupt shadows one after another", GUEST_REAL, shadower, shadower_end, SLACK},
    {"endless debug exceptions", GUEST_LONG, debugger, debugger_end, SLACK},
};

/// Runs one of them for ever.
static int sit(uint64_t number)
{
    const struct sitter *s = &sitters[number % (sizeof(sitters) / sizeof(sitters[0]))];
    guest_start(&guest, s->mode, s->code, s->end);
    pv_printf("%s, without a budget\n", s->what);
    const int64_t result = pv_vcpu_run(guest.vcpu.id, 0);
    pv_printf("%s came back: %ld, exit %u\n", s->what, result, pv_exit_reason(guest.vcpu.state));
    return 1;
}

static void set_hlt_exiting(bool on)
{
    struct pv_vmcs_entry entry = {.field = FIELD_PRIMARY};
    pv_vmcs_read(guest.vcpu.id, &entry, 1);
    entry.value = on ? entry.value | HLT_EXITING : entry.value & ~(uint64_t)HLT_EXITING;
    pv_vmcs_write(guest.vcpu.id, &entry, 1);
}

static void try_triple_faults(void)
{
    uint32_t others = 0;
    for (int i = 0; i < TRIPLE_FAULTS; i++) {
        guest_start(&guest, GUEST_LONG, faulter, faulter_end);
        others += guest_run(&guest) != PV_EXIT_TRIPLE_FAULT;
    }
    isolation_check(others == 0, "a triple fault that is more than an exit", others);
}

/// Activity states in which a processor waits: halted, shut down, for a start-up IPI (SDM Vol. 3C 25.4.2).
static void try_activities(void)
{
    for (uint32_t activity = 1; activity <= 3; activity++) {
        guest_start(&guest, GUEST_LONG, spinner64, spinner64_end);
        guest.vcpu.state->activity = activity;
        const int64_t result = pv_vcpu_run(guest.vcpu.id, SLICE);
        isolation_check(result < 0 || result == PV_RUN_BUDGET, "a core kept by an activity state", result);
        guest.vcpu.state->inject = 0;
    }
}

int main(const struct pv_info *info, uint32_t agent)
{
    uint64_t number;
    if (agent != 0)
        return 0;
    if (!guest_open(&guest))
        return 2;
    if (pv_parse_number(info->args, &number))
        return sit(number);
    for (size_t i = 0; i < sizeof(sitters) / sizeof(sitters[0]); i++) {
        guest_start(&guest, sitters[i].mode, sitters[i].code, sitters[i].end);
        expect_budget(sitters[i].what, sitters[i].slack);
    }
    if (!guest_open(&guest)) // with debug registers off, and no exception on its way
        return 2;
    try_absorbed_exits();
    set_hlt_exiting(false);
    guest_start(&guest, GUEST_LONG, halter, halter_end);
    expect_budget("halting with interrupts off, and no exit for it", SLACK);
    set_hlt_exiting(true);
    try_triple_faults();
    try_activities();
    return isolation_verdict();
}
