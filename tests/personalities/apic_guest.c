// SPDX-License-Identifier: Apache-2.0
// A guest that sends itself interrupts by its x2APIC, raises its priority and reads registers: with the argument "hardware" by
// APIC virtualization, otherwise by the library's model of a local APIC. It must see the same; what differs is the exits.
#include <polyvisor/string.h>

#include "devices/lapic.h"
#include "isolation.h"

enum { IDT = 0x6000, COUNTERS = 0x7000, HANDLER_LOW = 0x200, HANDLER_HIGH = 0x240, ROUNDS = 100, MAX_EXITS = 4096 };
enum { LOW = 0x31, HIGH = 0x51, ID = 0x123, GATE = 0x8e, RFLAGS_IF = 1 << 9, EXITS = 80 };

/// r8: low interrupts while the priority is raised; r9: high ones then; r10: low ones afterwards; r11: CR8 while raised; r12: ID;
/// r13: PPR within a handler; r14: ISR 32 to 63 afterwards.
GUEST_CODE(
    apic_program, 64,
    "mov $0x808, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr; sti; mov $100, %ebx\n"
    "1: mov $0x83f, %ecx; mov $0x31, %eax; xor %edx, %edx; wrmsr; nop; dec %ebx; jnz 1b\n"
    "mov $4, %eax; mov %rax, %cr8\n"
    "mov $0x83f, %ecx; mov $0x31, %eax; wrmsr; mov $0x51, %eax; wrmsr; nop\n"
    "mov 0x7000, %r8; mov 0x7008, %r9; mov %cr8, %r11; xor %eax, %eax; mov %rax, %cr8; nop; mov 0x7000, %r10\n"
    "mov $0x802, %ecx; rdmsr; mov %rax, %r12; mov $0x811, %ecx; rdmsr; mov %rax, %r14; mov 0x7010, %r13; cli; hlt\n"
    ".org 0x200\n"
    "push %rax; push %rcx; push %rdx; incq 0x7000; mov $0x80a, %ecx; rdmsr; mov %rax, 0x7010\n"
    "mov $0x80b, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr; pop %rdx; pop %rcx; pop %rax; iretq\n"
    ".org 0x240\n"
    "push %rax; push %rcx; push %rdx; incq 0x7008\n"
    "mov $0x80b, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr; pop %rdx; pop %rcx; pop %rax; iretq");

static struct guest guest;
static struct apic_bus bus;
static struct lapic lapic;
static uint32_t counts[EXITS];

static void put_gate(uint32_t vector, uint32_t handler)
{
    const uint64_t at = GUEST_CODE_AT + handler;
    const uint64_t gate[2] = {(at & 0xffff) | (uint64_t)PV_SELECTOR_CODE64 << 16 | (uint64_t)GATE << 40 |
                                  (at >> 16 & 0xffff) << 48,
                              at >> 32};
    pv_guest_load(&guest.memory, IDT + vector * sizeof(gate), gate, sizeof(gate));
}

static void prepare(void)
{
    struct pv_vcpu_state *state = guest.vcpu.state;
    guest_start(&guest, GUEST_LONG, apic_program, apic_program_end);
    put_gate(LOW, HANDLER_LOW);
    put_gate(HIGH, HANDLER_HIGH);
    state->idtr = (struct pv_segment){.base = IDT, .limit = 0xfff};
    state->rsp = IDT;
    state->dirty |= PV_GROUP_SEGMENTS | PV_GROUP_FLAGS;
}

/* ---- the software path ---- */

static void settle_offer(int offered)
{
    if (offered == LAPIC_NONE)
        return;
    if (pv_inject_pending(guest.vcpu.state))
        guest.vcpu.state->inject = 0;
    else
        lapic_accept(&lapic, (uint8_t)offered);
}

static bool emulate(uint32_t reason)
{
    struct pv_vcpu_state *state = guest.vcpu.state;
    const uint32_t msr = (uint32_t)state->gpr[PV_RCX], gpr = (uint32_t)state->exit_qualification >> 8 & 15;
    uint64_t value;
    if (reason == PV_EXIT_WRMSR) {
        if (!lapic_write_msr(&lapic, msr, pv_msr_value(state), pv_tsc()))
            return false;
    } else if (reason == PV_EXIT_RDMSR) {
        if (!lapic_read_msr(&lapic, msr, &value, pv_tsc()))
            return false;
        pv_msr_answer(state, value);
    } else if (reason == PV_EXIT_CR_ACCESS) { // MOV to and from CR8
        if ((state->exit_qualification & 0x30) == 0)
            lapic_write_cr8(&lapic, state->gpr[gpr]);
        else
            state->gpr[gpr] = lapic_read_cr8(&lapic);
    } else {
        return false;
    }
    pv_skip_instruction(state);
    return true;
}

static int64_t run_software(void)
{
    lapic_init(&lapic, &bus, ID);
    lapic_virtual_wire(&lapic);
    lapic_write_msr(&lapic, LAPIC_MSR_BASE, lapic.base | 1 << 10, 0);
    for (uint32_t i = 0; i < MAX_EXITS; i++) {
        const int next = lapic_next(&lapic);
        if (next != LAPIC_NONE)
            pv_inject(guest.vcpu.state, PV_TYPE_INTERRUPT, (uint8_t)next);
        const int64_t reason = guest_run(&guest);
        settle_offer(next);
        if (reason >= 0 && reason < EXITS)
            counts[reason]++;
        if (reason < 0 || !emulate((uint32_t)reason))
            return reason;
    }
    return -1;
}

/* ---- the processor's path ---- */

static int64_t run_hardware(void)
{
    const uint64_t vcpu = guest.vcpu.id, page = pv_pool_alloc(PV_PAGE_SIZE, PV_PAGE_SIZE);
    uint32_t *const registers = pv_pool_pointer(page);
    const int64_t result =
        pv_vcpu_apic(vcpu, PV_APIC_TPR | PV_APIC_X2APIC | PV_APIC_REGISTERS | PV_APIC_INTERRUPTS, page, 0);
    if (result < 0) {
        pv_printf("vcpu_apic: %s\n", pv_error_name(result));
        return result;
    }
    registers[0x20 / sizeof(uint32_t)] = ID;
    if (pv_msr_allow(vcpu, 0x800, 0x100, PV_GRANT_READ) < 0 ||
        pv_msr_allow(vcpu, 0x808, 1, PV_GRANT_READ | PV_GRANT_WRITE) < 0 ||
        pv_msr_allow(vcpu, 0x80b, 1, PV_GRANT_WRITE) < 0 || pv_msr_allow(vcpu, 0x83f, 1, PV_GRANT_WRITE) < 0)
        return -1;
    const int64_t reason = guest_run(&guest);
    if (reason >= 0 && reason < EXITS)
        counts[reason]++;
    return reason;
}

int main(const struct pv_info *info, uint32_t agent)
{
    if (agent != 0)
        return 0;
    if (!guest_open(&guest))
        return 2;
    prepare();
    const int64_t last = strcmp(info->args, "hardware") == 0 ? run_hardware() : run_software();
    const uint64_t *gpr = guest.vcpu.state->gpr;
    const uint64_t *counters = pv_guest_pointer(&guest.memory, COUNTERS, 16);
    pv_printf("last exit %ld, rip %#lx; exits: RDMSR %u, WRMSR %u, control registers %u, HLT %u\n", last,
              guest.vcpu.state->rip, counts[PV_EXIT_RDMSR], counts[PV_EXIT_WRMSR], counts[PV_EXIT_CR_ACCESS],
              counts[PV_EXIT_HLT]);
    pv_printf("low %lu, high %lu; while raised: low %lu, high %lu, CR8 %lu; lowered: low %lu; ID %#lx, PPR %#lx, ISR "
              "%#lx\n",
              counters[0], counters[1], gpr[PV_R8], gpr[PV_R9], gpr[PV_R11], gpr[PV_R10], gpr[PV_R12], gpr[PV_R13],
              gpr[PV_R14]);
    return last == PV_EXIT_HLT ? 0 : 1;
}
