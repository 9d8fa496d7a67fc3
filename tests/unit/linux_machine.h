// SPDX-License-Identifier: Apache-2.0
/// The linux personality as a whole, with a guest that is only pretended: each run of its vcpu is a function of the test. Time is a
/// number, which goes on by waiting, and a little by looking at it.
#ifndef POLYVISOR_TESTS_LINUX_MACHINE_H
#define POLYVISOR_TESTS_LINUX_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/personalities/linux/machine.h"

enum { POOL = 64 << 20, KERNEL_SIZE = 4096, EXIT_IO = 30, EXIT_RDMSR = 31, EXIT_WRMSR = 32 };
enum { CODE = 0x8000, RFLAGS_IF = 1 << 9, VMCS_CS_ACCESS_RIGHTS = 0x4816 };
#define VALID (UINT32_C(1) << 31)

/// Set-up of the group, once.
int make_machine(void **state);
/// Set-up of a test: a machine that has just been reset; its first processor is in real mode, its code at CODE, interrupts on.
int reset_machine(void **state);

// What the multiplexer has for the personality.
extern struct pv_info info;
extern uint8_t kernel[KERNEL_SIZE];
extern int64_t (*script)(unsigned run); ///< a run of the guest: changes the state page, returns what pv_vcpu_run does
extern uint32_t pending;                ///< events of the agent
extern const char *input;
extern bool has_apic;
extern uint64_t cs_access; ///< the guest's code segment
/// VMCS fields besides: what was set here, or written by the personality, since reset_machine. Segments are flat, of the kernel.
uint64_t vmcs_field(uint32_t field);
void set_vmcs_field(uint32_t field, uint64_t value);
extern uint64_t slowness;   ///< ticks that writing to the console takes
extern unsigned most_waits; ///< ends the machine at so many waits, unless it is 0

// What the personality did.
extern unsigned runs, waits, signals, yields;
extern uint64_t run_deadline, ran;     ///< of the last run: when it ends, which vcpu
extern uint64_t waited_until, written; ///< when the last wait ended, and the last output
extern char output[4096];
extern size_t output_size;
extern const struct pv_device *published;
extern uint64_t published_count;
extern uint64_t features; ///< of the last PV_SYS_VCPU_APIC
/// Whether the first processor's guest reads an MSR of the x2APIC (less 0x800) without an exit.
extern bool reads_freely[0x40];
extern struct pv_vmcs_entry written_fields[4]; ///< the last ones written

// The first processor.
extern struct pv_vcpu_state *s;
extern struct lapic *lapic;

/// The TSC is 0 again.
void restart_time(void);
/// Lets the first agent live until the machine ends.
void run(int64_t (*guest)(unsigned));
/// A run that goes on until its deadline.
int64_t run_out(void);
/// The ends of other runs.
int64_t exit_with(uint32_t reason);
int64_t end_machine(void);
int64_t io(uint16_t port, unsigned size, bool in, uint32_t value);
int64_t wrmsr(uint32_t msr, uint64_t value);

void put(uint8_t *at, unsigned bytes, uint64_t value);
/// What stands at the guest's RIP.
void set_code(const char *code, size_t size);
/// An interrupt from elsewhere.
void send_interrupt(uint8_t vector);

#endif
