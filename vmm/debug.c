// SPDX-License-Identifier: Apache-2.0
#include "vmm/debug.h"

#include <polyvisor/format.h>
#include <polyvisor/string.h>

#include "arch/x86/apic.h"
#include "arch/x86/core.h"
#include "arch/x86/paging.h"
#include "arch/x86/tsc.h"
#include "vmm/crash.h"
#include "vmm/debug_call.h"
#include "vmm/log.h"
#include "vmm/machine.h"
#include "vmm/personality.h"
#include "vmm/trace.h"
#include "vmm/user.h"
#include "vmm/vcpu.h"
#include "vmm/version.h"

enum { TEXT_CHUNK = 512 };

bool debug_put_record(const struct debug_call *call, uint64_t index, const void *record, uint64_t size)
{
    return (index + 1) * size > call->size || user_write(call->buffer + index * size, record, size);
}

/* ---- lists ---- */

static const char *memory_owner(const struct memmap_region *r)
{
    if (r->owner == MEMMAP_NO_OWNER) {
        return "";
    }
    if (r->kind == PV_MEMORY_MODULE) {
        return r->owner < machine.boot.module_count ? machine.boot.modules[r->owner].name : "configuration";
    }
    return r->owner < personality_count ? personalities[r->owner].config->name : "";
}

static int64_t list_memory(const struct debug_call *call)
{
    for (uint32_t i = 0; i < machine.memory.count; i++) {
        const struct memmap_region *r = &machine.memory.regions[i];
        struct pv_memory_info info = {.base = r->base, .size = r->size, .kind = r->kind};
        pv_strcopy(info.owner, sizeof(info.owner), memory_owner(r));
        if (!debug_put_record(call, i, &info, sizeof(info))) {
            return PV_ERR_FAULT;
        }
    }
    return machine.memory.count;
}

static int64_t list_machine(const struct debug_call *call)
{
    struct pv_machine_info info = {
        .flags =
            (machine.config_broken ? PV_MACHINE_CONFIG_BROKEN : 0) | (crash_built_in() ? PV_MACHINE_DEBUG_BUILD : 0),
        .tsc_hz = tsc_hz(),
        .tsc_entry = machine.tsc_entry,
        .tsc_ready = machine.tsc_ready,
        .loader_ticks = machine.boot.tsc_enter - machine.boot.tsc_start,
        .slice_ticks = machine.slice_ticks,
    };
    for (uint32_t i = 0; i < core_count; i++) {
        info.cores += cores[i].state != PV_CORE_ABSENT;
    }
    pv_strcopy(info.version, sizeof(info.version), version_text);
    pv_strcopy(info.loader, sizeof(info.loader), machine.boot.loader);
    pv_strcopy(info.tsc_source, sizeof(info.tsc_source), tsc_source());
    return debug_put_record(call, 0, &info, sizeof(info)) ? 1 : PV_ERR_FAULT;
}

/* ---- texts ---- */

static int64_t read_console(const struct debug_call *call, struct console *console)
{
    char chunk[TEXT_CHUNK];
    uint64_t position = call->a1, done = 0;
    while (done < call->size) {
        uint64_t want = call->size - done < sizeof(chunk) ? call->size - done : sizeof(chunk);
        size_t got = console_peek(console, &position, chunk, want);
        if (got == 0) {
            break;
        }
        if (!user_write(call->buffer + done, chunk, got)) {
            return PV_ERR_FAULT;
        }
        position += got;
        done += got;
    }
    return (int64_t)done;
}

static int64_t read_log(const struct debug_call *call)
{
    return read_console(call, console_log());
}

static int64_t read_kept_console(const struct debug_call *call)
{
    return call->a2 < personality_count ? read_console(call, &personalities[call->a2].console) : PV_ERR_NOT_FOUND;
}

static int64_t read_config(const struct debug_call *call)
{
    const char *text = call->a2 ? machine.config_errors : machine.config_text;
    uint64_t size = call->a2 ? strlen(machine.config_errors) : machine.config_size;
    if (call->a2 > 1) {
        return PV_ERR_INVALID;
    }
    if (call->a1 >= size) {
        return 0;
    }
    uint64_t bytes = size - call->a1 < call->size ? size - call->a1 : call->size;
    return user_write(call->buffer, text + call->a1, bytes) ? (int64_t)bytes : PV_ERR_FAULT;
}

static int64_t peek(const struct debug_call *call)
{
    for (uint64_t done = 0; done < call->size;) {
        const struct memmap_region *r = memmap_find(&machine.memory, call->a1 + done);
        if (!r || r->kind == PV_MEMORY_MMIO || r->kind == PV_MEMORY_BAD || r->kind == PV_MEMORY_FIRMWARE) {
            return PV_ERR_NOT_FOUND;
        }
        uint64_t there = r->base + r->size - (call->a1 + done);
        uint64_t bytes = call->size - done < there ? call->size - done : there;
        if (!user_write(call->buffer + done, phys_to_virt(call->a1 + done), bytes)) {
            return PV_ERR_FAULT;
        }
        done += bytes;
    }
    return PV_OK;
}

/* ---- on another core ---- */

static int64_t finish_remote(struct remote_call *call)
{
    if (call->result != PV_OK) {
        return call->result;
    }
    return user_write(call->arguments[2], call->data, call->arguments[3]) ? PV_OK : PV_ERR_FAULT;
}

static struct remote_call *remote_of(struct message *message)
{
    return (struct remote_call *)message;
}

static void run_msr(struct message *message)
{
    struct remote_call *call = remote_of(message);
    uint64_t value = 0;
    call->result = msr_read_safe((uint32_t)call->arguments[0], &value) ? PV_OK : PV_ERR_GP;
    memcpy(call->data, &value, sizeof(value));
    sched_unblock(call->agent);
}

static void run_cpuid(struct message *message)
{
    struct remote_call *call = remote_of(message);
    struct cpuid r = cpu_cpuid((uint32_t)call->arguments[0], (uint32_t)(call->arguments[0] >> 32));
    call->result = PV_OK;
    memcpy(call->data, &r, sizeof(r));
    sched_unblock(call->agent);
}

int64_t debug_call_core(const struct debug_call *call, uint64_t core, void (*run)(struct message *), uint64_t bytes)
{
    if (core >= core_count || cores[core].state == PV_CORE_ABSENT) {
        return PV_ERR_NOT_FOUND;
    }
    if (call->size < bytes) {
        return PV_ERR_INVALID;
    }
    struct agent *agent = agent_of(call->regs);
    struct remote_call *remote = &agent->call;
    remote->arguments[0] = call->a2;
    remote->arguments[1] = call->a1;
    remote->arguments[2] = call->buffer;
    remote->arguments[3] = bytes;
    remote->finish = finish_remote;
    remote->message.run = run;
    sched_block(agent);
    message_send(&cores[core], &remote->message);
    return PV_OK;
}

static int64_t read_msr(const struct debug_call *call)
{
    return call->a2 > UINT32_MAX ? PV_ERR_INVALID : debug_call_core(call, call->a1, run_msr, sizeof(uint64_t));
}

static int64_t read_cpuid(const struct debug_call *call)
{
    return debug_call_core(call, call->a1, run_cpuid, sizeof(struct pv_cpuid));
}

/* ---- personalities ---- */

static int64_t finish_kill(struct remote_call *call)
{
    return call->result;
}

static int64_t finish_restart(struct remote_call *call)
{
    struct personality *p = &personalities[call->arguments[0]];
    p->short_lives = 0; // whoever asks has looked at it
    return personality_restart(p) ? PV_OK : PV_ERR_STATE;
}

static int64_t stop_then(const struct debug_call *call, int64_t (*finish)(struct remote_call *))
{
    struct agent *agent = agent_of(call->regs);
    if (call->a1 >= personality_count) {
        return PV_ERR_NOT_FOUND;
    }
    struct personality *p = &personalities[call->a1];
    if (p == agent->personality) {
        return PV_ERR_DENIED;
    }
    agent->call.arguments[0] = call->a1;
    agent->call.finish = finish;
    if (p->state == PV_STATE_RUNNING) {
        lock_take(&p->lock);
        if (!p->why[0]) {
            pv_strcopy(p->why, sizeof(p->why), "killed from the shell");
        }
        lock_drop(&p->lock);
    }
    sched_block(agent);
    if (!personality_stop(p, PV_STATE_KILLED, agent)) { // has ended already, or another agent waits for that
        agent->call.result = PV_ERR_STATE;
        sched_unblock(agent);
    }
    return PV_OK;
}

static int64_t kill(const struct debug_call *call)
{
    return stop_then(call, finish_kill);
}

static int64_t restart(const struct debug_call *call)
{
    return stop_then(call, finish_restart);
}

static int64_t attach(const struct debug_call *call)
{
    if (call->a1 >= personality_count) {
        return PV_ERR_NOT_FOUND;
    }
    console_attach(&personalities[call->a1].console);
    return PV_OK;
}

static int64_t reboot(const struct debug_call *call)
{
    (void)call;
    machine_reboot();
}

static int64_t power_off_machine(const struct debug_call *call)
{
    (void)call;
    machine_power_off();
}

static int64_t crash(const struct debug_call *call)
{
    bool done = crash_now(call->a1); // one that ring 0 survives, or that could not be
    return !crash_built_in() ? PV_ERR_UNSUPPORTED : done ? PV_OK : PV_ERR_NOT_FOUND;
}

static debug_operation *const operations[] = {
    [PV_DEBUG_CORES] = debug_list_cores,
    [PV_DEBUG_PERSONALITIES] = debug_list_personalities,
    [PV_DEBUG_MEMORY] = list_memory,
    [PV_DEBUG_MACHINE] = list_machine,
    [PV_DEBUG_LOG] = read_log,
    [PV_DEBUG_CONFIG] = read_config,
    [PV_DEBUG_CONSOLE] = read_kept_console,
    [PV_DEBUG_PEEK] = peek,
    [PV_DEBUG_MSR] = read_msr,
    [PV_DEBUG_CPUID] = read_cpuid,
    [PV_DEBUG_KILL] = kill,
    [PV_DEBUG_RESTART] = restart,
    [PV_DEBUG_ATTACH] = attach,
    [PV_DEBUG_REBOOT] = reboot,
    [PV_DEBUG_POWEROFF] = power_off_machine,
    [PV_DEBUG_CRASH] = crash,
    [PV_DEBUG_VCPUS] = debug_list_vcpus,
    [PV_DEBUG_VMCS] = debug_read_vmcs,
    [PV_DEBUG_EXITS] = debug_read_exits,
    [PV_DEBUG_SCHED] = debug_list_sched,
    [PV_DEBUG_POLICY] = debug_set_policy,
    [PV_DEBUG_WEIGHT] = debug_set_weight,
    [PV_DEBUG_PAUSE] = debug_pause,
    [PV_DEBUG_RESUME] = debug_resume,
    [PV_DEBUG_PIN] = debug_pin,
    [PV_DEBUG_TRACE] = debug_list_trace,
    [PV_DEBUG_TRACE_SET] = debug_set_trace,
    [PV_DEBUG_TRACE_READ] = debug_read_trace,
    [PV_DEBUG_BASELINE] = debug_baseline,
    [PV_DEBUG_AGENTS] = debug_list_agents,
    [PV_DEBUG_NET] = debug_list_net,
    [PV_DEBUG_LINE] = debug_line,
    [PV_DEBUG_LINE_READ] = debug_read_line,
    [PV_DEBUG_LINE_WRITE] = debug_write_line,
    [PV_DEBUG_WATCH] = debug_watch,
    [PV_DEBUG_ARM] = debug_arm,
    [PV_DEBUG_REGISTERS] = debug_read_registers,
    [PV_DEBUG_SET_REGISTERS] = debug_write_registers,
    [PV_DEBUG_GUEST_READ] = debug_read_guest,
    [PV_DEBUG_GUEST_WRITE] = debug_write_guest,
    [PV_DEBUG_STEP] = debug_step,
    [PV_DEBUG_PASS] = debug_pass,
    [PV_DEBUG_WHY_STOPPED] = debug_why_stopped,
    [PV_DEBUG_DEVICES] = debug_list_devices,
};

int64_t debug_call(struct regs *regs, uint64_t op, uint64_t a1, uint64_t a2, uint64_t buffer, uint64_t size)
{
    struct agent *agent = agent_of(regs);
    if (!agent->personality->config->debug) {
        return PV_ERR_DENIED;
    }
    if (op >= sizeof(operations) / sizeof(operations[0]) || !operations[op]) {
        return PV_ERR_INVALID;
    }
    if (size && !user_range(buffer, size)) {
        return PV_ERR_FAULT;
    }
    struct debug_call call = {regs, a1, a2, buffer, size};
    int64_t result = operations[op](&call);
    if (sched_current() == agent) {
        regs->rax = (uint64_t)result;
    }
    sched_settle();
    trace_settle(core_self()); // tracing may just have begun
    return (int64_t)regs->rax;
}
