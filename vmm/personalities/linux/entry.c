// SPDX-License-Identifier: Apache-2.0
#include "machine.h"

/// The boot protocol's 64-bit entry: paging with the low memory mapped to itself, flat segments with the kernel's own selectors,
/// RSI points to the boot parameters (boot.rst, "64-bit Boot Protocol").
bool cpu_enter_kernel(const struct cpu *cpu)
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
