// SPDX-License-Identifier: Apache-2.0
/// The virtual PC: memory, devices, processors, and the lock that all of them share.
#ifndef POLYVISOR_LINUX_MACHINE_H
#define POLYVISOR_LINUX_MACHINE_H

#include <stdatomic.h>

#include "agent.h"
#include "console.h"
#include "cpu.h"
#include "devices.h"
#include "devices/acpi_pm.h"
#include "devices/ioapic.h"
#include "devices/pci.h"
#include "devices/pic.h"
#include "devices/pit.h"
#include "devices/rtc.h"
#include "devices/uart.h"
#include "layout.h"
#include "load.h"
#include "options.h"
#include "virtio_devices.h"

enum { MAX_CPUS = OPTIONS_CPUS_MAX };
enum { PIT_IRQ = 0, UART_IRQ = 4, RTC_IRQ = 8 };

/// What the agents do. Only machine_end and machine_reset leave PHASE_RUNNING.
enum machine_phase { PHASE_RUNNING, PHASE_RESET, PHASE_ENDED };

/// Why a machine ended: the personality's exit code (docs/linux.md).
enum machine_end {
    MACHINE_OFF = 0,      ///< the guest switched it off
    MACHINE_FAILED = 1,   ///< something that cannot go on, such as a triple fault
    MACHINE_UNUSABLE = 2, ///< it never began: configuration, kernel, memory
    MACHINE_PANICKED = 3, ///< the guest's kernel said so
};

struct machine {
    const struct pv_info *info;
    struct pv_guest_memory memory;
    struct layout layout;
    struct load load;
    struct console console;
    struct uart uart;
    struct pic pic;
    struct pit pit;
    struct rtc rtc;
    struct pci pci;
    struct virtio_devices virtio;
    struct acpi_pm pm;
    struct ioapic ioapic;
    struct apic_bus bus;
    uint32_t apic_features;    ///< enum pv_apic bits, in either mode of the local APICs; 0: the model does it all
    uint64_t apic_access_page; ///< where local APICs are virtualized as memory; pool offset; 0: none yet
    bool apic_page_mapped;     ///< until a processor uses x2APIC mode
    struct cpu cpus[MAX_CPUS];
    uint32_t cpu_count;
    uint8_t physical_bits; ///< of the guest's physical addresses, as CPUID tells
    struct agent agents[MAX_CPUS];
    uint32_t agent_count; ///< of agents that have processors
    struct options options;
    uint64_t deadline;   ///< of the devices' timers
    uint64_t poll_at;    ///< when machine_poll has something to do: at the deadline, or (0) at once
    uint32_t refusals;   ///< accesses to devices by instructions that are not emulated
    bool input_held;     ///< no device has room for input that may be there
    _Atomic bool locked; ///< held by an agent while it is not inside its guest
    _Atomic enum machine_phase phase;
    _Atomic uint32_t stopped; ///< agents that have come out of their loops for a reset
    _Atomic uint32_t resets;
    enum machine_end exit_code;
};

extern struct machine machine;

/// Loads the kernel and makes the devices; on agent 0. NULL, or what is wrong.
const char *machine_make(const struct pv_info *info);

void machine_lock(void);
void machine_unlock(void);

/// Has a processor look at its interrupts and timers.
void machine_wake(uint32_t cpu);

/// A file that the configuration gives, or NULL.
const struct pv_module *machine_module(const char *name);

/// Ends the personality. The first reason counts.
void machine_end(enum machine_end code);

/// The reset line: everything begins anew, but for the clock. Once: a string instruction that goes on writes more.
void machine_reset(void);
/// Every agent's part of a reset, after its loop has ended. Returns when the machine stands as after machine_make. NULL, or what is
/// wrong.
const char *machine_await_reset(uint32_t agent);

/// On agent 0: lets devices do what time has brought, and looks for input, if it is time for that (poll_at).
void machine_poll(uint64_t now);
/// After an exit of the guest: a device may have got room for input that was held back.
void machine_look_at_input(void);

/// ports.c: accesses to I/O ports of 1, 2 or 4 bytes.
uint32_t port_read(uint16_t port, uint32_t size);
void port_write(uint16_t port, uint32_t size, uint32_t value);

#endif
