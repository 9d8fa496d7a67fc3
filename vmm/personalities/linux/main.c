// SPDX-License-Identifier: Apache-2.0
/*
 * linux: runs an unmodified Linux kernel on a virtual PC. Modules: kernel (a bzImage), initrd (optional); the arguments are the
 * kernel's command line; each agent is a processor. docs/linux.md tells more.
 */
#include "machine.h"

/// The boot protocol's 64-bit entry: paging with the low memory mapped to itself, flat segments with the kernel's own selectors,
/// RSI points to the boot parameters (boot.rst, "64-bit Boot Protocol").
static bool enter_kernel(const struct cpu *cpu)
{
    enum { BOOT_CS = 0x10, BOOT_DS = 0x18, GDT_IN_TABLES = PV_TABLES64_SIZE - PV_PAGE_SIZE };
    struct pv_vcpu_state *state = cpu->vcpu.state;
    if (!pv_start_long(state, &machine.memory, LAYOUT_TABLES, machine.layout.kernel + BZIMAGE_ENTRY_64, LAYOUT_PARAMS))
        return false;
    uint64_t *gdt = pv_guest_pointer(&machine.memory, LAYOUT_TABLES + GDT_IN_TABLES, PV_PAGE_SIZE);
    gdt[BOOT_DS / 8] = gdt[PV_SELECTOR_DATA / 8];
    gdt[BOOT_CS / 8] = UINT64_C(0x00af9b000000ffff);
    state->segment[PV_CS].selector = BOOT_CS;
    static const uint8_t data[] = {PV_ES, PV_SS, PV_DS, PV_FS, PV_GS};
    for (size_t i = 0; i < sizeof(data); i++)
        state->segment[data[i]].selector = BOOT_DS;
    state->gpr[PV_RSI] = LAYOUT_PARAMS;
    return true;
}

static _Noreturn void give_up(const char *why)
{
    pv_printf("linux: %s\n", why);
    pv_exit(2);
}

/// From power-on or reset to the next one. Returns when the machine ends.
static void serve(struct cpu *cpu, uint32_t agent)
{
    for (;;) {
        const int64_t result = cpu_create(cpu, agent);
        if (result < 0)
            give_up(pv_error_name(result));
        if (agent == 0 && !enter_kernel(cpu))
            give_up("the tables of the entry do not fit");
        cpu_loop(cpu);
        if (machine.phase == PHASE_ENDED)
            return;
        const char *wrong = machine_await_reset(agent);
        if (wrong != NULL)
            give_up(wrong);
    }
}

int main(const struct pv_info *info, uint32_t agent)
{
    static _Atomic bool ready;
    if (agent == 0) {
        const char *wrong = machine_make(info);
        if (wrong != NULL)
            give_up(wrong);
        ready = true;
    }
    while (!ready)
        pv_event_wait(PV_EVENT_USER, pv_tsc() + info->tsc_hz / 1000);
    if (agent < machine.cpu_count)
        serve(&machine.cpus[agent], agent);
    return agent == 0 ? machine.exit_code : 0;
}
