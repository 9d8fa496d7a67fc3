// SPDX-License-Identifier: Apache-2.0
#include "vmm/personality.h"

#include <polyvisor/format.h>
#include <polyvisor/string.h>

#include "arch/x86/core.h"
#include "arch/x86/layout.h"
#include "arch/x86/paging.h"
#include "arch/x86/trap.h"
#include "arch/x86/tsc.h"
#include "vmm/device_table.h"
#include "vmm/load.h"
#include "vmm/log.h"
#include "vmm/machine.h"
#include "vmm/net.h"
#include "vmm/panic.h"
#include "vmm/vcpu.h"

enum {
    MONITOR_MAX_FAILURES = 5, // within a second each: then something is wrong that a restart does not mend
    SHORT_LIVES_MAX = 5,      // of a personality with `on_exit restart`, likewise
    SHORT_LIFE_SECONDS = 10,
};

struct personality personalities[CONFIG_MAX_PERSONALITIES];
uint32_t personality_count;

static uint32_t monitor_failures;

/// Memory from the map at boot, or a panic that names the personality: config_check has found that there is enough.
static uint64_t boot_memory(const struct personality *p, uint64_t size, uint64_t align, uint32_t kind)
{
    uint64_t base = memmap_alloc(&machine.memory, size, align, 0, PHYSMAP_SIZE, kind, p->id);
    return base ? base : memmap_alloc(&machine.memory, size, PAGE_SIZE, 0, PHYSMAP_SIZE, kind, p->id);
}

static void *boot_kernel_memory(uint64_t size)
{
    uint64_t base =
        memmap_alloc(&machine.memory, size, PAGE_SIZE, 0, PHYSMAP_SIZE, PV_MEMORY_MULTIPLEXER, MEMMAP_NO_OWNER);
    if (!base) {
        panic("no memory for the personalities' tables");
    }
    memset(phys_to_virt(base), 0, size);
    return phys_to_virt(base);
}

static bool core_runs(uint32_t core)
{
    return core < core_count && cores[core].state != PV_CORE_ABSENT;
}

static void create_agents(struct personality *p)
{
    for (uint32_t c = 0; c < core_count; c++) {
        if (core_runs(c) && (p->config->cores >> c & 1)) {
            p->cores |= UINT64_C(1) << c;
            p->agent_count++;
        }
    }
    p->agents = boot_kernel_memory(p->agent_count * sizeof(struct agent));
    uint32_t i = 0;
    for (uint32_t c = 0; c < core_count; c++) {
        if (p->cores >> c & 1) {
            p->agents[i] = (struct agent){.personality = p, .index = i};
            sched_init_agent(&p->agents[i], &cores[c]);
            level1_entity_init(&p->agents[i].entity, p->config->weight);
            i++;
        }
    }
}

/// Its pool and its quota. False: no contiguous memory for one of them.
static bool create_memory(struct personality *p)
{
    const struct config_personality *config = p->config;
    p->memory_size = config->memory;
    p->memory = boot_memory(p, config->memory, PAGE_SIZE_2M, PV_MEMORY_POOL);
    uint64_t size = config_quota(config);
    uint64_t quota = p->memory ? boot_memory(p, size, PAGE_SIZE, PV_MEMORY_QUOTA) : 0;
    if (!quota) {
        pv_snprintf(p->why, sizeof(p->why), "there is no contiguous piece of %lu KiB of memory for it",
                    (p->memory ? size : config->memory) >> 10);
        return false;
    }
    quota_init(&p->quota, quota, size, phys_to_virt(quota));
    return true;
}

/// False: it has no memory, and will not be started.
static bool create(uint32_t id)
{
    struct personality *p = &personalities[id];
    *p = (struct personality){.id = id,
                              .config = &machine.config.personalities[id],
                              .state = PV_STATE_REFUSED,
                              .weight = machine.config.personalities[id].weight};
    bool created = create_memory(p);
    if (!created && p->config->debug) {
        return false; // the caller has to find another one
    }
    create_agents(p);
    console_add(&p->console, p, p->config->name, boot_kernel_memory(PV_CONSOLE_SIZE));
    if (!created) {
        log_line("%s: not started: %s", p->config->name, p->why);
    }
    return created;
}

static uint32_t monitor_id(void)
{
    uint32_t id = 0;
    while (!machine.config.personalities[id].debug) { // machine_configure has seen to it that there is one
        id++;
    }
    return id;
}

/// The monitor gets its memory first, whatever the others want; when what the configuration gives it cannot be had, the
/// built-in configuration is used.
static void create_monitor(void)
{
    uint32_t id = monitor_id();
    if (!create(id)) {
        machine_use_built_in(personalities[id].config->name, personalities[id].why);
        id = monitor_id();
        if (!create(id)) {
            panic("no memory for the monitor: %s", personalities[id].why);
        }
    }
    console_set_home(&personalities[id].console);
}

void personality_create_all(void)
{
    create_monitor();
    uint32_t monitor = monitor_id();
    for (uint32_t i = 0; i < machine.config.personality_count; i++) {
        if (i != monitor) {
            create(i);
        }
    }
    personality_count = machine.config.personality_count;
    net_create_all(boot_kernel_memory);
    for (uint32_t i = 0; i < personality_count; i++) {
        if (personalities[i].quota.size) {
            personality_start(&personalities[i]);
        }
    }
}

static void request_all(struct personality *p, uint32_t requests)
{
    for (uint32_t i = 0; i < p->agent_count; i++) {
        sched_request(&p->agents[i], requests);
    }
}

bool personality_start(struct personality *p)
{
    if (!load_personality(p)) {
        p->state = PV_STATE_REFUSED;
        log_line("%s: not started: %s", p->config->name, p->why);
        if (p->config->debug) {
            panic("the monitor cannot be started: %s", p->why);
        }
        return false;
    }
    p->exit_code = 0;
    p->paused = false;
    p->only = NULL;
    p->started = cpu_rdtsc();
    memset(&p->registers, 0, sizeof(p->registers));
    net_start(p);
    // All are asked before anybody can ask them to stop: personality_stop waits for the lock.
    lock_take(&p->lock);
    p->state = PV_STATE_RUNNING;
    device_table_forget(p);
    for (uint32_t i = 0; i < p->agent_count; i++) {
        p->agents[i].events = 0;
        p->agents[i].run_mask = 0;
    }
    request_all(p, REQUEST_START);
    lock_drop(&p->lock);
    return true;
}

bool personality_restart(struct personality *p)
{
    lock_take(&p->lock);
    bool ended = p->state == PV_STATE_EXITED || p->state == PV_STATE_FAULTED || p->state == PV_STATE_KILLED ||
                 p->state == PV_STATE_REFUSED;
    if (ended) {
        p->state = PV_STATE_STOPPING; // nobody else starts or stops it while it is loaded
        p->restarts++;
    }
    lock_drop(&p->lock);
    return ended && personality_start(p);
}

/// It has ended by itself. Whether another life is worth a try: one that dies at once again and again would have the core
/// load it for ever. Under its lock.
static bool worth_restart(struct personality *p)
{
    bool was_short = cpu_rdtsc() - p->started < SHORT_LIFE_SECONDS * tsc_hz();
    p->short_lives = was_short ? p->short_lives + 1 : 0;
    if (p->short_lives < SHORT_LIVES_MAX) {
        return true;
    }
    size_t used = strlen(p->why);
    pv_snprintf(p->why + used, sizeof(p->why) - used, "; parked: its last %u lives were shorter than %u s",
                (unsigned)SHORT_LIVES_MAX, (unsigned)SHORT_LIFE_SECONDS);
    return false;
}

/// What follows an end, when the configuration says `on_exit restart`.
static void start_again(struct personality *p, bool worth)
{
    if (!worth) {
        log_line("%s: parked, not started again: its last %u lives were shorter than %u s", p->config->name,
                 (unsigned)SHORT_LIVES_MAX, (unsigned)SHORT_LIFE_SECONDS);
    } else if (personality_restart(p)) {
        log_line("%s: started again", p->config->name);
    }
}

/// The last agent has stopped: no core uses the address space any more.
static void finish(struct personality *p)
{
    lock_take(&p->lock);
    vcpu_forget_all(p);
    quota_reset(&p->quota);
    net_stop(p);
    struct agent *waiter = p->stop_waiter;
    p->stop_waiter = NULL;
    // Somebody in the shell who waits for the end decides what follows.
    bool again = p->config->restart && p->next_state != PV_STATE_KILLED && !waiter && !p->config->debug;
    bool worth = again && worth_restart(p);
    p->state = p->next_state;
    struct personality *debugger = p->debugger;
    p->debugger = NULL;
    lock_drop(&p->lock);
    if (debugger) {
        personality_signal(debugger, PV_EVENT_DEBUGGER);
    }
    if (again) {
        start_again(p, worth);
    }
    if (waiter) {
        waiter->call.result = PV_OK;
        sched_unblock(waiter);
    }
    if (p->config->debug) { // there is always a shell
        monitor_failures = cpu_rdtsc() - p->started < tsc_hz() ? monitor_failures + 1 : 1;
        if (monitor_failures > MONITOR_MAX_FAILURES) {
            panic("the monitor keeps failing: %s", p->why);
        }
        personality_restart(p);
    }
}

void personality_agent_stopped(struct agent *agent)
{
    struct personality *p = agent->personality;
    sched_stop(agent);
    vcpu_release(agent);
    struct core *core = core_self();
    if (core->loaded_root == p->root) {
        core_load_root(core, paging_kernel_root());
    }
    if (__atomic_sub_fetch(&p->remaining, 1, __ATOMIC_ACQ_REL) == 0) {
        finish(p);
    }
}

bool personality_stop(struct personality *p, enum pv_personality_state state, struct agent *waiter)
{
    lock_take(&p->lock);
    bool runs = p->state == PV_STATE_RUNNING;
    if (runs) {
        p->state = PV_STATE_STOPPING;
        p->next_state = state;
        p->remaining = p->agent_count;
    }
    bool keep = waiter && (runs || (p->state == PV_STATE_STOPPING && p->remaining && !p->stop_waiter));
    if (keep) {
        p->stop_waiter = waiter;
    }
    lock_drop(&p->lock);
    if (runs) {
        request_all(p, REQUEST_STOP);
    }
    return waiter ? keep : runs;
}

static void keep_registers(struct personality *p, const struct agent *agent)
{
    const struct regs *r = &agent->regs;
    p->registers = (struct pv_registers){
        .rax = r->rax,
        .rbx = r->rbx,
        .rcx = r->rcx,
        .rdx = r->rdx,
        .rsi = r->rsi,
        .rdi = r->rdi,
        .rbp = r->rbp,
        .rsp = r->rsp,
        .r8 = r->r8,
        .r9 = r->r9,
        .r10 = r->r10,
        .r11 = r->r11,
        .r12 = r->r12,
        .r13 = r->r13,
        .r14 = r->r14,
        .r15 = r->r15,
        .rip = r->rip,
        .rflags = r->rflags,
        .core = agent->core->id,
    };
}

void personality_fault(struct agent *agent, uint64_t vector, uint64_t error_code, uint64_t address, const char *what)
{
    struct personality *p = agent->personality;
    lock_take(&p->lock);
    bool first = p->state == PV_STATE_RUNNING && !p->why[0];
    if (first) {
        keep_registers(p, agent);
        p->registers.vector = vector;
        p->registers.error_code = error_code;
        p->registers.fault_address = address;
        pv_snprintf(p->why, sizeof(p->why), "%s at rip 0x%lx on core %u", what, agent->regs.rip, agent->core->id);
    }
    lock_drop(&p->lock);
    if (first) {
        log_line("%s: stopped: %s", p->config->name, p->why);
    }
    personality_stop(p, PV_STATE_FAULTED, NULL);
}

void personality_signal(struct personality *p, uint32_t events)
{
    if (p->state == PV_STATE_RUNNING && p->agent_count) {
        sched_signal(&p->agents[0], events);
    }
}

static bool set_paused(struct personality *p, bool paused, struct agent *only)
{
    lock_take(&p->lock);
    bool runs = p->state == PV_STATE_RUNNING;
    if (runs) {
        p->paused = paused;
        p->only = only;
    }
    for (uint32_t i = 0; runs && (only || !paused) && i < PV_MAX_VCPUS; i++) {
        if (p->vcpus[i]) {
            p->vcpus[i]->stop = PV_STOP_NONE;
        }
    }
    lock_drop(&p->lock);
    if (runs) {
        request_all(p, REQUEST_SETTINGS);
    }
    return runs;
}

bool personality_pause(struct personality *p, bool paused)
{
    return set_paused(p, paused, NULL);
}

bool personality_resume(struct personality *p, struct agent *only)
{
    return set_paused(p, only != NULL, only);
}

void personality_set_weight(struct personality *p, uint32_t weight)
{
    p->weight = weight;
    request_all(p, REQUEST_SETTINGS);
}

/* ---- where it runs ---- */

static bool uses_vmx(const struct personality *p)
{
    for (uint32_t i = 0; i < p->agent_count; i++) {
        if (p->agents[i].core->state == PV_CORE_VMX) {
            return true;
        }
    }
    return false;
}

/// The cores of a mask. An enum pv_error: one does not run, or has no VMX while the personality has; or there are none.
static int64_t find_targets(const struct personality *p, uint64_t mask, struct core **targets, uint32_t *count)
{
    *count = 0;
    for (uint32_t c = 0; c < PV_MAX_CORES; c++) {
        if (!(mask >> c & 1)) {
            continue;
        }
        if (!core_runs(c)) {
            return PV_ERR_NOT_FOUND;
        }
        if (cores[c].state != PV_CORE_VMX && uses_vmx(p)) {
            return PV_ERR_UNSUPPORTED;
        }
        targets[(*count)++] = &cores[c];
    }
    return *count && p->agent_count ? PV_OK : PV_ERR_INVALID;
}

void personality_agent_moved(struct agent *agent)
{
    struct personality *p = agent->personality;
    if (__atomic_sub_fetch(&p->moving, 1, __ATOMIC_ACQ_REL) == 0) {
        struct agent *waiter = p->move_waiter;
        __atomic_store_n(&p->move_waiter, NULL, __ATOMIC_RELEASE);
        sched_unblock(waiter);
    }
}

int64_t personality_pin(struct personality *p, uint64_t mask, struct agent *waiter)
{
    struct core *targets[PV_MAX_CORES];
    uint32_t count;
    int64_t result = find_targets(p, mask, targets, &count);
    if (result != PV_OK) {
        return result;
    }
    lock_take(&p->lock);
    bool first = !__atomic_load_n(&p->move_waiter, __ATOMIC_ACQUIRE);
    if (first) {
        p->move_waiter = waiter;
        p->moving = p->agent_count;
        p->cores = 0;
        for (uint32_t i = 0; i < p->agent_count; i++) {
            struct core *target = targets[i % count];
            p->cores |= UINT64_C(1) << target->id;
            p->agents[i].target = target;
            if (p->info) {
                p->info->cores[i] = target->id;
            }
        }
    }
    lock_drop(&p->lock);
    if (!first) {
        return PV_ERR_STATE; // somebody else is at it
    }
    waiter->call.finish = NULL;
    waiter->call.result = PV_OK;
    sched_block(waiter);
    request_all(p, REQUEST_MOVE);
    return PV_OK;
}

void personality_keep_counts(struct personality *p, const struct vcpu *vcpu)
{
    for (uint32_t i = 0; i < EXIT_REASONS; i++) {
        p->exits_absorbed += vcpu->absorbed[i];
        p->exits_delivered += vcpu->delivered[i];
    }
}

struct console *personality_console(struct personality *p)
{
    return &p->console;
}

enum pv_personality_state personality_state(const struct personality *p)
{
    if (p->state == PV_STATE_RUNNING && p->paused) {
        return PV_STATE_PAUSED;
    }
    bool waiting = p->state == PV_STATE_RUNNING;
    for (uint32_t i = 0; waiting && i < p->agent_count; i++) {
        waiting = p->agents[i].state == AGENT_WAITING;
    }
    return waiting ? PV_STATE_WAITING : p->state;
}
