// SPDX-License-Identifier: Apache-2.0
/*
 * A local APIC whose guest uses it by the processor's APIC virtualization (SDM Vol. 3C chapter 30): the model goes to a
 * virtual-APIC page before each run and takes back afterwards what the processor has changed there. In between `requested`
 * gathers what others raise. Pure; host-tested.
 */
#ifndef POLYVISOR_DEVICES_LAPIC_PAGE_H
#define POLYVISOR_DEVICES_LAPIC_PAGE_H

#include "devices/lapic.h"

/// What changes by the guest's own accesses and by INIT alone: all that can be read without an exit, but for the sets of vectors
/// and the task priority.
void lapic_page_registers(const struct lapic *lapic, uint32_t *page);
/// Task priority, requests (which are the page's then) and services. Returns the guest interrupt status (25.4.2); nothing is
/// requested in it while the local APIC is off.
uint32_t lapic_page_enter(struct lapic *lapic, uint32_t *page);
/// Takes them back. Returns how many of the requests the guest has taken.
uint32_t lapic_page_leave(struct lapic *lapic, const uint32_t *page);
/// Without virtual-interrupt delivery: task priority, and the sets for the guest to read. Returns the TPR threshold: 0, or the class of
/// a request that waits for nothing but a lower task priority (SDM Vol. 3C 30.1.2).
uint32_t lapic_page_show(const struct lapic *lapic, uint32_t *page);
/// Takes back what the guest can write without an exit: task priority and command.
void lapic_page_writes(struct lapic *lapic, const uint32_t *page);
/// Which vectors are level-triggered, for the guest to read.
void lapic_page_level(const struct lapic *lapic, uint32_t *page);
/// APIC-write exit: the guest has written the register at an offset. False: other registers may have changed by that, too.
bool lapic_page_written(struct lapic *lapic, uint32_t *page, uint32_t offset, uint64_t now);
/// EOI-induced exit: the processor has ended a vector's service.
void lapic_page_ended(const struct lapic *lapic, uint8_t vector);

#endif
