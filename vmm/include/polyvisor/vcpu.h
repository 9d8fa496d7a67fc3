// SPDX-License-Identifier: Apache-2.0
/*
 * The ABI for guests: spaces (guest-physical memory) and vcpus (VMX contexts). System calls are made as abi.h
 * describes; results below 0 are enum pv_error.
 *
 * A vcpu is a VMCS plus a register file (general registers, FPU, SYSCALL MSRs, debug registers). It belongs to one
 * agent: the one that created it, or moved it last. Only that agent can run it, on whichever core the agent is.
 */
#ifndef POLYVISOR_VCPU_H
#define POLYVISOR_VCPU_H

#include <stdint.h>

#include <polyvisor/abi.h>

/// Limits.
enum {
    PV_MAX_SPACES = 64,     ///< a personality
    PV_MAX_VCPUS = 128,     ///< a personality
    PV_MAX_VMCS_BATCH = 64, ///< entries of one PV_SYS_VMCS_READ or PV_SYS_VMCS_WRITE
    PV_MAX_CPUID = 96,      ///< entries of a vcpu's CPUID table
    PV_MAX_MSRS = 96,       ///< entries of a vcpu's table of MSRs that read as constants
};

/// System calls for guests. A vcpu's number that the caller gives must be of its own personality.
enum pv_vcpu_syscall {
    /// (): the number of a new, empty space.
    /// Errors: PV_ERR_QUOTA: no kernel memory for it, or PV_MAX_SPACES are there; PV_ERR_UNSUPPORTED: the machine has
    /// no VMX.
    PV_SYS_SPACE_CREATE = 9,
    /// (space, gpa, pool offset, bytes, access | memory type << 8): 0. Maps a part of the caller's pool, with an enum
    /// pv_access and an enum pv_memory_type. Address, offset and size are multiples of 4 KiB. Large pages are used
    /// where alignment allows (SDM Vol. 3C 29.3.2). PV_MEMORY_WB holds whatever the guest's PAT says.
    ///
    /// This call and the next two take time in proportion to what they do, so each does a part and answers
    /// PV_ERR_AGAIN: it is to be called again, by the same agent with the same arguments, until it answers something
    /// else. A space has one such change at a time; another agent's call, too, answers PV_ERR_AGAIN while it lasts. An
    /// agent that calls with other arguments has given its change up when nothing has happened by it yet; otherwise the
    /// answer is PV_ERR_STATE. Any answer but these two is about the whole: 0, or an error, and then nothing has
    /// changed. The library's functions return only then.
    /// Errors: PV_ERR_AGAIN: not done yet; PV_ERR_INVALID: not a part of the pool, or no such address, access or type
    /// on this processor; PV_ERR_STATE: something is mapped there already, or another change has begun; PV_ERR_QUOTA:
    /// no kernel memory for tables; PV_ERR_NOT_FOUND: no such space.
    PV_SYS_SPACE_MAP = 10,
    /// (space, gpa, bytes): 0. Unmaps; holes are all right. When it has returned 0 no core can reach the old memory
    /// through the space (SDM Vol. 3C 29.4.3).
    /// Errors: PV_ERR_AGAIN: not done yet; PV_ERR_INVALID: not multiples of 4 KiB, or beyond what the space can have;
    /// PV_ERR_STATE: another change has begun; PV_ERR_QUOTA: no kernel memory to split a large page; PV_ERR_NOT_FOUND:
    /// no such space.
    PV_SYS_SPACE_UNMAP = 11,
    /// (space): 0. Unmaps everything; the number is free again.
    /// Errors: PV_ERR_AGAIN: not done yet; PV_ERR_STATE: a vcpu uses it, or another agent is changing it;
    /// PV_ERR_NOT_FOUND: no such space.
    PV_SYS_SPACE_DESTROY = 12,
    /// (space, pool offset of the state page, register file: a vcpu whose it shares, or PV_OWN_REGISTERS): the vcpu's
    /// number. It is the caller's own. The state page is a struct pv_vcpu_state in the pool, page-aligned, that must
    /// not be given to guests. The guest starts in the processor's state after INIT (SDM Vol. 3A table 9-1) unless the
    /// caller sets another.
    /// Errors: PV_ERR_INVALID: no page of the pool; PV_ERR_NOT_FOUND: no such space, or vcpu; PV_ERR_STATE: the other
    /// vcpu is another agent's; PV_ERR_QUOTA: no kernel memory for it, or PV_MAX_VCPUS are there; PV_ERR_UNSUPPORTED:
    /// the core has no VMX.
    PV_SYS_VCPU_CREATE = 13,
    /// (vcpu, budget, deadline, events): enum pv_run. Runs the guest until an exit is delivered (PV_RUN_EXIT), it has
    /// run for `budget` ticks of its own time (0: without limit) or the TSC has reached the deadline (an absolute time;
    /// PV_NO_DEADLINE or 0: none) (PV_RUN_BUDGET), or it was kicked or one of the events is pending for the agent
    /// (PV_RUN_KICKED). Events stay pending, until PV_SYS_EVENT_WAIT; none: 0. What is so already when it is called, or
    /// when the agent gets its core back, ends the run before the guest goes on.
    /// Errors: PV_ERR_INVALID: the events have bit 31 or a higher one; PV_ERR_ENTRY: the processor refused its state, and the state page's entry_error and entry_rule tell why
    /// (SDM Vol. 3C 27.2, 27.3); PV_ERR_STATE: it is another agent's; PV_ERR_NOT_FOUND: no such vcpu.
    PV_SYS_VCPU_RUN = 14,
    /// (vcpu): 0. Makes it the caller's.
    /// Errors: PV_ERR_STATE: it runs, or others share its register file; PV_ERR_NOT_FOUND: no such vcpu;
    /// PV_ERR_UNSUPPORTED: the core has no VMX.
    PV_SYS_VCPU_MOVE = 15,
    /// (vcpu): 0. Its vcpu_run returns PV_RUN_KICKED, now or the next time. For any agent of the personality.
    /// Errors: PV_ERR_NOT_FOUND: no such vcpu.
    PV_SYS_VCPU_KICK = 16,
    /// (vcpu): 0. Its pages go back to the quota; the number is free again.
    /// Errors: PV_ERR_STATE: it runs, or others share its register file; PV_ERR_NOT_FOUND: no such vcpu.
    PV_SYS_VCPU_DESTROY = 17,
    /// (vcpu, struct pv_vmcs_entry *, count): how many succeeded. Reads VMCS fields one after another; each entry's
    /// status tells. Controls read as they are in force. Host-state fields and fields that hold physical addresses are
    /// denied.
    /// Errors: PV_ERR_INVALID: more than PV_MAX_VMCS_BATCH; PV_ERR_FAULT: an entry cannot be read and written; those
    /// before it are done; PV_ERR_STATE: the vcpu is another agent's; PV_ERR_NOT_FOUND: no such vcpu.
    PV_SYS_VMCS_READ = 18,
    /// (vcpu, struct pv_vmcs_entry *, count): how many succeeded. Writes VMCS fields, likewise. Controls are sanitised
    /// (docs/vmx.md). EFER.LMA and "IA-32e mode guest" always follow from CR0.PG and EFER.LME.
    /// Errors: as of PV_SYS_VMCS_READ.
    PV_SYS_VMCS_WRITE = 19,
    /// (vcpu, struct pv_cpuid_entry *, count): 0. What CPUID answers without leaving the multiplexer, in place of what
    /// was set before. Leaves not in the table are delivered. Of several entries that fit, the first one answers.
    /// Errors: PV_ERR_INVALID: more than PV_MAX_CPUID; PV_ERR_FAULT: the entries cannot be read; PV_ERR_QUOTA: no
    /// kernel memory for the table; PV_ERR_STATE: the vcpu is another agent's; PV_ERR_NOT_FOUND: no such vcpu.
    PV_SYS_VCPU_CPUID = 20,
    /// (vcpu, struct pv_msr_entry *, count): 0. MSRs that RDMSR reads from here. Reads of others, and all writes, are
    /// delivered (unless granted). Of several entries for an MSR, the last one counts.
    /// Errors: PV_ERR_INVALID: more than PV_MAX_MSRS; the others as of PV_SYS_VCPU_CPUID.
    PV_SYS_VCPU_MSRS = 21,
    /// (vcpu, first, count, enum pv_grant): 0. Lets the guest use MSRs without exits: only what the configuration
    /// grants, and MSRs that each guest has of its own and that are open from the beginning (docs/vmx.md). What is not
    /// in the enum pv_grant is closed again.
    /// Errors: PV_ERR_INVALID: MSRs that the bitmap does not cover (SDM Vol. 3C 25.6.9), or another grant;
    /// PV_ERR_DENIED: the configuration does not grant all of it; PV_ERR_QUOTA: no kernel memory for a bitmap;
    /// PV_ERR_STATE: the vcpu is another agent's; PV_ERR_NOT_FOUND: no such vcpu.
    PV_SYS_MSR_ALLOW = 22,
    /// (vcpu, first, count, enum pv_grant): 0. The same for ports; a grant is PV_GRANT_NONE or both others.
    /// Errors: PV_ERR_INVALID: beyond port 65535, or another grant; the others as of PV_SYS_MSR_ALLOW.
    PV_SYS_IO_ALLOW = 23,
    /// (vcpu, enum pv_apic bits, pool offset of the virtual-APIC page, pool offset of the APIC-access page): 0. From now on the
    /// processor virtualizes the vcpu's local APIC in these ways, and in no other (SDM Vol. 3C chapter 30); 0: not at all. The
    /// pages are the caller's own and may be changed at any time. The APIC-access page is for PV_APIC_ACCESSES alone, to be mapped
    /// where the guest's APIC is, by a small page. All vcpus of a space should have the same one, and while one of them is without
    /// PV_APIC_ACCESSES it should not be mapped: translations made by that one would be used by the others, who would find memory
    /// there (SDM Vol. 3C 29.4.4). TPR threshold, EOI-exit bitmaps and
    /// guest interrupt status are fields for PV_SYS_VMCS_WRITE, 0 after this call; the last also stands in the state page. MSRs
    /// 0x800 to 0x8ff are closed; PV_SYS_MSR_ALLOW opens those accesses that the processor virtualizes.
    /// Errors: PV_ERR_INVALID: no page of the pool, or bits that do not go together; PV_ERR_UNSUPPORTED: the processor
    /// does not have them all; PV_ERR_STATE: the vcpu is another agent's; PV_ERR_NOT_FOUND: no such vcpu.
    PV_SYS_VCPU_APIC = 26,
    PV_SYSCALL_COUNT = 28, ///< system calls that there are, with the two of net.h and PV_SYS_DEVICES
};

#define PV_OWN_REGISTERS UINT64_MAX ///< for PV_SYS_VCPU_CREATE: a new register file

/// What a guest may do with memory (SDM Vol. 3C 29.3.2). Writing needs reading; executing alone may not be there.
enum pv_access {
    PV_ACCESS_READ = 1,
    PV_ACCESS_WRITE = 2,
    PV_ACCESS_EXECUTE = 4,
    PV_ACCESS_ALL = 7,
};
/// EPT memory types (SDM Vol. 3C 29.2.6); others are PV_ERR_INVALID.
enum pv_memory_type {
    PV_MEMORY_UC = 0, ///< uncacheable
    PV_MEMORY_WC = 1, ///< write-combining
    PV_MEMORY_WT = 4, ///< write-through
    PV_MEMORY_WP = 5, ///< write-protected
    PV_MEMORY_WB = 6, ///< write-back, as for RAM
};
/// What a guest may do with an MSR or a port itself: bits.
enum pv_grant {
    PV_GRANT_NONE = 0,  ///< each access exits
    PV_GRANT_READ = 1,  ///< RDMSR, IN
    PV_GRANT_WRITE = 2, ///< WRMSR, OUT
};

/// Ways of APIC virtualization (SDM Vol. 3C 25.6.2). All but PV_APIC_ACCESSES need PV_APIC_TPR; X2APIC and ACCESSES exclude each
/// other.
enum pv_apic {
    PV_APIC_TPR = 1,         ///< use TPR shadow: CR8 is the virtual-APIC page's task priority, without exits
    PV_APIC_X2APIC = 2,      ///< virtualize x2APIC mode
    PV_APIC_ACCESSES = 4,    ///< virtualize APIC accesses: by memory
    PV_APIC_REGISTERS = 8,   ///< APIC-register virtualization
    PV_APIC_INTERRUPTS = 16, ///< virtual-interrupt delivery
};

/// Why PV_SYS_VCPU_RUN returned.
enum pv_run {
    PV_RUN_EXIT = 0,   ///< an exit that is the personality's business: the state page tells
    PV_RUN_BUDGET = 1, ///< the budget is used up, or the deadline has come
    PV_RUN_KICKED = 2, ///< PV_SYS_VCPU_KICK, or an event
};

/// Bits of the state page's `inject` besides type, vector and "deliver error code".
enum pv_inject {
    /// vcpu_run returns with exit reason 7 (interrupt window) as soon as the guest can take an external interrupt,
    /// before its next instruction: RFLAGS.IF is 1, nothing blocks, and the event, if there is one here, was delivered.
    PV_INJECT_WINDOW = 1 << 30,
    PV_INJECT_NMI_WINDOW = 1 << 29, ///< the same for NMIs: exit reason 8 (NMI window)
    /// Before the entry, an event that is to be injected because an exit interrupted its delivery is forgotten.
    PV_INJECT_CANCEL = 1 << 28,
    PV_INJECT_REQUESTS = PV_INJECT_WINDOW | PV_INJECT_NMI_WINDOW | PV_INJECT_CANCEL, ///< all of them
};
#define PV_INJECT_VALID (UINT32_C(1) << 31) ///< there is an event

/// Groups of fields in the state page. `fill` asks for them at every delivered exit; `dirty` has them written at the
/// next entry.
enum pv_state_group {
    PV_GROUP_RIP = 1 << 0,      ///< rip: always filled
    PV_GROUP_CONTROL = 1 << 1,  ///< cr0, cr3, cr4, efer
    PV_GROUP_SEGMENTS = 1 << 2, ///< segment registers, gdtr, idtr
    PV_GROUP_STATE = 1 << 3,    ///< activity
    PV_GROUP_SYSENTER = 1 << 4, ///< the SYSENTER MSRs
    PV_GROUP_MSRS = 1 << 5,     ///< STAR, LSTAR, SFMASK, KERNEL_GS_BASE, TSC_AUX (the register file's)
    PV_GROUP_FLAGS = 1 << 6,    ///< rsp, rflags, interruptibility: always filled
    PV_GROUP_ALWAYS = PV_GROUP_RIP | PV_GROUP_FLAGS, ///< those that are
    PV_GROUP_CR2 = 1 << 7,                           ///< cr2
    PV_GROUP_ALL = (1 << 8) - 1,                     ///< every group that can be filled
    /// apic_status: of vcpus with PV_APIC_INTERRUPTS. Not filled: the virtual-APIC page's IRR and ISR tell the same.
    PV_GROUP_APIC = 1 << 8,
};

/// A segment register, or (base and limit alone) GDTR or IDTR.
struct pv_segment {
    uint64_t base;
    uint32_t limit; ///< bytes, less 1
    uint16_t selector;
    uint16_t reserved;
    uint32_t access; ///< as VMCS access rights (SDM Vol. 3C table 25-2)
    uint32_t reserved2;
};

/// Segment registers in the VMCS's order.
enum pv_segment_index { PV_ES, PV_CS, PV_SS, PV_DS, PV_FS, PV_GS, PV_LDTR, PV_TR, PV_SEGMENTS };

/// General registers in the processor's numbering; index 4 (RSP) is not used, see rsp.
enum pv_gpr {
    PV_RAX,
    PV_RCX,
    PV_RDX,
    PV_RBX,
    PV_RSP,
    PV_RBP,
    PV_RSI,
    PV_RDI,
    PV_R8,
    PV_R9,
    PV_R10,
    PV_R11,
    PV_R12,
    PV_R13,
    PV_R14,
    PV_R15,
    PV_GPRS
};

/// The page that a vcpu shares with its personality. The multiplexer trusts nothing in it. Between vcpu_run's return
/// and the next vcpu_run the personality may change it; while the guest runs, contents are in motion.
struct pv_vcpu_state {
    uint64_t gpr[PV_GPRS];     ///< of vcpus with registers of their own
    uint64_t rip, rflags, rsp; ///< PV_GROUP_RIP, PV_GROUP_FLAGS
    uint32_t fill;             ///< in: groups to fill at a delivered exit, besides PV_GROUP_ALWAYS
    uint32_t valid;            ///< out: groups that hold the guest's state
    uint32_t dirty;            ///< in: groups to write at the next entry; cleared by it
    uint32_t reserved0;

    /* the last delivered exit, as the VMCS exit-information fields (SDM Vol. 3C 25.9) */
    uint32_t exit_reason;             ///< basic reason in bits 15:0
    uint32_t exit_instruction_length; ///< bytes
    uint64_t exit_qualification;      ///< SDM Vol. 3C 28.2.1
    uint64_t guest_physical_address;  ///< EPT violations and misconfigurations
    uint64_t guest_linear_address;    ///< the same, and exits that tell exit_instruction_info
    /// Of exceptions and NMIs (SDM Vol. 3C 25.9.2).
    uint32_t exit_interruption_info, exit_interruption_error;
    /// An event whose delivery the exit interrupted (IDT-vectoring information). The next entry injects it again,
    /// unless PV_INJECT_CANCEL is set. 0 after a run that returned without an exit.
    uint32_t vectoring_info, vectoring_error;
    uint32_t exit_instruction_info; ///< of exits that have it (SDM Vol. 3C 28.2.5)
    uint32_t entry_error; ///< after PV_ERR_ENTRY: VM-instruction error number, or 0x80000000 | exit qualification

    /// Event for the next entry, in VM-entry interruption-information format (SDM Vol. 3C table 25-17);
    /// PV_INJECT_VALID: there is one. That bit is cleared when it was taken. It waits, without being lost, while the
    /// guest cannot take it (interruptibility, RFLAGS.IF, NMI blocking, another event that goes first); it can be
    /// withdrawn whenever the vcpu does not run. With it, or without an event, enum pv_inject requests; each is cleared
    /// when it was met.
    uint32_t inject, inject_error, inject_length;
    uint32_t reserved1;

    uint64_t cr0, cr3, cr4, efer;           ///< PV_GROUP_CONTROL, as the guest sees them
    struct pv_segment segment[PV_SEGMENTS]; ///< PV_GROUP_SEGMENTS
    struct pv_segment gdtr, idtr;           ///< PV_GROUP_SEGMENTS: base and limit
    /// PV_GROUP_FLAGS, PV_GROUP_STATE (SDM Vol. 3C 25.4.2). Activity states but active and HLT become active.
    uint32_t interruptibility, activity;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;      ///< PV_GROUP_SYSENTER
    uint64_t star, lstar, sfmask, kernel_gs_base, tsc_aux; ///< PV_GROUP_MSRS; values that WRMSR refuses are left out
    /// After PV_ERR_ENTRY: the SDM's rule that the state breaks, as far as it can be told.
    char entry_rule[PV_WHY_SIZE];
    uint64_t xcr0;     ///< out: of the last XSETBV
    uint64_t run_time; ///< out: ticks that the guest has run so far
    uint64_t cr2;      ///< PV_GROUP_CR2: a page fault's address, for who injects or intercepts them
    /// PV_GROUP_APIC: guest interrupt status (SDM Vol. 3C 25.4.2), the highest vector of the virtual-APIC page's IRR | that of its
    /// ISR << 8.
    uint32_t apic_status;
    uint32_t reserved2;
};
_Static_assert(sizeof(struct pv_vcpu_state) <= 4096, "the state page is one page");

/// A VMCS field to read or write.
struct pv_vmcs_entry {
    uint32_t field; ///< encoding, SDM Vol. 3D appendix B
    /// Out: PV_OK, PV_ERR_NOT_FOUND (no such field here), PV_ERR_DENIED (the multiplexer's), PV_ERR_INVALID (the
    /// value).
    int32_t status;
    uint64_t value; ///< in or out
};

/// What CPUID answers for a leaf.
struct pv_cpuid_entry {
    uint32_t leaf;
    uint32_t subleaf; ///< PV_CPUID_ANY: the leaf has none
    uint32_t eax, ebx, ecx, edx;
};
#define PV_CPUID_ANY UINT32_MAX ///< any subleaf

/// An MSR that reads as a constant.
struct pv_msr_entry {
    uint32_t msr;
    uint32_t reserved;
    uint64_t value;
};

#endif
