// SPDX-License-Identifier: Apache-2.0
// Source: Intel SDM Vol. 3C chapter 30.
#include "virtual_apic.h"

#include <polyvisor/string.h>

#include "devices/lapic_page.h"
#include "machine.h"

enum {
    REGISTERS = PV_APIC_TPR | PV_APIC_REGISTERS,
    DELIVERY = REGISTERS | PV_APIC_INTERRUPTS,
    OFFSET = 0xfff,
    ACCESS_TYPE_SHIFT = 12, ///< of an APIC-access exit's qualification (table 28-6)
    ACCESS_TYPE = 15,
    ACCESS_WRITE = 1, ///< 0 is a read; what is above is no instruction's data
    VMCS_EOI_EXITS = 0x201c,
    VMCS_TPR_THRESHOLD = 0x401c,
    EOI_FIELDS = 4,
};

/// Reads that find in the page what the model would tell. Not the current count, which is a matter of time; priority, services and
/// requests only if it is the processor that changes them.
static const struct {
    uint16_t first, count;
    bool delivered;
} readable[] = {{0x802, 2, false}, {0x808, 1, false}, {0x80a, 1, true},  {0x80d, 1, false},
                {0x80f, 1, false}, {0x810, 8, true},  {0x818, 8, false}, {0x820, 8, true},
                {0x828, 1, false}, {0x830, 1, false}, {0x832, 7, false}, {0x83e, 1, false}};

void virtual_apic_plan(enum options_apic wanted)
{
    machine.apic_features = wanted == OPTIONS_APIC_DELIVERY    ? DELIVERY
                            : wanted == OPTIONS_APIC_REGISTERS ? REGISTERS
                                                               : 0;
}

static int64_t turn_on(struct cpu *cpu, uint32_t features)
{
    struct virtual_apic *v = &cpu->virtual_apic;
    const int64_t result = pv_vcpu_apic(cpu->vcpu.id, features, v->page, machine.apic_access_page);
    if (result < 0)
        return result;
    v->features = features;
    v->changed = true;
    v->threshold = 0;
    memset(v->level, 0, sizeof(v->level));
    if (v->registers != NULL)
        memset(v->registers, 0, PV_PAGE_SIZE); // of before a reset
    return PV_OK;
}

/// Whether the processor has that in both modes of a local APIC.
static int64_t try(struct cpu *cpu, uint32_t features)
{
    const int64_t result = turn_on(cpu, features | PV_APIC_X2APIC);
    return result < 0 ? result : turn_on(cpu, features | PV_APIC_ACCESSES);
}

/// Puts the APIC-access page where local APICs are, at the beginning and again after resets.
static int64_t map_access_page(struct cpu *cpu)
{
    if (machine.apic_page_mapped)
        return PV_OK;
    if (machine.apic_access_page == 0) {
        const uint64_t page = pv_pool_alloc(PV_PAGE_SIZE, PV_PAGE_SIZE);
        if (page == PV_POOL_FULL)
            return PV_ERR_QUOTA;
        machine.apic_access_page = page;
    }
    const int64_t result = pv_space_map(machine.memory.space, LAPIC_ADDRESS, machine.apic_access_page, PV_PAGE_SIZE,
                                        PV_ACCESS_READ | PV_ACCESS_WRITE, PV_MEMORY_WB);
    machine.apic_page_mapped = result >= 0;
    return result < 0 ? result : turn_on(cpu, machine.apic_features | PV_APIC_ACCESSES);
}

/// A processor that is about to use x2APIC mode would find memory at that address, and translations that it makes are the others',
/// too: they would no longer reach their local APICs (SDM Vol. 3C 29.4.4). Without the page their accesses exit and are emulated.
static int64_t unmap_access_page(void)
{
    machine.apic_page_mapped = false;
    return pv_space_unmap(machine.memory.space, LAPIC_ADDRESS, PV_PAGE_SIZE);
}

/// What the processor has of what is wanted; then the APIC-access page is put where local APICs are.
static int64_t look(struct cpu *cpu)
{
    int64_t result = try(cpu, machine.apic_features);
    if (result == PV_ERR_UNSUPPORTED && machine.apic_features == DELIVERY) {
        machine.apic_features = REGISTERS;
        result = try(cpu, REGISTERS);
    }
    if (result == PV_ERR_UNSUPPORTED) {
        machine.apic_features = 0;
        cpu->virtual_apic.features = 0;
        return PV_OK;
    }
    return result < 0 ? result : map_access_page(cpu);
}

int64_t virtual_apic_create(struct cpu *cpu)
{
    struct virtual_apic *v = &cpu->virtual_apic;
    v->features = 0;
    if (machine.apic_features == 0)
        return PV_OK;
    if (v->registers == NULL) {
        v->page = pv_pool_alloc(PV_PAGE_SIZE, PV_PAGE_SIZE);
        if (v->page == PV_POOL_FULL)
            return PV_ERR_QUOTA;
        v->registers = pv_pool_pointer(v->page);
    }
    return cpu->index == 0 ? look(cpu) : PV_OK;
}

static void open_msrs(const struct cpu *cpu)
{
    const uint64_t vcpu = cpu->vcpu.id;
    for (uint32_t i = 0; i < sizeof(readable) / sizeof(readable[0]); i++)
        if (!readable[i].delivered || virtual_apic_delivers(cpu))
            pv_msr_allow(vcpu, readable[i].first, readable[i].count, PV_GRANT_READ);
    pv_msr_allow(vcpu, 0x808, 1, PV_GRANT_READ | PV_GRANT_WRITE);
    pv_msr_allow(vcpu, 0x80b, 1, PV_GRANT_WRITE); // end of interrupt
    pv_msr_allow(vcpu, 0x83f, 1, PV_GRANT_WRITE); // interrupt to itself
}

/// While the local APIC is off, accesses to its memory exit, and nobody answers.
void virtual_apic_choose(struct cpu *cpu)
{
    if (machine.apic_features == 0)
        return;
    const bool x2apic = lapic_is_x2apic(&cpu->lapic);
    const uint32_t wanted = lapic_is_memory(&cpu->lapic) ? machine.apic_features | PV_APIC_ACCESSES
                            : x2apic                     ? machine.apic_features | PV_APIC_X2APIC
                                                         : PV_APIC_ACCESSES;
    if (cpu->virtual_apic.features == wanted)
        return;
    int64_t result = x2apic && machine.apic_page_mapped ? unmap_access_page() : PV_OK;
    result = result < 0 ? result : turn_on(cpu, wanted);
    if (result < 0)
        cpu_fail(cpu, "APIC virtualization: %s", pv_error_name(result));
    else if (x2apic)
        open_msrs(cpu);
}

bool virtual_apic_delivers(const struct cpu *cpu)
{
    return (cpu->virtual_apic.features & PV_APIC_INTERRUPTS) != 0;
}

bool virtual_apic_must_wait(const struct cpu *cpu)
{
    return (cpu->virtual_apic.features & PV_APIC_TPR) != 0 && !pv_can_interrupt(cpu->vcpu.state);
}

void virtual_apic_changed(struct cpu *cpu)
{
    cpu->virtual_apic.changed = true;
}

static void write_fields(struct cpu *cpu, struct pv_vmcs_entry *entries, uint32_t count)
{
    if (pv_vmcs_write(cpu->vcpu.id, entries, count) != count)
        cpu_fail(cpu, "APIC virtualization: a field cannot be written");
}

/// A vector's trigger mode comes with its requests; it seldom changes.
static void update_level(struct cpu *cpu)
{
    struct virtual_apic *v = &cpu->virtual_apic;
    struct pv_vmcs_entry entries[EOI_FIELDS];
    if (memcmp(v->level, cpu->lapic.level, sizeof(v->level)) == 0)
        return;
    memcpy(v->level, cpu->lapic.level, sizeof(v->level));
    for (uint32_t i = 0; i < EOI_FIELDS; i++)
        entries[i] = (struct pv_vmcs_entry){.field = VMCS_EOI_EXITS + 2 * i,
                                            .value = v->level[2 * i] | (uint64_t)v->level[2 * i + 1] << 32};
    if (virtual_apic_delivers(cpu))
        write_fields(cpu, entries, EOI_FIELDS);
    lapic_page_level(&cpu->lapic, v->registers);
}

/// Without delivery: the guest is to exit when its task priority lets a request through.
static void update_threshold(struct cpu *cpu, uint32_t threshold)
{
    struct pv_vmcs_entry entry = {.field = VMCS_TPR_THRESHOLD, .value = threshold};
    if (cpu->virtual_apic.threshold != threshold)
        write_fields(cpu, &entry, 1);
    cpu->virtual_apic.threshold = threshold;
}

void virtual_apic_enter(struct cpu *cpu)
{
    struct virtual_apic *v = &cpu->virtual_apic;
    struct pv_vcpu_state *state = cpu->vcpu.state;
    if ((v->features & PV_APIC_TPR) == 0)
        return;
    update_level(cpu);
    if (v->changed)
        lapic_page_registers(&cpu->lapic, v->registers);
    v->changed = false;
    if (virtual_apic_delivers(cpu)) {
        state->apic_status = lapic_page_enter(&cpu->lapic, v->registers);
        state->dirty |= PV_GROUP_APIC;
    } else {
        update_threshold(cpu, lapic_page_show(&cpu->lapic, v->registers));
    }
}

void virtual_apic_leave(struct cpu *cpu)
{
    if (virtual_apic_delivers(cpu))
        device_lapic(cpu->index)->interrupts += lapic_page_leave(&cpu->lapic, cpu->virtual_apic.registers);
    else if ((cpu->virtual_apic.features & PV_APIC_TPR) != 0)
        lapic_page_writes(&cpu->lapic, cpu->virtual_apic.registers);
}

/// An access that the processor does not virtualize: of another width, to the current count, to what is no register; and any while
/// the local APIC is off.
static void handle_access(struct cpu *cpu)
{
    const uint64_t qualification = cpu->vcpu.state->exit_qualification;
    if ((qualification >> ACCESS_TYPE_SHIFT & ACCESS_TYPE) > ACCESS_WRITE)
        cpu_fail(cpu, "the local APIC is used as code or as a stack, qualification %#lx", qualification);
    else
        cpu_handle_access(cpu, LAPIC_ADDRESS + (qualification & OFFSET));
}

void virtual_apic_handle_exit(struct cpu *cpu, uint32_t reason)
{
    const uint64_t qualification = cpu->vcpu.state->exit_qualification;
    struct virtual_apic *v = &cpu->virtual_apic;
    if (reason == PV_EXIT_APIC_WRITE) { // the instruction is complete, as with EOI-induced exits
        const uint32_t offset = (uint32_t)qualification & OFFSET;
        v->changed |= !lapic_page_written(&cpu->lapic, v->registers, offset, pv_tsc());
    } else if (reason == PV_EXIT_VIRTUALIZED_EOI) {
        lapic_page_ended(&cpu->lapic, (uint8_t)qualification);
    } else if (reason == PV_EXIT_APIC_ACCESS) {
        handle_access(cpu);
        v->changed = true;
    } // below the threshold: another interrupt may be offered now
}
