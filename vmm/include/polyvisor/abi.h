// SPDX-License-Identifier: Apache-2.0
/*
 * The ABI between the multiplexer (ring 0) and personalities (ring 3). docs/abi.md is made of these comments by
 * tools/abi-doc.
 *
 * System calls: SYSENTER with
 *   rax = enum pv_syscall, rdi, rsi, r8, r9, r10 = arguments 0 to 4,
 *   rcx = stack pointer and rdx = address to return to;
 * on return rax = result, rcx and rdx as they were, rbx, rbp and r12 to r15 kept, every other register cleared.
 * SYSENTER, not SYSCALL, because its MSRs are VMCS fields (SDM Vol. 3C 25.5, 25.4.1), while the SYSCALL MSRs belong to
 * the guest that was loaded last. A return address or stack pointer above the lower half stops the personality.
 *
 * A negative result is an enum pv_error, and then nothing has changed, unless the call says otherwise. A number that is
 * no call's is answered with PV_ERR_NO_SYSCALL. Sizes are bytes, times are ticks of the TSC. What a pointer points to
 * is copied once, and must be the caller's own.
 */
#ifndef POLYVISOR_ABI_H
#define POLYVISOR_ABI_H

#include <stdint.h>

/// Sizes and limits.
enum {
    PV_ABI_VERSION = 1,       ///< of these headers; an image made for another one is not started
    PV_MAX_CORES = 64,        ///< core sets are 64-bit masks
    PV_NAME_SIZE = 32,        ///< a personality's or module's name, with its NUL
    PV_FILE_SIZE = 128,       ///< a file's name, with its NUL
    PV_ARGS_SIZE = 1024,      ///< `args` of the configuration, with their NUL
    PV_WHY_SIZE = 160,        ///< a sentence that says why, with its NUL
    PV_MAX_MODULES = 16,      ///< a personality
    PV_MAP_MAX_PAGES = 16384, ///< pages (of any size that fits) that one PV_SYS_MEMORY_MAP maps at most
    PV_CONSOLE_SIZE = 32768,  ///< bytes of output that the multiplexer keeps for a personality's console
    PV_MAX_DEVICES = 64,      ///< rows of a personality's table of devices
};

/// Fixed places in a personality's address space. Its image may be linked anywhere from PV_IMAGE_MIN to PV_IMAGE_MAX.
#define PV_IMAGE_MIN UINT64_C(0x0000000000400000)    ///< lowest address of an image
#define PV_IMAGE_MAX UINT64_C(0x0000000080000000)    ///< its end is not above it
#define PV_INFO_VA UINT64_C(0x0000100000000000)      ///< the info page, read-only
#define PV_STACKS_VA UINT64_C(0x0000110000000000)    ///< agent i: stack in [PV_STACKS_VA + i * PV_STACK_STRIDE, ...)
#define PV_STACK_STRIDE UINT64_C(0x0000000000200000) ///< bytes from one agent's to the next one's
#define PV_STACK_SIZE UINT64_C(0x0000000000010000)   ///< at the upper end of its stride, unmapped pages below
#define PV_MODULES_VA UINT64_C(0x0000120000000000)   ///< modules, read-only, each from a 4 KiB boundary
#define PV_POOL_VA UINT64_C(0x0000200000000000)      ///< the pool, read-write, never executable
#define PV_USER_MAP_MIN UINT64_C(0x0000300000000000) ///< free for PV_SYS_MEMORY_MAP, up to PV_USER_MAP_MAX
#define PV_USER_MAP_MAX UINT64_C(0x0000400000000000) ///< its end

/// Results below 0.
enum pv_error {
    PV_OK = 0,                ///< done
    PV_ERR_INVALID = -1,      ///< an argument is out of its range
    PV_ERR_FAULT = -2,        ///< a pointer is not the caller's readable (or writable) memory
    PV_ERR_DENIED = -3,       ///< needs a capability that the configuration did not give
    PV_ERR_NOT_FOUND = -4,    ///< there is nothing with that number, or at that address
    PV_ERR_QUOTA = -5,        ///< the caller's kernel-memory quota, or one of its tables, is used up
    PV_ERR_TIMEOUT = -6,      ///< the deadline passed
    PV_ERR_STATE = -7,        ///< not possible in the present state (already mapped, not running, ...)
    PV_ERR_NO_SYSCALL = -8,   ///< there is no system call with that number
    PV_ERR_GP = -9,           ///< the processor answered with #GP (unknown MSR)
    PV_ERR_UNSUPPORTED = -10, ///< not built in, or not on this machine
    PV_ERR_ENTRY = -11,       ///< the processor refused to enter the guest
    PV_ERR_AGAIN = -12,       ///< not finished: the same call again goes on with it
};

/// System calls of every personality; those for guests follow in polyvisor/vcpu.h.
enum pv_syscall {
    /// (): 0. Does nothing, for measuring.
    PV_SYS_NULL = 0,
    /// (code): does not return. Ends the whole personality, on all cores; the shell shows the code.
    PV_SYS_EXIT = 1,
    /// (): 0. Gives the rest of the slice back.
    PV_SYS_YIELD = 2,
    /// (text, bytes, flags): how many bytes were taken. Without PV_CONSOLE_PARTIAL everything is taken and the oldest
    /// unsent text is dropped (and counted) where there is no room; with it, only as much as there is room for: wait
    /// for PV_EVENT_CONSOLE_ROOM.
    /// Errors: PV_ERR_INVALID: more than PV_CONSOLE_SIZE bytes, or an unknown flag; PV_ERR_FAULT: none of the text can
    /// be read.
    PV_SYS_CONSOLE_WRITE = 3,
    /// (buffer, bytes): how many bytes of input were read, 512 at most; 0 when there are none: wait for
    /// PV_EVENT_CONSOLE_INPUT.
    /// Errors: PV_ERR_FAULT: the buffer cannot be written; no input is lost.
    PV_SYS_CONSOLE_READ = 4,
    /// (mask, deadline): the pending events of the mask, which it clears. Waits until there is one for this agent, or
    /// the TSC reaches the deadline (an absolute time; PV_NO_DEADLINE: never; 0: polls).
    /// Errors: PV_ERR_TIMEOUT: the deadline came first; PV_ERR_INVALID: the mask has bit 31 or a higher one.
    PV_SYS_EVENT_WAIT = 5,
    /// (agent, events): 0. Makes PV_EVENT_USER* events pending for an agent of the same personality.
    /// Errors: PV_ERR_INVALID: no such agent, or events that are the multiplexer's.
    PV_SYS_EVENT_SIGNAL = 6,
    /// (address, pool offset, bytes, writable 0 or 1): 0. Maps a part of the pool once more, in [PV_USER_MAP_MIN,
    /// PV_USER_MAP_MAX), with the largest pages that fit. Address, offset and size are multiples of 4 KiB. Page tables
    /// come from the quota, and stay.
    /// Errors: PV_ERR_INVALID: not such a part or place, or more than PV_MAP_MAX_PAGES pages; PV_ERR_STATE: something
    /// is mapped there already; PV_ERR_QUOTA: no kernel memory for page tables.
    PV_SYS_MEMORY_MAP = 7,
    /// (enum pv_debug, argument, argument, buffer, bytes): see enum pv_debug.
    /// Errors: PV_ERR_DENIED: the caller has no debug capability; PV_ERR_INVALID: no such operation; PV_ERR_FAULT: the
    /// buffer cannot be written (or read); it may have been written in part. And each operation's own.
    PV_SYS_DEBUG = 8,
    /// (pool offset, count): 0. Says where a table of the personality's devices stands, struct pv_device, for the shell
    /// (PV_DEBUG_DEVICES); count 0: nowhere any more. The offset is a multiple of 8.
    /// Errors: PV_ERR_INVALID: more than PV_MAX_DEVICES, or not in the pool.
    PV_SYS_DEVICES = 27,
};

enum pv_console_flags {
    PV_CONSOLE_PARTIAL = 1, ///< take no more than there is room for
    /// It goes to the terminal as it is, for a guest that knows terminals: elsewhere a line feed gets its carriage return.
    PV_CONSOLE_RAW = 2,
};

#define PV_NO_DEADLINE UINT64_MAX ///< for PV_SYS_EVENT_WAIT: waits for ever

/// Events, pending for each agent by itself. The multiplexer signals console events to agent 0.
enum {
    PV_EVENT_CONSOLE_INPUT = 1 << 0, ///< there is input to read
    PV_EVENT_CONSOLE_ROOM = 1 << 1,  ///< a console that was full has room
    /// Somebody else's text appeared on the terminal (or an attach ended): draw the line anew.
    PV_EVENT_CONSOLE_REDRAW = 1 << 2,
    PV_EVENT_NET = 1 << 3,           ///< a frame has come to the personality's port, which had none (to agent 0)
    PV_EVENT_DEBUGGER = 1 << 4,      ///< the debugger's line has something to do, or a watched guest has stopped
    PV_EVENT_USER = 1 << 16,         ///< this and all higher bits below bit 31: for event_signal, meaning free
    PV_EVENT_USER_MASK = 0x7fff0000, ///< all of those
};

/// A file given to a personality (configuration: module NAME FILE).
struct pv_module {
    char name[PV_NAME_SIZE]; ///< NUL-terminated
    uint64_t address;        ///< where it is mapped, read-only
    uint64_t size;           ///< bytes
};

/// What a personality has.
enum pv_info_flags {
    PV_INFO_DEBUG = 1, ///< has the debug capability
    PV_INFO_VMX = 2,   ///< the machine can run guests
    PV_INFO_NET = 4,   ///< has a port of a virtual switch (net.h)
};

/// The info page, at PV_INFO_VA. Also passed to the program: main(const struct pv_info *, agent).
struct pv_info {
    uint64_t magic;                           ///< PV_INFO_MAGIC
    uint32_t abi_version;                     ///< PV_ABI_VERSION
    uint32_t size;                            ///< sizeof(struct pv_info)
    uint32_t id;                              ///< personality number
    uint32_t flags;                           ///< enum pv_info_flags
    uint64_t tsc_hz;                          ///< ticks a second, as measured
    uint64_t tsc_entry;                       ///< TSC when the multiplexer was entered at boot
    uint64_t pool_size;                       ///< bytes at PV_POOL_VA; contents undefined at start
    uint32_t agent_count;                     ///< entries of `cores`
    uint32_t module_count;                    ///< entries of `modules`
    char name[PV_NAME_SIZE];                  ///< NUL-terminated
    char args[PV_ARGS_SIZE];                  ///< the configuration's, NUL-terminated
    uint32_t cores[PV_MAX_CORES];             ///< core_id of each agent; changes when the shell moves them
    struct pv_module modules[PV_MAX_MODULES]; ///< in the configuration's order
    uint8_t net_address[8]; ///< of its port of a virtual switch: the first 6 bytes; zeros: it has none
    /// Seconds since 1970 at tsc_entry, as the machine's clock has it (UTC, or whatever its owner has set); 0: unknown. Exact to a
    /// second.
    uint64_t time_entry;
};
#define PV_INFO_MAGIC UINT64_C(0x4f464e4956594c50) ///< "PLYVINFO"
_Static_assert(sizeof(struct pv_info) <= 4096, "the info page is one page");

/*
 * Every personality's ELF file carries a note (PT_NOTE, name "Polyvisor", type PV_NOTE_TYPE, contents struct pv_note).
 * lib's crt0 provides one; a program that needs no VMX says so with PV_PERSONALITY(0).
 */
enum {
    PV_NOTE_TYPE = 1, ///< the note's type
    PV_NEEDS_VMX = 1, ///< bit of `needs`: cores in VMX operation
};
#define PV_NOTE_NAME "Polyvisor" ///< the note's name
/// The note's contents.
struct pv_note {
    uint32_t abi_version; ///< PV_ABI_VERSION
    uint32_t needs;       ///< PV_NEEDS_*: without it the personality is not started, and the shell says why
};

/// A device that a personality models for its guests: a row of the table of PV_SYS_DEVICES, for people at the shell. Counters
/// grow; 0 where there is nothing to count. The personality may write to it at any time.
struct pv_device {
    char name[24];       ///< printable ASCII, NUL-terminated
    char place[40];      ///< where its guest finds it: ports, addresses, interrupts; likewise
    uint64_t reads;      ///< of its registers, that reached the personality
    uint64_t writes;     ///< likewise
    uint64_t interrupts; ///< that it asked for
    uint64_t bytes_in;   ///< of data, into the guest
    uint64_t bytes_out;  ///< out of it
};

/* ---- the debug capability (monitor only) ---- */

/*
 * Operations of PV_SYS_DEBUG, named by its first argument. Kinds of them:
 *
 * Lists: the buffer gets as many whole records as fit; the result is how many there are. Lists with times (cores,
 * personalities, agents, vcpus) ask all cores first; with PV_DEBUG_AS_NOTED as first argument they tell what those said
 * last, so that the times of cores and of personalities are of the same moments and fit together.
 *
 * Texts: (op, position, which, buffer, bytes): the buffer gets bytes from the position on; the result is how many, 0 at
 * the end. A position before the oldest byte that is kept is moved up to it.
 *
 * The rest answers 0. A record that the buffer has no room for is PV_ERR_INVALID.
 */
enum pv_debug {
    PV_DEBUG_CORES = 1,         ///< list with times: struct pv_core_info
    PV_DEBUG_PERSONALITIES = 2, ///< list with times: struct pv_personality_info
    PV_DEBUG_MEMORY = 3,        ///< list: struct pv_memory_info
    PV_DEBUG_MACHINE = 4,       ///< list of one record: struct pv_machine_info
    PV_DEBUG_LOG = 5,           ///< text: the multiplexer's log
    /// (op, position, which, buffer, bytes): a text: the configuration (which = 0), or what is wrong with it (1), one
    /// message a line, empty when right.
    /// Errors: PV_ERR_INVALID: another one.
    PV_DEBUG_CONFIG = 6,
    /// (op, position, personality, buffer, bytes): a text: its console output kept so far.
    /// Errors: PV_ERR_NOT_FOUND: no such personality.
    PV_DEBUG_CONSOLE = 7,
    /// (op, physical address, 0, buffer, bytes): copies memory.
    /// Errors: PV_ERR_NOT_FOUND: not all of it is RAM.
    PV_DEBUG_PEEK = 8,
    /// (op, core, msr, uint64_t *value, 8): RDMSR on that core.
    /// Errors: PV_ERR_GP: it has no such MSR; PV_ERR_NOT_FOUND: no such core.
    PV_DEBUG_MSR = 9,
    /// (op, core, leaf | subleaf << 32, struct pv_cpuid *, 16): CPUID on that core.
    /// Errors: PV_ERR_NOT_FOUND: no such core.
    PV_DEBUG_CPUID = 10,
    /// (op, personality): ends it; done when the call returns.
    /// Errors: PV_ERR_NOT_FOUND: no such personality; PV_ERR_DENIED: the caller itself; PV_ERR_STATE: it does not run.
    PV_DEBUG_KILL = 11,
    /// (op, personality): ends it if it still runs, loads its image again and starts it.
    /// Errors: PV_ERR_NOT_FOUND: no such personality; PV_ERR_DENIED: the caller itself; PV_ERR_STATE: it cannot be
    /// started, and its `why` tells; or somebody else is at it.
    PV_DEBUG_RESTART = 12,
    /// (op, personality): the terminal is its console until Ctrl-]; then the caller gets PV_EVENT_CONSOLE_REDRAW.
    /// Errors: PV_ERR_NOT_FOUND: no such personality.
    PV_DEBUG_ATTACH = 13,
    PV_DEBUG_REBOOT = 14,   ///< (op): VMXOFF on every core, then a reset. Does not return
    PV_DEBUG_POWEROFF = 15, ///< (op): VMXOFF on every core, then power off. Does not return
    PV_DEBUG_VCPUS = 17,    ///< list with times: struct pv_vcpu_info, of all personalities
    /// (op, PV_VCPU_ID(personality, vcpu), field encoding, uint64_t *value, 8): VMREAD, on the vcpu's core.
    /// Errors: PV_ERR_GP: the processor has no such field; PV_ERR_NOT_FOUND: no such vcpu.
    PV_DEBUG_VMCS = 18,
    /// (op, PV_VCPU_ID(personality, vcpu), 0, struct pv_exit_counts *, size): its exits so far.
    /// Errors: PV_ERR_NOT_FOUND: no such vcpu.
    PV_DEBUG_EXITS = 19,
    PV_DEBUG_SCHED = 20, ///< list of one record: struct pv_sched_info
    /// (op, enum pv_policy, slice): how level 1 chooses, on all cores, and its slice in microseconds, 100 to 1000000 or
    /// 0: as it is.
    /// Errors: PV_ERR_INVALID: no such policy or slice; PV_ERR_UNSUPPORTED: PV_POLICY_FRAME without a table, or with a
    /// slot that is too short for this machine.
    PV_DEBUG_POLICY = 21,
    /// (op, personality, weight): its share of a core's time, 1 to 10000.
    /// Errors: PV_ERR_NOT_FOUND: no such personality; PV_ERR_INVALID: another weight.
    PV_DEBUG_WEIGHT = 22,
    /// (op, personality): its agents keep their state but get no time.
    /// Errors: PV_ERR_NOT_FOUND: no such personality; PV_ERR_DENIED: the caller itself; PV_ERR_STATE: it does not run.
    PV_DEBUG_PAUSE = 23,
    /// (op, personality): ends that.
    /// Errors: as of PV_DEBUG_PAUSE.
    PV_DEBUG_RESUME = 24,
    /// (op, personality, mask of cores): its agents, with their vcpus and whatever they do, move to these, in turn;
    /// done when the call returns.
    /// Errors: PV_ERR_NOT_FOUND: no such personality, or no such core; PV_ERR_INVALID: an empty mask;
    /// PV_ERR_UNSUPPORTED: a core has no VMX, and the present ones have; PV_ERR_STATE: somebody else moves it.
    PV_DEBUG_PIN = 25,
    PV_DEBUG_TRACE = 26, ///< list: struct pv_trace_core
    /// (op, 0, 0, struct pv_trace_settings *, size): what is traced from now on.
    /// Errors: PV_ERR_INVALID: no such kind, or personality.
    PV_DEBUG_TRACE_SET = 27,
    /// (op, core, number of the first event, struct pv_trace_batch *, size): how many events stand in the buffer.
    /// Errors: PV_ERR_NOT_FOUND: no such core.
    PV_DEBUG_TRACE_READ = 28,
    /// (op, 0, 0, struct pv_baseline *, size): measures the switch that leaves VMX operation.
    /// Errors: PV_ERR_DENIED: no `debug baseline` in the configuration; PV_ERR_INVALID: numbers beyond the limits;
    /// PV_ERR_STATE: the caller has several agents, another measurement runs, or the vcpus are not as they must be;
    /// PV_ERR_UNSUPPORTED: the core has no VMX; PV_ERR_ENTRY: a guest could not be entered.
    PV_DEBUG_BASELINE = 29,
    PV_DEBUG_AGENTS = 30, ///< list with times: struct pv_agent_info, of all personalities
    PV_DEBUG_NET = 31,    ///< list: struct pv_net_info (net.h), the ports of virtual switches
    /// (op, 1 or 0): opens COM2, 115200 baud, 8N1, for the caller, which then gets PV_EVENT_DEBUGGER; or closes it.
    /// Errors: PV_ERR_NOT_FOUND: there is no COM2; PV_ERR_STATE: the configuration grants its ports to somebody.
    PV_DEBUG_LINE = 32,
    /// (op, 0, 0, buffer, bytes): takes what has arrived at COM2; how many bytes. PV_ERR_STATE: it is not open.
    PV_DEBUG_LINE_READ = 33,
    /// (op, 0, 0, buffer, bytes): how many bytes COM2 has taken, perhaps none: PV_EVENT_DEBUGGER comes when there is
    /// room again. PV_ERR_STATE: it is not open.
    PV_DEBUG_LINE_WRITE = 34,
    /// (op, personality, 1 or 0): the caller watches it: when a guest of it executes INT3, or has made the step that was
    /// asked for, the personality is paused, and the caller gets PV_EVENT_DEBUGGER. 0: ends that. Vcpus that are there
    /// already need PV_DEBUG_ARM.
    /// Errors: PV_ERR_NOT_FOUND: no such personality; PV_ERR_DENIED: the caller itself.
    PV_DEBUG_WATCH = 35,
    /// (op, PV_VCPU_ID(personality, vcpu)): makes #BP of the vcpu's guest the debugger's while its personality is
    /// watched, and its own again when it is not. A step that it was to make is given up.
    /// Errors: PV_ERR_NOT_FOUND: no such vcpu.
    PV_DEBUG_ARM = 36,
    /// (op, PV_VCPU_ID(personality, vcpu), 0, struct pv_guest_registers *, size): its guest's registers. Of one that runs, those
    /// of a moment ago.
    /// Errors: PV_ERR_NOT_FOUND: no such vcpu.
    PV_DEBUG_REGISTERS = 37,
    /// (op, PV_VCPU_ID(personality, vcpu), 0, struct pv_guest_registers *, size): writes gpr, rip and rflags of a guest
    /// that is held within vcpu_run. What RFLAGS cannot have is left out.
    /// Errors: PV_ERR_NOT_FOUND: no such vcpu; PV_ERR_STATE: its personality is not paused, or has the exit in hand.
    PV_DEBUG_SET_REGISTERS = 38,
    /// (op, PV_VCPU_ID(personality, vcpu), guest-physical address, buffer, bytes): copies the guest's memory, of one page
    /// at most.
    /// Errors: PV_ERR_NOT_FOUND: no such vcpu, or no memory there; PV_ERR_INVALID: beyond the page.
    PV_DEBUG_GUEST_READ = 39,
    /// The same into the guest's memory, whatever its space lets the guest do there.
    PV_DEBUG_GUEST_WRITE = 40,
    /// (op, PV_VCPU_ID(personality, vcpu), alone): resumes the paused personality until this vcpu's guest has executed
    /// one instruction; interrupts and NMIs in `inject` wait so long, unless it halts. alone = 1: no other agent of it runs
    /// meanwhile, and vcpu_run of another vcpu returns PV_RUN_BUDGET at once, some 1000 times.
    /// Errors: PV_ERR_NOT_FOUND: no such vcpu; PV_ERR_STATE: not watched or not paused; PV_ERR_UNSUPPORTED: the
    /// processor has no monitor trap flag.
    PV_DEBUG_STEP = 41,
    /// (op, PV_VCPU_ID(personality, vcpu)): the INT3 at which the vcpu stopped was the guest's own: it gets its #BP when
    /// it runs again.
    /// Errors: PV_ERR_NOT_FOUND: no such vcpu; PV_ERR_STATE: no INT3 stopped it; or its personality wants #BP itself.
    PV_DEBUG_PASS = 42,
    /// (op, PV_VCPU_ID(personality, vcpu)): enum pv_stop, since the personality was resumed.
    /// Errors: PV_ERR_NOT_FOUND: no such vcpu.
    PV_DEBUG_WHY_STOPPED = 43,
    /// (op, personality, 0, buffer, bytes): a list: struct pv_device, as the personality has it now, or had it at its end.
    /// Bytes that are not printable ASCII are dots.
    /// Errors: PV_ERR_NOT_FOUND: no such personality.
    PV_DEBUG_DEVICES = 44,
    /// (op, enum pv_crash): provokes a fault in ring 0.
    /// Errors: PV_ERR_UNSUPPORTED: not a debug build; PV_ERR_NOT_FOUND: no guest has run on another core.
    PV_DEBUG_CRASH = 16,
};

enum {
    PV_DEBUG_AS_NOTED = 1, ///< first argument of lists with times: no core is asked
};

/// Faults in ring 0, for PV_DEBUG_CRASH.
enum pv_crash {
    PV_CRASH_PAGE = 0,   ///< a page that is not there
    PV_CRASH_DIVIDE = 1, ///< a division by 0
    PV_CRASH_STACK = 2,  ///< the end of the stack
    PV_CRASH_UD = 3,     ///< an undefined instruction
    PV_CRASH_NMI = 4,    ///< an NMI, which ring 0 survives
    /* these two need a guest that has run on another core than the caller's */
    PV_CRASH_VMCS_ELSEWHERE = 5, ///< loads a VMCS here that is bound to the other core
    PV_CRASH_VMCS_UNCLEARED = 6, ///< binds it to this core without the VMCLEAR on the other, then loads it
};

enum pv_core_state {
    PV_CORE_ABSENT = 0, ///< listed by the firmware, did not answer
    PV_CORE_NO_VMX = 1, ///< runs, but not in VMX operation: `why` tells
    PV_CORE_VMX = 2,    ///< in VMX operation
};
enum pv_core_flags {
    PV_CORE_BSP = 1,    ///< the bootstrap processor
    PV_CORE_X2APIC = 2, ///< its local APIC is in x2APIC mode
};

/// A logical processor. Ticks count since it came up.
struct pv_core_info {
    uint32_t core;             ///< core_id
    uint32_t apic;             ///< the hardware's number
    uint32_t state;            ///< enum pv_core_state
    uint32_t flags;            ///< enum pv_core_flags
    uint64_t vmxon, vmxoff;    ///< how often each was executed
    uint64_t vmx_instructions; ///< how many others; 0 in builds that do not count them
    uint64_t ticks_total;      ///< in all: the next four add up to it
    uint64_t ticks_idle;       ///< nobody wanted the core
    uint64_t ticks_ring3;      ///< in personalities
    uint64_t ticks_guest;      ///< in their guests
    uint64_t ticks_mux;        ///< in the multiplexer
    uint64_t switches;         ///< from one agent to another
    uint64_t interrupts;       ///< taken, all vectors
    uint64_t syscalls;         ///< made on it
    char why[PV_WHY_SIZE];     ///< why the core is not in VMX operation, or ""
};

enum pv_personality_state {
    PV_STATE_RUNNING = 1,  ///< at least one agent runs or could
    PV_STATE_WAITING = 2,  ///< all agents wait for events
    PV_STATE_EXITED = 3,   ///< called exit; exit_code tells
    PV_STATE_FAULTED = 4,  ///< an exception in ring 3; why tells, the registers are kept
    PV_STATE_KILLED = 5,   ///< from the shell
    PV_STATE_REFUSED = 6,  ///< never started: why tells
    PV_STATE_STOPPING = 7, ///< its agents are being stopped
    PV_STATE_PAUSED = 8,   ///< would run, but the shell holds it
};

/// Ring-3 registers of an agent as they were when it stopped.
struct pv_registers {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rip, rflags;
    uint64_t vector, error_code, fault_address; ///< of the exception that stopped it
    uint64_t core;                              ///< where that was
};

struct pv_personality_info {
    uint32_t id;                              ///< its number
    uint32_t state;                           ///< enum pv_personality_state
    uint64_t cores;                           ///< mask
    uint32_t weight;                          ///< 1 to 10000
    uint32_t flags;                           ///< enum pv_info_flags
    uint32_t agents;                          ///< how many
    uint32_t restarts;                        ///< since boot
    uint64_t pool;                            ///< bytes
    uint64_t quota;                           ///< bytes of kernel memory that it may use
    uint64_t quota_used;                      ///< bytes of that in use
    uint64_t switches;                        ///< how often an agent of it was switched to
    uint64_t ticks_ring3;                     ///< of all its agents, since boot
    uint64_t ticks_guest;                     ///< of all its guests, since boot
    uint64_t exits_absorbed, exits_delivered; ///< of all its guests: handled by the multiplexer, by itself
    uint64_t vcpus;                           ///< that there are
    uint64_t syscalls;                        ///< since boot
    uint64_t console_dropped;                 ///< bytes of output overwritten before the terminal was sent them
    uint64_t console_overwritten;             ///< bytes of output that are older than what is kept
    int64_t exit_code;                        ///< valid when state is PV_STATE_EXITED
    char name[PV_NAME_SIZE];                  ///< NUL-terminated, as the next two
    char image[PV_FILE_SIZE];                 ///< file
    char why[PV_WHY_SIZE];                    ///< it ended, or was not started; or ""
    struct pv_registers registers;            ///< valid when state is PV_STATE_FAULTED
};

enum pv_memory_kind {
    PV_MEMORY_FREE = 1,        ///< RAM, nobody's
    PV_MEMORY_POOL = 2,        ///< a personality's pool
    PV_MEMORY_QUOTA = 3,       ///< kernel memory for a personality
    PV_MEMORY_MULTIPLEXER = 4, ///< the multiplexer's image, tables, stacks
    PV_MEMORY_MODULE = 5,      ///< a file
    PV_MEMORY_FIRMWARE = 6,    ///< reserved, ACPI, runtime, loader
    PV_MEMORY_MMIO = 7,        ///< device registers
    PV_MEMORY_BAD = 8,         ///< defective
};

/// A part of the physical memory; parts do not overlap.
struct pv_memory_info {
    uint64_t base;            ///< physical
    uint64_t size;            ///< bytes
    uint32_t kind;            ///< enum pv_memory_kind
    uint32_t reserved;        ///< 0
    char owner[PV_NAME_SIZE]; ///< personality or (cut) file name, or ""
};

enum pv_machine_flags {
    PV_MACHINE_DEBUG_BUILD = 1,   ///< built with DEBUG=1
    PV_MACHINE_CONFIG_BROKEN = 2, ///< the monitor alone runs: PV_DEBUG_CONFIG tells why
};

struct pv_machine_info {
    uint32_t flags;        ///< enum pv_machine_flags
    uint32_t cores;        ///< that run
    uint64_t tsc_hz;       ///< ticks a second
    uint64_t tsc_entry;    ///< TSC at mux_entry
    uint64_t tsc_ready;    ///< TSC when the first personality was started
    uint64_t loader_ticks; ///< ticks the boot loader took
    uint64_t slice_ticks;  ///< level 1's slice
    char version[64];      ///< of the multiplexer
    char loader[64];       ///< as it calls itself
    char tsc_source[32];   ///< "pit", "pm-timer", "cpuid"
};

enum pv_agent_state {
    PV_AGENT_STOPPED = 0, ///< not started, or its personality ended
    PV_AGENT_READY = 1,   ///< waits for the core
    PV_AGENT_RUNNING = 2, ///< has it
    PV_AGENT_WAITING = 3, ///< for an event
    PV_AGENT_BLOCKED = 4, ///< its system call goes on elsewhere
};

/// What level 1 switches between: a personality's thread on one core.
struct pv_agent_info {
    uint32_t personality, agent; ///< numbers
    uint32_t core;               ///< where it is
    uint32_t state;              ///< enum pv_agent_state
    uint64_t switches;           ///< to it
    /// That it has had the core: ring 3, its guests, and the multiplexer meanwhile. Shares are in these.
    uint64_t ticks;
    uint64_t ticks_guest, ticks_ring3; ///< parts of that
    uint64_t syscalls;                 ///< that it made
    char name[PV_NAME_SIZE];           ///< of the personality
};

/// A vcpu among all personalities'.
#define PV_VCPU_ID(personality, vcpu) ((uint64_t)(personality) << 32 | (vcpu))

struct pv_vcpu_info {
    uint32_t personality, vcpu;   ///< numbers
    uint32_t core;                ///< where it is
    uint32_t running;             ///< 1: its agent is inside vcpu_run
    uint32_t space;               ///< number
    uint32_t vpid;                ///< its tag in the TLB (SDM Vol. 3C 29.1)
    uint64_t run_time;            ///< ticks that the guest has run
    uint64_t absorbed, delivered; ///< exits
    uint64_t moves;               ///< from core to core
    uint64_t rip;                 ///< at the last delivered exit
    char name[PV_NAME_SIZE];      ///< of the personality
};

enum {
    PV_EXIT_REASONS = 80, ///< basic exit reasons (SDM Vol. 3D appendix C) that are counted; higher ones share the last
};
/// A vcpu's exits by basic exit reason.
struct pv_exit_counts {
    uint64_t absorbed[PV_EXIT_REASONS], delivered[PV_EXIT_REASONS]; ///< handled by the multiplexer, by the personality
};

/// How level 1 chooses (docs/scheduling.md).
enum pv_policy {
    PV_POLICY_WEIGHTED = 0, ///< in turn, by weight
    PV_POLICY_FRAME = 1,    ///< by the configuration's table
};

struct pv_sched_info {
    uint32_t policy;      ///< enum pv_policy
    uint32_t slice_us;    ///< the slice in microseconds
    uint64_t slice_ticks; ///< and in ticks
    uint32_t frame_slots; ///< in the configuration's frame table
    uint32_t reserved;    ///< 0
};

/// Why a watched guest stopped.
enum pv_stop {
    PV_STOP_NONE = 0,       ///< it did not
    PV_STOP_BREAKPOINT = 1, ///< it executed INT3; RIP points to it
    PV_STOP_STEP = 2,       ///< it has made its step
};

/// A guest's registers, for a debugger.
struct pv_guest_registers {
    uint64_t gpr[16];          ///< in the processor's numbering
    uint64_t rip, rflags;      ///< as they stand
    uint64_t cr0, cr3, cr4;    ///< as the guest sees them
    uint64_t efer;             ///< IA32_EFER
    uint64_t fs_base, gs_base; ///< of the segments
    uint16_t selector[6];      ///< ES, CS, SS, DS, FS, GS
    uint32_t cs_access;        ///< as VMCS access rights
    uint32_t in_guest;         ///< 1: inside vcpu_run, so that PV_DEBUG_SET_REGISTERS can write
    uint32_t reserved;         ///< 0
};

/// What CPUID answered.
struct pv_cpuid {
    uint32_t eax, ebx, ecx, edx;
};

#endif
