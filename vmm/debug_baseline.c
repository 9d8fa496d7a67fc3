// SPDX-License-Identifier: Apache-2.0
/*
 * The baseline (polyvisor/baseline.h): two guests in turn on a core that is out of service, with or without leaving VMX operation
 * between them. All else that a switch takes is done as vcpu_hot.c does it, level 1 included, to make the ways comparable.
 */
#include <polyvisor/baseline.h>
#include <polyvisor/string.h>

#include "arch/x86/core.h"
#include "arch/x86/registers.h"
#include "arch/x86/upcalls.h"
#include "arch/x86/vmx/baseline.h"
#include "arch/x86/vmx/vmcs.h"
#include "vmm/debug_call.h"
#include "vmm/level1_weighted.h"
#include "vmm/log.h"
#include "vmm/panic.h"
#include "vmm/personality.h"
#include "vmm/space.h"
#include "vmm/trace.h"
#include "vmm/user.h"
#include "vmm/vcpu.h"
#include "vmm/vcpu_state.h"
#include "vmm/vcpu_switch.h"

/// A guest and its place in level 1.
struct side {
    struct level1_entity entity; ///< first
    struct vcpu *vcpu;
    uint64_t switches;
};

/// The measurement that runs. There is one holder of the debug capability, with one agent: never two at once.
static struct measurement {
    struct baseline_entry entry; ///< first: baseline.asm's pointer to it is a pointer to the measurement
    struct side sides[2];
    struct side *running;
    struct level1 level1; ///< knows these two only
    uint64_t charged;     ///< TSC up to which level 1 was told of the time
    bool second_half;     ///< of a turn
    struct pv_baseline numbers;
} measurement;

/* ---- out of service and back ---- */

/// VMCLEARs what is active on this core, whoever's it is, and unloads the registers: the core holds nothing of any guest. Returns
/// how many VMCSs there were.
static uint32_t clear_core(struct core *core)
{
    uint32_t cleared = 0;
    vcpu_unload_registers(core);
    for (uint32_t i = 0; i < personality_count; i++) {
        struct personality *p = &personalities[i];
        lock_take(&p->lock); // vcpus of other cores come and go
        for (uint32_t v = 0; v < PV_MAX_VCPUS; v++) {
            struct vcpu *vcpu = p->vcpus[v];
            if (vcpu && vcpu->core == core && vcpu->host_core == core) {
                vcpu_clear_vmcs(core, vcpu);
                cleared++;
            }
        }
        lock_drop(&p->lock);
    }
    ASSERT(!core->current_vcpu);
    return cleared;
}

/// The VMCSs' host state names the loop of baseline.asm, and exits have left their traces: nothing of that may stay.
static void give_back(struct measurement *m)
{
    struct core *core = m->entry.core;
    vcpu_unload_registers(core);
    for (uint32_t i = 0; i < 2; i++) {
        struct vcpu *vcpu = m->sides[i].vcpu;
        vcpu_clear_vmcs(core, vcpu);
        vcpu->flush_vpid = true;
        core->loaded_root = vcpu->root; // HOST_CR3
    }
    core->gdt_wide = true;
    core_clock_enter(core, CLOCK_MUX);
}

/* ---- the loop ---- */

/// Half a turn begins for the guest whose VMCS is current.
static inline void enter_next(struct measurement *m, struct side *side)
{
    struct vcpu *vcpu = side->vcpu;
    m->entry.vcpu = vcpu;
    m->entry.gprs = vcpu->gprs;
    vcpu_arm_timer_in(vcpu, m->entry.core->stamp, (uint64_t)side->entity.turn / 2);
    vmx_count(1); // the entry
}

/// The VMCS becomes current, and is filled with what vcpu_run would put there, but for the way back.
static void prepare(const struct measurement *m, struct vcpu *vcpu, uint64_t host_rsp)
{
    struct core *core = m->entry.core;
    vcpu_make_current(core, vcpu);
    vcpu_swap_registers(core, vcpu->registers);
    vmx_invvpid(vcpu->vpid);
    space_catch_up(vcpu->space, core);
    vcpu_take_state(vcpu);
    vmcs_write(VMCS_HOST_RSP, host_rsp);
    vmcs_write(VMCS_HOST_RIP, (uint64_t)baseline_exit_entry);
}

void baseline_begin(struct baseline_entry *entry, uint64_t host_rsp)
{
    struct measurement *m = (struct measurement *)entry;
    struct core *core = entry->core;
    uint64_t end;
    level1_init(&m->level1, m->numbers.turn_ticks);
    for (uint32_t i = 0; i < 2; i++) {
        level1_entity_init(&m->sides[i].entity, CONFIG_WEIGHT_DEFAULT);
        level1_wake(&m->level1, &m->sides[i].entity);
    }
    m->charged = core_clock_enter(core, CLOCK_MUX);
    m->running = (struct side *)level1_pick(&m->level1, m->charged, &end);
    struct side *other = m->running == &m->sides[0] ? &m->sides[1] : &m->sides[0];
    prepare(m, other->vcpu, host_rsp);
    if (m->numbers.way == PV_BASELINE_LEAVE) {
        vcpu_clear_vmcs(core, other->vcpu); // not to be active when VMX operation is left
    }
    prepare(m, m->running->vcpu, host_rsp);
    cpu_write_cr2(m->running->vcpu->registers->cr2);
    enter_next(m, m->running);
}

/// In the middle of a turn, not to be in what is measured: messages from other cores are answered (in Bochs the interrupt alone does
/// not bring a guest with interrupts off out).
static __attribute__((noinline)) bool look_round(struct measurement *m)
{
    message_receive();
    ASSERT(m->entry.core->current_vcpu == m->running->vcpu);
    space_catch_up(m->running->vcpu->space, m->entry.core);
    enter_next(m, m->running);
    return true;
}

/// The end of a turn: what is measured. False: that was the last switch.
static inline bool switch_guests(struct measurement *m)
{
    struct core *core = m->entry.core;
    struct side *last = m->running;
    struct vcpu *out = last->vcpu;
    uint64_t now = core->stamp;
    out->absorbed[EXIT_REASON_PREEMPTION_TIMER]++;
    struct side *next = (struct side *)level1_next_turn(&m->level1, &last->entity, now - m->charged);
    m->charged = now;
    if (!next) {
        uint64_t end;
        next = (struct side *)level1_pick(&m->level1, now, &end);
    }
    if (next == last) {
        enter_next(m, last);
        return true;
    }
    struct vcpu *in = next->vcpu;
    next->switches++;
    m->running = next;
    out->registers->cr2 = cpu_read_cr2();
    if (m->numbers.way == PV_BASELINE_LEAVE) {
        vmx_vmclear(out->vmcs);
        out->launched = 0;
        baseline_vmx_off_and_on(core);
    }
    vcpu_load_other(core, in, out->registers);
    space_catch_up(in->space, core);
    enter_next(m, next);
    return ++m->numbers.switched < m->numbers.switches;
}

/// Any other exit. False: not for us, so the measurement ends.
static __attribute__((noinline)) bool other_exit(struct measurement *m, uint32_t reason)
{
    uint32_t info = (uint32_t)vmcs_read(VMCS_EXIT_INTERRUPTION_INFO);
    bool exception = reason == EXIT_REASON_EXCEPTION_NMI;
    bool nmi = exception && (info & INTERRUPTION_TYPE) >> INTERRUPTION_TYPE_SHIFT == EVENT_NMI;
    if (nmi) {
        vcpu_take_nmi();
    } else if (exception && (info & INTERRUPTION_VECTOR) == VECTOR_MC) {
        panic("#MC machine check in a guest of the baseline");
    } else if (reason == EXIT_REASON_EXTERNAL_INTERRUPT) {
        mux_handle_interrupt(info & INTERRUPTION_VECTOR);
    }
    bool interrupted_event = vmcs_read(VMCS_IDT_VECTORING_INFO) & INTERRUPTION_VALID;
    if ((!nmi && reason != EXIT_REASON_EXTERNAL_INTERRUPT) || interrupted_event) {
        m->numbers.exit = reason;
        return false;
    }
    ASSERT(m->entry.core->current_vcpu == m->running->vcpu);
    space_catch_up(m->running->vcpu->space, m->entry.core);
    vmx_count(1);
    return true; // the timer goes on where it was, but on processors that cannot save it: there the turn is longer
}

bool baseline_exit(struct baseline_entry *entry)
{
    struct measurement *m = (struct measurement *)entry;
#ifdef POLYVISOR_COUNT_VMX
    uint64_t before = m->entry.core->vmx_instructions;
#endif
    uint32_t reason = (uint32_t)vmcs_read(VMCS_EXIT_REASON);
    if (reason != EXIT_REASON_PREEMPTION_TIMER) {
        return other_exit(m, reason);
    }
    m->second_half = !m->second_half;
    if (m->second_half) {
        return look_round(m);
    }
    bool go_on = switch_guests(m);
#ifdef POLYVISOR_COUNT_VMX
    m->numbers.vmx_instructions += m->entry.core->vmx_instructions - before;
#endif
    return go_on;
}

/* ---- VMXOFF and VMXON alone ---- */

static void time_pairs(struct measurement *m)
{
    for (uint32_t i = 0; i < PV_BASELINE_PAIRS; i++) {
        uint64_t start = cpu_rdtsc_ordered();
        m->numbers.empty[i] = (uint32_t)(cpu_rdtsc_ordered() - start);
    }
    for (uint32_t i = 0; i < PV_BASELINE_PAIRS; i++) {
        uint64_t start = cpu_rdtsc_ordered();
        baseline_vmx_off_and_on(m->entry.core);
        m->numbers.pairs[i] = (uint32_t)(cpu_rdtsc_ordered() - start);
    }
    m->numbers.off_count += PV_BASELINE_PAIRS;
}

/* ---- the call ---- */

static int64_t finish(struct remote_call *call)
{
    if (call->result != PV_OK) {
        return call->result;
    }
    return user_write(call->arguments[0], &measurement.numbers, sizeof(measurement.numbers)) ? PV_OK : PV_ERR_FAULT;
}

static int64_t measure(struct measurement *m)
{
    struct pv_baseline *n = &m->numbers;
    n->exit = PV_BASELINE_NO_EXIT;
    n->switched = n->off_count = 0;
    n->vmx_instructions = 0;
    memset(n->pairs, 0, sizeof(n->pairs));
    memset(n->empty, 0, sizeof(n->empty));
    n->cleared = clear_core(m->entry.core);
    if (n->way == PV_BASELINE_LEAVE) {
        trace_vmx(m->entry.core,
                  false); // the first VMXOFF, and the last VMXON below: more would cost ticks, and drown the rest
        time_pairs(m);
    }
    uint64_t off_before = m->entry.core->vmxoff_count;
    baseline_run(&m->entry);
    n->off_count += (uint32_t)(m->entry.core->vmxoff_count - off_before);
    give_back(m);
    if (n->way == PV_BASELINE_LEAVE) {
        trace_vmx(m->entry.core, true);
    }
    log_line(
        "core %u: was out of service for the baseline (%u VMCSs cleared), left VMX operation %u times; back in service",
        m->entry.core->id, n->cleared, n->off_count);
    return m->entry.refused ? PV_ERR_ENTRY : PV_OK;
}

/// Both are the caller's, and nothing has to be done for them that the loop does not do.
static bool take_vcpus(struct measurement *m, const struct agent *agent)
{
    for (uint32_t i = 0; i < 2; i++) {
        struct vcpu *vcpu = vcpu_of(agent, m->numbers.vcpus[i]);
        if (!vcpu || vcpu->long_way || vcpu->registers->users != 1) {
            return false;
        }
        m->sides[i].vcpu = vcpu;
    }
    return m->sides[0].vcpu != m->sides[1].vcpu;
}

static bool in_range(const struct pv_baseline *n)
{
    return n->way <= PV_BASELINE_LEAVE && n->switches >= 1 && n->switches <= PV_BASELINE_SWITCHES_MAX &&
           n->turn_ticks >= LEVEL1_MIN_SLICE && n->turn_ticks <= PV_BASELINE_TURN_MAX;
}

int64_t debug_baseline(const struct debug_call *call)
{
    struct agent *agent = agent_of(call->regs);
    struct personality *p = agent->personality;
    struct measurement *m = &measurement;
    if (!p->config->baseline) {
        return PV_ERR_DENIED;
    }
    if (call->size < sizeof(m->numbers)) {
        return PV_ERR_INVALID;
    }
    if (p->agent_count != 1) { // another could ask for the vcpus meanwhile
        return PV_ERR_STATE;
    }
    memset(m, 0, sizeof(*m));
    m->entry.core = agent->core;
    if (!user_writable(p, call->buffer, sizeof(m->numbers)) ||
        !user_read(&m->numbers, call->buffer, sizeof(m->numbers))) {
        return PV_ERR_FAULT;
    }
    if (!in_range(&m->numbers)) {
        return PV_ERR_INVALID;
    }
    if (m->entry.core->state != PV_CORE_VMX || !fpu_optimised) {
        return PV_ERR_UNSUPPORTED;
    }
    if (!take_vcpus(m, agent)) {
        return PV_ERR_STATE;
    }
    agent->call.arguments[0] = call->buffer;
    agent->call.finish = finish;
    sched_block(agent); // nobody is current on the core
    agent->call.result = measure(m);
    sched_unblock(agent);
    return PV_OK;
}
