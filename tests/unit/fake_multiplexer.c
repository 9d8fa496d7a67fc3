// SPDX-License-Identifier: Apache-2.0
#include "fake_multiplexer.h"

#include <assert.h>
#include <string.h>

#include "arch/x86/vmx/vmcs_fields.h"
#include "personality.h"

enum { READ_AT_MOST = 3, MEMORY_BASE = 0x1000 };

struct fake fake;

static bool is_marker(char c)
{
    return c == PAUSE[0] || c == REDRAW[0] || c == SECOND[0];
}

static int64_t read_input(char *buffer, size_t size)
{
    size_t got = 0;
    while (got < size && got < READ_AT_MOST && *fake.typed != '\0' && !is_marker(*fake.typed))
        buffer[got++] = *fake.typed++;
    return (int64_t)got;
}

/// Time is a number, which goes on by waiting, and a little by looking at it.
static uint64_t now;

uint64_t pv_tsc(void)
{
    return now += 1000;
}

static int64_t pass_deadline(uint64_t deadline)
{
    now = deadline > now ? deadline : now;
    if (fake.second != NULL)
        fake.second();
    return PV_ERR_TIMEOUT;
}

static int64_t wait_for_event(uint64_t mask, uint64_t deadline)
{
    while (deadline != 0 && *fake.typed == PAUSE[0])
        fake.typed++;
    if (mask == 0 && deadline != PV_NO_DEADLINE)
        return pass_deadline(deadline);
    if (*fake.typed == REDRAW[0] && mask & PV_EVENT_CONSOLE_REDRAW) {
        fake.typed++;
        return PV_EVENT_CONSOLE_REDRAW;
    }
    if (deadline == 0)
        return PV_ERR_TIMEOUT;
    if (*fake.typed == SECOND[0] && deadline != PV_NO_DEADLINE) {
        fake.typed++;
        return pass_deadline(deadline);
    }
    if (*fake.typed == '\0' || is_marker(*fake.typed) || !(mask & PV_EVENT_CONSOLE_INPUT))
        return PV_ERR_STATE; // nothing will ever come: the program ends here
    return PV_EVENT_CONSOLE_INPUT;
}

static int64_t list(void *buffer, size_t bytes, const void *records, size_t record, size_t count)
{
    const size_t room = bytes / record;
    memcpy(buffer, records, record * (count < room ? count : room));
    return (int64_t)count;
}

static int64_t copy_text(char *buffer, size_t bytes, const char *text, uint64_t position)
{
    const size_t size = strlen(text);
    if (position >= size)
        return 0;
    const size_t copied = size - position < bytes ? size - position : bytes;
    memcpy(buffer, text + position, copied);
    return (int64_t)copied;
}

static int64_t read_msr(uint64_t core, uint64_t number, void *value)
{
    if (core >= fake.core_count)
        return PV_ERR_INVALID;
    for (size_t i = 0; i < fake.msr_count; i++)
        if (fake.msrs[i].number == number) {
            memcpy(value, &fake.msrs[i].value, sizeof(fake.msrs[i].value));
            return 0;
        }
    return PV_ERR_GP;
}

static int64_t read_cpuid(uint64_t leaf, struct pv_cpuid *out)
{
    memset(out, 0, sizeof(*out));
    if (leaf == 0)
        *out = (struct pv_cpuid){7, 0x756e6547, 0x6c65746e, 0x49656e69};
    else if (leaf == 1)
        *out = (struct pv_cpuid){0x50654, 0, 1u << 5, 0};
    else if (leaf == 0x80000000)
        out->eax = 0x80000008;
    else if (leaf == 0x80000002)
        memcpy(out, "  Fake Processor", sizeof(*out));
    else if (leaf == 0x80000008)
        out->eax = 0x3028;
    return 0;
}

static int64_t peek(uint64_t address, void *buffer, size_t bytes)
{
    if (address < MEMORY_BASE || address + bytes > MEMORY_BASE + FAKE_MEMORY)
        return PV_ERR_NOT_FOUND;
    memcpy(buffer, fake.memory + (address - MEMORY_BASE), bytes);
    return (int64_t)bytes;
}

/// The index of a vcpu, or FAKE_VCPUS.
static size_t find_vcpu(uint64_t id)
{
    size_t i = 0;
    while (i < fake.vcpu_count && PV_VCPU_ID(fake.vcpus[i].personality, fake.vcpus[i].vcpu) != id)
        i++;
    return i < fake.vcpu_count ? i : FAKE_VCPUS;
}

static int64_t read_vmcs(uint64_t id, uint64_t encoding, void *value)
{
    if (find_vcpu(id) == FAKE_VCPUS)
        return PV_ERR_NOT_FOUND;
    if (fake.vmcs_moves > 0) {
        fake.vmcs_moves--;
        return PV_ERR_NOT_FOUND;
    }
    uint64_t found = encoding == VMCS_VM_INSTRUCTION_ERROR ? fake.instruction_error : 0;
    for (size_t i = 0; i < fake.field_count; i++) {
        if (fake.fields[i].encoding != encoding)
            continue;
        if (fake.fields[i].lacking) {
            fake.instruction_error = 12; // as the processor does: unsupported VMCS component
            return PV_ERR_GP;
        }
        found = fake.fields[i].value;
    }
    memcpy(value, &found, sizeof(found));
    return 0;
}

static int64_t read_exits(uint64_t id, void *counts)
{
    const size_t index = find_vcpu(id);
    if (index == FAKE_VCPUS)
        return PV_ERR_NOT_FOUND;
    memcpy(counts, &fake.exits[index], sizeof(fake.exits[index]));
    return 0;
}

static int64_t set_trace(const void *buffer, size_t bytes)
{
    assert(bytes == sizeof(fake.trace_settings));
    memcpy(&fake.trace_settings, buffer, bytes);
    for (size_t i = 0; i < fake.core_count && fake.control_result == PV_OK; i++) {
        struct pv_trace_core *core = &fake.trace[i];
        const bool on = fake.trace_settings.cores >> i & 1;
        if (fake.trace_stuck >> i & 1)
            continue;
        core->first.tsc = on && !core->on ? pv_tsc() : core->first.tsc;
        core->last.tsc = !on && core->on ? pv_tsc() : core->last.tsc;
        core->on = on;
        core->kinds = fake.trace_settings.kinds;
        core->personality = fake.trace_settings.personality;
    }
    return fake.control_result;
}

static int64_t read_trace(uint64_t core, uint64_t first, struct pv_trace_batch *batch)
{
    const uint64_t end = fake.trace[0].recorded, oldest = end > FAKE_EVENTS ? end - FAKE_EVENTS : 0;
    if (core != 0)
        return 0;
    memset(batch, 0, sizeof(*batch));
    first = first > oldest ? first : oldest;
    const size_t count = end - first < PV_TRACE_BATCH ? (size_t)(end - first) : PV_TRACE_BATCH;
    for (size_t i = 0; i < count; i++)
        batch->events[i] = fake.events[(first + i) % FAKE_EVENTS];
    // As if the core had overwritten the first of them meanwhile, when there is one more.
    batch->skipped = count > 1 && first == oldest && oldest > 0;
    batch->first = first + batch->skipped;
    return (int64_t)(count - batch->skipped);
}

static int64_t debug(uint64_t operation, uint64_t a, uint64_t b, void *buffer, size_t bytes)
{
    switch (operation) {
    case PV_DEBUG_CORES:
        return list(buffer, bytes, fake.cores, sizeof(fake.cores[0]), fake.core_count);
    case PV_DEBUG_PERSONALITIES:
        return list(buffer, bytes, fake.personalities, sizeof(fake.personalities[0]), fake.personality_count);
    case PV_DEBUG_MEMORY:
        return list(buffer, bytes, fake.regions, sizeof(fake.regions[0]), fake.region_count);
    case PV_DEBUG_MACHINE:
        return list(buffer, bytes, &fake.machine, sizeof(fake.machine), 1);
    case PV_DEBUG_LOG:
        return copy_text(buffer, bytes, fake.log, a);
    case PV_DEBUG_CONFIG:
        return copy_text(buffer, bytes, b == 0 ? fake.config : fake.config_errors, a);
    case PV_DEBUG_CONSOLE:
        return copy_text(buffer, bytes, fake.console, a);
    case PV_DEBUG_PEEK:
        return peek(a, buffer, bytes);
    case PV_DEBUG_MSR:
        return read_msr(a, b, buffer);
    case PV_DEBUG_CPUID:
        return read_cpuid(b, buffer);
    case PV_DEBUG_AGENTS:
        return list(buffer, bytes, fake.agents, sizeof(fake.agents[0]), fake.agent_count);
    case PV_DEBUG_NET:
        return list(buffer, bytes, fake.ports, sizeof(fake.ports[0]), fake.port_count);
    case PV_DEBUG_DEVICES:
        return list(buffer, bytes, fake.devices, sizeof(fake.devices[0]), a == 3 ? fake.device_count : 0);
    case PV_DEBUG_VCPUS:
        return list(buffer, bytes, fake.vcpus, sizeof(fake.vcpus[0]), fake.vcpu_count);
    case PV_DEBUG_VMCS:
        return read_vmcs(a, b, buffer);
    case PV_DEBUG_EXITS:
        return read_exits(a, buffer);
    case PV_DEBUG_TRACE:
        return list(buffer, bytes, fake.trace, sizeof(fake.trace[0]), fake.core_count);
    case PV_DEBUG_TRACE_SET:
        return set_trace(buffer, bytes);
    case PV_DEBUG_TRACE_READ:
        assert(bytes == sizeof(struct pv_trace_batch));
        return read_trace(a, b, buffer);
    case PV_DEBUG_SCHED:
        return list(buffer, bytes, &fake.sched, sizeof(fake.sched), 1);
    default:
        fake.last_operation = operation;
        fake.last_argument = a;
        fake.last_value = b;
        return operation == PV_DEBUG_CRASH ? PV_ERR_UNSUPPORTED : fake.control_result;
    }
}

int64_t pv_syscall(uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
    switch (number) {
    case PV_SYS_CONSOLE_WRITE:
        assert(fake.output_size + a1 < FAKE_OUTPUT);
        memcpy(fake.output + fake.output_size, (const char *)a0, a1);
        fake.output_size += a1;
        fake.output[fake.output_size] = '\0';
        return (int64_t)a1;
    case PV_SYS_CONSOLE_READ:
        return read_input((char *)a0, a1);
    case PV_SYS_EVENT_WAIT:
        return wait_for_event(a0, a1);
    case PV_SYS_DEBUG:
        return debug(a0, a1, a2, (void *)a3, a4);
    default:
        return PV_ERR_NO_SYSCALL;
    }
}

static void add_personality(uint32_t id, const char *name, uint32_t state, const char *why)
{
    struct pv_personality_info *p = &fake.personalities[fake.personality_count++];
    *p = (struct pv_personality_info){.id = id, .state = state, .cores = 3, .weight = 100, .pool = 1 << 24};
    strcpy(p->name, name);
    strcpy(p->image, "image.elf");
    strcpy(p->why, why);
}

static void add_vcpu(uint32_t number, uint32_t core)
{
    struct pv_vcpu_info *v = &fake.vcpus[fake.vcpu_count++];
    *v = (struct pv_vcpu_info){.personality = 3, .vcpu = number, .core = core, .vpid = 257 + number, .rip = 0x1000};
    strcpy(v->name, "tiny");
}

void fake_reset(void)
{
    memset(&fake, 0, sizeof(fake));
    fake.info =
        (struct pv_info){.magic = PV_INFO_MAGIC, .abi_version = PV_ABI_VERSION, .agent_count = 2, .cores = {0, 1}};
    fake.info.tsc_hz = 1000000000;
    fake.sched = (struct pv_sched_info){.slice_us = 999, .slice_ticks = 999999};
    fake.machine = (struct pv_machine_info){.cores = 2, .tsc_hz = 1000000000, .version = "1.0-test", .loader = "none"};
    fake.core_count = 2;
    for (uint32_t i = 0; i < fake.core_count; i++)
        fake.cores[i] =
            (struct pv_core_info){.core = i, .apic = 2 * i, .state = PV_CORE_VMX, .vmxon = 1, .ticks_total = 1000};
    for (uint32_t i = 0; i < fake.core_count; i++)
        fake.trace[i] = (struct pv_trace_core){.core = i, .capacity = FAKE_EVENTS};
    fake.cores[0].flags = PV_CORE_BSP;
    add_personality(0, "monitor", PV_STATE_RUNNING, "");
    add_personality(1, "broken", PV_STATE_FAULTED, "#PF at 0x401000, reading 0x10");
    fake.personalities[1].registers =
        (struct pv_registers){.rip = 0x401000, .vector = 14, .error_code = 4, .fault_address = 0x10};
    add_personality(2, "done", PV_STATE_EXITED, "exit code -7");
    fake.personalities[2].exit_code = -7;
    add_personality(3, "tiny", PV_STATE_RUNNING, "");
    fake.personalities[3].vcpus = 2;
    add_vcpu(0, 0);
    add_vcpu(3, 1);
    fake.regions[0] = (struct pv_memory_info){.size = 0x9f000, .kind = PV_MEMORY_FREE};
    fake.regions[1] =
        (struct pv_memory_info){.base = 0x100000, .size = 1 << 24, .kind = PV_MEMORY_POOL, .owner = "monitor"};
    fake.region_count = 2;
    for (unsigned i = 0; i < FAKE_MEMORY; i++)
        fake.memory[i] = (uint8_t)i;
    fake.log = "[0.1] one\n[0.2] two \"quoted\"\n[0.3] three\n";
    fake.config = "slice 1ms\npersonality monitor { }\n";
    fake.config_errors = "";
    fake.console = "kept\toutput\x80\n";
    fake.typed = "";
}
