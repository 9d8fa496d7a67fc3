// SPDX-License-Identifier: Apache-2.0
/*
 * GDB's remote serial protocol ("Debugging with GDB", appendix E), the side of the target. Pure: bytes come in, bytes go out through
 * a callback, and what is debugged is behind others. The line is not trusted: whatever comes, nothing but these callbacks is done.
 *
 * Threads are vcpus: thread id = vcpu + 1.
 */
#ifndef POLYVISOR_MONITOR_GDB_PROTOCOL_H
#define POLYVISOR_MONITOR_GDB_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <polyvisor/abi.h>
#include <polyvisor/vcpu.h>

enum {
    GDB_PACKET = 1200,    ///< the longest packet, either way, without $ and checksum
    GDB_MEMORY_MAX = 512, ///< bytes of memory in one packet
    GDB_BREAKPOINTS = 64, ///< at a time
};

/// What is debugged. Functions that can fail return false.
struct gdb_target {
    void *context;
    void (*send)(void *context, const char *bytes, size_t size);
    /// Writes up to `room` vcpu numbers; returns how many there are.
    size_t (*vcpus)(void *context, uint32_t *list, size_t room);
    bool (*read_registers)(void *context, uint32_t vcpu, struct pv_guest_registers *registers);
    bool (*write_registers)(void *context, uint32_t vcpu, const struct pv_guest_registers *registers);
    /// Guest-virtual memory, as the vcpu sees it.
    bool (*read_memory)(void *context, uint32_t vcpu, uint64_t address, void *bytes, size_t size);
    bool (*write_memory)(void *context, uint32_t vcpu, uint64_t address, const void *bytes, size_t size);
    bool (*go_on)(void *context);
    /// One instruction; alone: the other vcpus do not run meanwhile.
    bool (*step)(void *context, uint32_t vcpu, bool alone);
    void (*interrupt)(void *context);
    /// The debugger goes: what it did to the guest is undone already, the guest runs on.
    void (*detached)(void *context);
};

struct gdb_breakpoint {
    bool used;
    uint8_t before; ///< the byte that INT3 stands for
    uint32_t vcpu;  ///< through whose page tables it was set
    uint64_t address;
};

enum gdb_phase { GDB_IDLE, GDB_PACKET_BODY, GDB_CHECKSUM_1, GDB_CHECKSUM_2 };

struct gdb {
    struct gdb_target target;
    enum gdb_phase phase;
    bool no_ack, running, too_long, connected;
    uint8_t sum, sum_told;
    uint32_t vcpu; ///< that g, m and so on mean
    uint32_t step_vcpu;
    size_t in_size, out_size, last_size;
    char in[GDB_PACKET + 1]; ///< the packet that comes, NUL-terminated
    char out[GDB_PACKET];    ///< the answer that is made
    char last[GDB_PACKET + 4];
    struct gdb_breakpoint breakpoints[GDB_BREAKPOINTS];
};

void gdb_init(struct gdb *gdb, const struct gdb_target *target);
/// Bytes from the line.
void gdb_receive(struct gdb *gdb, const char *bytes, size_t size);
/// Whether INT3 at an address is the debugger's.
bool gdb_has_breakpoint(const struct gdb *gdb, uint64_t address);
/// The target has stopped while it ran: because of the vcpu, or (vcpu = UINT32_MAX) as it was told to.
void gdb_stopped(struct gdb *gdb, uint32_t vcpu, enum pv_stop why);
/// The target is no more.
void gdb_gone(struct gdb *gdb);
/// Takes the breakpoints out, as when the debugger goes.
void gdb_remove_breakpoints(struct gdb *gdb);

#endif
