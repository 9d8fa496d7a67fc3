// SPDX-License-Identifier: Apache-2.0
#include "vmm/trace.h"

#include <stddef.h>

#include <polyvisor/string.h>

#include "arch/x86/layout.h"
#include "arch/x86/paging.h"
#include "arch/x86/upcalls.h"
#include "arch/x86/vmx/event.h"
#include "arch/x86/vmx/vmcs.h"
#include "vmm/config.h"
#include "vmm/log.h"
#include "vmm/memmap.h"
#include "vmm/personality.h"
#include "vmm/sched_state.h"
#include "vmm/vcpu.h"

enum {
    RING_KIB = 1024,   // 65,536 events: a second or two of a busy core in an emulator
    RING_KIB_MIN = 4,  // a page
    MEMORY_SHARE = 32, // all rings together take that part of the free memory at most
    KIND_BITS = 4,     // in struct pv_trace_event's kind
};
#define SHORT_TIME (UINT64_C(1) << 32) ///< that fits into an event

_Static_assert(offsetof(struct core, clock) == 8 && offsetof(struct core, call_limit) == 40 &&
                   offsetof(struct core, quick_reason) == 48 && offsetof(struct core, tracing) == 52,
               "arch/x86/regs.inc");
#ifdef POLYVISOR_COUNT_VMX
_Static_assert(offsetof(struct core, vmx_instructions) == 72, "arch/x86/regs.inc");
#endif
_Static_assert((int)PV_TRACE_KINDS <= 1 << KIND_BITS, "struct pv_trace_event");
_Static_assert(CONFIG_MAX_PERSONALITIES *PV_TRACE_AGENTS < PV_TRACE_NOBODY, "agents have numbers of 16 bits");
_Static_assert((int)CONFIG_MAX_PERSONALITIES <= (int)PV_TRACE_EVERYBODY, "personalities have numbers of 8 bits");

static struct trace traces[PV_MAX_CORES];

/* ---- rings ---- */

/// The largest power of two that is no more than a limit.
static uint64_t round_down(uint64_t limit)
{
    uint64_t size = RING_KIB_MIN;
    while (size * 2 <= limit) {
        size *= 2;
    }
    return size;
}

void trace_init(struct memmap *memory, uint64_t kib)
{
    uint64_t share = (memmap_total(memory, PV_MEMORY_FREE) >> 10) / MEMORY_SHARE / core_count;
    uint64_t wanted = kib ? kib : RING_KIB;
    uint64_t size = round_down(wanted < share ? wanted : share) << 10;
    for (uint32_t i = 0; i < core_count; i++) {
        struct trace *t = &traces[i];
        uint64_t base = memmap_alloc(memory, size, PAGE_SIZE, 0, PHYSMAP_SIZE, PV_MEMORY_MULTIPLEXER, MEMMAP_NO_OWNER);
        cores[i].trace = t;
        if (base) {
            t->events = phys_to_virt(base);
            t->mask = size / sizeof(*t->events) - 1;
        } else {
            log_line("core %u: no memory for its trace", i);
        }
    }
}

/// Writes event number n, in the place of the oldest one.
static inline void set(struct trace *t, uint64_t n, uint64_t when, uint32_t kind, uint16_t who, uint32_t cause,
                       uint32_t value)
{
    t->events[n & t->mask] = (struct pv_trace_event){
        .when = when, .value = value, .who = who, .cause = (uint8_t)cause, .kind = (uint8_t)kind};
}

/// Records one event. It counts when head has moved: only then does it exist for readers.
static inline void put(struct trace *t, uint64_t when, uint32_t kind, uint16_t who, uint32_t cause, uint32_t value)
{
    uint64_t head = t->head;
    set(t, head, when, kind, who, cause, value);
    __atomic_store_n(&t->head, head + 1, __ATOMIC_RELEASE);
}

static inline bool wants_kind(const struct trace *t, enum pv_trace_kind kind)
{
    return t->kinds & 1u << kind;
}

static inline bool wants_vpid(const struct trace *t, uint16_t vpid)
{
    return vpid - t->first_vpid <= t->vpid_span;
}

static inline bool wants_agent(const struct trace *t, uint16_t agent)
{
    return agent - t->first_agent <= t->agent_span;
}

static inline uint16_t agent_number_of(const struct agent *agent)
{
    return PV_TRACE_AGENT(agent->personality->id, agent->index);
}

static uint16_t agent_number(const struct agent *agent)
{
    return agent ? agent_number_of(agent) : PV_TRACE_NOBODY;
}

static bool about_vcpu(enum pv_trace_kind kind)
{
    return kind != PV_TRACE_IPI && kind != PV_TRACE_IDLE;
}

void trace_record(struct core *core, enum pv_trace_kind kind, uint16_t who, uint32_t cause, uint32_t value)
{
    struct trace *t = core->trace;
    if (wants_kind(t, kind) && (!about_vcpu(kind) || wants_vpid(t, who))) {
        put(t, cpu_rdtsc(), kind, who, cause, value);
    }
}

void trace_vmx(struct core *core, bool on)
{
    if (core->trace && core->trace->events) {
        put(core->trace, cpu_rdtsc(), PV_TRACE_VMX, PV_TRACE_NOBODY, on, 0);
    }
}

/* ---- what has changed ---- */

static uint32_t left_by(const struct agent *agent)
{
    switch (agent ? agent->state : AGENT_RUNNING) {
    case AGENT_WAITING:
        return PV_TRACE_LEFT_WAITING;
    case AGENT_BLOCKED:
        return PV_TRACE_LEFT_BLOCKED;
    case AGENT_STOPPED:
        return PV_TRACE_LEFT_STOPPED;
    default:
        return agent ? PV_TRACE_LEFT_READY : PV_TRACE_LEFT_IDLE;
    }
}

/// What the current agent and its guests do is recorded at once, or looked at more closely.
static void set_limits(struct trace *t)
{
    bool wanted_one = wants_agent(t, t->number);
    t->guest_limit = wanted_one && wants_kind(t, PV_TRACE_GUEST) ? SHORT_TIME : 0;
    t->ring3_limit = wanted_one && wants_kind(t, PV_TRACE_CALL) ? SHORT_TIME : 0;
}

static void note_switch(const struct core *core, struct trace *t)
{
    const struct sched *s = core->sched;
    uint64_t switches = s->switches - t->switches;
    uint16_t from = t->number, to = agent_number(s->current);
    if (wants_kind(t, PV_TRACE_SWITCH) && (wants_agent(t, from) || wants_agent(t, to))) {
        put(t, cpu_rdtsc(), PV_TRACE_SWITCH | (uint32_t)switches << KIND_BITS, from, left_by(t->current), to);
    }
    t->switches = s->switches;
    t->current = s->current;
    t->number = to;
    set_limits(t);
}

static void note_vmptrld(struct trace *t, struct vcpu *vcpu)
{
    t->loaded = vcpu;
    if (vcpu && wants_kind(t, PV_TRACE_VMPTRLD) && wants_vpid(t, vcpu->vpid)) {
        put(t, cpu_rdtsc(), PV_TRACE_VMPTRLD, vcpu->vpid, 0, 0);
    }
}

/// What has changed since the last look. Later than outcome_of, which wants to know who was current before.
static void look(struct core *core)
{
    struct trace *t = core->trace;
    t->fresh = false;
    const struct sched *s = core->sched;
    if (s->current != t->current || s->switches != t->switches) {
        note_switch(core, t);
    }
    if (core->current_vcpu != t->loaded) {
        note_vmptrld(t, core->current_vcpu);
    }
}

void trace_first_look(struct core *core)
{
    if (core->trace->fresh) {
        look(core);
    }
}

void trace_vmptrld(struct core *core, struct vcpu *vcpu)
{
    note_vmptrld(core->trace, vcpu);
}

void trace_vmclear(struct core *core, const struct vcpu *vcpu)
{
    struct trace *t = core->trace;
    t->loaded = core->current_vcpu;
    trace_record(core, PV_TRACE_VMCLEAR, vcpu->vpid, 0, 0);
}

void trace_injected(struct core *core, uint32_t info)
{
    trace_record(core, PV_TRACE_INJECT, core->current_vcpu->vpid, 0, info & ~INTERRUPTION_VALID);
}

/* ---- on and off ---- */

static struct pv_trace_settings wanted;
static struct message set_messages[PV_MAX_CORES];

static void mark(const struct core *core, struct pv_trace_mark *mark)
{
    *mark = (struct pv_trace_mark){
        .tsc = cpu_rdtsc(),
        .idle = core->clock[CLOCK_IDLE],
        .ring3 = core->clock[CLOCK_RING3],
        .guest = core->clock[CLOCK_GUEST],
        .switches = core->sched->switches,
    };
}

void trace_leave_alone(struct core *core)
{
    core->tracing = false;
    core->call_limit = PV_SYSCALL_COUNT;
    core->quick_reason = EXIT_REASON_CPUID;
}

static void begin(struct core *core)
{
    struct trace *t = core->trace;
    bool all = wanted.personality == PV_TRACE_EVERYBODY;
    t->kinds = wanted.kinds;
    t->personality = wanted.personality;
    t->first_agent = all ? 0 : PV_TRACE_AGENT(t->personality, 0);
    t->agent_span = all ? UINT32_MAX : PV_TRACE_AGENTS - 1;
    t->first_vpid = all ? 0 : PV_TRACE_VPID(t->personality, 0);
    t->vpid_span = all ? UINT32_MAX : PV_TRACE_VCPUS - 1;
    t->everything = all && t->kinds == PV_TRACE_ALL_KINDS;
    memcpy(t->charged, core->clock, sizeof(t->charged));
    t->current = core->sched->current;
    t->number = agent_number(t->current);
    set_limits(t);
    t->loaded = core->current_vcpu;
    mark(core, &t->first);
    t->switches = t->first.switches;
    t->fresh = true;
    t->begin = t->head;
    put(t, t->first.tsc, PV_TRACE_ON, t->number, wanted.personality, wanted.kinds);
    core->tracing = true;
    core->call_limit = 0;
    core->quick_reason = UINT32_MAX;
}

static bool is_wanted(const struct core *core)
{
    return wanted.cores >> core->id & 1 && core->trace->events;
}

/// At the end of the entry to ring 0 in which the settings changed: a recording ends when everything has been recorded.
static void stop(struct core *core)
{
    struct trace *t = core->trace;
    mark(core, &t->last);
    put(t, t->last.tsc, PV_TRACE_OFF, t->number, 0, 0);
    t->stopping = false;
    trace_leave_alone(core);
    if (is_wanted(core)) { // but with other settings
        begin(core);
    }
}

/// On each core: makes it as the settings say now.
static void run_set(struct message *message)
{
    (void)message;
    struct core *core = core_self();
    struct trace *t = core->trace;
    bool same = is_wanted(core) && t->kinds == wanted.kinds && t->personality == wanted.personality;
    if (core->tracing && !same) {
        t->stopping = true;
        t->ring3_limit = 0; // the system call may be the one that brought the settings
    } else if (!core->tracing && is_wanted(core)) {
        begin(core);
    }
}

void trace_set(const struct pv_trace_settings *settings)
{
    wanted = *settings;
    for (uint32_t i = 0; i < core_count; i++) {
        if (cores[i].ready) {
            set_messages[i].run = run_set;
            message_send(&cores[i], &set_messages[i]);
        }
    }
}

/* ---- how time was spent ---- */

/// How long the time was that was charged to a clock on this entry.
static inline uint64_t take_ticks(const struct core *core, struct trace *t, enum core_clock clock)
{
    uint64_t now = core->clock[clock], ticks = now - t->charged[clock];
    t->charged[clock] = now;
    return ticks;
}

static void put_time(const struct core *core, enum pv_trace_kind kind, uint16_t who, uint32_t cause, uint64_t ticks)
{
    struct trace *t = core->trace;
    if (ticks >> 32) {
        put(t, core->stamp, PV_TRACE_LONG, who, 0, (uint32_t)(ticks >> 32));
    }
    put(t, core->stamp, kind, who, cause, (uint32_t)ticks);
}

static void look_and_stop(struct core *core)
{
    look(core);
    if (core->trace->stopping) {
        stop(core);
    }
}

static __attribute__((noinline)) void call_slowly(struct core *core, uint32_t number, uint64_t ticks)
{
    struct trace *t = core->trace;
    if (wants_kind(t, PV_TRACE_CALL) && wants_agent(t, t->number)) {
        put_time(core, PV_TRACE_CALL, t->number, number, ticks);
    }
    look_and_stop(core);
}

void trace_call(struct core *core, uint32_t number)
{
    struct trace *t = core->trace;
    uint64_t ticks = take_ticks(core, t, CLOCK_RING3);
    if (ticks >= t->ring3_limit) {
        call_slowly(core, number, ticks);
        return;
    }
    put(t, core->stamp, PV_TRACE_CALL, t->number, number, (uint32_t)ticks);
    if (core->sched->current != t->current) {
        look(core);
    } else if (core->current_vcpu != t->loaded) {
        note_vmptrld(t, core->current_vcpu);
    }
}

void trace_trapped(struct core *core, bool ring3, uint32_t vector)
{
    struct trace *t = core->trace;
    enum pv_trace_kind kind = ring3 ? PV_TRACE_TRAP : PV_TRACE_IDLE;
    uint16_t who = ring3 ? t->number : PV_TRACE_NOBODY;
    uint64_t ticks = take_ticks(core, t, ring3 ? CLOCK_RING3 : CLOCK_IDLE);
    if (ticks && wants_kind(t, kind) && (!ring3 || wants_agent(t, who))) { // 0: tracing has just begun
        put_time(core, kind, who, vector, ticks);
    }
    look_and_stop(core);
}

static inline bool wants_guest(const struct trace *t, uint64_t ticks, uint16_t vpid)
{
    return ticks < t->guest_limit || (wants_kind(t, PV_TRACE_GUEST) && wants_vpid(t, vpid));
}

bool trace_exit_cpuid(struct vcpu *vcpu, struct core *core)
{
    if (!vcpu_exit_cpuid(vcpu, core)) {
        return false; // trace_exit follows
    }
    struct trace *t = core->trace;
    uint64_t ticks = take_ticks(core, t, CLOCK_GUEST);
    if (wants_guest(t, ticks, vcpu->vpid)) {
        put(t, core->stamp, PV_TRACE_GUEST, vcpu->vpid, EXIT_REASON_CPUID, (uint32_t)ticks);
    }
    return true;
}

/// What became of an exit of the guest that the last agent was inside.
static uint32_t outcome_of(const struct agent *agent)
{
    if (!agent || agent->regs.kind == REGS_GUEST) {
        return PV_TRACE_ABSORBED;
    }
    int64_t result = (int64_t)agent->regs.rax;
    return result < 0 ? PV_TRACE_REFUSED : PV_TRACE_DELIVERED + (uint32_t)result;
}
_Static_assert(PV_RUN_BUDGET + PV_TRACE_DELIVERED == PV_TRACE_BUDGET &&
                   PV_RUN_KICKED + PV_TRACE_DELIVERED == PV_TRACE_KICKED,
               "outcome_of");

static __attribute__((noinline)) enum vcpu_exit_to exit_slowly(struct core *core, uint32_t reason, uint32_t vpid,
                                                               enum vcpu_exit_to to, uint64_t ticks)
{
    struct trace *t = core->trace;
    if (wants_guest(t, ticks, (uint16_t)vpid)) {
        uint32_t outcome = to == EXIT_TO_GUEST ? PV_TRACE_ABSORBED : outcome_of(t->current);
        put(t, core->stamp, PV_TRACE_GUEST | outcome << KIND_BITS, (uint16_t)vpid, reason, (uint32_t)ticks);
    }
    look_and_stop(core);
    return to;
}

/// From guest to guest at the end of a slice, all in one: nothing else has changed, and nothing is to be left out.
static void put_slice(const struct core *core, struct trace *t, uint32_t reason, uint32_t vpid, uint64_t ticks)
{
    const struct sched *s = core->sched;
    struct vcpu *vcpu = core->current_vcpu;
    uint64_t now = cpu_rdtsc(), head = t->head;
    uint16_t last = t->number, next = agent_number_of(s->current);
    set(t, head, core->stamp, PV_TRACE_GUEST, (uint16_t)vpid, reason, (uint32_t)ticks);
    set(t, head + 1, now, PV_TRACE_SWITCH | 1 << KIND_BITS, last, PV_TRACE_LEFT_READY, next);
    set(t, head + 2, now, PV_TRACE_VMPTRLD, vcpu->vpid, 0, 0);
    __atomic_store_n(&t->head, head + 3, __ATOMIC_RELEASE);
    t->switches = s->switches;
    t->current = s->current;
    t->number = next;
    t->loaded = vcpu;
}

/// The VPID and the reason have been taken before the exit was dealt with.
enum vcpu_exit_to trace_exit(struct core *core, uint32_t reason, uint32_t vpid, enum vcpu_exit_to to)
{
    struct trace *t = core->trace;
    uint64_t ticks = take_ticks(core, t, CLOCK_GUEST); // fewer than 2^32: the preemption timer sees to that
    if (to == EXIT_TO_GUEST && t->everything) {
        put_slice(core, t, reason, vpid, ticks);
        return EXIT_TO_GUEST;
    }
    if (to != EXIT_TO_RING3 || !wants_guest(t, ticks, (uint16_t)vpid)) {
        return exit_slowly(core, reason, vpid, to, ticks);
    }
    // Delivered by a short way: nothing else has changed.
    put(t, core->stamp, PV_TRACE_GUEST | PV_TRACE_DELIVERED << KIND_BITS, (uint16_t)vpid, reason, (uint32_t)ticks);
    return EXIT_TO_RING3;
}
