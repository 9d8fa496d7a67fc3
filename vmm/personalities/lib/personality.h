// SPDX-License-Identifier: Apache-2.0
/*
 * What a personality (a ring-3 program of Polyvisor) programs against: system calls, console, small helpers.
 * docs/personalities.md shows a whole program. Types, limits and error numbers are in <polyvisor/abi.h>.
 */
#ifndef POLYVISOR_PERSONALITY_H
#define POLYVISOR_PERSONALITY_H

#include <stdbool.h>
#include <stdint.h>

#include <polyvisor/abi.h>
#include <polyvisor/format.h>
#include <polyvisor/net.h>
#include <polyvisor/string.h>

/**
 * The program. Every agent runs it, each on its own core and stack (64 KiB). When it returns on agent 0, the personality
 * exits with its value; when it returns on another agent, that agent waits for ever.
 */
#ifndef POLYVISOR_HOST // host tests have a main of their own
int main(const struct pv_info *info, uint32_t agent);
#endif

/**
 * Says once, at file scope, what the machine must have for this program to be started: 0 or PV_NEEDS_VMX.
 * A program that does not say it needs VMX.
 */
#define PV_PERSONALITY(needs)                                                                                          \
    __asm__(".set PV_NEEDS_VMX, 1\n"                                                                                   \
            ".globl pv_note_needs\n"                                                                                   \
            ".set pv_note_needs, " #needs "\n")
_Static_assert(PV_NEEDS_VMX == 1, "the assembler is told the same number");

/* ---- system calls: results below 0 are enum pv_error, and then nothing has changed ---- */

/// Any system call; enum pv_syscall tells what the arguments are. The functions below are the comfortable way.
#ifdef POLYVISOR_HOST
int64_t pv_syscall(uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4);
#else
static inline int64_t pv_syscall(uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
    // SYSENTER keeps neither rip nor rsp: the multiplexer returns to rdx with the stack rcx. It clears what it does not keep.
    register uint64_t r8 __asm__("r8") = a2;
    register uint64_t r9 __asm__("r9") = a3;
    register uint64_t r10 __asm__("r10") = a4;
    int64_t result;
    __asm__ volatile("mov %%rsp, %%rcx\n\t"
                     "lea 1f(%%rip), %%rdx\n\t"
                     "sysenter\n"
                     "1:"
                     : "=a"(result), "+D"(a0), "+S"(a1), "+r"(r8), "+r"(r9), "+r"(r10)
                     : "a"(number)
                     : "rcx", "rdx", "r11", "cc", "memory");
    return result;
}
#endif

/// Does nothing; 0. For measuring what entering and leaving the multiplexer costs.
static inline int64_t pv_null(void)
{
    return pv_syscall(PV_SYS_NULL, 0, 0, 0, 0, 0);
}

/// Ends the whole personality, all agents.
static inline _Noreturn void pv_exit(int64_t code)
{
    for (;;)
        pv_syscall(PV_SYS_EXIT, (uint64_t)code, 0, 0, 0, 0);
}

/// Gives the rest of the time slice to other agents of this core.
static inline void pv_yield(void)
{
    pv_syscall(PV_SYS_YIELD, 0, 0, 0, 0, 0);
}

/// Hands text to the console. flags: 0; PV_CONSOLE_PARTIAL to have no more taken than there is room for; PV_CONSOLE_RAW when
/// lines end with carriage return and line feed.
/// Returns the number of bytes taken.
static inline int64_t pv_console_write(const char *text, size_t bytes, uint64_t flags)
{
    return pv_syscall(PV_SYS_CONSOLE_WRITE, (uintptr_t)text, bytes, flags, 0, 0);
}

/// Takes console input that has arrived; returns the number of bytes, 0 when there are none.
static inline int64_t pv_console_read(char *buffer, size_t bytes)
{
    return pv_syscall(PV_SYS_CONSOLE_READ, (uintptr_t)buffer, bytes, 0, 0, 0);
}

/// Waits until one of the events is pending for this agent, or the TSC reaches the deadline (0: does not wait; PV_NO_DEADLINE:
/// without end). Returns the pending ones of the mask, which are then no longer pending, or PV_ERR_TIMEOUT.
static inline int64_t pv_event_wait(uint64_t mask, uint64_t deadline)
{
    return pv_syscall(PV_SYS_EVENT_WAIT, mask, deadline, 0, 0, 0);
}

/// Makes events (of PV_EVENT_USER_MASK) pending for an agent of this personality.
static inline int64_t pv_event_signal(uint32_t agent, uint64_t events)
{
    return pv_syscall(PV_SYS_EVENT_SIGNAL, agent, events, 0, 0, 0);
}

/// Maps a part of the pool at another address in [PV_USER_MAP_MIN, PV_USER_MAP_MAX); everything in multiples of 4 KiB.
static inline int64_t pv_memory_map(uint64_t address, uint64_t pool_offset, uint64_t bytes, bool writable)
{
    return pv_syscall(PV_SYS_MEMORY_MAP, address, pool_offset, bytes, writable, 0);
}

/// Sends a frame over the virtual switch that the configuration gives a port of; 0, whether anybody gets it or not.
static inline int64_t pv_net_send(const void *frame, size_t bytes)
{
    return pv_syscall(PV_SYS_NET_SEND, (uintptr_t)frame, bytes, 0, 0, 0);
}

/// Takes the oldest frame that has come; its size, 0 when there is none (wait for PV_EVENT_NET then).
static inline int64_t pv_net_receive(void *buffer, size_t bytes)
{
    return pv_syscall(PV_SYS_NET_RECEIVE, (uintptr_t)buffer, bytes, 0, 0, 0);
}

/// Says where in the pool a table of `count` struct pv_device stands, for the shell's command `devices`.
static inline int64_t pv_devices(uint64_t pool_offset, uint32_t count)
{
    return pv_syscall(PV_SYS_DEVICES, pool_offset, count, 0, 0, 0);
}

/// The debug capability: enum pv_debug tells what the arguments are. PV_ERR_DENIED for everybody but the monitor.
static inline int64_t pv_debug(enum pv_debug operation, uint64_t a, uint64_t b, void *buffer, size_t bytes)
{
    return pv_syscall(PV_SYS_DEBUG, operation, a, b, (uintptr_t)buffer, bytes);
}

/// The time stamp counter, which deadlines are given in; pv_info.tsc_hz ticks a second.
#ifdef POLYVISOR_HOST // a test's own time
uint64_t pv_tsc(void);
#else
static inline uint64_t pv_tsc(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}
#endif

/* ---- console ---- */

/// Makes output wait for room instead of dropping the oldest text when the console is full. For the program that a person talks
/// to; only from agent 0, which is the one that hears of room.
void pv_console_lossless(bool lossless);

/// Writes text, as pv_console_lossless says.
void pv_write(const char *text, size_t size);

/// Prints to the console (<polyvisor/format.h> lists the conversions). Up to 256 characters go out in one piece, so that lines
/// of several agents do not mix. Returns the number of characters.
size_t pv_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/// The next byte of input, or PV_ERR_TIMEOUT when none came before the deadline (as in pv_event_wait). Only on agent 0.
int pv_console_getc(uint64_t deadline);

/* ---- helpers ---- */

/// "PV_ERR_QUOTA" and the like; "unknown error" for other numbers.
const char *pv_error_name(int64_t error);

/// Reads a whole string as a number: decimal, or hexadecimal after 0x; nothing else may stand there, and it must fit 64 bits.
bool pv_parse_number(const char *text, uint64_t *value);

/// Waits for ever: what an agent does that has nothing to do.
_Noreturn void pv_idle(void);

#endif
