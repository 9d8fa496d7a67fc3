// SPDX-License-Identifier: Apache-2.0
/// Exceptions in ring 0 on purpose (vmm/crash.c, debug builds).
#ifndef POLYVISOR_ARCH_FAULT_H
#define POLYVISOR_ARCH_FAULT_H

void fault_page(void);
void fault_divide(void);
/// Runs into the guard under the stack: #PF cannot be delivered there, #DF has its own stack.
void fault_stack(void);
void fault_invalid_opcode(void);
/// An NMI to this core itself: nothing happens but that it is counted.
void fault_nmi(void);

#endif
