// SPDX-License-Identifier: Apache-2.0
/*
 * VMXON on one core after the other, while every core watches itself: boot with `vmxon=watched`. Shows, on the machine at hand, that
 * VMX operation is a matter of each core alone. What was seen goes to the log; tools/claims reads it there.
 */
#ifndef POLYVISOR_ROLL_CALL_H
#define POLYVISOR_ROLL_CALL_H

#include <stdbool.h>

struct core;

/// Whether the boot command line asks for it, and the processor has VMX. On core 0, before any other core has started.
bool roll_call_wanted(void);
/// On core 0, when the others have started: has every core execute VMXON (vmx_enable) in its turn, and look before the first and after
/// each.
void roll_call_lead(void);
/// The part of every other core. Returns when all is over, its own VMXON included. At once, without VMXON and false, when no roll call
/// is wanted.
bool roll_call_follow(struct core *core);

#endif
