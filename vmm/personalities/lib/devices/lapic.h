// SPDX-License-Identifier: Apache-2.0
/*
 * Local APICs and the bus that connects them: registers by memory (xAPIC) or MSRs (x2APIC), priorities, IPIs, and the
 * timer in its three modes. The timer counts ticks of the TSC, divided.
 */
#ifndef POLYVISOR_DEVICES_LAPIC_H
#define POLYVISOR_DEVICES_LAPIC_H

#include "devices/device.h"

enum {
    LAPIC_SIZE = 4096,
    LAPIC_MAX = 64, ///< on one bus
    LAPIC_NONE = -1,
    LAPIC_FIRST_VECTOR = 16, ///< that is legal
    LAPIC_MSR_BASE = 0x1b,
    LAPIC_MSR_FIRST = 0x800, ///< x2APIC
    LAPIC_MSR_LAST = 0x83f,
    LAPIC_MSR_TSC_DEADLINE = 0x6e0,
};
#define LAPIC_ADDRESS UINT64_C(0xfee00000)
#define APIC_BROADCAST UINT32_MAX ///< as a destination

/// Delivery modes (SDM Vol. 3A 11.5.1, 11.6.1).
enum apic_mode {
    APIC_FIXED = 0,
    APIC_LOWEST = 1,
    APIC_SMI = 2,
    APIC_NMI = 4,
    APIC_INIT = 5,
    APIC_STARTUP = 6,
    APIC_EXTINT = 7,
};

/// An interrupt on its way to local APICs.
struct apic_message {
    uint32_t destination; ///< of the mode below; APIC_BROADCAST: all
    bool logical;
    bool level;
    uint8_t vector;
    enum apic_mode mode;
};

struct apic_bus;

enum { LVT_TIMER, LVT_THERMAL, LVT_COUNTER, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

struct lapic {
    struct apic_bus *bus;
    uint32_t id;
    uint64_t base; ///< IA32_APIC_BASE
    uint32_t task_priority, logical, format, spurious, errors, new_errors, icr_low, icr_high, divide;
    uint32_t lvt[LVT_COUNT];
    uint32_t requested[8], in_service[8], level[8]; ///< IRR, ISR, TMR
    uint32_t given[8];                              ///< requests that a virtual-APIC page has (lapic_page.h)
    uint32_t initial;                               ///< count of the timer
    uint64_t start;                                 ///< when it was loaded, or its present period began
    uint64_t deadline;                              ///< when it expires, or DEV_NEVER
    uint64_t tsc_deadline;                          ///< IA32_TSC_DEADLINE
    /* what the processor has to act upon, and to clear */
    bool nmi, init, startup;
    uint8_t startup_vector;
    bool waits_for_startup; ///< the processor's state, set by it
    bool no_x2apic;         ///< that mode does not exist: set by the machine, survives resets
};

struct apic_bus {
    struct lapic *lapics[LAPIC_MAX];
    uint32_t count;
    void (*wake)(void *context, uint32_t index); ///< something has come for processor `index`
    void (*end)(void *context, uint8_t vector);  ///< a level-triggered interrupt has ended: for I/O APICs
    void *context;
};

/// After reset; adds it to the bus. The first one is the bootstrap processor's.
void lapic_init(struct lapic *lapic, struct apic_bus *bus, uint32_t id);
/// What INIT does to it (SDM Vol. 3A 11.4.7.3): all but its identity and IA32_APIC_BASE.
void lapic_reset(struct lapic *lapic);
/// As firmware leaves it: enabled, the PIC passing through LINT0 (virtual wire mode), LINT1 is NMI.
void lapic_virtual_wire(struct lapic *lapic);

/// Whether it is the bootstrap processor's.
bool lapic_is_bootstrap(const struct lapic *lapic);

/// Delivers to whoever is meant.
void apic_deliver(struct apic_bus *bus, const struct apic_message *message);
/// The same for a message that a device writes to memory (SDM Vol. 3A 11.11). Other addresses than local APICs' are nobody's.
void apic_deliver_msi(struct apic_bus *bus, uint64_t address, uint32_t data);

/// An interrupt for this one.
void lapic_raise(struct lapic *lapic, uint8_t vector, bool level);
/// The vector that the processor would be told now, or LAPIC_NONE. Nothing changes.
int lapic_next(const struct lapic *lapic);
/// The processor is offered a vector that lapic_next has named, and may take it at any time: nothing is requested any more, so that a
/// request that comes meanwhile is another one.
void lapic_offer(struct lapic *lapic, uint8_t vector);
/// What has become of that: it is in service, or requested as before.
void lapic_settle(struct lapic *lapic, uint8_t vector, bool taken);
/// Both at once: the processor has taken a vector that lapic_next has named.
void lapic_accept(struct lapic *lapic, uint8_t vector);
/// Whether the PIC's INTR gets through to the processor.
bool lapic_passes_extint(const struct lapic *lapic);

/// When lapic_advance has to be called next, or DEV_NEVER.
uint64_t lapic_deadline(const struct lapic *lapic);
void lapic_advance(struct lapic *lapic, uint64_t now);

/// Whether its registers are memory at LAPIC_ADDRESS.
bool lapic_is_memory(const struct lapic *lapic);
/// 32-bit accesses at an offset in that page. Others than to the registers' own addresses read 0 and do nothing.
uint32_t lapic_read(struct lapic *lapic, uint32_t offset, uint64_t now);
void lapic_write(struct lapic *lapic, uint32_t offset, uint32_t value, uint64_t now);
/// IA32_APIC_BASE, IA32_TSC_DEADLINE, x2APIC. False: #GP.
bool lapic_read_msr(struct lapic *lapic, uint32_t msr, uint64_t *value, uint64_t now);
bool lapic_write_msr(struct lapic *lapic, uint32_t msr, uint64_t value, uint64_t now);

/// CR8, which is the upper half of the task priority.
uint64_t lapic_read_cr8(const struct lapic *lapic);
void lapic_write_cr8(struct lapic *lapic, uint64_t value);

/* between lapic.c, lapic_timer.c and apic_bus.c */
uint32_t lapic_processor_priority(const struct lapic *lapic);
bool lapic_enabled(const struct lapic *lapic);
bool lapic_is_x2apic(const struct lapic *lapic);
/// A register by its offset in the page, without what reading it does; for those that do not change by themselves.
uint32_t lapic_peek(const struct lapic *lapic, uint32_t offset);
void lapic_send(struct lapic *lapic);
/// An error of the sender: a command with an illegal vector.
void lapic_sent_illegally(struct lapic *lapic);
/// An interrupt that it sends itself.
void lapic_raise_itself(struct lapic *lapic, uint8_t vector);
void lapic_timer_write(struct lapic *lapic, uint32_t initial, uint64_t now);
uint32_t lapic_timer_count(const struct lapic *lapic, uint64_t now);
void lapic_timer_divide(struct lapic *lapic, uint32_t value, uint64_t now);
void lapic_timer_mode(struct lapic *lapic, uint32_t lvt, uint64_t now);
void lapic_timer_tsc(struct lapic *lapic, uint64_t value);
uint64_t lapic_timer_tsc_read(const struct lapic *lapic);

#endif
