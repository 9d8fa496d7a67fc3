// SPDX-License-Identifier: Apache-2.0
/// A virtual processor: a vcpu, its interrupts, and what becomes of its exits.
#ifndef POLYVISOR_LINUX_CPU_H
#define POLYVISOR_LINUX_CPU_H

#include "cpuid.h"
#include "devices/lapic.h"
#include "devices/page_walk.h"
#include "msr.h"
#include "vcpu.h"
#include "virtual_apic.h"

/// Whose interrupt stands in the state page's inject slot.
enum cpu_offer { OFFER_NONE, OFFER_PIC, OFFER_LAPIC, OFFER_NMI };

struct cpu {
    struct pv_vcpu vcpu;
    uint32_t index; ///< also its APIC id
    _Atomic bool made;
    bool halted;
    bool spins; ///< waits in a loop of PAUSE for another processor; until its agent has looked
    struct msr_file msrs;
    struct lapic lapic;
    struct virtual_apic virtual_apic;
    enum cpu_offer offer;
    uint32_t offered; ///< the PIC's input, or the vector
};

/// Makes the vcpu on the agent that calls; after a reset, makes it anew.
int64_t cpu_create(struct cpu *cpu, uint32_t index);

/// entry.c: has it begin with the kernel, instead of waiting. False: the page tables of the entry do not fit.
bool cpu_enter_kernel(const struct cpu *cpu);

/// Whether it has something to do: after the interrupts, INIT and start-up IPIs that have come, and those of its timer.
bool cpu_runnable(struct cpu *cpu, uint64_t now);
/// Whether there is something for which it interrupts what it does, or goes on after HLT.
bool cpu_interrupted(struct cpu *cpu);
/// Runs it until the TSC reaches a deadline (DEV_NEVER: none), or something is to be handled, and handles that. With the lock held.
void cpu_run(struct cpu *cpu, uint64_t deadline);

/// Something that cannot go on: says what, with the registers, and ends the machine.
void cpu_fail(struct cpu *cpu, const char *format, ...) __attribute__((format(printf, 2, 3)));

/// #GP(0) and #UD instead of the instruction.
void cpu_raise_gp(struct cpu *cpu);
void cpu_raise_ud(struct cpu *cpu);
/// What a segment does not allow: #GP(0), of the stack segment #SS(0).
void cpu_raise_segment(struct cpu *cpu, bool stack);
void cpu_raise_page_fault(struct cpu *cpu, uint32_t error, uint64_t address);

/// What CPUID tells it.
struct cpuid_machine cpu_cpuid_view(const struct cpu *cpu);

/// Its own page tables.
struct page_walk cpu_page_walk(const struct cpu *cpu);

/// string_io.c: handles INS and OUTS.
void cpu_handle_string_io(struct cpu *cpu, const struct pv_io *io);
/// mmio.c: handles an access to memory that the guest does not have; of an instruction at RIP, at a guest-physical address.
void cpu_handle_ept_violation(struct cpu *cpu);
void cpu_handle_access(struct cpu *cpu, uint64_t address);
/// Registers of devices, or what is read and written where there are none. Bits beyond the size are anything.
uint64_t cpu_read_device(struct cpu *cpu, uint64_t address, uint32_t size);
void cpu_write_device(struct cpu *cpu, uint64_t address, uint32_t size, uint64_t value);

/// exits.c: handles the exit in the state page.
void cpu_handle_exit(struct cpu *cpu);
/// pause_loop.c: has the processor tell, where it can, when the kernel waits in a loop.
int64_t pause_loop_enable(const struct cpu *cpu);
/// control_registers.c: has changes of CR4 that it does not offer exit.
int64_t cr_create(const struct cpu *cpu);
/// MOV to and from CR0, CR4, CR8, as far as they exit.
void cr_handle_exit(struct cpu *cpu);

#endif
