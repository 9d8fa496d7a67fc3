// SPDX-License-Identifier: Apache-2.0
#include "query.h"

#include "personality.h"

enum { MAX_REGIONS = 1024, MAX_TEXT = 65536 };

/// Asks for a list of records; returns how many there are.
static size_t list_all(enum pv_debug which, uint64_t how, void *buffer, size_t record, size_t room)
{
    const int64_t count = pv_debug(which, how, 0, buffer, record * room);
    return count < 0 ? 0 : (size_t)count;
}

/// Asks for a list of records; returns how many stand in the buffer.
static size_t list_records(enum pv_debug which, uint64_t how, void *buffer, size_t record, size_t room)
{
    const size_t count = list_all(which, how, buffer, record, room);
    return count < room ? count : room;
}

/// The same; left_out: how many there are besides.
static size_t list_at_most(enum pv_debug which, void *buffer, size_t record, size_t room, size_t *left_out)
{
    const size_t count = list_all(which, 0, buffer, record, room);
    *left_out = count > room ? count - room : 0;
    return count - *left_out;
}

size_t query_cores(const struct pv_core_info **list)
{
    static struct pv_core_info cores[PV_MAX_CORES];
    *list = cores;
    return list_records(PV_DEBUG_CORES, 0, cores, sizeof(cores[0]), PV_MAX_CORES);
}

static size_t ask_personalities(uint64_t how, const struct pv_personality_info **list)
{
    static struct pv_personality_info personalities[QUERY_MAX_PERSONALITIES];
    *list = personalities;
    return list_records(PV_DEBUG_PERSONALITIES, how, personalities, sizeof(personalities[0]), QUERY_MAX_PERSONALITIES);
}

size_t query_personalities(const struct pv_personality_info **list)
{
    return ask_personalities(0, list);
}

size_t query_personalities_then(const struct pv_personality_info **list)
{
    return ask_personalities(PV_DEBUG_AS_NOTED, list);
}

size_t query_memory(const struct pv_memory_info **list)
{
    static struct pv_memory_info regions[MAX_REGIONS];
    *list = regions;
    return list_records(PV_DEBUG_MEMORY, 0, regions, sizeof(regions[0]), MAX_REGIONS);
}

size_t query_agents(const struct pv_agent_info **list, size_t *left_out)
{
    static struct pv_agent_info agents[QUERY_MAX_AGENTS];
    *list = agents;
    return list_at_most(PV_DEBUG_AGENTS, agents, sizeof(agents[0]), QUERY_MAX_AGENTS, left_out);
}

size_t query_net(const struct pv_net_info **list)
{
    static struct pv_net_info ports[QUERY_MAX_PERSONALITIES];
    *list = ports;
    return list_records(PV_DEBUG_NET, 0, ports, sizeof(ports[0]), QUERY_MAX_PERSONALITIES);
}

size_t query_vcpus(const struct pv_vcpu_info **list, size_t *left_out)
{
    static struct pv_vcpu_info vcpus[QUERY_MAX_VCPUS];
    *list = vcpus;
    return list_at_most(PV_DEBUG_VCPUS, vcpus, sizeof(vcpus[0]), QUERY_MAX_VCPUS, left_out);
}

size_t query_devices(uint32_t personality, const struct pv_device **list)
{
    static struct pv_device devices[PV_MAX_DEVICES];
    *list = devices;
    return list_records(PV_DEBUG_DEVICES, personality, devices, sizeof(devices[0]), PV_MAX_DEVICES);
}

const struct pv_sched_info *query_sched(void)
{
    static struct pv_sched_info sched;
    if (list_records(PV_DEBUG_SCHED, 0, &sched, sizeof(sched), 1) != 1)
        sched = (struct pv_sched_info){0};
    return &sched;
}

const struct pv_machine_info *query_machine(void)
{
    static struct pv_machine_info machine;
    if (list_records(PV_DEBUG_MACHINE, 0, &machine, sizeof(machine), 1) != 1)
        machine = (struct pv_machine_info){0};
    return &machine;
}

const struct pv_core_info *query_core(uint64_t core)
{
    const struct pv_core_info *list;
    const size_t count = query_cores(&list);
    for (size_t i = 0; i < count; i++)
        if (list[i].core == core)
            return &list[i];
    return NULL;
}

const struct pv_personality_info *query_personality(const char *name)
{
    const struct pv_personality_info *list;
    const size_t count = query_personalities(&list);
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0)
            return &list[i];
    return NULL;
}

size_t query_text(enum pv_debug which, uint64_t argument, const char **text)
{
    // One call for everything: a position moves when old text is dropped meanwhile.
    static char buffer[MAX_TEXT];
    *text = buffer;
    const int64_t size = pv_debug(which, 0, argument, buffer, sizeof(buffer));
    return size > 0 ? (size_t)size : 0;
}

int64_t query_msr(uint32_t core, uint32_t msr, uint64_t *value)
{
    *value = 0;
    return pv_debug(PV_DEBUG_MSR, core, msr, value, sizeof(*value));
}

int64_t query_vmcs(const struct pv_vcpu_info *vcpu, uint32_t field, uint64_t *value)
{
    enum { ATTEMPTS = 8 }; // one that is not found may be on its way to another core
    const uint64_t id = PV_VCPU_ID(vcpu->personality, vcpu->vcpu);
    int64_t result = PV_ERR_NOT_FOUND;
    *value = 0;
    for (int i = 0; i < ATTEMPTS && result == PV_ERR_NOT_FOUND; i++)
        result = pv_debug(PV_DEBUG_VMCS, id, field, value, sizeof(*value));
    return result;
}

int64_t query_exits(const struct pv_vcpu_info *vcpu, struct pv_exit_counts *counts)
{
    return pv_debug(PV_DEBUG_EXITS, PV_VCPU_ID(vcpu->personality, vcpu->vcpu), 0, counts, sizeof(*counts));
}

struct pv_cpuid query_cpuid(uint32_t core, uint32_t leaf, uint32_t subleaf)
{
    struct pv_cpuid registers = {0};
    if (pv_debug(PV_DEBUG_CPUID, core, (uint64_t)subleaf << 32 | leaf, &registers, sizeof(registers)) < 0)
        return (struct pv_cpuid){0};
    return registers;
}
