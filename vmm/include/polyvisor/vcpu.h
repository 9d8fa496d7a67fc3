// SPDX-License-Identifier: Apache-2.0
/*
 * The ABI for guests: spaces (guest-physical memory) and vcpus (VMX contexts). System calls are made as abi.h
 * describes; results below 0 are enum pv_error.
 *
 * A vcpu is a VMCS plus a register file (general registers, FPU, SYSCALL MSRs, debug registers). It belongs to one agent:
 * the one that created it, or moved it last. Only that agent can run it, on whichever core the agent is.
 */
#ifndef POLYVISOR_VCPU_H
#define POLYVISOR_VCPU_H

#include <stdint.h>

#include <polyvisor/abi.h>

enum {
    PV_MAX_SPACES = 64, ///< a personality
    PV_MAX_VCPUS = 128, ///< a personality
    PV_MAX_VMCS_BATCH = 64,
    PV_MAX_CPUID = 96, ///< entries of a vcpu's CPUID table
    PV_MAX_MSRS = 96,  ///< entries of a vcpu's table of MSRs that read as constants
};

enum pv_vcpu_syscall {
    /// (): space number.
    PV_SYS_SPACE_CREATE = 9,
    /*
     * The next three take time in proportion to what they do, so each does a part and answers PV_ERR_AGAIN: it is to
     * be called again, by the same agent with the same arguments, until it answers something else. A space has one
     * such change at a time; another agent's call, too, answers PV_ERR_AGAIN while it lasts. An agent that calls with
     * other arguments has given its change up when nothing has happened by it yet; otherwise the answer is
     * PV_ERR_STATE. Any answer but these two is about the whole: 0, or an error, and then nothing has changed. The
     * library's functions return only then.
     */
    /// (space, gpa, pool offset, bytes, access | memory type << 8): maps a part of the caller's pool. Multiples of 4
    /// KiB; nothing may be mapped there yet: PV_ERR_STATE. Large pages are used where alignment allows. PV_ERR_QUOTA:
    /// no kernel memory for tables.
    PV_SYS_SPACE_MAP = 10,
    /// (space, gpa, bytes): unmaps; holes are all right. When it has returned 0 no core can reach the old memory
    /// through the space.
    PV_SYS_SPACE_UNMAP = 11,
    /// (space): PV_ERR_STATE while a vcpu uses it, or another agent is changing it. The number is free when it
    /// returned 0.
    PV_SYS_SPACE_DESTROY = 12,
    /// (space, pool offset of the state page, register file: a vcpu whose it shares, or PV_OWN_REGISTERS): vcpu
    /// number. The caller's own. The state page is a struct pv_vcpu_state in the pool, page-aligned, that
    /// must not be given to guests. The guest starts in the processor's state after INIT (SDM Vol. 3A table 9-1)
    /// unless the caller sets another.
    PV_SYS_VCPU_CREATE = 13,
    /// (vcpu, budget): runs the guest until an exit is delivered (PV_RUN_EXIT), it has run for `budget` ticks of its
    /// own time (PV_RUN_BUDGET; 0: without limit), or was kicked (PV_RUN_KICKED). PV_ERR_ENTRY: the processor refused
    /// its state; the state page's entry_error tells what. PV_ERR_STATE: it belongs to another agent.
    PV_SYS_VCPU_RUN = 14,
    /// (vcpu): makes it the caller's. PV_ERR_STATE: it runs, or others share its register file.
    PV_SYS_VCPU_MOVE = 15,
    /// (vcpu): its vcpu_run returns PV_RUN_KICKED, now or the next time. Any agent of the personality.
    PV_SYS_VCPU_KICK = 16,
    /// (vcpu): PV_ERR_STATE while it runs, or while others share its register file.
    PV_SYS_VCPU_DESTROY = 17,
    /// (vcpu, struct pv_vmcs_entry *, count): reads or writes VMCS fields one after another; each entry's status
    /// tells. Result: how many succeeded. Host-state fields and fields that hold physical addresses are denied;
    /// controls are sanitised (reading gives what is in force). EFER.LMA and "IA-32e mode guest" always follow from
    /// CR0.PG and EFER.LME. The vcpu must be the caller's.
    PV_SYS_VMCS_READ = 18,
    PV_SYS_VMCS_WRITE = 19,
    /// (vcpu, struct pv_cpuid_entry *, count): what CPUID answers without leaving the multiplexer. Leaves not in the
    /// table are delivered.
    PV_SYS_VCPU_CPUID = 20,
    /// (vcpu, struct pv_msr_entry *, count): MSRs that RDMSR reads from here. Reads of others, and all writes, are
    /// delivered (unless granted).
    PV_SYS_VCPU_MSRS = 21,
    /// (vcpu, first, count, enum pv_grant): lets the guest use MSRs, or ports, itself: only what the configuration
    /// grants, and MSRs that each guest has of its own and that are open from the beginning (docs/vmx.md).
    PV_SYS_MSR_ALLOW = 22,
    PV_SYS_IO_ALLOW = 23,
    PV_SYSCALL_COUNT = 24,
};

#define PV_OWN_REGISTERS UINT64_MAX

enum pv_access { PV_ACCESS_READ = 1, PV_ACCESS_WRITE = 2, PV_ACCESS_EXECUTE = 4, PV_ACCESS_ALL = 7 };
/// EPT memory types (SDM Vol. 3C 29.2.6); others are PV_ERR_INVALID.
enum pv_memory_type { PV_MEMORY_UC = 0, PV_MEMORY_WC = 1, PV_MEMORY_WT = 4, PV_MEMORY_WP = 5, PV_MEMORY_WB = 6 };
enum pv_grant { PV_GRANT_NONE = 0, PV_GRANT_READ = 1, PV_GRANT_WRITE = 2 };

enum pv_run { PV_RUN_EXIT = 0, PV_RUN_BUDGET = 1, PV_RUN_KICKED = 2 };

/// Bits of the state page's `inject` besides type, vector and "deliver error code".
enum pv_inject {
    /// vcpu_run returns with exit reason 7 (interrupt window) as soon as the guest can take an external interrupt,
    /// before its next instruction: RFLAGS.IF is 1, nothing blocks, and the event, if there is one here, was delivered.
    PV_INJECT_WINDOW = 1 << 30,
    PV_INJECT_NMI_WINDOW = 1 << 29, ///< the same for NMIs: exit reason 8 (NMI window)
    /// Before the entry, an event that is to be injected because an exit interrupted its delivery is forgotten.
    PV_INJECT_CANCEL = 1 << 28,
    PV_INJECT_REQUESTS = PV_INJECT_WINDOW | PV_INJECT_NMI_WINDOW | PV_INJECT_CANCEL,
};
#define PV_INJECT_VALID (UINT32_C(1) << 31)

/// Groups of fields in the state page. `fill` asks for them at every delivered exit; `dirty` has them written at the
/// next entry.
enum pv_state_group {
    PV_GROUP_RIP = 1 << 0,      ///< rip: always filled
    PV_GROUP_CONTROL = 1 << 1,  ///< cr0, cr3, cr4, efer
    PV_GROUP_SEGMENTS = 1 << 2, ///< segment registers, gdtr, idtr
    PV_GROUP_STATE = 1 << 3,    ///< activity
    PV_GROUP_SYSENTER = 1 << 4,
    PV_GROUP_MSRS = 1 << 5,  ///< STAR, LSTAR, SFMASK, KERNEL_GS_BASE, TSC_AUX (the register file's)
    PV_GROUP_FLAGS = 1 << 6, ///< rsp, rflags, interruptibility: always filled
    PV_GROUP_ALWAYS = PV_GROUP_RIP | PV_GROUP_FLAGS,
    PV_GROUP_ALL = (1 << 7) - 1,
};

struct pv_segment {
    uint64_t base;
    uint32_t limit;
    uint16_t selector;
    uint16_t reserved;
    uint32_t access; ///< as VMCS access rights (SDM Vol. 3C table 25-2)
    uint32_t reserved2;
};

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
    uint64_t gpr[PV_GPRS]; ///< of vcpus with registers of their own
    uint64_t rip, rflags, rsp;
    uint32_t fill;  ///< in: groups to fill at a delivered exit, besides PV_GROUP_ALWAYS
    uint32_t valid; ///< out: groups that hold the guest's state
    uint32_t dirty; ///< in: groups to write at the next entry; cleared by it
    uint32_t reserved0;

    /* the last delivered exit, as the VMCS exit-information fields (SDM Vol. 3C 25.9) */
    uint32_t exit_reason; ///< basic reason in bits 15:0
    uint32_t exit_instruction_length;
    uint64_t exit_qualification;
    uint64_t guest_physical_address; ///< EPT violations and misconfigurations
    uint64_t guest_linear_address;
    uint32_t exit_interruption_info, exit_interruption_error;
    /// An event whose delivery the exit interrupted (IDT-vectoring information). The next entry injects it again, unless
    /// PV_INJECT_CANCEL is set. 0 after a run that returned without an exit.
    uint32_t vectoring_info, vectoring_error;
    uint32_t exit_instruction_info;
    uint32_t entry_error; ///< after PV_ERR_ENTRY: VM-instruction error number, or 0x80000000 | exit qualification

    /// Event for the next entry, in VM-entry interruption-information format (SDM Vol. 3C table 25-17); PV_INJECT_VALID:
    /// there is one. That bit is cleared when it was taken. It waits, without being lost, while the guest cannot take it
    /// (interruptibility, RFLAGS.IF, NMI blocking, another event that goes first); it can be withdrawn whenever the vcpu
    /// does not run. With it, or without an event, enum pv_inject requests; each is cleared when it was met.
    uint32_t inject, inject_error, inject_length;
    uint32_t reserved1;

    uint64_t cr0, cr3, cr4, efer;
    struct pv_segment segment[PV_SEGMENTS];
    struct pv_segment gdtr, idtr; ///< base and limit
    uint32_t interruptibility, activity;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t star, lstar, sfmask, kernel_gs_base, tsc_aux;
    char
        entry_rule[PV_WHY_SIZE]; ///< after PV_ERR_ENTRY: the SDM's rule that the state breaks, as far as it can be told
    uint64_t xcr0;               ///< out
    uint64_t run_time;           ///< out: ticks that the guest has run so far
};
_Static_assert(sizeof(struct pv_vcpu_state) <= 4096, "the state page is one page");

struct pv_vmcs_entry {
    uint32_t field; ///< encoding, SDM Vol. 3D appendix B
    int32_t
        status; ///< out: PV_OK, PV_ERR_NOT_FOUND (no such field here), PV_ERR_DENIED (host state), PV_ERR_INVALID (value)
    uint64_t value;
};

struct pv_cpuid_entry {
    uint32_t leaf;
    uint32_t subleaf; ///< PV_CPUID_ANY: the leaf has none
    uint32_t eax, ebx, ecx, edx;
};
#define PV_CPUID_ANY UINT32_MAX

struct pv_msr_entry {
    uint32_t msr;
    uint32_t reserved;
    uint64_t value;
};

#endif
