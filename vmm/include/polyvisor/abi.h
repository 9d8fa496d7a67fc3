// SPDX-License-Identifier: Apache-2.0
/*
 * The ABI between the multiplexer (ring 0) and personalities (ring 3).
 *
 * System calls: SYSENTER with
 *   rax = enum pv_syscall, rdi, rsi, r8, r9, r10 = arguments 0 to 4,
 *   rcx = stack pointer and rdx = address to return to;
 * on return rax = result, rcx and rdx as they were, rbx, rbp and r12 to r15 kept, every other register cleared.
 * A negative result is an enum pv_error. SYSENTER, not SYSCALL, because its MSRs are VMCS fields (SDM Vol. 3C 25.5,
 * 25.4.1), while the SYSCALL MSRs belong to the guest that was loaded last.
 */
#ifndef POLYVISOR_ABI_H
#define POLYVISOR_ABI_H

#include <stdint.h>

enum {
    PV_ABI_VERSION = 1,
    PV_MAX_CORES = 64, ///< core sets are 64-bit masks
    PV_NAME_SIZE = 32, ///< a personality's or module's name, with its NUL
    PV_FILE_SIZE = 128,
    PV_ARGS_SIZE = 1024,
    PV_WHY_SIZE = 160,
    PV_MAX_MODULES = 16,      ///< a personality
    PV_MAP_MAX_PAGES = 16384, ///< pages (of any size that fits) that one PV_SYS_MEMORY_MAP maps at most
    PV_CONSOLE_SIZE = 32768,  ///< bytes of output that the multiplexer keeps for a personality's console
};

/// Fixed places in a personality's address space. Its image may be linked anywhere from PV_IMAGE_MIN to PV_IMAGE_MAX.
#define PV_IMAGE_MIN UINT64_C(0x0000000000400000)
#define PV_IMAGE_MAX UINT64_C(0x0000000080000000)
#define PV_INFO_VA UINT64_C(0x0000100000000000)   ///< the info page, read-only
#define PV_STACKS_VA UINT64_C(0x0000110000000000) ///< agent i: stack in [PV_STACKS_VA + i * PV_STACK_STRIDE, ...)
#define PV_STACK_STRIDE UINT64_C(0x0000000000200000)
#define PV_STACK_SIZE UINT64_C(0x0000000000010000)   ///< at the upper end of its stride, unmapped pages below
#define PV_MODULES_VA UINT64_C(0x0000120000000000)   ///< modules, read-only, each from a 4 KiB boundary
#define PV_POOL_VA UINT64_C(0x0000200000000000)      ///< the pool, read-write, never executable
#define PV_USER_MAP_MIN UINT64_C(0x0000300000000000) ///< free for PV_SYS_MEMORY_MAP, up to PV_USER_MAP_MAX
#define PV_USER_MAP_MAX UINT64_C(0x0000400000000000)

enum pv_error {
    PV_OK = 0,
    PV_ERR_INVALID = -1, ///< an argument is out of its range
    PV_ERR_FAULT = -2,   ///< a pointer is not the caller's readable (or writable) memory
    PV_ERR_DENIED = -3,  ///< needs a capability that the configuration did not give
    PV_ERR_NOT_FOUND = -4,
    PV_ERR_QUOTA = -5,   ///< the caller's kernel-memory quota is used up
    PV_ERR_TIMEOUT = -6, ///< the deadline passed
    PV_ERR_STATE = -7,   ///< not possible in the present state (already mapped, not running, ...)
    PV_ERR_NO_SYSCALL = -8,
    PV_ERR_GP = -9,           ///< the processor answered with #GP (unknown MSR)
    PV_ERR_UNSUPPORTED = -10, ///< not built in, or not on this machine
    PV_ERR_ENTRY = -11,       ///< the processor refused to enter the guest
    PV_ERR_AGAIN = -12,       ///< not finished: the same call again goes on with it
};

enum pv_syscall {
    PV_SYS_NULL = 0,  ///< (): 0; does nothing, for measuring
    PV_SYS_EXIT = 1,  ///< (code): ends the whole personality; does not return
    PV_SYS_YIELD = 2, ///< (): gives the rest of the slice back; 0
    /// (text, bytes, flags): bytes taken. Without PV_CONSOLE_PARTIAL everything is taken and the oldest unsent text is
    /// dropped (and counted) where there is no room; with it, only as much as there is room for: wait for
    /// PV_EVENT_CONSOLE_ROOM.
    PV_SYS_CONSOLE_WRITE = 3,
    PV_SYS_CONSOLE_READ = 4, ///< (buffer, bytes): bytes read, 0 when there are none; wait for PV_EVENT_CONSOLE_INPUT
    /// (mask, deadline): waits until an event of the mask is pending for this agent or the TSC reaches the deadline
    /// (absolute; PV_NO_DEADLINE: never; 0: poll). Returns the pending events of the mask, which it clears, or
    /// PV_ERR_TIMEOUT.
    PV_SYS_EVENT_WAIT = 5,
    PV_SYS_EVENT_SIGNAL =
        6, ///< (agent, events): makes PV_EVENT_USER* events pending for an agent of the same personality
    /// (address, pool offset, bytes, writable 0/1): maps a part of the pool once more, in [PV_USER_MAP_MIN,
    /// PV_USER_MAP_MAX). Addresses and sizes are multiples of 4 KiB, nothing may be mapped there yet. Page tables come
    /// from the quota. At most PV_MAP_MAX_PAGES pages. On an error nothing has changed.
    PV_SYS_MEMORY_MAP = 7,
    PV_SYS_DEBUG = 8, ///< (enum pv_debug, argument, argument, buffer, bytes): see enum pv_debug
};

enum pv_console_flags { PV_CONSOLE_PARTIAL = 1 };

#define PV_NO_DEADLINE UINT64_MAX

/// Events, pending for each agent by itself. The multiplexer signals console events to agent 0.
enum {
    PV_EVENT_CONSOLE_INPUT = 1 << 0, ///< there is input to read
    PV_EVENT_CONSOLE_ROOM = 1 << 1,  ///< a console that was full has room
    PV_EVENT_CONSOLE_REDRAW =
        1 << 2,              ///< somebody else's text appeared on the terminal (or an attach ended): draw the line anew
    PV_EVENT_USER = 1 << 16, ///< this and all higher bits below bit 31: for event_signal, meaning free
    PV_EVENT_USER_MASK = 0x7fff0000,
};

/// A file given to a personality (configuration: module NAME FILE).
struct pv_module {
    char name[PV_NAME_SIZE];
    uint64_t address; ///< where it is mapped, read-only
    uint64_t size;    ///< bytes
};

enum pv_info_flags {
    PV_INFO_DEBUG = 1, ///< has the debug capability
    PV_INFO_VMX = 2,   ///< the machine can run guests
};

/// The info page, at PV_INFO_VA. Also passed to the program: main(const struct pv_info *, agent).
struct pv_info {
    uint64_t magic; ///< PV_INFO_MAGIC
    uint32_t abi_version;
    uint32_t size;  ///< sizeof(struct pv_info)
    uint32_t id;    ///< personality number
    uint32_t flags; ///< enum pv_info_flags
    uint64_t tsc_hz;
    uint64_t tsc_entry; ///< TSC when the multiplexer was entered at boot
    uint64_t pool_size; ///< bytes at PV_POOL_VA; contents undefined at start
    uint32_t agent_count;
    uint32_t module_count;
    char name[PV_NAME_SIZE];
    char args[PV_ARGS_SIZE];
    uint32_t cores[PV_MAX_CORES]; ///< core_id of each agent
    struct pv_module modules[PV_MAX_MODULES];
};
#define PV_INFO_MAGIC UINT64_C(0x4f464e4956594c50) // "PLYVINFO"
_Static_assert(sizeof(struct pv_info) <= 4096, "the info page is one page");

/*
 * Every personality's ELF file carries a note (PT_NOTE, name "Polyvisor", type PV_NOTE_TYPE, contents struct pv_note).
 * lib's crt0 provides one; a program that needs no VMX says so with PV_PERSONALITY(0).
 */
enum { PV_NOTE_TYPE = 1, PV_NEEDS_VMX = 1 };
#define PV_NOTE_NAME "Polyvisor"
struct pv_note {
    uint32_t abi_version;
    uint32_t needs; ///< PV_NEEDS_*: without it the personality is not started, and the shell says why
};

/* ---- the debug capability (monitor only) ---- */

enum pv_debug {
    /// Lists: the buffer gets as many whole records as fit; the result is how many there are. Lists with times (cores,
    /// personalities, vcpus) ask all cores first; with PV_DEBUG_AS_NOTED as first argument they tell what those said last, so
    /// that the times of cores and of personalities are of the same moments and fit together.
    PV_DEBUG_CORES = 1,         ///< struct pv_core_info
    PV_DEBUG_PERSONALITIES = 2, ///< struct pv_personality_info
    PV_DEBUG_MEMORY = 3,        ///< struct pv_memory_info
    PV_DEBUG_MACHINE = 4,       ///< struct pv_machine_info (one record)
    /// Texts: (op, position, which): the buffer gets bytes from the position on; the result is how many, 0 at the end.
    PV_DEBUG_LOG = 5, ///< the multiplexer's log; a position before the oldest kept byte is moved up to it
    PV_DEBUG_CONFIG =
        6, ///< which 0: the configuration text; which 1: what is wrong with it (one message a line), empty when right
    PV_DEBUG_CONSOLE = 7, ///< which = personality: its console output kept so far
    /// (op, physical address, 0, buffer, bytes): copies memory; PV_ERR_NOT_FOUND where there is no RAM.
    PV_DEBUG_PEEK = 8,
    PV_DEBUG_MSR = 9,      ///< (op, core, msr, uint64_t *value, 8): PV_ERR_GP: no such MSR
    PV_DEBUG_CPUID = 10,   ///< (op, core, leaf | subleaf << 32, struct pv_cpuid *, 16)
    PV_DEBUG_KILL = 11,    ///< (op, personality): done when it returns. PV_ERR_DENIED for the monitor itself
    PV_DEBUG_RESTART = 12, ///< (op, personality): kills it if it still runs, loads it again and starts it
    PV_DEBUG_ATTACH = 13, ///< (op, personality): the terminal is its console until Ctrl-]; then PV_EVENT_CONSOLE_REDRAW
    PV_DEBUG_REBOOT = 14,
    PV_DEBUG_POWEROFF = 15, ///< VMXOFF on every core, then power off
    PV_DEBUG_VCPUS = 17,    ///< list: struct pv_vcpu_info, of all personalities
    PV_DEBUG_VMCS =
        18, ///< (op, PV_VCPU_ID(personality, vcpu), field encoding, uint64_t *value, 8). PV_ERR_GP: no such field
    PV_DEBUG_EXITS = 19,  ///< (op, PV_VCPU_ID(personality, vcpu), 0, struct pv_exit_counts *, size)
    PV_DEBUG_SCHED = 20,  ///< one record: struct pv_sched_info
    PV_DEBUG_POLICY = 21, ///< (op, enum pv_policy, slice in microseconds or 0: as it is)
    PV_DEBUG_WEIGHT = 22, ///< (op, personality, weight)
    PV_DEBUG_PAUSE = 23,  ///< (op, personality): its agents keep their state but get no time
    PV_DEBUG_RESUME = 24, ///< (op, personality)
    PV_DEBUG_PIN = 25,    ///< (op, personality, mask of cores): its agents, with their vcpus, move there
    PV_DEBUG_TRACE = 26,  ///< these three: polyvisor/trace.h
    PV_DEBUG_TRACE_SET = 27,
    PV_DEBUG_TRACE_READ = 28,
    /// (op, 0, 0, struct pv_baseline *, size): measures the switch that leaves VMX operation. PV_ERR_DENIED without `debug
    /// baseline` in the configuration. polyvisor/baseline.h
    PV_DEBUG_BASELINE = 29,
    PV_DEBUG_AGENTS = 30, ///< list: struct pv_agent_info, of all personalities; with times, as the first two
    PV_DEBUG_CRASH = 16, ///< (op, how): provokes a ring-0 fault; PV_ERR_UNSUPPORTED but in a debug build. enum pv_crash
};

enum { PV_DEBUG_AS_NOTED = 1 };

enum pv_crash { PV_CRASH_PAGE = 0, PV_CRASH_DIVIDE = 1, PV_CRASH_STACK = 2, PV_CRASH_UD = 3, PV_CRASH_NMI = 4 };

enum pv_core_state { PV_CORE_ABSENT = 0, PV_CORE_NO_VMX = 1, PV_CORE_VMX = 2 };
enum pv_core_flags { PV_CORE_BSP = 1, PV_CORE_X2APIC = 2 };

struct pv_core_info {
    uint32_t core;
    uint32_t apic;
    uint32_t state;            ///< enum pv_core_state; absent: listed by the firmware, did not answer
    uint32_t flags;            ///< enum pv_core_flags
    uint64_t vmxon, vmxoff;    ///< how often each was executed
    uint64_t vmx_instructions; ///< how many others; 0 in builds that do not count them
    uint64_t ticks_total;      ///< TSC ticks since the core came up: the next four add up to it
    uint64_t ticks_idle;
    uint64_t ticks_ring3;
    uint64_t ticks_guest;
    uint64_t ticks_mux;  ///< in the multiplexer
    uint64_t switches;   ///< from one agent to another
    uint64_t interrupts; ///< taken, all vectors
    uint64_t syscalls;
    char why[PV_WHY_SIZE]; ///< why the core is not in VMX operation, or ""
};

enum pv_personality_state {
    PV_STATE_RUNNING = 1, ///< at least one agent runs or could
    PV_STATE_WAITING = 2, ///< all agents wait for events
    PV_STATE_EXITED = 3,  ///< called exit; exit_code tells
    PV_STATE_FAULTED = 4, ///< an exception in ring 3; why tells, the registers are kept
    PV_STATE_KILLED = 5,
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
    uint64_t core;
};

struct pv_personality_info {
    uint32_t id;
    uint32_t state; ///< enum pv_personality_state
    uint64_t cores; ///< mask
    uint32_t weight;
    uint32_t flags; ///< enum pv_info_flags
    uint32_t agents;
    uint32_t restarts;
    uint64_t pool;  ///< bytes
    uint64_t quota; ///< bytes of kernel memory that it may use
    uint64_t quota_used;
    uint64_t switches; ///< how often an agent of it was switched to
    uint64_t ticks_ring3;
    uint64_t ticks_guest;
    uint64_t exits_absorbed, exits_delivered;
    uint64_t vcpus;
    uint64_t syscalls;
    uint64_t console_dropped; ///< bytes of output lost
    int64_t exit_code;
    char name[PV_NAME_SIZE];
    char image[PV_FILE_SIZE];
    char why[PV_WHY_SIZE];
    struct pv_registers registers; ///< valid when state is PV_STATE_FAULTED
};

enum pv_memory_kind {
    PV_MEMORY_FREE = 1,        ///< RAM, nobody's
    PV_MEMORY_POOL = 2,        ///< a personality's pool
    PV_MEMORY_QUOTA = 3,       ///< kernel memory for a personality
    PV_MEMORY_MULTIPLEXER = 4, ///< the multiplexer's image, tables, stacks
    PV_MEMORY_MODULE = 5,      ///< a file
    PV_MEMORY_FIRMWARE = 6,    ///< reserved, ACPI, runtime, loader
    PV_MEMORY_MMIO = 7,
    PV_MEMORY_BAD = 8,
};

struct pv_memory_info {
    uint64_t base; ///< physical
    uint64_t size;
    uint32_t kind; ///< enum pv_memory_kind
    uint32_t reserved;
    char owner[PV_NAME_SIZE]; ///< personality or (cut) file name, or ""
};

enum pv_machine_flags { PV_MACHINE_DEBUG_BUILD = 1, PV_MACHINE_CONFIG_BROKEN = 2 };

struct pv_machine_info {
    uint32_t flags; ///< enum pv_machine_flags
    uint32_t cores; ///< that run
    uint64_t tsc_hz;
    uint64_t tsc_entry;    ///< TSC at mux_entry
    uint64_t tsc_ready;    ///< TSC when the first personality was started
    uint64_t loader_ticks; ///< ticks the boot loader took
    uint64_t slice_ticks;
    char version[64];
    char loader[64];
    char tsc_source[32]; ///< "pit", "pm-timer", "cpuid"
};

enum pv_agent_state {
    PV_AGENT_STOPPED = 0, ///< not started, or its personality ended
    PV_AGENT_READY = 1,   ///< waits for the core
    PV_AGENT_RUNNING = 2,
    PV_AGENT_WAITING = 3, ///< for an event
    PV_AGENT_BLOCKED = 4, ///< its system call goes on elsewhere
};

/// What level 1 switches between: a personality's thread on one core.
struct pv_agent_info {
    uint32_t personality, agent;
    uint32_t core;
    uint32_t state;    ///< enum pv_agent_state
    uint64_t switches; ///< to it
    uint64_t
        ticks; ///< that it has had the core: ring 3, its guests, and the multiplexer meanwhile. Shares are in these
    uint64_t ticks_guest, ticks_ring3;
    uint64_t syscalls;
    char name[PV_NAME_SIZE]; ///< of the personality
};

#define PV_VCPU_ID(personality, vcpu) ((uint64_t)(personality) << 32 | (vcpu))

struct pv_vcpu_info {
    uint32_t personality, vcpu;
    uint32_t core;
    uint32_t running; ///< 1: an agent is inside vcpu_run
    uint32_t space;
    uint32_t vpid;
    uint64_t run_time;            ///< ticks that the guest has run
    uint64_t absorbed, delivered; ///< exits
    uint64_t moves;               ///< from core to core
    uint64_t rip;                 ///< at the last delivered exit
    char name[PV_NAME_SIZE];      ///< of the personality
};

enum { PV_EXIT_REASONS = 80 }; ///< by basic exit reason (SDM Vol. 3D appendix C); higher ones are counted in the last
struct pv_exit_counts {
    uint64_t absorbed[PV_EXIT_REASONS], delivered[PV_EXIT_REASONS];
};

enum pv_policy { PV_POLICY_WEIGHTED = 0, PV_POLICY_FRAME = 1 };

struct pv_sched_info {
    uint32_t policy; ///< enum pv_policy
    uint32_t slice_us;
    uint64_t slice_ticks;
    uint32_t frame_slots; ///< in the configuration's frame table
    uint32_t reserved;
};

struct pv_cpuid {
    uint32_t eax, ebx, ecx, edx;
};

#endif
