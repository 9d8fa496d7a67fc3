// SPDX-License-Identifier: Apache-2.0
/// Local APIC (SDM Vol. 3A chapter 11), x2APIC where present, and the I/O APIC's one line that we use.
#ifndef POLYVISOR_ARCH_APIC_H
#define POLYVISOR_ARCH_APIC_H

#include <stdbool.h>
#include <stdint.h>

enum { APIC_ADDRESS_DEFAULT = 0xfee00000u, IOAPIC_ADDRESS_DEFAULT = 0xfec00000u };

/// On the bootstrap processor, once: chooses the mode, masks the 8259s, maps the registers where they are memory.
void apic_init(void);
/// On each core: switches its APIC on.
void apic_enable(void);
bool apic_is_x2(void);
uint32_t apic_id(void);
void apic_eoi(void);
void apic_send_ipi(uint32_t apic, uint32_t vector);
void apic_send_nmi(uint32_t apic);
void apic_send_init(uint32_t apic);
/// page: number of the 4 KiB page below 1 MiB where the core starts in real mode.
void apic_send_startup(uint32_t apic, uint32_t page);

/// Measures the timer against the TSC where there is no TSC-deadline mode. Once, after the TSC's rate is known.
void apic_timer_calibrate(uint64_t tsc_hz);
/// VECTOR_TIMER when the TSC reaches a deadline (at once when it is over), UINT64_MAX: not at all. Replaces the one
/// set before.
void apic_timer_set(uint64_t deadline);

/// Masks all inputs: a level-triggered one that firmware left open would interrupt for ever.
void ioapic_mask_all(uint64_t address);
/// Routes an I/O APIC input to a core. False: there is no I/O APIC that looks right at that address.
bool ioapic_route(uint64_t address, uint32_t input, uint32_t vector, uint32_t apic, bool level, bool active_low);

#endif
