// SPDX-License-Identifier: Apache-2.0
/// VM entries and exits. Guests leave other values in their registers whenever they run, and must find those again.
#include "arch/x86/fpu.h"
#include "arch/x86/paging.h"
#include "arch/x86/registers.h"
#include "arch/x86/upcalls.h"
#include "arch/x86/vmx/caps.h"
#include "arch/x86/vmx/entry_check.h"
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmx.h"
#include "machine.h"
#include "vmm/personality.h"
#include "vmm/space.h"

enum { ERROR_CONTROLS = 7, ERROR_HOST_STATE = 8, TIMER_SLACK = 20000, LENGTH = 2 };

/// What a vcpu's guest relies on.
static struct truth {
    const struct vcpu *vcpu; ///< NULL: there is none
    uint64_t life;           ///< unique; another one after each move, as a core's translations must not outlast it
    uint32_t core;           ///< where it was entered last
    struct truth *registers; ///< whose it has
    struct guest_registers expected;
} truths[MACHINE_PERSONALITIES][PV_MAX_VCPUS];
static uint64_t last_life;
static uint64_t guest_until[MACHINE_CORES]; ///< TSC at which the preemption timer fires

static struct truth *truth_of(const struct vcpu *vcpu)
{
    struct truth *truth = &truths[vcpu->owner->id][vcpu->id];
    MACHINE_CHECK(truth->vcpu == vcpu, "vcpu %u of %s is not the one that was created", vcpu->id,
                  vcpu->owner->config->name);
    return truth;
}

void machine_expect_new(const struct vcpu *vcpu, const struct vcpu *registers)
{
    struct truth *truth = &truths[vcpu->owner->id][vcpu->id];
    *truth = (struct truth){.vcpu = vcpu, .life = ++last_life, .core = UINT32_MAX, .registers = truth};
    truth->expected = (struct guest_registers){.xcr0 = 1, .dr6 = UINT64_C(0xffff0ff0)};
    if (registers) {
        truth->registers = truth_of(registers)->registers;
    }
}

static uint64_t canonical(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 16) >> 16);
}

/// WRMSR of a register file's MSR: values that fault are left out.
static void expect_msr(struct guest_registers *e, uint32_t msr, uint64_t value)
{
    if (msr == MSR_STAR) {
        e->msrs.star = value;
    } else if (msr == MSR_LSTAR && canonical(value) == value) {
        e->msrs.lstar = value;
    } else if (msr == MSR_SFMASK && value >> 32 == 0) {
        e->msrs.sfmask = value;
    } else if (msr == MSR_TSC_AUX && value >> 32 == 0) {
        e->msrs.tsc_aux = value;
    } else if (msr == MSR_KERNEL_GS_BASE && canonical(value) == value) {
        e->kernel_gs_base = value;
    }
}

void machine_expect_groups(const struct vcpu *vcpu, const struct pv_vcpu_state *state, uint32_t groups)
{
    struct guest_registers *e = &truth_of(vcpu)->registers->expected;
    if (groups & PV_GROUP_MSRS) {
        expect_msr(e, MSR_STAR, state->star);
        expect_msr(e, MSR_LSTAR, state->lstar);
        expect_msr(e, MSR_SFMASK, state->sfmask);
        expect_msr(e, MSR_TSC_AUX, state->tsc_aux);
        expect_msr(e, MSR_KERNEL_GS_BASE, state->kernel_gs_base);
    }
    if (groups & PV_GROUP_CR2) {
        e->cr2 = state->cr2;
    }
}

/* ---- entry ---- */

/// What comes back at the next exit must be this core's and the owner's, whatever was written to the VMCS.
static void check_host_state(const struct core *core, const struct vcpu *vcpu)
{
    const struct machine_core *m = &machine_cores[core->id];
    const struct {
        enum vmcs_field field;
        uint64_t value;
    } expected[] = {
        {VMCS_HOST_CR0, m->cr0 | CR0_TS},
        {VMCS_HOST_CR3, vcpu->owner->root},
        {VMCS_HOST_CR4, m->cr4},
        {VMCS_HOST_CS_SELECTOR, SELECTOR_KERNEL_CODE},
        {VMCS_HOST_SS_SELECTOR, SELECTOR_KERNEL_DATA},
        {VMCS_HOST_DS_SELECTOR, 0},
        {VMCS_HOST_ES_SELECTOR, 0},
        {VMCS_HOST_FS_SELECTOR, 0},
        {VMCS_HOST_GS_SELECTOR, 0},
        {VMCS_HOST_TR_SELECTOR, SELECTOR_TSS},
        {VMCS_HOST_FS_BASE, 0},
        {VMCS_HOST_GS_BASE, 0},
        {VMCS_HOST_TR_BASE, (uint64_t)&core->tss},
        {VMCS_HOST_GDTR_BASE, (uint64_t)core->gdt},
        {VMCS_HOST_IDTR_BASE, core_idt_base()},
        {VMCS_HOST_SYSENTER_CS, SELECTOR_KERNEL_CODE},
        {VMCS_HOST_SYSENTER_ESP, (uint64_t)core->main_stack},
        {VMCS_HOST_SYSENTER_EIP, (uint64_t)sysenter_entry},
        {VMCS_HOST_IA32_EFER, cpu_rdmsr(MSR_EFER)},
        {VMCS_HOST_IA32_PAT, PAT_RESET},
        {VMCS_HOST_RSP, (uint64_t)core->main_stack},
        {VMCS_HOST_RIP, (uint64_t)vmx_exit_entry},
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        uint64_t value = vmcs_read(expected[i].field);
        MACHINE_CHECK(value == expected[i].value, "host state: field 0x%x is 0x%lx, should be 0x%lx", expected[i].field,
                      value, expected[i].value);
    }
}

static bool reaches_debug_registers(void)
{
    return !(vmcs_read(VMCS_PRIMARY_CONTROLS) & PRIMARY_MOV_DR) || (vmcs_read(VMCS_GUEST_DR7) & DR7_ENABLES);
}

static void check_registers(const struct machine_core *m, const struct truth *truth)
{
    const struct guest_registers *e = &truth->registers->expected, *now = &m->now;
    MACHINE_CHECK(now->fpu == e->fpu, "a guest finds FPU state 0x%lx, left 0x%lx", now->fpu, e->fpu);
    MACHINE_CHECK(now->cr2 == e->cr2, "a guest finds CR2 0x%lx, left 0x%lx", now->cr2, e->cr2);
    MACHINE_CHECK(now->xcr0 == e->xcr0, "a guest finds XCR0 0x%lx, left 0x%lx", now->xcr0, e->xcr0);
    MACHINE_CHECK(now->kernel_gs_base == e->kernel_gs_base, "a guest finds KERNEL_GS_BASE 0x%lx, left 0x%lx",
                  now->kernel_gs_base, e->kernel_gs_base);
    MACHINE_CHECK(now->msrs.star == e->msrs.star && now->msrs.lstar == e->msrs.lstar &&
                      now->msrs.sfmask == e->msrs.sfmask && now->msrs.tsc_aux == e->msrs.tsc_aux,
                  "a guest finds another's SYSCALL MSRs");
    for (int i = 0; reaches_debug_registers() && i < 4; i++) {
        MACHINE_CHECK(now->debug[i] == e->debug[i] && now->dr6 == e->dr6, "a guest finds DR%d 0x%lx, left 0x%lx", i,
                      now->debug[i], e->debug[i]);
    }
}

/// The scheduler gets the core back in time: at its horizon, but for what the entry itself took; and the personality at its deadline.
static void check_timer(const struct core *core, const struct vcpu *vcpu)
{
    uint64_t ticks = vmcs_read(VMCS_GUEST_PREEMPTION_TIMER) << vmx_timer_shift;
    uint64_t end = core->horizon < vcpu->run_until ? core->horizon : vcpu->run_until;
    uint64_t most = end > machine_tsc ? end - machine_tsc : 0;
    MACHINE_CHECK(core->stamp <= vcpu->run_until, "a guest is entered after its deadline");
    MACHINE_CHECK(ticks <= most || ticks - most <= TIMER_SLACK, "a guest could run %lu ticks, not %lu", ticks, most);
    guest_until[core->id] = machine_tsc + ticks;
}

/// Tables that a core may still walk are kept for the time being.
static void check_garbage(const struct space *space)
{
    uint64_t gone;
    for (size_t from = 0; (gone = machine_ept_gone(space->ept.root, &from)) != 0;) {
        uint64_t page = space->change.job.garbage.first;
        while (page && page != gone) {
            page = *(const uint64_t *)phys_to_virt(page);
        }
        MACHINE_CHECK(page, "the EPT table at 0x%lx was given back, and a core may still walk it", gone);
    }
}

void machine_check_translations(uint32_t core)
{
    const struct vcpu *vcpu = cores[core].main_stack->vcpu;
    const struct space *space = vcpu->space;
    if (machine_tlb_stale(core, machine_vmcs_peek(vcpu->vmcs, VMCS_EPT_POINTER))) {
        const struct space_change *change = &space->change;
        bool unmaps = change->agent && change->call[0] == PV_SYS_SPACE_UNMAP;
        MACHINE_CHECK(unmaps && (change->phase == SPACE_TABLES || space->kicks[core].queued),
                      "core %u: a guest with withdrawn translations", core);
        check_garbage(space);
    }
}

static void check_entry(struct core *core, const struct vcpu *vcpu)
{
    const struct stack_top *top = core->main_stack;
    const struct agent *agent = (const struct agent *)top->current;
    struct truth *truth = truth_of(vcpu);
    MACHINE_CHECK(agent->regs.guest == vcpu && vcpu->owner == agent->personality && vcpu->agent == agent,
                  "the vcpu to enter is not the agent's");
    MACHINE_CHECK(agent->core == core && vcpu->core == core, "a vcpu is entered on another core than its own");
    MACHINE_CHECK(machine_cores[core->id].vmcs == vcpu->vmcs, "another VMCS is current than the vcpu's to enter");
    MACHINE_CHECK(top->gprs == vcpu->registers->gprs, "the guest would get another's general registers");
    MACHINE_CHECK(!vcpu->kicked || machine_cores[core->id].pending[VECTOR_MESSAGE],
                  "a guest is entered that was kicked");
    MACHINE_CHECK(!(agent->events & agent->run_mask) || machine_cores[core->id].pending[VECTOR_MESSAGE],
                  "a guest is entered with an event pending that was to end its run");
    if (truth->core != core->id) {
        truth->life = ++last_life;
        truth->core = core->id;
    }
    check_host_state(core, vcpu);
    check_registers(&machine_cores[core->id], truth);
    check_timer(core, vcpu);
    machine_check_translations(core->id);
    machine_tlb_enter(vmcs_read(VMCS_EPT_POINTER), (uint16_t)vmcs_read(VMCS_VPID), truth->life);
}

/// The processor's part of an exit, besides telling about it.
static void load_host_state(uint32_t number)
{
    struct machine_core *m = &machine_cores[number];
    if (vmcs_read(VMCS_EXIT_CONTROLS) & EXIT_SAVE_PREEMPTION_TIMER) {
        uint64_t left = guest_until[number] > machine_tsc ? guest_until[number] - machine_tsc : 0;
        vmcs_write(VMCS_GUEST_PREEMPTION_TIMER, left >> vmx_timer_shift);
    }
    m->cr0 = vmcs_read(VMCS_HOST_CR0);
    m->cr3 = vmcs_read(VMCS_HOST_CR3);
    m->cr4 = vmcs_read(VMCS_HOST_CR4);
    m->gdt_narrow = false;
}

static void exit_to_ring0(uint32_t number, uint32_t reason)
{
    struct core *core = &cores[number];
    struct vcpu *vcpu = core->main_stack->vcpu;
    const struct regs *agent = core->main_stack->current;
    machine_vmcs_set(vcpu->vmcs, VMCS_EXIT_REASON, reason);
    load_host_state(number);
    uint64_t now = cpu_rdtsc();
    core->clock[CLOCK_GUEST] += now - core->stamp;
    vcpu->run_time += now - core->stamp;
    core->stamp = now;
    bool traced = reason != core->quick_reason && core->tracing;
    uint32_t vpid = vcpu->vpid;
    if (reason == EXIT_REASON_CPUID && (traced ? trace_exit_cpuid : vcpu_exit_cpuid)(vcpu, core)) {
        return;
    }
    enum vcpu_exit_to to = vcpu_exit(vcpu, core, reason);
    to = traced ? trace_exit(core, reason, vpid, to) : to;
    MACHINE_CHECK(to == EXIT_TO_CURRENT ||
                      machine_place(number) == (to == EXIT_TO_GUEST ? MACHINE_GUEST : MACHINE_RING3),
                  "the way back leads elsewhere than the current agent is");
    MACHINE_CHECK(to != EXIT_TO_RING3 || core->main_stack->current == agent, "the way back leads to another agent");
}

static void entry_failed(struct vcpu *vcpu, uint32_t error)
{
    machine_vmcs_set(vcpu->vmcs, VMCS_VM_INSTRUCTION_ERROR, error);
    vcpu_entry_failed(vcpu, false);
}

bool machine_enter_guest(uint32_t number)
{
    struct core *core = &cores[number];
    struct vcpu *vcpu = core->main_stack->vcpu;
    static struct vmx_entry_state state;
    struct vmx_violation violation;
    machine_self = number;
    check_entry(core, vcpu);
    bool launch = vcpu->launched == 0;
    uint32_t error = machine_vmcs_enter(launch);
    state.caps = &vmx_caps;
    state.processor = vmx_processor();
    vmx_entry_snapshot(&state, vmx_read_any);
    bool valid = vmx_entry_check(&state, &violation);
    bool guest_state = !valid && violation.section[3] == '3'; // SDM Vol. 3C 27.3, else 27.2
    if (!error && !valid && !guest_state) {
        error = violation.section[5] == '1' ? ERROR_CONTROLS : ERROR_HOST_STATE;
    }
    if (error) {
        entry_failed(vcpu, error);
        return false;
    }
    vcpu->launched = 1;
    if (guest_state) {
        exit_to_ring0(number, EXIT_REASON_ENTRY_FAILURE | EXIT_REASON_INVALID_GUEST_STATE);
        return false;
    }
    machine_vmcs_launched();
    machine_cores[number].cr0 &= ~CR0_TS; // the guest's
    return true;
}

/* ---- exits ---- */

/// The guest runs: whatever it can reach changes.
static void run(uint32_t number, struct vcpu *vcpu, uint64_t dirt)
{
    struct machine_core *m = &machine_cores[number];
    struct guest_registers *e = &truth_of(vcpu)->registers->expected;
    uint64_t *gprs = cores[number].main_stack->gprs;
    e->fpu = m->now.fpu = m->now.fpu * 3 + dirt;
    e->cr2 = m->now.cr2 = dirt * 5;
    e->kernel_gs_base = m->now.kernel_gs_base = canonical(dirt * 7);
    for (int i = 0; !(vmcs_read(VMCS_PRIMARY_CONTROLS) & PRIMARY_MOV_DR) && i < 4; i++) {
        e->debug[i] = m->now.debug[i] = dirt + (uint64_t)i;
    }
    for (int i = 0; i < PV_GPRS; i++) {
        gprs[i] = i == PV_RSP ? gprs[i] : dirt * (uint64_t)(i + 11);
    }
    uint64_t flags = vmcs_read(VMCS_GUEST_RFLAGS);
    if (dirt & 1 && !vmcs_read(VMCS_GUEST_INTERRUPTIBILITY)) {
        vmcs_write(VMCS_GUEST_RFLAGS, flags ^ RFLAGS_IF);
    }
}

/// What the processor tells of an exit, and what it does to the guest's state besides.
static void tell(const struct vcpu *vcpu, const struct machine_exit *exit)
{
    uint32_t valid = exit->vectoring_info & INTERRUPTION_VALID;
    uint64_t entry = machine_vmcs_peek(vcpu->vmcs, VMCS_ENTRY_INTERRUPTION_INFO);
    machine_vmcs_set(vcpu->vmcs, VMCS_ENTRY_INTERRUPTION_INFO, entry & ~(uint64_t)INTERRUPTION_VALID);
    machine_vmcs_set(vcpu->vmcs, VMCS_EXIT_QUALIFICATION, exit->qualification);
    machine_vmcs_set(vcpu->vmcs, VMCS_EXIT_INTERRUPTION_INFO, exit->interruption_info);
    machine_vmcs_set(vcpu->vmcs, VMCS_EXIT_INTERRUPTION_ERROR_CODE, exit->interruption_error);
    machine_vmcs_set(vcpu->vmcs, VMCS_IDT_VECTORING_INFO, valid ? exit->vectoring_info : 0);
    machine_vmcs_set(vcpu->vmcs, VMCS_IDT_VECTORING_ERROR_CODE, exit->vectoring_error);
    machine_vmcs_set(vcpu->vmcs, VMCS_EXIT_INSTRUCTION_LENGTH, LENGTH);
    machine_vmcs_set(vcpu->vmcs, VMCS_EXIT_INSTRUCTION_INFO, 0);
    machine_vmcs_set(vcpu->vmcs, VMCS_GUEST_LINEAR_ADDRESS, exit->qualification);
    machine_vmcs_set(vcpu->vmcs, VMCS_GUEST_PHYSICAL_ADDRESS, exit->qualification);
}

/// An exit that the multiplexer answered itself has done to the guest's registers what the instruction would have.
static void expect_absorbed(const struct vcpu *vcpu, const struct machine_exit *exit)
{
    struct guest_registers *e = &truth_of(vcpu)->registers->expected;
    uint64_t value = (uint32_t)exit->rax | exit->rdx << 32;
    if (exit->reason == EXIT_REASON_WRMSR) {
        expect_msr(e, (uint32_t)exit->rcx, value);
    } else if (exit->reason == EXIT_REASON_XSETBV && (uint32_t)exit->rcx == 0 && fpu_xcr0_valid(value)) {
        e->xcr0 = value;
    } else if (exit->reason == EXIT_REASON_EXCEPTION_NMI &&
               (exit->interruption_info & INTERRUPTION_VECTOR) == VECTOR_DB) {
        e->dr6 |= exit->qualification & 0x600f;
    }
}

static void exit_for(uint32_t number, const struct machine_exit *exit)
{
    struct vcpu *vcpu = cores[number].main_stack->vcpu;
    machine_self = number;
    run(number, vcpu, exit->dirt);
    uint64_t *gprs = cores[number].main_stack->gprs;
    gprs[PV_RAX] = exit->rax;
    gprs[PV_RCX] = exit->rcx;
    gprs[PV_RDX] = exit->rdx;
    tell(vcpu, exit);
    uint32_t reason = exit->reason < EXIT_REASONS ? exit->reason : EXIT_REASONS - 1;
    uint64_t absorbed = vcpu->absorbed[reason];
    exit_to_ring0(number, exit->reason);
    if (vcpu->absorbed[reason] != absorbed) {
        expect_absorbed(vcpu, exit);
    } else if (reason == EXIT_REASON_EXCEPTION_NMI) { // a #DB that became a triple fault may have set DR6 or not
        truth_of(vcpu)->registers->expected.dr6 = machine_cores[number].now.dr6;
    }
    machine_resume(number);
}

void machine_end_slice(uint32_t number)
{
    struct machine_exit exit = {.reason = EXIT_REASON_PREEMPTION_TIMER, .dirt = machine_tsc};
    machine_tsc = guest_until[number] > machine_tsc ? guest_until[number] : machine_tsc;
    exit_for(number, &exit);
}

void machine_exit_guest(uint32_t number, const struct machine_exit *exit)
{
    if (machine_tsc + exit->ticks >= guest_until[number]) {
        machine_end_slice(number);
        return;
    }
    machine_tsc += exit->ticks;
    exit_for(number, exit);
}

void machine_guest_interrupt(uint32_t number, uint32_t vector)
{
    struct machine_exit exit = {
        .reason = EXIT_REASON_EXTERNAL_INTERRUPT,
        .interruption_info = INTERRUPTION_VALID | EVENT_EXTERNAL_INTERRUPT << INTERRUPTION_TYPE_SHIFT | vector,
        .dirt = machine_tsc,
    };
    exit_for(number, &exit);
}
