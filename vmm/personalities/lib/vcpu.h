// SPDX-License-Identifier: Apache-2.0
/*
 * What a personality that runs guests programs against, besides personality.h: the system calls for guest memory and
 * VMX contexts, and helpers that set guests up and take their exits apart. <polyvisor/vcpu.h> has the types;
 * docs/writing-a-personality.md walks through a whole program.
 */
#ifndef POLYVISOR_PERSONALITY_VCPU_H
#define POLYVISOR_PERSONALITY_VCPU_H

#include <polyvisor/vcpu.h>

#include "personality.h"

/* ---- system calls: results below 0 are enum pv_error, and then nothing has changed ---- */

/// A new, empty guest-physical address space; returns its number.
static inline int64_t pv_space_create(void)
{
    return pv_syscall(PV_SYS_SPACE_CREATE, 0, 0, 0, 0, 0);
}

/// A system call that does a part of its work and answers PV_ERR_AGAIN, until all is done.
static inline int64_t pv_syscall_whole(uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
    int64_t result;
    do {
        result = pv_syscall(number, a0, a1, a2, a3, a4);
    } while (result == PV_ERR_AGAIN);
    return result;
}

/// Maps `bytes` of the pool from `pool_offset` on at guest-physical address `gpa`; all three are multiples of 4 KiB.
static inline int64_t pv_space_map(uint64_t space, uint64_t gpa, uint64_t pool_offset, uint64_t bytes,
                                   enum pv_access access, enum pv_memory_type type)
{
    return pv_syscall_whole(PV_SYS_SPACE_MAP, space, gpa, pool_offset, bytes, (uint64_t)access | (uint64_t)type << 8);
}

/// Unmaps whatever is mapped in a range. When it returns no core reaches the memory through this space any more.
static inline int64_t pv_space_unmap(uint64_t space, uint64_t gpa, uint64_t bytes)
{
    return pv_syscall_whole(PV_SYS_SPACE_UNMAP, space, gpa, bytes, 0, 0);
}

/// Removes a space that no vcpu uses.
static inline int64_t pv_space_destroy(uint64_t space)
{
    return pv_syscall_whole(PV_SYS_SPACE_DESTROY, space, 0, 0, 0, 0);
}

/// A new vcpu on this agent's core, with its state page at a pool offset; returns its number. `registers`: another
/// vcpu whose register file it shares, or PV_OWN_REGISTERS.
static inline int64_t pv_vcpu_create(uint64_t space, uint64_t state_page, uint64_t registers)
{
    return pv_syscall(PV_SYS_VCPU_CREATE, space, state_page, registers, 0, 0);
}

/// Runs the guest for at most `budget` ticks of its own time (0: without limit); returns why it came back (enum pv_run).
static inline int64_t pv_vcpu_run(uint64_t vcpu, uint64_t budget)
{
    return pv_syscall(PV_SYS_VCPU_RUN, vcpu, budget, 0, 0, 0);
}

/// The same, and until the TSC reaches the deadline (PV_NO_DEADLINE or 0: none), or one of the events is pending, which then is
/// PV_RUN_KICKED: pv_event_wait(events, 0) takes it.
static inline int64_t pv_vcpu_run_until(uint64_t vcpu, uint64_t budget, uint64_t deadline, uint32_t events)
{
    return pv_syscall(PV_SYS_VCPU_RUN, vcpu, budget, deadline, events, 0);
}

/// Makes a vcpu that does not run this agent's.
static inline int64_t pv_vcpu_move(uint64_t vcpu)
{
    return pv_syscall(PV_SYS_VCPU_MOVE, vcpu, 0, 0, 0, 0);
}

/// Makes a vcpu's pv_vcpu_run return PV_RUN_KICKED, now or the next time. From any agent.
static inline int64_t pv_vcpu_kick(uint64_t vcpu)
{
    return pv_syscall(PV_SYS_VCPU_KICK, vcpu, 0, 0, 0, 0);
}

/// Removes a vcpu that does not run and whose register file nobody else uses.
static inline int64_t pv_vcpu_destroy(uint64_t vcpu)
{
    return pv_syscall(PV_SYS_VCPU_DESTROY, vcpu, 0, 0, 0, 0);
}

/// Reads VMCS fields; each entry's status tells whether that one could be read. Returns how many could.
static inline int64_t pv_vmcs_read(uint64_t vcpu, struct pv_vmcs_entry *entries, size_t count)
{
    return pv_syscall(PV_SYS_VMCS_READ, vcpu, (uintptr_t)entries, count, 0, 0);
}

/// Writes VMCS fields, controls after sanitising; each entry's status tells. Returns how many were written.
static inline int64_t pv_vmcs_write(uint64_t vcpu, struct pv_vmcs_entry *entries, size_t count)
{
    return pv_syscall(PV_SYS_VMCS_WRITE, vcpu, (uintptr_t)entries, count, 0, 0);
}

/// Gives a vcpu the table that its CPUID instructions are answered from.
static inline int64_t pv_vcpu_cpuid(uint64_t vcpu, const struct pv_cpuid_entry *entries, size_t count)
{
    return pv_syscall(PV_SYS_VCPU_CPUID, vcpu, (uintptr_t)entries, count, 0, 0);
}

/// Gives a vcpu the table of MSRs that its RDMSR instructions are answered from.
static inline int64_t pv_vcpu_msrs(uint64_t vcpu, const struct pv_msr_entry *entries, size_t count)
{
    return pv_syscall(PV_SYS_VCPU_MSRS, vcpu, (uintptr_t)entries, count, 0, 0);
}

/// Lets a guest use MSRs itself (enum pv_grant), as far as the configuration grants them.
static inline int64_t pv_msr_allow(uint64_t vcpu, uint32_t first, uint32_t count, uint32_t grant)
{
    return pv_syscall(PV_SYS_MSR_ALLOW, vcpu, first, count, grant, 0);
}

/// Lets a guest use I/O ports itself (enum pv_grant), as far as the configuration grants them.
static inline int64_t pv_io_allow(uint64_t vcpu, uint32_t first, uint32_t count, uint32_t grant)
{
    return pv_syscall(PV_SYS_IO_ALLOW, vcpu, first, count, grant, 0);
}

/// Has the processor virtualize a vcpu's local APIC (enum pv_apic bits), with pages of the pool.
static inline int64_t pv_vcpu_apic(uint64_t vcpu, uint32_t features, uint64_t page, uint64_t access_page)
{
    return pv_syscall(PV_SYS_VCPU_APIC, vcpu, features, page, access_page, 0);
}

/* ---- the pool: handed out from both ends, never given back ---- */

enum { PV_PAGE_SIZE = 4096, PV_LARGE_PAGE_SIZE = 2 << 20 };
#define PV_POOL_FULL UINT64_MAX ///< what pv_pool_alloc answers when nothing is left

/// Hands out zeroed memory of the pool: its offset, or PV_POOL_FULL. Bytes are rounded up to whole pages; `alignment` is
/// a power of two from PV_PAGE_SIZE on (PV_LARGE_PAGE_SIZE for memory that large pages shall map). On any agent.
uint64_t pv_pool_alloc(uint64_t bytes, uint64_t alignment);

/// Zeroes whole words, since memset goes byte by byte and pools are large.
void pv_zero_pages(void *pages, uint64_t bytes);

/// Where the personality itself sees a pool offset.
static inline void *pv_pool_pointer(uint64_t offset)
{
    return (void *)(uintptr_t)(PV_POOL_VA + offset);
}

/* ---- guests: memory, vcpu and state page together ---- */

/// Memory of a guest: one piece of the pool, seen by the guest from guest-physical address 0 on.
struct pv_guest_memory {
    uint64_t space;
    uint64_t pool_offset;
    uint64_t size;
};

/// Allocates and maps a guest's memory, with large pages when `size` is a multiple of them. PV_ERR_QUOTA: the pool (or
/// the kernel memory) is used up.
int64_t pv_guest_memory_create(struct pv_guest_memory *memory, uint64_t size);

/// Copies into a guest's memory. False when that does not fit.
bool pv_guest_load(const struct pv_guest_memory *memory, uint64_t gpa, const void *data, size_t size);

/// The same for what lies between two symbols.
bool pv_guest_load_image(const struct pv_guest_memory *memory, uint64_t gpa, const char *image, const char *image_end);

/// Where the personality sees `size` bytes at a guest-physical address; NULL when they are not all the guest's.
void *pv_guest_pointer(const struct pv_guest_memory *memory, uint64_t gpa, size_t size);

/// A vcpu and what belongs to it.
struct pv_vcpu {
    uint64_t id;
    struct pv_vcpu_state *state;
};

/// Makes a vcpu with registers of its own, and its state page, on this agent's core.
int64_t pv_vcpu_open(struct pv_vcpu *vcpu, uint64_t space);

/* ---- starting states. Each sets whole register groups and marks them dirty; general registers stay as they are ---- */

/// 16-bit real mode at cs:ip, data segments 0, stack at 0:sp.
void pv_start_real(struct pv_vcpu_state *state, uint16_t cs, uint16_t ip, uint16_t sp);

/// Guest-physical pages that the modes with paging want for their tables, from a 4 KiB boundary on: page tables first,
/// the GDT last.
enum { PV_TABLES32_SIZE = 2 * PV_PAGE_SIZE, PV_TABLES64_SIZE = 4 * PV_PAGE_SIZE };

/// Selectors in the GDT that the functions below build.
enum { PV_SELECTOR_CODE32 = 0x08, PV_SELECTOR_DATA = 0x10, PV_SELECTOR_CODE64 = 0x18, PV_SELECTOR_TSS = 0x20 };

/// 32-bit protected mode, flat segments, paging on with all of the low 4 GiB mapped to itself in 4 MiB pages. False when
/// the tables do not fit the guest's memory.
bool pv_start_paged32(struct pv_vcpu_state *state, const struct pv_guest_memory *memory, uint32_t tables, uint32_t eip,
                      uint32_t esp);

/// 32-bit protected mode, flat segments, paging off, no stack: how boot loaders enter kernels. `gdt`: a page for the GDT, which the
/// kernel may overwrite. False when that is not in the guest's memory.
bool pv_start_flat32(struct pv_vcpu_state *state, const struct pv_guest_memory *memory, uint32_t gdt, uint32_t eip);

/// 64-bit mode, flat segments, the low 1 GiB mapped to itself in 2 MiB pages. False when the tables do not fit.
bool pv_start_long(struct pv_vcpu_state *state, const struct pv_guest_memory *memory, uint64_t tables, uint64_t rip,
                   uint64_t rsp);

/* ---- exits ---- */

/// Basic exit reasons that a personality usually sees (SDM Vol. 3D appendix C).
enum pv_exit_reason {
    PV_EXIT_EXCEPTION = 0,
    PV_EXIT_TRIPLE_FAULT = 2,
    PV_EXIT_INTERRUPT_WINDOW = 7,
    PV_EXIT_CPUID = 10,
    PV_EXIT_HLT = 12,
    PV_EXIT_VMCALL = 18,
    PV_EXIT_VMCLEAR = 19,
    PV_EXIT_VMXON = 27,
    PV_EXIT_CR_ACCESS = 28,
    PV_EXIT_IO = 30,
    PV_EXIT_RDMSR = 31,
    PV_EXIT_WRMSR = 32,
    PV_EXIT_PAUSE = 40, ///< PAUSE, or a loop of it
    PV_EXIT_TPR_BELOW_THRESHOLD = 43,
    PV_EXIT_APIC_ACCESS = 44,
    PV_EXIT_VIRTUALIZED_EOI = 45,
    PV_EXIT_EPT_VIOLATION = 48,
    PV_EXIT_EPT_MISCONFIGURATION = 49,
    PV_EXIT_INVEPT = 50,
    PV_EXIT_INVVPID = 53,
    PV_EXIT_XSETBV = 55,
    PV_EXIT_APIC_WRITE = 56,
};

/// "HLT", "EPT violation" and the like; "exit" for what personalities rarely see.
const char *pv_exit_name(uint32_t reason);

/// The basic reason of the last exit.
static inline uint32_t pv_exit_reason(const struct pv_vcpu_state *state)
{
    return state->exit_reason & 0xffff;
}

/// An access to a port (SDM Vol. 3C table 28-5).
struct pv_io {
    uint16_t port;
    uint8_t size; ///< bytes: 1, 2 or 4
    bool in;      ///< the guest reads
    bool string;  ///< INS or OUTS: the data are in memory
    bool repeated;
};

/// Takes an I/O exit's qualification apart.
struct pv_io pv_io_decode(uint64_t qualification);

/// The bytes that OUT writes.
uint32_t pv_io_value(const struct pv_vcpu_state *state, const struct pv_io *io);

/// Answers IN: AL, AX or EAX, as the processor would (only EAX clears the upper half of RAX).
void pv_io_answer(struct pv_vcpu_state *state, const struct pv_io *io, uint32_t value);

/// The value of EDX:EAX, which WRMSR writes.
static inline uint64_t pv_msr_value(const struct pv_vcpu_state *state)
{
    return (state->gpr[PV_RDX] & UINT32_MAX) << 32 | (state->gpr[PV_RAX] & UINT32_MAX);
}

/// Answers RDMSR.
void pv_msr_answer(struct pv_vcpu_state *state, uint64_t value);

/// Reads or writes an MSR that is part of the vcpu's state (SYSENTER, SYSCALL, FS and GS base, KERNEL_GS_BASE), in the
/// state page. All groups concerned must be valid. False when it is another, or the value would be #GP.
bool pv_msr_state_read(const struct pv_vcpu_state *state, uint32_t msr, uint64_t *value);
bool pv_msr_state_write(struct pv_vcpu_state *state, uint32_t msr, uint64_t value);

/// Answers CPUID.
void pv_cpuid_answer(struct pv_vcpu_state *state, struct pv_cpuid value);

/// Goes to the instruction after the one that exited. With it ends the blocking of interrupts by STI or MOV SS (SDM Vol. 3C
/// 28.3.1: the exit leaves it as it was before the instruction).
void pv_skip_instruction(struct pv_vcpu_state *state);

/* ---- events ---- */

/// Types of events (SDM Vol. 3C table 25-17).
enum pv_inject_type { PV_TYPE_INTERRUPT = 0, PV_TYPE_NMI = 2, PV_TYPE_EXCEPTION = 3 };

enum { PV_VECTOR_NMI = 2, PV_VECTOR_UD = 6, PV_VECTOR_GP = 13, PV_VECTOR_PF = 14 };

#define PV_INJECT_ERROR_CODE (UINT32_C(1) << 11)

/// Whether an event waits for the next entry.
static inline bool pv_inject_pending(const struct pv_vcpu_state *state)
{
    return (state->inject & PV_INJECT_VALID) != 0;
}

/// Puts an event where the next entry takes it; the multiplexer holds it back until the guest can. False: not now,
/// because another one waits there, or because the last exit interrupted the delivery of one (vectoring_info), which the
/// next entry repeats. Whoever knows of that and wants this one to follow it clears vectoring_info; whoever wants it
/// instead calls pv_cancel_vectoring.
bool pv_inject(struct pv_vcpu_state *state, enum pv_inject_type type, uint8_t vector);

/// The same for an exception with an error code.
bool pv_inject_error(struct pv_vcpu_state *state, uint8_t vector, uint32_t error);

/// #PF with its error code and address.
bool pv_inject_page_fault(struct pv_vcpu_state *state, uint32_t error, uint64_t address);

/// Has the next entry forget the event whose delivery the last exit interrupted.
static inline void pv_cancel_vectoring(struct pv_vcpu_state *state)
{
    state->inject |= PV_INJECT_CANCEL;
    state->vectoring_info = 0;
}

/// Has pv_vcpu_run return, by an interrupt-window exit, as soon as the guest can be interrupted: for a personality that chooses
/// the interrupt only then. One that has its interrupt already just injects it.
static inline void pv_request_window(struct pv_vcpu_state *state)
{
    state->inject |= PV_INJECT_WINDOW;
}

/// Whether an interrupt that is injected now is delivered before the guest's next instruction. After a delivered exit.
bool pv_can_interrupt(const struct pv_vcpu_state *state);

#endif
