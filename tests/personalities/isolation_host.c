// SPDX-License-Identifier: Apache-2.0
// Names every host-state field of the VMCS, to read and to write, and has a guest look at everything in the processor that could show
// it the host's: descriptor tables, selectors, control registers, and MSRs.
#include "isolation.h"

/// Host-state fields: bits 11:10 of the encoding are 3 (SDM Vol. 3D table B-1). Width in bits 14:13, index in 9:1.
enum { HOST_STATE = 3 << 10, WIDTH_SHIFT = 13, WIDTHS = 4, INDICES = 64, HIGH_HALF = 1 };

GUEST_CODE(looker, 64,
           "fxsave 0x6200; mov %dr0, %rax; mov %rax, 0x6100; mov %dr1, %rax; mov %rax, 0x6108\n"
           "mov %dr2, %rax; mov %rax, 0x6110; mov %dr3, %rax; mov %rax, 0x6118; mov %cr2, %rax; mov %rax, 0x6120\n"
           "sgdt 0x6000; sidt 0x6010\n"
           "str %ax; mov %ax, 0x6020; sldt %ax; mov %ax, 0x6022; mov %cs, %ax; mov %ax, 0x6024\n"
           "mov %cr0, %rax; mov %rax, 0x6030; mov %cr3, %rax; mov %rax, 0x6038; mov %cr4, %rax; mov %rax, 0x6040\n"
           "mov $0x174, %ecx; lea 0x6050, %rdi\n"
           "1: rdmsr; mov %eax, (%rdi); mov %edx, 4(%rdi); add $8, %rdi; inc %ecx; cmp $0x177, %ecx; jne 1b\n"
           "mov $0xc0000100, %ecx\n"
           "2: rdmsr; mov %eax, (%rdi); mov %edx, 4(%rdi); add $8, %rdi; inc %ecx; cmp $0xc0000103, %ecx; jne 2b\n"
           "mov $0xc0000080, %ecx; rdmsr; mov %eax, (%rdi); mov %edx, 4(%rdi)\n"
           "cli; hlt");

/// What `looker` writes, at 0x6000.
struct seen {
    uint16_t gdt_limit, gdt_base[4], filler0[3];
    uint16_t idt_limit, idt_base[4], filler1[3];
    uint16_t tr, ldtr, cs, filler2[5];
    uint64_t cr0, cr3, cr4, filler3;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t fs_base, gs_base, kernel_gs_base, efer;
    uint64_t filler4[15];
    uint64_t dr[4], cr2, filler5[27]; ///< 0x100
    uint8_t fx[512];                  ///< 0x200
};
_Static_assert(offsetof(struct seen, dr) == 0x100 && offsetof(struct seen, fx) == 0x200, "as the guest writes it");

/// Where FXSAVE puts the registers themselves (SDM Vol. 1 table 10-2).
enum { FX_ST = 32, FX_XMM = 160, FX_END = 416 };

static struct guest guest;

static void try_fields(void)
{
    uint32_t readable = 0, writable = 0;
    for (uint32_t width = 0; width < WIDTHS; width++) {
        for (uint32_t index = 0; index < INDICES; index++) {
            for (uint32_t high = 0; high <= HIGH_HALF; high++) {
                struct pv_vmcs_entry entry = {.field = HOST_STATE | width << WIDTH_SHIFT | index << 1 | high};
                pv_vmcs_read(guest.vcpu.id, &entry, 1);
                readable += entry.status == PV_OK || entry.value != 0;
                entry.value = 0;
                pv_vmcs_write(guest.vcpu.id, &entry, 1);
                writable += entry.status == PV_OK;
            }
        }
    }
    isolation_check(readable == 0, "reading host-state fields", readable);
    isolation_check(writable == 0, "writing host-state fields", writable);
}

static uint64_t base_of(const uint16_t *words)
{
    return words[0] | (uint64_t)words[1] << 16 | (uint64_t)words[2] << 32 | (uint64_t)words[3] << 48;
}

static void same(const char *what, uint64_t seen, uint64_t given)
{
    isolation_check(seen == given, what, (int64_t)seen);
}

/// A new vcpu must not find what the guest before it on this core had in its registers.
static void check_fresh_registers(const struct seen *seen)
{
    uint32_t left = 0;
    for (size_t i = FX_ST; i < FX_END; i++)
        left += seen->fx[i] != 0;
    isolation_check(left == 0, "FPU and SSE registers of another guest", left);
    for (size_t i = 0; i < 4; i++)
        same("debug registers of another guest", seen->dr[i], 0);
    same("CR2 of another guest", seen->cr2, 0);
}

static void try_guest(void)
{
    const struct seen *seen = pv_guest_pointer(&guest.memory, 0x6000, sizeof(*seen));
    const struct pv_vcpu_state *state = guest.vcpu.state;
    guest_start(&guest, GUEST_LONG, looker, looker_end);
    const struct pv_vcpu_state given = *state;
    const int64_t reason = guest_run(&guest);
    isolation_check(reason == PV_EXIT_HLT, "an end of the guest before its end", reason);
    same("the host's GDT", base_of(seen->gdt_base), given.gdtr.base);
    same("its limit", seen->gdt_limit, given.gdtr.limit);
    same("the host's IDT", base_of(seen->idt_base), given.idtr.base);
    same("its limit", seen->idt_limit, given.idtr.limit);
    same("the host's TR", seen->tr, given.segment[PV_TR].selector);
    same("the host's LDTR", seen->ldtr, given.segment[PV_LDTR].selector);
    same("the host's CS", seen->cs, given.segment[PV_CS].selector);
    same("the host's CR0", seen->cr0, given.cr0);
    same("the host's CR3", seen->cr3, given.cr3);
    same("the host's CR4, or that VMX operation is on", seen->cr4, given.cr4);
    same("the host's SYSENTER_CS", seen->sysenter_cs, 0);
    same("the host's SYSENTER_ESP", seen->sysenter_esp, 0);
    same("the host's SYSENTER_EIP", seen->sysenter_eip, 0);
    same("the host's FS base", seen->fs_base, 0);
    same("the host's GS base", seen->gs_base, 0);
    same("KERNEL_GS_BASE of somebody else", seen->kernel_gs_base, 0);
    same("the host's EFER", seen->efer, given.efer);
    check_fresh_registers(seen);
}

int main(const struct pv_info *info, uint32_t agent)
{
    (void)info;
    if (agent != 0)
        return 0;
    if (!guest_open(&guest))
        return 2;
    try_fields();
    try_guest();
    return isolation_verdict();
}
