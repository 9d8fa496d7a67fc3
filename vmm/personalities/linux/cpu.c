// SPDX-License-Identifier: Apache-2.0
// A virtual processor: offer it an interrupt, run it, see whether it took it, handle the exit.
#include "cpu.h"

#include "cpuid.h"
#include "machine.h"

#include <polyvisor/string.h>

enum { CR0_PE = 1, RFLAGS_IF = 1 << 9, FAIL_TEXT = 160, VECTOR_SS = 12 };
enum { SHORTEST_RUNS_PER_SECOND = 50000, SHORTEST_RUN = 4000 };

static const uint32_t CPUID_ADDRESS_BITS = 0x80000008;

static struct pv_cpuid host_cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct pv_cpuid r;
    __asm__("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}

struct cpuid_machine cpu_cpuid_view(const struct cpu *cpu)
{
    return (struct cpuid_machine){.host = host_cpuid,
                                  .tsc_hz = machine.info->tsc_hz,
                                  .cpus = machine.cpu_count,
                                  .apic_id = cpu->index,
                                  .no_x2apic = machine.options.no_x2apic};
}

/// A new vcpu; after a reset in the old one's place, whose state page is used again.
static int64_t open_vcpu(struct cpu *cpu)
{
    if (!cpu->made)
        return pv_vcpu_open(&cpu->vcpu, machine.memory.space);
    struct pv_vcpu_state *state = cpu->vcpu.state;
    int64_t result = pv_vcpu_destroy(cpu->vcpu.id);
    if (result < 0)
        return result;
    memset(state, 0, sizeof(*state));
    result = pv_vcpu_create(machine.memory.space, (uintptr_t)state - PV_POOL_VA, PV_OWN_REGISTERS);
    cpu->vcpu.id = result < 0 ? cpu->vcpu.id : (uint64_t)result;
    return result;
}

/// What the multiplexer answers by itself.
static int64_t give_tables(const struct cpu *cpu)
{
    struct pv_cpuid_entry leaves[PV_MAX_CPUID];
    struct pv_msr_entry constants[PV_MAX_MSRS];
    const struct cpuid_machine view = cpu_cpuid_view(cpu);
    const int64_t result = pv_vcpu_cpuid(cpu->vcpu.id, leaves, cpuid_table(&view, leaves));
    return result < 0 ? result : pv_vcpu_msrs(cpu->vcpu.id, constants, msr_table(constants));
}

int64_t cpu_create(struct cpu *cpu, uint32_t index)
{
    cpu->index = index;
    machine.physical_bits = (uint8_t)host_cpuid(CPUID_ADDRESS_BITS, 0).eax;
    msr_init(&cpu->msrs);
    int64_t result = open_vcpu(cpu);
    if (result < 0)
        return result;
    cpu->vcpu.state->fill = PV_GROUP_CONTROL; // for walks through its page tables
    cpu->halted = false;
    cpu->spins = false;
    cpu->offer = OFFER_NONE;
    cpu->made = true;
    result = give_tables(cpu);
    result = result < 0 ? result : cr_create(cpu);
    result = result < 0 ? result : pause_loop_enable(cpu);
    return result < 0 ? result : virtual_apic_create(cpu);
}

void cpu_fail(struct cpu *cpu, const char *format, ...)
{
    const struct pv_vcpu_state *s = cpu->vcpu.state;
    char text[FAIL_TEXT];
    va_list args;
    va_start(args, format);
    pv_vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    console_flush(&machine.console);
    pv_printf("\nlinux: cpu %u at %#lx: %s\n", cpu->index, s->rip, text);
    pv_printf("linux: rax %#lx rbx %#lx rcx %#lx rdx %#lx rsi %#lx rdi %#lx rsp %#lx rflags %#lx cr0 %#lx cr3 %#lx cr4 "
              "%#lx\n",
              s->gpr[PV_RAX], s->gpr[PV_RBX], s->gpr[PV_RCX], s->gpr[PV_RDX], s->gpr[PV_RSI], s->gpr[PV_RDI], s->rsp,
              s->rflags, s->cr0, s->cr3, s->cr4);
    machine_end(MACHINE_FAILED);
}

/// Another processor of the guest may write to the tables at the same time.
static bool guest_replace(void *context, uint64_t address, uint64_t before, uint64_t after, size_t size)
{
    (void)context;
    void *at = pv_guest_pointer(&machine.memory, address, size);
    uint32_t before32 = (uint32_t)before;
    if (at == NULL)
        return false;
    if (size == sizeof(uint32_t))
        return __atomic_compare_exchange_n((uint32_t *)at, &before32, (uint32_t)after, false, __ATOMIC_SEQ_CST,
                                           __ATOMIC_SEQ_CST);
    return __atomic_compare_exchange_n((uint64_t *)at, &before, after, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static bool guest_read(void *context, uint64_t address, void *bytes, size_t size)
{
    (void)context;
    const void *from = pv_guest_pointer(&machine.memory, address, size);
    if (from != NULL)
        memcpy(bytes, from, size);
    return from != NULL;
}

struct page_walk cpu_page_walk(const struct cpu *cpu)
{
    const struct pv_vcpu_state *state = cpu->vcpu.state;
    return (struct page_walk){.cr0 = state->cr0,
                              .cr3 = state->cr3,
                              .cr4 = state->cr4,
                              .efer = state->efer,
                              .read = guest_read,
                              .replace = guest_replace,
                              .physical_bits = machine.physical_bits};
}

/* ---- events ---- */

/// In real mode nothing has an error code (SDM Vol. 3A 20.1.4).
static void raise(struct cpu *cpu, uint8_t vector, bool error_code)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    error_code = error_code && (state->cr0 & CR0_PE) != 0;
    if (error_code ? !pv_inject_error(state, vector, 0) : !pv_inject(state, PV_TYPE_EXCEPTION, vector))
        cpu_fail(cpu, "exception %u while another event is delivered", vector);
}

void cpu_raise_gp(struct cpu *cpu)
{
    raise(cpu, PV_VECTOR_GP, true);
}

void cpu_raise_ud(struct cpu *cpu)
{
    raise(cpu, PV_VECTOR_UD, false);
}

void cpu_raise_segment(struct cpu *cpu, bool stack)
{
    raise(cpu, stack ? VECTOR_SS : PV_VECTOR_GP, true);
}

void cpu_raise_page_fault(struct cpu *cpu, uint32_t error, uint64_t address)
{
    if (!pv_inject_page_fault(cpu->vcpu.state, error, address))
        cpu_fail(cpu, "page fault at %#lx while another event is delivered", address);
}

static bool choose_as(struct cpu *cpu, enum cpu_offer offer, uint32_t offered)
{
    cpu->offer = offer;
    cpu->offered = offered;
    return true;
}

/// The event that the processor would be told of now: an NMI, the PIC's interrupt, the local APIC's. False: none.
static bool choose(struct cpu *cpu, bool interruptible)
{
    const struct lapic *lapic = &cpu->lapic;
    if (lapic->nmi)
        return choose_as(cpu, OFFER_NMI, PV_VECTOR_NMI);
    if (!interruptible)
        return false;
    const int input = cpu->index == 0 && lapic_passes_extint(lapic) ? pic_next(&machine.pic) : PIC_NONE;
    if (input != PIC_NONE)
        return choose_as(cpu, OFFER_PIC, (uint32_t)input);
    const int vector = lapic_next(lapic);
    return vector != LAPIC_NONE && choose_as(cpu, OFFER_LAPIC, (uint32_t)vector);
}

/// Puts the most important interrupt into the slot, from which the multiplexer takes it when the guest can be interrupted. At the
/// next exit another one may be more important.
static void offer(struct cpu *cpu)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    cpu->offer = OFFER_NONE;
    if (pv_inject_pending(state) || !choose(cpu, true)) // an exception goes first
        return;
    if (cpu->offer == OFFER_LAPIC && (virtual_apic_delivers(cpu) || virtual_apic_must_wait(cpu))) {
        cpu->offer =
            OFFER_NONE; // the processor takes it from the page, or tells when it would take it (ask_for_windows)
        return;
    }
    const uint32_t offered = cpu->offered;
    const uint8_t vector = cpu->offer == OFFER_PIC ? pic_vector(&machine.pic, offered) : (uint8_t)offered;
    if (!pv_inject(state, cpu->offer == OFFER_NMI ? PV_TYPE_NMI : PV_TYPE_INTERRUPT, vector))
        cpu->offer = OFFER_NONE;
}

/// During a run nobody knows whether the offer has been taken yet: its controller forgets it, so that what others raise is an event of
/// its own, even the same once more.
static void hand_over(struct cpu *cpu)
{
    if (cpu->offer == OFFER_NMI)
        cpu->lapic.nmi = false;
    else if (cpu->offer == OFFER_PIC)
        pic_offer(&machine.pic, cpu->offered);
    else if (cpu->offer == OFFER_LAPIC)
        lapic_offer(&cpu->lapic, (uint8_t)cpu->offered);
}

/// Has the run end when the guest can take what waits behind the event in the slot: nothing else might end it. Behind one of the
/// local APIC's nothing need be said, as the end of that interrupt exits.
static void ask_for_windows(struct cpu *cpu)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    const struct lapic *lapic = &cpu->lapic;
    const bool pic = cpu->index == 0 && lapic_passes_extint(lapic) && pic_next(&machine.pic) != PIC_NONE;
    const bool local = cpu->offer != OFFER_LAPIC && !virtual_apic_delivers(cpu) && lapic_next(lapic) != LAPIC_NONE;
    state->inject &= ~(uint32_t)(PV_INJECT_WINDOW | PV_INJECT_NMI_WINDOW);
    state->inject |= (pic || local ? PV_INJECT_WINDOW : 0) | (lapic->nmi ? PV_INJECT_NMI_WINDOW : 0);
}

/// After a run: if the offer was taken, that is its controller's acknowledge; if not, the controller has it back, and the slot is free.
static void settle(struct cpu *cpu)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    const bool taken = !pv_inject_pending(state);
    if (cpu->offer == OFFER_NONE)
        return;
    if (!taken)
        state->inject &= PV_INJECT_REQUESTS;
    if (cpu->offer == OFFER_NMI)
        cpu->lapic.nmi = cpu->lapic.nmi || !taken;
    else if (cpu->offer == OFFER_PIC)
        pic_settle(&machine.pic, cpu->offered, taken);
    else
        lapic_settle(&cpu->lapic, (uint8_t)cpu->offered, taken);
    if (taken)
        (cpu->offer == OFFER_PIC ? device_row(DEVICE_PIC) : device_lapic(cpu->index))->interrupts++;
    cpu->offer = OFFER_NONE;
}

bool cpu_interrupted(struct cpu *cpu)
{
    return pv_inject_pending(cpu->vcpu.state) || choose(cpu, (cpu->vcpu.state->rflags & RFLAGS_IF) != 0);
}

/* ---- INIT and start-up ---- */

/// SDM Vol. 3A 11.4.7.3 and table 9-1; the start itself follows with the start-up IPI. The bootstrap processor does not wait for one, but
/// begins at the reset vector (9.4.2), where firmware would make the machine anew.
static void take_init(struct cpu *cpu)
{
    cpu->lapic.init = false;
    if (lapic_is_bootstrap(&cpu->lapic)) {
        machine_reset();
        return;
    }
    cpu->lapic.waits_for_startup = true;
    lapic_reset(&cpu->lapic);
    virtual_apic_changed(cpu);
    cpu->vcpu.state->inject = 0;
    pv_cancel_vectoring(cpu->vcpu.state); // what the next entry, that of the start, would deliver
    cpu->halted = false;
}

/// Real mode at the page that the vector names (SDM Vol. 3A 9.4.4).
static void take_startup(struct cpu *cpu)
{
    enum { PAGE_SHIFT_IN_SEGMENTS = 8 };
    struct pv_vcpu_state *state = cpu->vcpu.state;
    cpu->lapic.startup = false;
    cpu->lapic.waits_for_startup = false;
    memset(state->gpr, 0, sizeof(state->gpr));
    pv_start_real(state, (uint16_t)(cpu->lapic.startup_vector << PAGE_SHIFT_IN_SEGMENTS), 0, 0);
}

/// Whether it is a running processor, after INIT and start-up IPIs that have come.
static bool is_started(struct cpu *cpu)
{
    if (cpu->lapic.init)
        take_init(cpu);
    if (cpu->lapic.waits_for_startup && cpu->lapic.startup)
        take_startup(cpu);
    return !cpu->lapic.waits_for_startup;
}

/* ---- running ---- */

bool cpu_runnable(struct cpu *cpu, uint64_t now)
{
    lapic_advance(&cpu->lapic, now);
    if (!is_started(cpu) || (cpu->halted && !cpu_interrupted(cpu)))
        return false;
    cpu->halted = false;
    return true;
}

/// After its deadline a processor does not run at all, and a timer that goes off all the time would keep it from ever running. In
/// ticks, too, since where the TSC counts slowly, as in an emulator, it is the entry that takes microseconds.
static uint64_t not_too_soon(uint64_t deadline)
{
    const uint64_t time = machine.info->tsc_hz / SHORTEST_RUNS_PER_SECOND;
    const uint64_t least = pv_tsc() + (time > SHORTEST_RUN ? time : SHORTEST_RUN);
    return deadline > least ? deadline : least;
}

void cpu_run(struct cpu *cpu, uint64_t deadline)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    struct agent *agent = agent_of(cpu);
    virtual_apic_choose(cpu);
    offer(cpu);
    virtual_apic_enter(cpu); // shows the guest what is requested
    hand_over(cpu);
    ask_for_windows(cpu);
    state->vectoring_info = 0; // what it was about is repeated by this entry
    agent->place = AGENT_IN_GUEST;
    machine_unlock();
    const int64_t result = pv_vcpu_run_until(cpu->vcpu.id, 0, not_too_soon(deadline), AGENT_NEWS);
    machine_lock();
    agent->place = AGENT_AT_WORK;
    virtio_devices_sample();
    virtual_apic_leave(cpu);
    settle(cpu);
    if (result == PV_RUN_EXIT) {
        cpu_handle_exit(cpu);
        machine_look_at_input();
    } else if (result == PV_RUN_KICKED) {
        agent_take(pv_event_wait(AGENT_NEWS, 0));
    } else if (result == PV_ERR_ENTRY) {
        cpu_fail(cpu, "VM entry refused, %#x: %s", state->entry_error, state->entry_rule);
    } else if (result < 0) {
        cpu_fail(cpu, "pv_vcpu_run: %s", pv_error_name(result));
    }
}
