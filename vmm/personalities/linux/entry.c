// SPDX-License-Identifier: Apache-2.0
// The first processor's state when the kernel begins.
#include "loaders/multiboot1.h"
#include "loaders/multiboot2.h"
#include "machine.h"

/// The boot protocol's 64-bit entry: paging with the low memory mapped to itself, flat segments with the kernel's own selectors,
/// RSI points to the boot parameters (boot.rst, "64-bit Boot Protocol").
static bool enter_bzimage(const struct cpu *cpu)
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

/// PVH (pvh.pandoc), Multiboot 1 (3.2) and Multiboot 2 (3.3, i386): flat 32-bit segments, no paging, interrupts off, EBX points to the
/// information; EAX is Multiboot's alone.
bool cpu_enter_kernel(const struct cpu *cpu)
{
    struct pv_vcpu_state *state = cpu->vcpu.state;
    const struct load *load = &machine.load;
    if (load->protocol == IMAGE_LINUX)
        return enter_bzimage(cpu);
    if (!pv_start_flat32(state, &machine.memory, LAYOUT_TABLES, (uint32_t)load->image.entry))
        return false;
    state->gpr[PV_RBX] = load->information;
    state->gpr[PV_RAX] = load->protocol == IMAGE_MULTIBOOT1   ? MULTIBOOT1_EAX
                         : load->protocol == IMAGE_MULTIBOOT2 ? MULTIBOOT2_EAX
                                                              : 0;
    return true;
}
