// SPDX-License-Identifier: Apache-2.0
#ifndef POLYVISOR_ARCH_TRAP_H
#define POLYVISOR_ARCH_TRAP_H

#include <stdint.h>

#include "arch/x86/regs.h"

/// "#GP general protection" and so on.
const char *trap_name(uint64_t vector);

/* called by entry.asm */
/// An exception in ring 0, or #DF or #MC anywhere. Returns only after it moved frame->rip to a fix-up.
void trap_ring0(struct ring0_frame *frame);
void trap_nmi(struct ring0_frame *frame);
/// #DB in ring 0.
void trap_debug(struct ring0_frame *frame);
/// #DB in ring 3: moves the frame from its own stack to the current agent's registers and returns those.
struct regs *trap_debug_ring3(const struct ring0_frame *frame);

#endif
