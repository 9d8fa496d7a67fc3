// SPDX-License-Identifier: Apache-2.0
/// What a new VMCS is filled with: host state, guest state as after INIT, controls as the multiplexer wants them.
#ifndef POLYVISOR_VMX_VMCS_SETUP_H
#define POLYVISOR_VMX_VMCS_SETUP_H

#include <stdint.h>

struct core;

/// Physical addresses and tags that a VMCS names.
struct vmcs_parts {
    uint64_t eptp;
    uint64_t msr_bitmap, io_bitmap_a, io_bitmap_b;
    uint16_t vpid;
};

struct vmcs_controls {
    uint32_t pin, primary, secondary, exit, entry;
};

/// Pages that intercept every MSR but those that the processor switches itself, and every port. At boot.
void vmcs_setup_init(uint64_t msr_bitmap, uint64_t io_bitmap);
extern uint64_t vmcs_default_msr_bitmap, vmcs_default_io_bitmap;

/// Writes the revision id into a page that is to be a VMCS (SDM Vol. 3C 25.2).
void vmcs_format(void *page);
/// Fills the current VMCS, all but host state. *controls: what was written.
void vmcs_setup_guest(const struct vmcs_parts *parts, struct vmcs_controls *controls);
/// Host state of the current VMCS for a core and an address space to come back to. When it is made, and after a move.
void vmcs_setup_host(const struct core *core, uint64_t root);

#endif
