// SPDX-License-Identifier: Apache-2.0
// Starting states of guests: real mode, 32 bits with paging, 64 bits.
#include "vcpu.h"

/// Control registers and EFER (SDM Vol. 3A 2.2.1, 2.5).
enum {
    CR0_PE = 1 << 0,
    CR0_MP = 1 << 1,
    CR0_ET = 1 << 4,
    CR0_NE = 1 << 5,
    CR0_WP = 1 << 16,
    CR4_PSE = 1 << 4,
    CR4_PAE = 1 << 5,
    CR4_OSFXSR = 1 << 9,
    CR4_OSXMMEXCPT = 1 << 10,
    EFER_LME = 1 << 8,
    EFER_LMA = 1 << 10,
    EFER_NXE = 1 << 11,
};
#define CR0_PG (UINT32_C(1) << 31)

/// Entries of page tables (SDM Vol. 3A 4.3, 4.5).
enum { PTE_PRESENT = 1, PTE_WRITABLE = 2, PTE_LARGE = 1 << 7, TABLE_ENTRIES = 512, DIRECTORY32_ENTRIES = 1024 };

enum {
    ACCESS_CODE16 = 0x9b, ///< present, code, readable, accessed; also TR-like fields below: SDM Vol. 3C table 25-2
    ACCESS_DATA16 = 0x93,
    ACCESS_CODE32 = 0xc09b,
    ACCESS_DATA32 = 0xc093,
    ACCESS_CODE64 = 0xa09b,
    ACCESS_BUSY_TSS = 0x8b,
    ACCESS_UNUSABLE = 0x10000,
    RFLAGS_ALWAYS = 2,
    REAL_LIMIT = 0xffff,
    TSS_LIMIT = 0x67,
    TSS_IN_GDT_PAGE = 0x800, ///< the (empty) TSS shares the GDT's page
    GDT_LIMIT = 0x2f,
};

/// What the processor's INIT leaves in IDTR, and what real mode wants there.
static const struct pv_segment real_idt = {.base = 0, .limit = 0x3ff};

static void set_entry_point(struct pv_vcpu_state *state, uint64_t rip, uint64_t rsp)
{
    state->rip = rip;
    state->rsp = rsp;
    state->rflags = RFLAGS_ALWAYS;
    state->interruptibility = 0;
    state->activity = 0;
    state->dirty |= PV_GROUP_RIP | PV_GROUP_FLAGS | PV_GROUP_CONTROL | PV_GROUP_SEGMENTS | PV_GROUP_STATE;
}

static void set_data_segments(struct pv_vcpu_state *state, const struct pv_segment *data)
{
    static const uint8_t indices[] = {PV_ES, PV_SS, PV_DS, PV_FS, PV_GS};
    for (size_t i = 0; i < sizeof(indices); i++)
        state->segment[indices[i]] = *data;
}

void pv_start_real(struct pv_vcpu_state *state, uint16_t cs, uint16_t ip, uint16_t sp)
{
    const struct pv_segment data = {.limit = REAL_LIMIT, .access = ACCESS_DATA16};
    set_data_segments(state, &data);
    state->segment[PV_CS] =
        (struct pv_segment){.base = (uint64_t)cs << 4, .limit = REAL_LIMIT, .selector = cs, .access = ACCESS_CODE16};
    state->segment[PV_LDTR] = (struct pv_segment){.access = ACCESS_UNUSABLE};
    state->segment[PV_TR] = (struct pv_segment){.limit = REAL_LIMIT, .access = ACCESS_BUSY_TSS};
    state->gdtr = (struct pv_segment){.limit = REAL_LIMIT};
    state->idtr = real_idt;
    state->cr0 = CR0_ET | CR0_NE;
    state->cr3 = 0;
    state->cr4 = 0;
    state->efer = 0;
    set_entry_point(state, ip, sp);
}

/// Writes the GDT and returns with the segment registers, GDTR, IDTR and TR as the protected modes want them.
static void set_flat_segments(struct pv_vcpu_state *state, uint64_t *gdt, uint64_t gdt_address, bool wide)
{
    const uint64_t tss = gdt_address + TSS_IN_GDT_PAGE;
    gdt[PV_SELECTOR_CODE32 / 8] = UINT64_C(0x00cf9b000000ffff);
    gdt[PV_SELECTOR_DATA / 8] = UINT64_C(0x00cf93000000ffff);
    gdt[PV_SELECTOR_CODE64 / 8] = UINT64_C(0x00af9b000000ffff);
    gdt[PV_SELECTOR_TSS / 8] =
        (uint64_t)ACCESS_BUSY_TSS << 40 | (tss & 0xff000000) << 32 | (tss & 0xffffff) << 16 | TSS_LIMIT;

    const struct pv_segment data = {.limit = UINT32_MAX, .selector = PV_SELECTOR_DATA, .access = ACCESS_DATA32};
    set_data_segments(state, &data);
    state->segment[PV_CS] = (struct pv_segment){.limit = UINT32_MAX,
                                                .selector = wide ? PV_SELECTOR_CODE64 : PV_SELECTOR_CODE32,
                                                .access = wide ? ACCESS_CODE64 : ACCESS_CODE32};
    state->segment[PV_LDTR] = (struct pv_segment){.access = ACCESS_UNUSABLE};
    state->segment[PV_TR] =
        (struct pv_segment){.base = tss, .limit = TSS_LIMIT, .selector = PV_SELECTOR_TSS, .access = ACCESS_BUSY_TSS};
    state->gdtr = (struct pv_segment){.base = gdt_address, .limit = GDT_LIMIT};
    state->idtr = (struct pv_segment){.base = 0, .limit = 0}; // an interrupt before the guest has an IDT: triple fault
}

bool pv_start_paged32(struct pv_vcpu_state *state, const struct pv_guest_memory *memory, uint32_t tables, uint32_t eip,
                      uint32_t esp)
{
    uint32_t *directory = pv_guest_pointer(memory, tables, PV_TABLES32_SIZE);
    if (directory == NULL)
        return false;
    for (uint32_t i = 0; i < DIRECTORY32_ENTRIES; i++)
        directory[i] = i << 22 | PTE_LARGE | PTE_WRITABLE | PTE_PRESENT;
    set_flat_segments(state, (uint64_t *)(directory + DIRECTORY32_ENTRIES), tables + PV_PAGE_SIZE, false);
    state->cr0 = CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE;
    state->cr3 = tables;
    state->cr4 = CR4_PSE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    state->efer = 0;
    set_entry_point(state, eip, esp);
    return true;
}

bool pv_start_flat32(struct pv_vcpu_state *state, const struct pv_guest_memory *memory, uint32_t gdt, uint32_t eip)
{
    uint64_t *page = pv_guest_pointer(memory, gdt, PV_PAGE_SIZE);
    if (page == NULL)
        return false;
    pv_zero_pages(page, PV_PAGE_SIZE);
    set_flat_segments(state, page, gdt, false);
    state->segment[PV_TR].base = 0;
    state->cr0 = CR0_ET | CR0_PE;
    state->cr3 = 0;
    state->cr4 = 0;
    state->efer = 0;
    set_entry_point(state, eip, 0);
    return true;
}

bool pv_start_long(struct pv_vcpu_state *state, const struct pv_guest_memory *memory, uint64_t tables, uint64_t rip,
                   uint64_t rsp)
{
    uint64_t *table = pv_guest_pointer(memory, tables, PV_TABLES64_SIZE);
    if (table == NULL)
        return false;
    uint64_t *pml4 = table, *pdpt = table + TABLE_ENTRIES, *directory = table + 2 * TABLE_ENTRIES;
    pv_zero_pages(table, 2 * PV_PAGE_SIZE);
    pml4[0] = (tables + PV_PAGE_SIZE) | PTE_WRITABLE | PTE_PRESENT;
    pdpt[0] = (tables + 2 * PV_PAGE_SIZE) | PTE_WRITABLE | PTE_PRESENT;
    for (uint64_t i = 0; i < TABLE_ENTRIES; i++)
        directory[i] = i * PV_LARGE_PAGE_SIZE | PTE_LARGE | PTE_WRITABLE | PTE_PRESENT;
    set_flat_segments(state, table + 3 * TABLE_ENTRIES, tables + 3 * PV_PAGE_SIZE, true);
    state->cr0 = CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE;
    state->cr3 = tables;
    state->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    state->efer = EFER_NXE | EFER_LMA | EFER_LME;
    set_entry_point(state, rip, rsp);
    return true;
}
